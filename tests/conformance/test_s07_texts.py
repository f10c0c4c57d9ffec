"""Protocol sections 6 and 7: texts, temporary pictures and node ids of every shape, as outputs to collect."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from .graphs import Graph, canvas, node, picture, preview, through
from .server import Server, files, of_type, outputs


def saving(text: str, prefix: str, suffix: str = "txt") -> Graph:
    """Return a workflow that saves a text; it comes through PreviewAny, as SaveText takes links only."""
    return {
        "1": node("PreviewAny", source=text),
        "2": node("SaveText", text=["1", 0], filename_prefix=prefix, format=suffix),
    }


def test_s06_a_previewed_text_is_in_history(server: Server) -> None:
    """PreviewAny of a text leaves text with that text, and no file."""
    text = f"空 {uuid.uuid4()}\nline"

    assert server.render({"1": node("PreviewAny", source=text)})["outputs"] == {"1": {"text": [text]}}


@pytest.mark.parametrize("text", ["空\nline", ""], ids=["text", "empty"])
def test_s07_3_a_saved_text_is_a_file(
    server: Server, prefix: str, need: Callable[..., None], text: str
) -> None:
    """SaveText reports the text under text and a UTF-8 file under files, whose number ends the name."""
    need("SaveText")
    told = outputs(server.render(saving(text, prefix)))["2"]
    ref = {"filename": "pic_00001.txt", "subfolder": prefix.rsplit("/", 1)[0], "type": "output"}
    answer = server.view(ref)

    assert told == {"text": [text], "files": [ref]}
    assert (answer.status_code, answer.content.decode()) == (200, text)


def test_s07_3_texts_count_up(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """Texts and pictures of one prefix share its numbers."""
    need("SaveText")
    names = [outputs(server.render(saving(word, prefix)))["2"]["files"][0]["filename"] for word in ("a", "b")]

    assert names == ["pic_00001.txt", "pic_00002.txt"]
    assert files(server.render(picture(prefix)))[0]["filename"] == "pic_00003_.png"


@pytest.mark.parametrize("suffix", ["md", "csv", "json"])
def test_s07_3_texts_of_other_kinds(
    server: Server, prefix: str, need: Callable[..., None], suffix: str
) -> None:
    """The format names the ending; JSON is laid out anew."""
    need("SaveText")
    ref = outputs(server.render(saving('{"a":1}', prefix, suffix)))["2"]["files"][0]

    assert ref["filename"] == f"pic_00001.{suffix}"
    assert server.view(ref).text == ('{\n  "a": 1\n}' if suffix == "json" else '{"a":1}')


def test_s07_1_a_preview_can_be_fetched(server: Server) -> None:
    """What PreviewImage reports is of type temp, and /view gives it under that type."""
    ref = files(server.render(preview()))[0]

    assert ref["type"] == "temp"
    assert server.view(ref).content.startswith(b"\x89PNG")
    assert server.view(ref, type="output").status_code == 404


@pytest.mark.parametrize("node_id", ["57:9", "57:9:2", "a.0.0.b", "save me", "空"])
def test_s06_outputs_stand_under_ids_of_any_shape(server: Server, prefix: str, node_id: str) -> None:
    """Ids of sub-graphs (57:9) and of loops (a.0.0.b) are ids like any other, in history and in frames."""
    graph = {"1:1": canvas(), node_id: node("SaveImage", images=["1:1", 0], filename_prefix=prefix)}
    frames, entry = server.follow(graph)

    assert set(entry["outputs"]) == {node_id}
    assert entry["meta"][node_id]["real_node_id"] == node_id
    assert of_type(frames, "executed")[0]["node"] == node_id


def test_s06_outputs_of_an_expansion(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """An output of an expanded sub-graph stands under an id below its maker's, and meta names the maker."""
    need("TExpandShow")
    entry = server.render(through("TExpandShow", prefix))
    inner = [node_id for node_id in entry["outputs"] if node_id != "3"]

    assert len(inner) == 1
    assert inner[0].startswith("2.")
    assert files(entry, inner[0])[0]["type"] == "temp"
    assert entry["meta"][inner[0]] == {
        "node_id": inner[0],
        "display_node": "2",
        "parent_node": "2",
        "real_node_id": "2",
    }
