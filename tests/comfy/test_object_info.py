"""What a server lacks for a batch, told before anything is submitted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.comfy.object_info import Checker, ObjectInfo

DATA: dict[str, Any] = {
    "Loader": {
        "input": {"required": {"file": [["a/aki_v3.safetensors", "ren.safetensors"], {}]}},
        "output": ["MODEL", "CLIP"],
    },
    "Sampler": {
        "input": {
            "required": {
                "model": ["MODEL", {}],
                "seed": ["INT", {"min": 0, "max": 2**64 - 1}],
                "cfg": ["FLOAT", {"min": 0.0, "max": 100.0}],
                "name": ["COMBO", {"options": ["euler", "heun"]}],
            },
            "optional": {"mask": ["MASK"], "note": ["STRING", {"multiline": True}]},
            "hidden": {"prompt": "PROMPT"},
        },
        "output": ["LATENT"],
    },
    "Save": {
        "input": {"required": {"images": ["IMAGE,LATENT"], "filename_prefix": ["STRING", {}]}},
        "output": [],
    },
    "LoadImage": {"input": {"required": {"image": [["example.png"], {}]}}, "output": ["IMAGE", "MASK"]},
    "AnyFile": {
        "input": {"required": {"file": ["COMBO", {"options": [], "animerun_any": True}]}},
        "output": ["*"],
    },
    "Remote": {"input": {"required": {"choice": ["COMBO", {"remote": {}}]}}, "output": []},
    "Growing": {"input": {"required": {"images": ["COMFY_AUTOGROW_V3", {}]}}, "output": []},
    "Broken": None,
    "Odd": {"input": {"required": {"x": "not a list", "y": []}}, "output": None},
}
GOOD: dict[str, Any] = {
    "1": {"class_type": "Loader", "inputs": {"file": "ren.safetensors"}},
    "2": {
        "class_type": "Sampler",
        "inputs": {"model": ["1", 0], "seed": 2**64 - 1, "cfg": 7, "name": "heun", "note": "any text"},
    },
    "3": {"class_type": "Save", "inputs": {"images": ["2", 0], "filename_prefix": {"$prefix": True}}},
    "4": {"class_type": "LoadImage", "inputs": {"image": {"$input": "ab.png"}}},
    "5": {"class_type": "LoadImage", "inputs": {"image": "sub/other.png"}},
    "6": {"class_type": "AnyFile", "inputs": {"file": "whatever.safetensors"}},
    "7": {"class_type": "Remote", "inputs": {"choice": "unknown here"}},
    "8": {"class_type": "Growing", "inputs": {"images.image0": ["4", 0], "images.image1": ["5", 0]}},
}


def checker() -> Checker:
    return ObjectInfo(DATA, server="http://a").checker({("Loader", "file"): "checkpoint"})


def messages(nodes: dict[str, Any]) -> list[str]:
    it = checker()
    it.add(nodes, "k")
    return [finding.message for finding in it.findings()]


def sampler(**changes: Any) -> dict[str, Any]:
    inputs = GOOD["2"]["inputs"] | changes
    return {
        **GOOD,
        "2": {"class_type": "Sampler", "inputs": {k: v for k, v in inputs.items() if v is not None}},
    }


def test_a_graph_the_server_can_run_has_no_findings() -> None:
    """Both forms of choices, placeholders, optional and growing inputs, unions, open lists are understood."""
    assert messages(GOOD) == []


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            {"1": {"class_type": "Loadr", "inputs": {}}},
            "http://a has no node class `Loadr`; the nearest it has is `Loader`",
        ),
        (
            {"1": {"class_type": "RIFE VFI", "inputs": {}}},
            "http://a has no node class `RIFE VFI`; a node pack is missing there",
        ),
        (
            {"1": {"class_type": "Loader", "inputs": {"file": "aki_v2.ckpt"}}},
            "http://a has no `aki_v2.ckpt` for Loader.file; did you mean a/aki_v3.safetensors? there are: "
            "a/aki_v3.safetensors, ren.safetensors; try --set checkpoint=a/aki_v3.safetensors",
        ),
        (
            sampler(name="eular"),
            "http://a has no `eular` for Sampler.name; did you mean euler? there are: euler, heun",
        ),
        (sampler(seed=None), "Sampler on http://a needs `seed`"),
        (sampler(nam="x"), "Sampler on http://a has no input `nam`; did you mean `name`?"),
        (sampler(seed=-1), "Sampler.seed is -1, the least http://a takes is 0"),
        (sampler(cfg=100.5), "Sampler.cfg is 100.5, the most http://a takes is 100.0"),
        (sampler(seed=2**64), f"Sampler.seed is {2**64}, the most http://a takes is {2**64 - 1}"),
        (sampler(cfg="much"), "Sampler.cfg takes a number, not 'much'"),
        (sampler(model=["1", 1]), "Sampler.model takes MODEL, but output 1 of Loader is CLIP"),
        (sampler(model=["1", 7]), "Sampler.model takes output 7 of Loader, which has 2"),
        (sampler(model="hello"), "Sampler.model takes a link (MODEL), not the value 'hello'"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(nodes: dict[str, Any], message: str) -> None:
    """Each kind of flaw has one finding with the nearest thing that would work."""
    assert messages(nodes) == [message]


def test_the_same_flaw_in_many_jobs_is_one_finding() -> None:
    """A finding names the first three jobs concerned."""
    it = checker()
    for number in range(100):
        it.add(sampler(name="eular"), f"job{number}")
    (finding,) = it.findings()

    assert finding.keys == ("job0", "job1", "job2")
    assert (finding.server, finding.node_class, finding.input, finding.value) == (
        "http://a",
        "Sampler",
        "name",
        "eular",
    )


def test_a_million_seeds_are_not_remembered() -> None:
    """What is kept grows with what differs in kind, not with the number of jobs."""
    it = checker()
    for seed in range(500):
        it.add(sampler(seed=seed, note=f"text {seed}"), "k")

    assert it.findings() == ()
    assert len(it._seen) < 40


def test_true_is_not_one() -> None:
    """Equal values of different types are different questions."""
    data = {"N": {"input": {"required": {"x": [["1", "True"], {}]}}, "output": []}}
    it = ObjectInfo(data).checker()
    it.add({"1": {"class_type": "N", "inputs": {"x": 1}}}, "k")
    it.add({"1": {"class_type": "N", "inputs": {"x": 1.5}}}, "k")
    it.add({"1": {"class_type": "N", "inputs": {"x": True}}}, "k")

    assert [finding.value for finding in it.findings()] == ["1.5"]


@given(
    st.dictionaries(
        st.text(max_size=3), st.recursive(st.none() | st.text() | st.integers(), st.lists), max_size=4
    )
)
def test_any_object_info_is_survived(data: dict[str, Any]) -> None:
    """Entries of another shape are classes the server does not have."""
    offers = ObjectInfo(data | {"Odd": {"input": data, "output": data}})
    it = offers.checker()
    it.add({"1": {"class_type": "Odd", "inputs": {"x": ["1", 0], "y": 5}}}, "k")

    assert "Odd" in offers
    assert offers.outputs("Odd") == ()
