"""Protocol section 3.3 and 3.5: what POST /prompt refuses, and in which words."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from .graphs import Graph, canvas, node, picture
from .server import Server


def refused(server: Server, graph: Any) -> dict[str, Any]:
    """Return the body of the 400 that answers this workflow."""
    answer = server.post_prompt(graph)
    body = answer.json()

    assert answer.status_code == 400, answer.text
    assert set(body) == {"error", "node_errors"}
    assert set(body["error"]) == {"type", "message", "details", "extra_info"}
    return body


def fault(server: Server, graph: Graph, node_id: str) -> dict[str, Any]:
    """Return the only error of the only node at fault."""
    body = refused(server, graph)

    assert body["error"]["type"] == "prompt_outputs_failed_validation"
    assert set(body["node_errors"]) == {node_id}
    assert len(body["node_errors"][node_id]["errors"]) == 1
    return body["node_errors"][node_id]["errors"][0]


@pytest.mark.parametrize("body", [{}, {"promt": {}}, [1, 2]])
def test_s03_5_no_prompt(server: Server, body: object) -> None:
    """A body without prompt, a list included, is refused as no_prompt."""
    answer = server.http.post("/prompt", json=body)

    assert answer.status_code == 400
    assert answer.json() == {
        "error": {
            "type": "no_prompt",
            "message": "No prompt provided",
            "details": "No prompt provided",
            "extra_info": {},
        },
        "node_errors": {},
    }


@pytest.mark.parametrize("graph", [{}, {"1": canvas(color=1)}])
def test_s03_5_no_outputs(server: Server, graph: Graph) -> None:
    """An empty graph and one without an output node are refused as prompt_no_outputs."""
    body = refused(server, graph)

    assert body["error"]["type"] == "prompt_no_outputs"
    assert body["error"]["message"] == "Prompt has no outputs"
    assert body["node_errors"] == {}


TITLE = {"_meta": {"title": "空"}}


@pytest.mark.parametrize("title", [None, "空"])
def test_s03_5_missing_class_type(
    server: Server, prefix: str, abilities: dict[str, bool], title: str | None
) -> None:
    """A node without class_type is refused; details names its id."""
    broken = {"inputs": {}} | (TITLE if title else {})
    error = refused(server, picture(prefix) | {"7": broken})["error"]

    assert error["details"] == "Node ID '#7'"
    if abilities["replaces_classes"]:
        assert error["type"] == "missing_node_type"
        assert f"Node '{title or 'ID #7'}' has no class_type." in error["message"]
        assert error["extra_info"] == {"node_id": "7", "class_type": None, "node_title": title}
    else:
        assert error["type"] == "invalid_prompt"
        assert error["message"] == "Cannot execute because a node is missing the class_type property."


def test_s03_5_a_node_that_is_a_text(server: Server, prefix: str, abilities: dict[str, bool]) -> None:
    """A node that is a text gives 500 where classes are replaced, else 400."""
    answer = server.post_prompt(picture(prefix) | {"7": "text"})

    assert answer.status_code == (500 if abilities["replaces_classes"] else 400)


@pytest.mark.parametrize("title", [None, "空"])
def test_s03_5_unknown_class(
    server: Server, prefix: str, abilities: dict[str, bool], title: str | None
) -> None:
    """A class that is not installed is refused by its name or title, even on a node that no output needs."""
    stranger = node("NoSuchNode") | (TITLE if title else {})
    error = refused(server, picture(prefix) | {"7": stranger})["error"]

    assert error["details"] == "Node ID '#7'"
    if abilities["replaces_classes"]:
        told = title or "NoSuchNode"
        assert error["type"] == "missing_node_type"
        assert error["message"].startswith(f"Node '{told}' not found.")
        assert error["extra_info"] == {"node_id": "7", "class_type": "NoSuchNode", "node_title": told}
    else:
        assert error["type"] == "invalid_prompt"
        assert error["message"] == "Cannot execute because node NoSuchNode does not exist."


@pytest.mark.parametrize(
    "odd", ["conformance 1", "3F2504E0-4F89-41D3-9A0C-0305E82C3301", "3f2504e04f8941d39a0c0305e82c3301"]
)
def test_s03_1_ids_that_are_no_canonical_uuids(
    server: Server, prefix: str, abilities: dict[str, bool], odd: str
) -> None:
    """An id that is no lower-case hyphenated UUID is refused, or kept just as it was sent."""
    answer = server.post_prompt(picture(prefix), prompt_id=odd)

    if abilities["takes_uuids_only"]:
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_prompt_id"
        assert answer.json()["node_errors"] == {}
    else:
        assert answer.json()["prompt_id"] == odd
        server.finish(odd)


@pytest.mark.parametrize("graph", [None, [1], "text"])
def test_s03_5_prompt_of_a_wrong_type(server: Server, graph: object) -> None:
    """A prompt that is null, a list or a text gives 500."""
    assert server.post_prompt(graph).status_code == 500


def test_s03_5_null_extra_data_with_a_client_id(server: Server, prefix: str) -> None:
    """extra_data null together with client_id gives 500."""
    assert server.post_prompt(picture(prefix), extra_data=None, client_id="x").status_code == 500


@pytest.mark.usefixtures("lists_jobs")
def test_s03_5_null_extra_data(server: Server, prefix: str) -> None:
    """extra_data null gives 500 where jobs are listed (an older server queues it, and its worker dies)."""
    assert server.post_prompt(picture(prefix), extra_data=None).status_code == 500


def test_s03_5_required_input_missing(server: Server, prefix: str) -> None:
    """A missing required input is named in details and extra_info."""
    graph = picture(prefix)
    del graph["1"]["inputs"]["width"]
    error = fault(server, graph, "1")

    assert error == {
        "type": "required_input_missing",
        "message": "Required input is missing",
        "details": "width",
        "extra_info": {"input_name": "width"},
    }


@pytest.mark.parametrize("link", [["1"], ["1", 0, 0], []])
def test_s03_5_bad_linked_input(server: Server, prefix: str, link: list) -> None:
    """A list of another length than two is no link."""
    graph = picture(prefix)
    graph["2"]["inputs"]["images"] = link
    error = fault(server, graph, "2")

    assert error["type"] == "bad_linked_input"
    assert error["details"] == "images"
    assert error["extra_info"]["received_value"] == link
    assert error["extra_info"]["input_config"][0] == "IMAGE"


def test_s03_5_return_type_mismatch(server: Server, prefix: str) -> None:
    """A link of another type is refused, with both types and the link."""
    graph = picture(prefix)
    graph["1"]["inputs"]["width"] = ["3", 0]
    graph["3"] = canvas()
    error = fault(server, graph, "1")

    assert error["type"] == "return_type_mismatch"
    assert error["details"] == "width, received_type(IMAGE) mismatch input_type(INT)"
    assert error["extra_info"]["received_type"] == "IMAGE"
    assert error["extra_info"]["linked_node"] == ["3", 0]


def test_s03_5_invalid_input_type(server: Server, prefix: str) -> None:
    """A text that is no number is refused for an INT."""
    error = fault(server, picture(prefix, width="abc"), "1")

    assert error["type"] == "invalid_input_type"
    assert error["message"] == "Failed to convert an input value to a INT value"
    assert error["extra_info"]["received_value"] == "abc"
    assert "abc" in error["extra_info"]["exception_message"]


@pytest.mark.parametrize(
    ("width", "kind", "text"),
    [
        (0, "value_smaller_than_min", "Value 0 smaller than min of 1"),
        (99999, "value_bigger_than_max", "Value 99999 bigger than max of 16384"),
    ],
)
def test_s03_5_value_out_of_range(server: Server, prefix: str, width: int, kind: str, text: str) -> None:
    """A number outside the range is refused with the bound and the input's whole configuration."""
    error = fault(server, picture(prefix, width=width), "1")

    assert (error["type"], error["message"], error["details"]) == (kind, text, "width")
    assert error["extra_info"]["received_value"] == width
    assert error["extra_info"]["input_config"][0] == "INT"
    assert error["extra_info"]["input_config"][1]["max"] == 16384


def test_s03_5_value_not_in_a_short_list(server: Server, prefix: str) -> None:
    """A choice outside a short list is refused, and the list is quoted."""
    graph = picture(prefix)
    graph["2"]["inputs"]["images"] = ["3", 0]
    graph["3"] = node(
        "ImageScale", image=["1", 0], upscale_method="no-such", width=8, height=8, crop="disabled"
    )
    error = fault(server, graph, "3")

    assert error["type"] == "value_not_in_list"
    assert error["message"] == "Value not in list"
    assert error["details"].startswith("upscale_method: 'no-such' not in ['nearest-exact', ")
    assert "nearest-exact" in error["extra_info"]["input_config"][0]


def test_s03_5_value_not_in_a_long_list(server: Server, prefix: str, classes: dict[str, Any]) -> None:
    """Of a list of more than twenty only the length is told, and input_config is null."""
    length = len(classes["KSampler"]["input"]["required"]["sampler_name"][0])
    graph = {
        "1": node("KSampler", sampler_name="no-such"),
        "2": node("VAEDecode", samples=["1", 0], vae=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
    }
    errors = refused(server, graph)["node_errors"]["1"]["errors"]
    error = next(error for error in errors if error["type"] == "value_not_in_list")

    assert length > 20
    assert error["details"] == f"sampler_name: 'no-such' not in (list of length {length})"
    assert error["extra_info"]["input_config"] is None


def test_s03_5_custom_validation_failed(server: Server, prefix: str) -> None:
    """LoadImage of a missing file is refused by the node's own check."""
    graph = {
        "1": node("LoadImage", image="no-such-file.png"),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix),
    }
    error = fault(server, graph, "1")

    assert error["type"] == "custom_validation_failed"
    assert error["details"] == "image - Invalid image file: no-such-file.png"
    assert error["extra_info"] == {"input_name": "image"}


@pytest.mark.parametrize(("link", "details"), [(["99", 0], "'99'"), (["1", 5], "tuple index out of range")])
def test_s03_5_dangling_link_of_an_output(server: Server, prefix: str, link: list, details: str) -> None:
    """An output linked to a missing node or slot is reported as an exception, without an input name."""
    graph = picture(prefix)
    graph["2"]["inputs"]["images"] = link
    error = fault(server, graph, "2")

    assert error["type"] == "exception_during_validation"
    assert error["details"] == details
    assert set(error["extra_info"]) == {"exception_type", "traceback"}


def test_s03_5_dangling_link_one_level_deeper(server: Server, prefix: str) -> None:
    """A dangling link of an inner node is reported under the id of that inner node."""
    graph = picture(prefix) | {"3": node("ImageInvert", image=["99", 0])}
    graph["2"]["inputs"]["images"] = ["3", 0]
    error = fault(server, graph, "3")

    assert error["type"] == "exception_during_inner_validation"
    assert error["details"] == "'99'"
    assert error["extra_info"]["linked_node"] == ["3", 0]


def test_s03_5_cycle(server: Server, prefix: str) -> None:
    """Nodes that feed each other are refused as failed validation."""
    graph = {
        "1": node("ImageInvert", image=["2", 0]),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
    }

    assert refused(server, graph)["error"]["type"] == "prompt_outputs_failed_validation"


def test_s03_5_details_tell_only_of_output_nodes(server: Server, prefix: str) -> None:
    """error.details is empty for a fault further up, and tells it for a fault on the output itself."""
    above = refused(server, picture(prefix, width=0))
    graph = picture(prefix)
    del graph["2"]["inputs"]["filename_prefix"]
    itself = refused(server, graph)

    assert above["error"]["message"] == "Prompt outputs failed validation"
    assert above["error"]["details"] == ""
    assert itself["error"]["details"] == "Required input is missing: filename_prefix"


def test_s03_5_node_errors_name_the_culprit_and_its_victims(server: Server, prefix: str) -> None:
    """node_errors is keyed by the node at fault and lists each output that it spoils, nothing in between."""
    graph = {
        "1": canvas(width=0),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix=prefix),
        "4": node("PreviewImage", images=["1", 0]),
    }
    node_errors = refused(server, graph)["node_errors"]

    assert set(node_errors) == {"1"}
    assert node_errors["1"]["class_type"] == "EmptyImage"
    assert set(node_errors["1"]["dependent_outputs"]) == {"3", "4"}


def test_s03_5_all_faults_of_a_node_at_once(server: Server, prefix: str) -> None:
    """A node with two faults reports both."""
    errors = refused(server, picture(prefix, width=0, height="abc"))["node_errors"]["1"]["errors"]

    assert {error["extra_info"]["input_name"] for error in errors} == {"width", "height"}


def test_s03_5_a_rejected_job_is_nowhere(server: Server, prefix: str) -> None:
    """After a 400 the id is neither in the queue nor in history."""
    prompt_id = str(uuid.uuid4())
    answer = server.post_prompt(picture(prefix, width=0), prompt_id=prompt_id)

    assert answer.status_code == 400
    assert prompt_id not in server.running() + server.pending()
    assert server.http.get(f"/history/{prompt_id}").json() == {}
