"""What we add to graphs and submissions, and what comes back for it: by what a server's classes take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.comfy.additions import fitted, picture_info, unprefixed
from runner.comfy.object_info import ObjectInfo
from runner.comfy.protocol import Tracker, parse_frame
from runner.comfy.verdict import Succeeded, judge
from runner.domain import Fault
from runner.events import AttemptSucceeded

from .conftest import make, opened
from .fake import Fake
from .test_attempts import until_end

MARK = {"filename_prefix": {"$prefix": True}}
NODES = {
    "1": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], **MARK}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["9", 0], **MARK}},
    "3": {"class_type": "Unheard", "inputs": {**MARK}},
    "4": {"class_type": "Show", "inputs": {"filename_prefix": "theirs"}},
}
CLASSES = {
    "SaveImage": {
        "input": {
            "required": {"images": ["IMAGE"]},
            "optional": {"filename_prefix": ["STRING", {}]},
            "hidden": {"extra_pnginfo": "EXTRA_PNGINFO"},
        },
        "python_module": "nodes",
    },
    "PreviewImage": {
        "input": {"required": {"images": ["IMAGE"]}, "hidden": {"filename_prefix": "PROMPT"}},
        "python_module": "nodes",
    },
    "Show": {
        "input": {"required": {"images": ["IMAGE"]}, "hidden": {"extra_pnginfo": ["EXTRA_PNGINFO"]}},
        "python_module": "custom_nodes.pack",
    },
}
OFFERS = ObjectInfo(CLASSES)


def entry(outputs: dict[str, Any], meta: dict[str, str] | None = None) -> dict[str, Any]:
    shown = {node: {"display_node": display} for node, display in (meta or {}).items()}
    status = {"status_str": "success", "messages": [["execution_success", {}]]}
    return {"outputs": outputs, "meta": shown, "status": status}


def file(name: str, kind: str = "output") -> dict[str, str]:
    return {"filename": name, "subfolder": "", "type": kind}


def names(found: Succeeded | Fault) -> list[tuple[str, int, str]]:
    assert isinstance(found, Succeeded), found
    return [(ref.node, ref.index, ref.text or ref.filename) for ref in found.refs]


def test_the_prefix_goes_only_to_classes_that_take_it() -> None:
    """A class of which nothing is known gets it; what a template wrote itself stays."""
    sent = fitted(NODES, OFFERS)

    assert [("filename_prefix" in node["inputs"]) for node in sent.values()] == [True, False, True, True]
    assert unprefixed(NODES, ["1", "2", "3"], OFFERS) == {"2"}
    assert fitted(NODES, None) == NODES
    assert fitted(NODES, OFFERS, "id") == sent | {
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["9", 0], "animerun_nonce": "id"}}
    }


def test_a_workflow_is_sent_only_where_a_pack_may_look_for_it() -> None:
    """Written into pictures, an empty one would hide the graph from ComfyUI's front end."""
    own = {name: NODES[name] for name in ("1", "2")}

    assert picture_info({"key": "k"}, own, OFFERS) == {"animerun": {"key": "k"}}
    assert picture_info({}, NODES, None) == {"animerun": {}}
    found = picture_info({}, NODES, OFFERS)["workflow"]
    assert next((node for node in found["nodes"] if node["id"] == "4"), None) is None
    assert (found["links"], found["extra"], found["version"]) == ([], {}, 0.4)


def test_what_is_not_told_where_to_save_may_call_its_files_as_it_likes() -> None:
    """Files of a node without prefix count as they are; saved ones before previews."""
    outputs = {"2": {"images": [file("ComfyUI_temp_x_00001_.png", "temp")]}, "5": {"3d": [file("mesh.glb")]}}
    told = judge(entry(outputs), {"2": "image", "5": "model3d"}, "p", unprefixed={"2", "5"})
    other = judge(entry(outputs), {"5": "model3d"}, "p")

    assert names(told) == [("2", 0, "ComfyUI_temp_x_00001_.png"), ("5", 0, "mesh.glb")]
    assert isinstance(other, Fault)
    assert other.code == "CACHED_OUTPUT"


def test_outputs_of_a_loop_are_collected_under_the_node_they_are_shown_as() -> None:
    """Each round runs the node under an id of its own; together they are the files of one output."""
    outputs = {
        "9": {"images": [file("p_00001_.png")]},
        "4.0.0.9": {"images": [file("p_00002_.png"), file("p_00001_.png")]},
        "4.0.1.7": {"images": [file("p_00003_.png")]},
    }
    found = judge(entry(outputs, {"4.0.0.9": "9", "4.0.1.7": "7"}), {"9": "image"}, "p")

    assert names(found) == [("9", 0, "p_00001_.png"), ("9", 1, "p_00002_.png")]


def test_frames_of_a_loop_stand_in_for_a_lost_history() -> None:
    """What two rounds showed is kept apart, with the node both are shown as."""
    tracker = Tracker(prompt_id="x")
    for node in ("4.0.0.9", "4.0.1.9"):
        text = f'{{"type":"executed","data":{{"prompt_id":"x","node":"{node}","display_node":"9","output":{{"text":["{node}"]}}}}}}'  # noqa: E501
        frame = parse_frame(text)
        assert frame is not None
        tracker = tracker.after(frame)
    status = {"status_str": "success", "messages": [["execution_success", {}]]}
    seen = {"outputs": tracker.outputs, "meta": tracker.meta, "status": status}

    assert names(judge(seen, {"9": "text"}, "p")) == [("9", 0, "4.0.0.9"), ("9", 1, "4.0.1.9")]


def test_an_optional_output_may_list_nothing() -> None:
    """A blocked branch is no failure then, but an older file still is, and one output must be there."""
    made = {"1": {"images": [file("p_00001_.png")]}}
    wanted = {"1": "image", "2": "image"}
    older = entry({**made, "2": {"images": [file("q_00001_.png")]}})
    found = [
        judge(entry(made), wanted, "p", optional={"2"}),
        judge(entry(made), wanted, "p"),
        judge(older, wanted, "p", optional={"2"}),
        judge(entry({}), wanted, "p", optional={"1", "2"}),
    ]

    assert names(found[0]) == [("1", 0, "p_00001_.png")]
    assert [each.code for each in found[1:] if isinstance(each, Fault)] == [
        "MISSING_OUTPUT",
        "CACHED_OUTPUT",
        "MISSING_OUTPUT",
    ]


async def test_a_preview_is_sent_without_prefix_and_collected(tmp_path: Path) -> None:
    """A declared PreviewImage: its temporary file is fetched as one."""
    graph = {"2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0], **MARK}}}
    async with Fake() as fake:
        fake.offers = CLASSES
        fake.extra = {"outputs": {"2": {"images": [file("ComfyUI_temp_x_00001_.png", "temp")]}}}
        async with opened(fake) as executor:
            executor.start(make(executor.servers[0], graph=graph, outputs={"2": "image"}), tmp_path)
            end = (await until_end(executor))[-1]

    assert isinstance(end, AttemptSucceeded), end
    assert [output.path for output in end.outputs] == ["s01/a.png"]
    assert fake.posts[0]["prompt"]["2"]["inputs"] == {"images": ["1", 0]}
    assert "type=temp" in next(target for target in fake.targets if "/view" in target)


@pytest.mark.parametrize(("kind", "sent"), [("SaveImage", False), ("Show", True)])
async def test_a_node_of_a_pack_finds_a_workflow(tmp_path: Path, kind: str, sent: bool) -> None:
    """Beside our tags, and only where such a node is in the graph."""
    graph = {"2": {"class_type": kind, "inputs": {**MARK}}}
    async with Fake() as fake:
        fake.offers = CLASSES
        fake.extra = {"outputs": {"2": {"images": [file("any.png", "temp")]}}}
        async with opened(fake) as executor:
            executor.start(make(executor.servers[0], graph=graph), tmp_path)
            await until_end(executor)

    info = fake.posts[0]["extra_data"]["extra_pnginfo"]
    assert info["animerun"] == {"key": "ep/x"}
    assert ("workflow" in info) == sent
