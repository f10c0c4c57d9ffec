# ruff: noqa: E501 - tables read better in long rows
"""What a server would refuse in a graph, and what it would let pass: reported before anything is submitted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.comfy.graph_check import Checker, fits
from runner.comfy.object_info import ObjectInfo
from runner.comfy.replacements import read_replacements

DATA: dict[str, Any] = {
    "Loader": {
        "input": {"required": {"file": [["a/aki_v3.safetensors", "ren.safetensors"], {}]}},
        "output": ["MODEL", "CLIP"],
        "search_aliases": [],
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
        "output_node": True,
    },
    "LoadImage": {"input": {"required": {"image": [["example.png"], {}]}}, "output": ["IMAGE", "MASK"]},
    "AnyFile": {
        "input": {"required": {"file": ["COMBO", {"options": [], "animerun_any": True}]}},
        "output": ["*"],
    },
    "Remote": {"input": {"required": {"choice": ["COMBO", {"remote": {}}]}}, "output": []},
    "Unclear": {"input": {"required": {"images": ["COMFY_AUTOGROW_V3", {}]}}, "output": []},
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
}
OUTPUTS = tuple(GOOD)


def checker() -> Checker:
    return Checker(ObjectInfo(DATA, server="http://a"), {("Loader", "file"): "checkpoint"})


def messages(nodes: dict[str, Any]) -> list[str]:
    it = checker()
    it.add(nodes, "k", tuple(nodes))
    return [finding.message for finding in it.findings()]


def notes(nodes: dict[str, Any]) -> list[str]:
    it = checker()
    it.add(nodes, "k", tuple(nodes))
    assert it.findings() == ()
    return [finding.message for finding in it.notes()]


def sampler(**changes: Any) -> dict[str, Any]:
    inputs = GOOD["2"]["inputs"] | changes
    return {
        **GOOD,
        "2": {"class_type": "Sampler", "inputs": {k: v for k, v in inputs.items() if v is not None}},
    }


def test_a_graph_the_server_can_run_has_no_findings() -> None:
    """Both forms of choices, placeholders, optional inputs, unions, open lists are understood."""
    assert messages(GOOD) == []
    assert notes(GOOD) == []


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
        (sampler(seed=-1), "Sampler.seed is -1, the least http://a takes is 0"),
        (sampler(cfg=100.5), "Sampler.cfg is 100.5, the most http://a takes is 100.0"),
        (sampler(seed=2**64), f"Sampler.seed is {2**64}, the most http://a takes is {2**64 - 1}"),
        (sampler(cfg="much"), "Sampler.cfg takes a number, not `much`"),
        (sampler(seed="5.5"), "Sampler.seed takes a whole number, not `5.5`"),
        (sampler(seed=float("nan")), "Sampler.seed takes a whole number, not `NaN`"),
        (sampler(model=["1", 1]), "Sampler.model takes MODEL, but output 1 of Loader is CLIP"),
        (sampler(model=["1", 7]), "Sampler.model takes output 7 of Loader, which has 2"),
        (sampler(model="hello"), "Sampler.model takes a link (MODEL), not the value `hello`"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(nodes: dict[str, Any], message: str) -> None:
    """Each kind of flaw has one finding with the nearest thing that would work."""
    assert messages(nodes) == [message]


def test_the_same_flaw_in_many_jobs_is_one_finding() -> None:
    """A finding names the first three jobs concerned."""
    it = checker()
    for number in range(100):
        it.add(sampler(name="eular"), f"job{number}", OUTPUTS)
    (finding,) = it.findings()

    assert finding.keys == ("job0", "job1", "job2")
    assert (finding.server, finding.node_class, finding.input, finding.value, finding.node) == (
        "http://a",
        "Sampler",
        "name",
        "eular",
        "2",
    )


def test_a_million_seeds_are_not_remembered() -> None:
    """What is kept grows with what differs in kind, not with the number of jobs."""
    it = checker()
    for seed in range(500):
        it.add(sampler(seed=seed, note=f"text {seed}"), "k", OUTPUTS)

    assert it.findings() == ()
    assert len(it._seen) < 40


def test_choices_are_compared_as_the_server_compares_them() -> None:
    """`1` is no `"1"` there, though `True` is `1`: what differs in type is another question."""
    data = {"N": {"input": {"required": {"x": [["1", 2, True], {}]}}, "output": []}}
    it = Checker(ObjectInfo(data))
    for value in (1, "1", 2.0, True, "True", 1.5):
        it.add({"1": {"class_type": "N", "inputs": {"x": value}}}, "k", ("1",))

    assert [finding.value for finding in it.findings()] == ["True", "1.5"]


@given(
    st.dictionaries(
        st.text(max_size=3), st.recursive(st.none() | st.text() | st.integers(), st.lists), max_size=4
    )
)
def test_any_object_info_is_survived(data: dict[str, Any]) -> None:
    """Entries of another shape are classes the server does not have."""
    offers = ObjectInfo(data | {"Odd": {"input": data, "output": data}})
    it = Checker(offers)
    it.add({"1": {"class_type": "Odd", "inputs": {"x": ["1", 0], "y": 5}}}, "k", ("1",))

    assert "Odd" in offers
    assert offers.outputs("Odd") == ()


# ---------------------------------------------------------------- what is a note, what is nothing


def test_an_input_the_server_does_not_list_is_a_note() -> None:
    """A ComfyUI ignores it, so it is no reason to refuse; often it is a slip, so it is named with the nearest."""
    assert notes(sampler(mas="x", upload="image")) == [
        "Sampler on http://a has no input `mas` (did you mean `mask`?), `upload`: the server ignores it"
    ]


def test_a_pack_may_take_what_it_does_not_list() -> None:
    """Whether a class of a pack ignores it cannot be seen from outside, and neither which links it takes."""
    data = {
        "Make": {"input": {}, "output": ["LATENT"]},
        "Film": {
            "input": {"required": {"images": ["IMAGE"]}},
            "output": [],
            "python_module": "custom_nodes.x",
        },
    }
    it = Checker(ObjectInfo(data, server="http://a"))
    nodes = {
        "1": {"class_type": "Make", "inputs": {}},
        "2": {"class_type": "Film", "inputs": {"images": ["1", 0], "lora_1": {"on": True}}},
    }
    it.add(nodes, "k", ("2",))

    assert it.findings() == ()
    assert [each.message for each in it.notes()] == [
        "Film on http://a does not list `lora_1`",
        "Film.images takes IMAGE, but output 0 of Make is LATENT",
    ]


def test_only_what_an_output_needs_is_judged() -> None:
    """Of a node that nothing needs only the class must exist; what an undeclared output needs is noted."""
    it = checker()
    bad = {"class_type": "Sampler", "inputs": {}}
    nodes = {**GOOD, "x": bad, "y": {"class_type": "Nowhere", "inputs": {}}}
    nodes["p"] = {"class_type": "Save", "inputs": {"images": ["q", 0], "filename_prefix": "p"}}
    nodes["q"] = {"class_type": "Sampler", "inputs": GOOD["2"]["inputs"] | {"name": "eular"}}
    it.add(nodes, "k", ("3",))

    assert [(each.node, each.node_class) for each in it.findings()] == [("y", "Nowhere")]
    assert [(each.node, each.value) for each in it.notes()] == [("q", "eular")]
    assert it.notes()[0].message.endswith("; no declared output needs this node")


def test_the_server_does_not_look_behind_an_input_it_does_not_list() -> None:
    """What is linked to such an input alone is not validated, so nothing of it is refused."""
    nodes = sampler(nam=["b", 0])
    nodes["b"] = {"class_type": "Loader", "inputs": {"file": "nowhere.ckpt"}}
    it = checker()
    it.add(nodes, "k", ("3",))

    assert it.findings() == ()


def test_a_class_that_the_server_replaces_is_a_note() -> None:
    """It runs another one in its place, so nothing is missing; a replacement it lacks too is none."""
    nodes = {"1": {"class_type": "OldLoader", "inputs": {}}}
    offers = ObjectInfo(DATA, server="http://a")
    takes = [{"new_id": "file", "set_value": "ren.safetensors"}]
    listed = {
        new: {"OldLoader": [{"new_node_id": new, "input_mapping": takes}]} for new in ("Loader", "Nowhere")
    }
    good, bad = (Checker(offers, replaced=read_replacements(each)) for each in listed.values())
    for it in (good, bad):
        it.add(nodes, "k", ("1",))

    assert good.findings() == ()
    assert [each.message for each in good.notes()] == [
        "http://a has no node class `OldLoader` any more and runs `Loader` in its place"
    ]
    assert len(bad.findings()) == 1


def test_a_replacement_gets_the_inputs_that_the_server_maps() -> None:
    """Without a mapping it gets none, and the server refuses what the new class needs."""
    nodes = {"1": {"class_type": "OldLoader", "inputs": {"model": "ren.safetensors"}}}
    maps = {"mapped": [{"new_id": "file", "old_id": "model"}], "unmapped": None}
    found = {}
    for name, mapping in maps.items():
        listed = {"OldLoader": [{"new_node_id": "Loader", "input_mapping": mapping}]}
        it = Checker(ObjectInfo(DATA, server="http://a"), replaced=read_replacements(listed))
        it.add(nodes, "k", ("1",))
        found[name] = [each.message for each in it.findings()]

    assert found == {"mapped": [], "unmapped": ["Loader on http://a needs `file`"]}


def test_a_graph_without_outputs_is_refused() -> None:
    """The server takes no graph in which nothing is saved; beside other outputs such a one is a note."""
    data = {
        "Make": {"input": {}, "output": ["IMAGE"], "output_node": False},
        "Save": {"input": {"required": {"a": ["IMAGE"]}}, "output": [], "output_node": True},
    }
    make = {"class_type": "Make", "inputs": {}}
    alone, beside = Checker(ObjectInfo(data, server="S")), Checker(ObjectInfo(data, server="S"))
    alone.add({"1": make}, "k", ("1",))
    beside.add({"1": make, "2": {"class_type": "Save", "inputs": {"a": ["1", 0]}}}, "k", ("1",))

    assert "refuses a graph without any output" in alone.findings()[0].message
    assert beside.findings() == ()
    assert [each.node for each in beside.notes()] == ["1"]


# ---------------------------------------------------------------- links

LINKS: list[tuple[Any, Any, bool]] = [
    ("IMAGE", "IMAGE", True),
    ("IMAGE", "MASK", False),
    ("INT", "FLOAT", False),
    ("IMAGE", "IMAGE,LATENT", True),
    ("A,B", "B, C", True),
    ("*", "MODEL", True),
    ("MODEL", "*", True),
    ("X,*", "MODEL", True),
    ("COMFY_MATCHTYPE_V3", "MODEL", True),
    ("MODEL", "COMFY_MATCHTYPE_V3", True),
    (["a", "b"], ["a", "b"], True),
    (["a", "b"], ["a"], False),
    (["a", "b"], "COMBO", True),
    ("COMBO", ["a", "b"], False),
    ("STRING", ["a", "b"], False),
]


@pytest.mark.parametrize(("given_type", "wanted", "fitting"), LINKS)
def test_links_fit_as_the_server_says(given_type: Any, wanted: Any, fitting: bool) -> None:
    """Each case is a rule of ComfyUI's `validate_node_input`."""
    assert fits(given_type, wanted) == fitting


# ---------------------------------------------------------------- dynamic inputs

CODECS = [
    {"key": "auto", "inputs": {"required": {}}},
    {"key": "h264", "inputs": {"required": {"crf": ["FLOAT", {"min": 0.0, "max": 51.0}]},
                               "optional": {"preset": ["COMBO", {"options": ["fast", "slow"]}]}}},
]  # fmt: skip
FORMATS = [
    {"key": "mp4", "inputs": {"required": {"codec": ["COMFY_DYNAMICCOMBO_V3", {"options": CODECS}]}}},
    {
        "key": "exr",
        "inputs": {"required": {"depth": ["INT", {"min": 8}], "lut": ["COMBO", {"options": ["a.cube"]}]}},
    },
]
TEMPLATE_INPUT = {"required": {"image": ["IMAGE", {}]}}
DYNAMIC: dict[str, Any] = {
    "Make": {"input": {}, "output": ["IMAGE", "MASK"], "search_aliases": []},
    "Film": {
        "input": {"required": {"format": ["COMFY_DYNAMICCOMBO_V3", {"options": FORMATS}]},
                  "optional": {"codec": ["COMFY_DYNAMICCOMBO_V3", {"options": CODECS}]}},
        "output": [], "output_node": True,
    },
    "Grow": {
        "input": {"required": {
            "images": ["COMFY_AUTOGROW_V3", {"template": {"input": TEMPLATE_INPUT, "prefix": "image", "min": 2, "max": 4}}],
            "more": ["COMFY_AUTOGROW_V3", {"template": {"input": TEMPLATE_INPUT, "names": ["a", "b"], "min": 0}}],
        }},
        "output": [], "output_node": True,
    },
    "Pick": {"input": {"required": {"tags": ["COMBO", {"options": ["x", "y"], "multiselect": True}]}}, "output": []},
    "CustomCombo": {"input": {"required": {"choice": ["COMBO", {"options": []}]}}, "output": ["STRING"]},
    "Paint": {"input": {"required": {"colour": ["COLOR", {}], "box": ["BOUNDING_BOX", {}], "curve": ["CURVE", {}],
                                     "boxes": ["BOUNDING_BOXES", {}], "theirs": ["MY_WIDGET", {}],
                                     "rate": ["FLOAT,INT", {"min": 1}]}}, "output": []},
    "Encode": {
        "input": {"required": {"format": [["gif", "h264"], {"formats": {"h264": [
            ["pix_fmt", ["yuv420p", "yuv420p10le"]], ["crf", "INT", {"default": 19, "min": 0, "max": 100}], "odd", [1]]}}]}},
        "output": [], "python_module": "custom_nodes.films",
    },
    "LoadFile": {"input": {"required": {"file": [["here.png"], {"image_upload": True}]}}, "output": []},
}  # fmt: skip


def said(node_class: str, **inputs: Any) -> tuple[list[str], list[str]]:
    """Return findings and notes on a node with *inputs*; `__` in a name stands for a dot."""
    it = Checker(ObjectInfo(DYNAMIC, server="S"))
    named = {name.replace("__", "."): value for name, value in inputs.items()}
    it.add(
        {"m": {"class_type": "Make", "inputs": {}}, "n": {"class_type": node_class, "inputs": named}},
        "k",
        ("n",),
    )
    return [each.message for each in it.findings()], [each.message for each in it.notes()]


IMAGE = ["m", 0]


@pytest.mark.parametrize(
    ("node_class", "inputs"),
    [
        ("Film", {"format": "mp4", "format__codec": "h264", "format__codec__crf": 23, "format__codec__preset": "fast"}),
        ("Film", {"format": "mp4", "format__codec": "auto"}),
        ("Film", {"format": "mp4", "codec": "auto"}),
        ("Film", {"format": "exr", "format__depth": 16, "format__lut": "a.cube"}),
        ("Grow", {"images__image0": IMAGE, "images__image1": IMAGE, "images__image3": IMAGE, "more__b": IMAGE}),
        ("Pick", {"tags": {"__value__": ["x", "y"]}}),
        ("Pick", {"tags": "x"}),
        ("CustomCombo", {"choice": "mine", "index": 0, "option1": "mine"}),
        ("Paint", {"colour": "#fff", "box": {"x": 1}, "curve": {"points": []}, "boxes": {"__value__": []},
                   "theirs": 5, "rate": 8}),
        ("Encode", {"format": "h264", "pix_fmt": "yuv420p", "crf": 19}),
        ("Encode", {"format": "gif"}),
        ("LoadFile", {"file": "sub/there.png"}),
        ("LoadFile", {"file": "there.png [output]"}),
    ],
)  # fmt: skip
def test_dynamic_and_custom_inputs_are_understood(node_class: str, inputs: dict[str, Any]) -> None:
    """What a ComfyUI or a known pack takes makes neither a finding nor a note."""
    assert said(node_class, **inputs) == ([], [])


@pytest.mark.parametrize(
    ("node_class", "inputs", "findings"),
    [
        ("Film", {"format": "mov"}, ["S has no `mov` for Film.format; there are: mp4, exr"]),
        ("Film", {"format": "mp4", "format__codec": "h265", "format__codec__crf": 1},
         ["S has no `h265` for Film.format.codec; did you mean h264? there are: auto, h264"]),
        ("Film", {"format": "mp4", "format__codec": "h264"}, ["Film on S needs `format.codec.crf`"]),
        ("Film", {"format": "mp4", "format__codec": "h264", "format__codec__crf": 60},
         ["Film.format.codec.crf is 60.0, the most S takes is 51.0"]),
        ("Film", {"format": "exr", "format__depth": 4, "format__lut": "b.cube"},
         ["Film.format.depth is 4, the least S takes is 8",
          "S has no `b.cube` for Film.format.lut; did you mean a.cube? there are: a.cube"]),
        ("Grow", {"images__image0": IMAGE}, ["Grow on S needs `images.image1`"]),
        ("Grow", {"images__image0": IMAGE, "images__image1": ["m", 1]},
         ["Grow.images.image1 takes IMAGE, but output 1 of Make is MASK"]),
        ("Pick", {"tags": {"__value__": ["x", "z"]}}, ["S has no `z` for Pick.tags; there are: x, y"]),
        ("Paint", {"colour": 1, "box": 1, "curve": 1, "boxes": 1, "theirs": 1, "rate": "8"},
         ["Paint.rate takes a number, not `8`"]),
    ],
)  # fmt: skip
def test_what_lies_behind_a_choice_is_checked(
    node_class: str, inputs: dict[str, Any], findings: list[str]
) -> None:
    """Keys, values, ranges, files and missing inputs behind the chosen option are found, and nothing else."""
    assert said(node_class, **inputs)[0] == findings


@pytest.mark.parametrize(
    ("node_class", "inputs", "notes"),
    [
        ("Film", {}, ["Film on S is given no `format`: the server does not ask for it, the node most likely fails"]),
        ("Film", {"format": IMAGE}, ["Film.format takes a choice; linked, nobody can say which inputs it brings"]),
        ("Film", {"format": "mp4", "format__bits": 16}, ["Film on S has no input `format.bits`: the server ignores it"]),
        ("Grow", {"images__image0": IMAGE, "images__image1": IMAGE, "images__image4": IMAGE},
         ["Grow on S has no input `images.image4`: the server ignores it"]),
        ("Encode", {"format": "h264", "crf": 101}, ["Encode.crf is 101, the most S takes is 100"]),
        ("LoadFile", {"file": "there.png"}, ["S does not list `there.png` for LoadFile.file; it looks for itself"]),
    ],
)  # fmt: skip
def test_what_the_server_lets_pass_is_a_note(
    node_class: str, inputs: dict[str, Any], notes: list[str]
) -> None:
    """It is probably a slip, and a server that takes it is not contradicted."""
    assert said(node_class, **inputs) == ([], notes)


def test_an_older_server_takes_any_choice_of_the_newer_form() -> None:
    """0.3.64 compares only lists of the older form, so the value is a note; a missing file is none."""
    read = ["COMBO", {"options": ["fast", "a.safetensors"]}]
    it = Checker(ObjectInfo({"N": {"input": {"required": {"x": read}}, "output": []}}, server="S"))
    for value in ("slow", "b.safetensors"):
        it.add({"1": {"class_type": "N", "inputs": {"x": value}}}, "k", ("1",))

    assert [each.value for each in it.findings()] == ["b.safetensors"]
    assert [each.value for each in it.notes()] == ["slow"]


def test_a_declaration_that_is_not_understood_is_said() -> None:
    """A growing input without a readable template takes anything, with a note where it is used."""
    nodes = {"1": {"class_type": "Unclear", "inputs": {"images.image0": 5}}}
    assert notes(nodes) == ["Unclear on http://a has inputs that are not understood here: `images`"]


def test_unfolding_has_bounds() -> None:
    """Numbers and depths that a hostile server declares cost neither time nor memory."""
    deep: dict[str, Any] = {"required": {"x": ["INT", {}]}}
    name = "x"
    inner = {"required": {f"x{n}": ["INT", {}] for n in range(1_000)}}
    fan = [{"key": "k", "inputs": inner}] * 50
    for _ in range(200):
        deep = {"required": {"d": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "k", "inputs": deep}]}]}}
    endless = {"template": {"input": TEMPLATE_INPUT, "prefix": "i", "min": 10**12, "max": 10**12}}
    data = {
        "Deep": {"input": deep, "output": []},
        "Long": {"input": {"required": {"i": ["COMFY_AUTOGROW_V3", endless]}}, "output": []},
        "Fan": {
            "input": {"required": {f"c{n}": ["COMFY_DYNAMICCOMBO_V3", {"options": fan}] for n in range(50)}}
        },
        "Wide": {"input": {"required": {f"x{n}": ["INT", {}] for n in range(100_000)}}, "output": []},
    }
    offers = ObjectInfo(data)
    given = {".".join(["d"] * depth): "k" for depth in range(1, 201)}

    assert len(offers.inputs("Deep", given).inputs) < 20
    assert len(offers.inputs("Long", {name: 1}).inputs) == 100
    assert len(offers.inputs("Wide", {}).inputs) == 5_000
    assert offers.inputs("Fan", {"c0": "k"}).inputs == {}


def test_messages_have_bounds() -> None:
    """Neither a type of a megabyte nor ten thousand missing inputs make a message that nobody reads."""
    data = {
        "N": {"input": {"required": {f"x{n}": ["INT", {}] for n in range(4_000)}}, "output": ["T" * 10**6]},
        "M": {"input": {"required": {"a": ["U" * 9_000]}}, "output": []},
        "O": {"input": {}, "output": ["V" * 9_000]},
    }
    it = Checker(ObjectInfo(data, server="S"))
    nodes = {name: {"class_type": name, "inputs": {}} for name in data}
    nodes["M"]["inputs"] = {"a": ["O", 0]}
    it.add(nodes, "k", tuple(nodes))

    assert [len(each.message) < 500 for each in it.findings()] == [True, True]
