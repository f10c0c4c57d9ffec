"""Protocol section 10: the node cache, when a node runs and when an old result is reported."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from .graphs import Graph, canvas, colour, node, picture, through
from .server import Entry, Server, files, message, of_type, ran, types

pytestmark = pytest.mark.usefixtures("keeps_results")


def runs(server: Server, graph: Graph, **body: object) -> list[str]:
    """Run a job and return the ids of the nodes that ran."""
    return ran(server.follow(graph, **body)[0])


def with_input(graph: Graph, node_id: str, **inputs: object) -> Graph:
    """Return the graph with some inputs of one node changed or added."""
    changed = graph[node_id] | {"inputs": graph[node_id]["inputs"] | inputs}
    return graph | {node_id: changed}


def png(color: tuple[int, int, int]) -> bytes:
    """Return a small PNG file of one colour."""
    out = BytesIO()
    Image.new("RGB", (8, 8), color).save(out, "PNG")
    return out.getvalue()


def test_s10_1_identical_job_runs_nothing(server: Server, prefix: str) -> None:
    """The same job again runs no node, writes no file, and reports the old file name as a success."""
    graph = picture(prefix)
    first = server.render(graph)
    frames, second = server.follow(graph)

    assert ran(frames) == []
    assert second["status"]["status_str"] == "success"
    assert second["outputs"] == first["outputs"]
    following = server.render(with_input(graph, "2", nonce=1))
    assert files(following)[0]["filename"] == "pic_00002_.png"


def test_s09_7_frames_of_a_cached_job(server: Server, prefix: str) -> None:
    """A fully cached job tells all nodes as cached, executed for its output, success and the end."""
    graph = picture(prefix)
    server.render(graph)
    frames, entry = server.follow(graph)

    assert types(frames) == [
        "execution_start",
        "execution_cached",
        "executed",
        "execution_success",
        "executing",
    ]
    assert set(of_type(frames, "execution_cached")[0]["nodes"]) == {"1", "2"}
    assert of_type(frames, "executed")[0] == {
        "node": "2",
        "display_node": "2",
        "output": entry["outputs"]["2"],
        "prompt_id": entry["prompt"][1],
    }
    assert set(message(entry, "execution_cached")["nodes"]) == {"1", "2"}


def test_s09_6_cached_output_is_finished_after_executed(server: Server, prefix: str) -> None:
    """A cached output node gets executed and then progress_state finished."""
    graph = picture(prefix)
    server.render(graph)
    kinds = [frame["type"] for frame in server.follow(graph)[0]]

    assert kinds[2:4] == ["executed", "progress_state"]


def test_s10_1_node_ids_are_not_in_the_key(server: Server, prefix: str) -> None:
    """A renumbered graph is found in the cache, and reports the old file under its new id."""
    graph = picture(prefix)
    first = server.render(graph)
    save = graph["2"] | {"inputs": graph["2"]["inputs"] | {"images": ["20", 0]}}
    frames, second = server.follow({"20": graph["1"], "30": save})

    assert ran(frames) == []
    assert files(second, "30") == files(first, "2")


def test_s10_1_key_order_is_not_in_the_key(server: Server, prefix: str) -> None:
    """The order of nodes and of inputs in the JSON makes no difference."""
    graph = picture(prefix)
    server.render(graph)
    turned = {
        i: n | {"inputs": dict(reversed(n["inputs"].items()))} for i, n in reversed(list(graph.items()))
    }

    assert runs(server, turned) == []


def test_s10_1_meta_and_extra_data_are_not_in_the_key(server: Server, prefix: str) -> None:
    """Neither _meta nor extra_data nor the ids of client and job make a difference."""
    graph = picture(prefix)
    server.render(graph, extra_data={"extra_pnginfo": {"mine": 1}}, client_id="somebody")
    titled = graph | {"1": graph["1"] | {"_meta": {"title": "sky"}}}

    assert runs(server, titled, extra_data={"extra_pnginfo": {"mine": 2}}) == []


def test_s10_1_an_unknown_key_is_in_the_key(server: Server, prefix: str) -> None:
    """A nonce on the save node forces a new file, while everything upstream stays cached."""
    graph = picture(prefix)
    server.render(graph)
    frames, entry = server.follow(with_input(graph, "2", nonce="n1"))

    assert ran(frames) == ["2"]
    assert of_type(frames, "execution_cached")[0]["nodes"] == ["1"]
    assert files(entry)[0]["filename"] == "pic_00002_.png"


def test_s10_1_a_nonce_upstream_runs_everything_below(server: Server, prefix: str) -> None:
    """A changed node takes everything below it along."""
    graph = picture(prefix) | {"3": node("ImageInvert", image=["1", 0])}
    graph = with_input(graph, "2", images=["3", 0])
    server.render(graph)

    assert runs(server, with_input(graph, "1", nonce="n1")) == ["1", "3", "2"]


def test_s10_5_a_new_prefix_runs_the_save_alone(server: Server, prefix: str) -> None:
    """A changed filename_prefix writes a new file from cached pixels."""
    graph = picture(prefix)
    server.render(graph)
    frames, entry = server.follow(with_input(graph, "2", filename_prefix=prefix + "-new"))

    assert ran(frames) == ["2"]
    assert files(entry)[0]["filename"] == "pic-new_00001_.png"


def test_s10_1_types_are_in_the_key_after_conversion(server: Server, prefix: str) -> None:
    """ "16" and 16 are the same value once validation has converted them."""
    graph = picture(prefix)
    server.render(graph)

    assert runs(server, with_input(graph, "1", width="16")) == []


def test_s10_1_twins_write_one_file(server: Server, prefix: str) -> None:
    """Two save nodes with equal inputs run once: one file, reported by both."""
    graph = picture(prefix)
    frames, entry = server.follow(graph | {"3": graph["2"]})

    assert len(ran(frames)) == 2
    assert files(entry, "2") == files(entry, "3")
    assert files(entry, "2")[0]["filename"] == "pic_00001_.png"
    assert {d["node"] for d in of_type(frames, "executed")} == {"2", "3"}


def test_s10_1_an_intermediate_twin_is_told_with_null(server: Server, prefix: str) -> None:
    """An intermediate node served from its twin gets executed with output null."""
    graph = {
        "1": canvas(),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("ImageInvert", image=["1", 0]),
        "4": node("SaveImage", images=["2", 0], filename_prefix=prefix + "-a"),
        "5": node("SaveImage", images=["3", 0], filename_prefix=prefix + "-b"),
    }
    frames, entry = server.follow(graph)
    nulls = [d["node"] for d in of_type(frames, "executed") if d["output"] is None]

    assert len(nulls) == 1
    assert nulls[0] in {"2", "3"}
    assert set(entry["outputs"]) == {"4", "5"}


def test_s10_2_only_the_previous_prompt_is_kept(server: Server, prefix: str) -> None:
    """After A and B, A runs again."""
    a, b = picture(prefix + "-a"), picture(prefix + "-b")
    server.render(a)
    server.render(b)

    assert runs(server, a) == ["1", "2"]


def test_s10_2_shared_parts_survive(server: Server, prefix: str) -> None:
    """After A and B, the part of A that B had too is still cached."""
    a = picture(prefix + "-a")
    b = with_input(a, "2", filename_prefix=prefix + "-b")
    server.render(a)
    server.render(b)

    assert runs(server, a) == ["2"]


def test_s10_4_a_dangling_copy_keeps_a_result(server: Server, prefix: str) -> None:
    """A node that another job carries along, connected to nothing, is not run but stays cached."""
    a = picture(prefix + "-a")
    b = picture(prefix + "-b") | {"carried": a["1"]}
    server.render(a)
    frames, _ = server.follow(b)

    assert ran(frames) == ["1", "2"]
    assert of_type(frames, "execution_cached")[0]["nodes"] == ["carried"]
    assert runs(server, a) == ["2"]


def test_s10_4_a_dangling_node_is_never_run(server: Server, prefix: str) -> None:
    """A carried node that is not cached stays uncached."""
    a = picture(prefix + "-a")
    server.render(picture(prefix + "-b") | {"carried": a["1"]})

    assert runs(server, a) == ["1", "2"]


def test_s10_2_a_rejected_prompt_evicts_nothing(server: Server, prefix: str) -> None:
    """A prompt refused by validation leaves the cache as it was."""
    graph = picture(prefix)
    server.render(graph)
    assert server.post_prompt(picture(prefix, width=0)).status_code == 400

    assert runs(server, graph) == []


def test_s10_2_a_failing_prompt_evicts(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A prompt that fails at run time has evicted the one before all the same."""
    need("TRaise")
    graph = picture(prefix)
    server.render(graph)
    server.render(through("TRaise", prefix, kind="value"))

    assert runs(server, graph) == ["1", "2"]


def test_s10_2_what_ran_before_a_failure_is_cached(
    server: Server, prefix: str, need: Callable[..., None]
) -> None:
    """Of a failed job the nodes that had run are cached; the failing one runs again."""
    need("TRaise")
    graph = through("TRaise", prefix, kind="value")
    server.render(graph)

    assert runs(server, graph) == ["2"]


def test_s10_2_an_expanded_node_is_cached(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A node with an expanded sub-graph is cached like any other, and a save below it runs alone."""
    need("TExpand")
    graph = through("TExpand", prefix)
    server.render(graph)

    assert runs(server, graph) == []
    assert runs(server, with_input(graph, "3", nonce=1)) == ["3"]


def test_s10_3_a_node_that_always_changes(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """A node whose change check is NaN runs each time, and so does everything below it."""
    need("TNow")
    graph = through("TNow", prefix)
    server.render(graph)
    frames, entry = server.follow(graph)

    assert ran(frames) == ["2", "3"]
    assert files(entry, "3")[0]["filename"] == "pic_00002_.png"


def loading(server: Server, prefix: str) -> tuple[str, Graph]:
    """Upload a red picture; return its name and a workflow that saves it again."""
    name = f"conformance-{uuid.uuid4().hex}.png"
    server.upload(name, png((200, 0, 0)))
    graph = {
        "1": node("LoadImage", image=name),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix),
    }
    return name, graph


def embedded(server: Server, entry: Entry) -> Graph:
    """Return the prompt written into the first saved file."""
    return json.loads(Image.open(BytesIO(server.view(files(entry)[0]).content)).text["prompt"])


def test_s10_3_an_unchanged_file_is_cached(server: Server, prefix: str) -> None:
    """LoadImage of an unchanged file does not run again."""
    _, graph = loading(server, prefix)
    server.render(graph)

    assert runs(server, graph) == []


def test_s10_3_a_changed_file_runs_again(server: Server, prefix: str) -> None:
    """LoadImage notices new content under an old name."""
    name, graph = loading(server, prefix)
    server.render(graph)
    server.upload(name, png((0, 0, 200)), overwrite="true")
    frames, entry = server.follow(graph)

    assert ran(frames) == ["1", "2"]
    saved = Image.open(BytesIO(server.view(files(entry)[0]).content))
    assert saved.getpixel((0, 0)) == (0, 0, 200)


def test_s10_3_is_changed_is_written_into_the_file(server: Server, prefix: str) -> None:
    """The change check's value stands in the embedded prompt, not in history."""
    _, graph = loading(server, prefix)
    entry = server.render(graph)

    assert "is_changed" in embedded(server, entry)["1"]
    assert "is_changed" not in embedded(server, entry)["2"]
    assert "is_changed" not in entry["prompt"][2]["1"]


def test_s10_3_a_sent_is_changed_is_believed(server: Server, prefix: str) -> None:
    """A prompt taken from a file with its is_changed skips the check and reports the stale picture."""
    name, graph = loading(server, prefix)
    stale = embedded(server, server.render(graph))
    server.upload(name, png((0, 0, 200)), overwrite="true")

    assert runs(server, stale) == []


def test_s10_6_cached_lists_every_cached_node(server: Server, prefix: str) -> None:
    """execution_cached tells every node of the prompt with a result, needed or not."""
    graph = picture(prefix) | {"3": node("ImageInvert", image=["1", 0])}
    deep = with_input(graph, "2", images=["3", 0])
    server.render(deep)
    frames, _ = server.follow(with_input(deep, "2", nonce="x"))

    assert set(of_type(frames, "execution_cached")[0]["nodes"]) == {"1", "3"}
    assert ran(frames) == ["2"]


def test_s07_3_the_letters_of_a_preview_stay(server: Server) -> None:
    """A preview that is cached reports its old temp file."""
    graph = {"1": canvas(color=colour()), "2": node("PreviewImage", images=["1", 0])}
    first = server.render(graph)

    assert server.render(graph)["outputs"] == first["outputs"]
