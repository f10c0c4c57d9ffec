"""Protocol section 3.1 to 3.4 and 3.6: what POST /prompt accepts."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from .graphs import canvas, node, picture, through
from .server import Server, files, message, ran, sent_extra


def test_s03_4_success_shape(server: Server, prefix: str) -> None:
    """A queued job is answered with exactly its id, an integer number and no node errors."""
    answer = server.http.post("/prompt", json={"prompt": picture(prefix)})
    body = answer.json()

    assert answer.status_code == 200
    assert set(body) == {"prompt_id", "number", "node_errors"}
    assert body["node_errors"] == {}
    assert type(body["number"]) is int
    server.finish(body["prompt_id"])


def test_s03_1_server_chooses_a_uuid(server: Server, prefix: str) -> None:
    """Without prompt_id the server makes a canonical UUID4."""
    prompt_id = server.http.post("/prompt", json={"prompt": picture(prefix)}).json()["prompt_id"]

    assert str(uuid.UUID(prompt_id)) == prompt_id
    assert uuid.UUID(prompt_id).version == 4
    server.finish(prompt_id)


def test_s03_1_client_chooses_the_id(server: Server, prefix: str) -> None:
    """A given prompt_id names the job in the answer and in history."""
    prompt_id = str(uuid.uuid4())

    assert server.submit(picture(prefix), prompt_id=prompt_id) == prompt_id
    assert server.finish(prompt_id)["prompt"][1] == prompt_id


def test_s03_1_duplicate_id_is_queued_again(server: Server, prefix: str) -> None:
    """The same id sent twice runs twice, and the second run overwrites the first one's history entry."""
    prompt_id = str(uuid.uuid4())
    first = server.render(picture(prefix + "-a"), prompt_id=prompt_id)
    with server.listen() as socket:
        server.submit(picture(prefix + "-b"), prompt_id=prompt_id, client_id=socket.client_id)
        socket.until_over(prompt_id)
    second = server.entry(prompt_id)

    assert files(first)[0]["filename"] == "pic-a_00001_.png"
    assert files(second)[0]["filename"] == "pic-b_00001_.png"


def test_s03_1_duplicate_id_and_number_is_a_500_that_runs(server: Server, prefix: str, blocker: str) -> None:
    """Same number and same id as a pending job: 500, yet both are queued and run."""
    prompt_id = str(uuid.uuid4())
    first = server.post_prompt(picture(prefix + "-a"), prompt_id=prompt_id, number=5)
    second = server.post_prompt(picture(prefix + "-b"), prompt_id=prompt_id, number=5)

    assert (first.status_code, second.status_code) == (200, 500)
    assert server.pending().count(prompt_id) == 2


def test_s03_1_numbers_count_up(server: Server, prefix: str) -> None:
    """Each submission gets a number one above the last, rejected ones included."""
    first = server.post_prompt(picture(prefix)).json()["number"]
    assert server.post_prompt({}).status_code == 400
    second = server.post_prompt(picture(prefix))

    assert second.json()["number"] == first + 2
    server.finish(second.json()["prompt_id"])


@pytest.mark.parametrize("number", [7, 7.5, "7"])
def test_s03_1_a_given_number_comes_back_as_a_float(server: Server, prefix: str, number: object) -> None:
    """A client's number, numeric text included, is stored and returned as a float."""
    answer = server.post_prompt(picture(prefix), number=number).json()
    entry = server.finish(answer["prompt_id"])

    assert type(answer["number"]) is float
    assert answer["number"] == entry["prompt"][0] == float(number)


def test_s03_1_a_given_number_leaves_the_counter_alone(server: Server, prefix: str) -> None:
    """A job with its own number does not advance the server's counter."""
    first = server.post_prompt(picture(prefix)).json()["number"]
    server.post_prompt(picture(prefix), number=3)
    last = server.post_prompt(picture(prefix)).json()

    assert last["number"] == first + 1
    server.finish(last["prompt_id"])


def test_s03_1_number_must_be_numeric(server: Server, prefix: str) -> None:
    """A number that is no number gives 500."""
    assert server.post_prompt(picture(prefix), number="abc").status_code == 500


def test_s03_1_front_negates_the_counter(server: Server, prefix: str) -> None:
    """With front the number is minus the counter; a given number wins over front."""
    first = server.post_prompt(picture(prefix)).json()["number"]
    front = server.post_prompt(picture(prefix), front=True).json()
    both = server.post_prompt(picture(prefix), front=True, number=4).json()

    assert front["number"] == -(first + 1)
    assert both["number"] == 4.0
    server.finish(both["prompt_id"])


def test_s03_1_extra_data_is_kept(server: Server, prefix: str) -> None:
    """Unknown keys of extra_data and the client id are found in the history entry."""
    entry = server.render(picture(prefix), client_id="somebody", extra_data={"mine": {"job": 7}})

    assert sent_extra(entry["prompt"]) == {"mine": {"job": 7}, "client_id": "somebody"}


def test_s03_1_extra_data_is_an_empty_object_by_default(server: Server, prefix: str) -> None:
    """Without client_id and extra_data the stored extra_data holds nothing but the server's own stamp."""
    assert sent_extra(server.render(picture(prefix))["prompt"]) == {}


def test_s03_1_partial_execution_targets(server: Server, prefix: str) -> None:
    """Only the named output nodes run; the others leave no output."""
    graph = picture(prefix) | {"3": node("SaveImage", images=["1", 0], filename_prefix=prefix + "-other")}
    entry = server.render(graph, partial_execution_targets=["3"])

    assert set(entry["outputs"]) == {"3"}
    assert entry["prompt"][4] == ["3"]


@pytest.mark.parametrize("targets", [[], ["99"]])
def test_s03_1_partial_execution_without_a_target(server: Server, prefix: str, targets: list[str]) -> None:
    """No target, or only unknown ones, is a prompt without outputs."""
    answer = server.post_prompt(picture(prefix), partial_execution_targets=targets)

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "prompt_no_outputs"


def test_s03_2_node_ids_are_any_text(server: Server, prefix: str) -> None:
    """Node ids need not be numbers."""
    graph = {"sky": canvas(), "保存": node("SaveImage", images=["sky", 0], filename_prefix=prefix)}

    assert set(server.render(graph)["outputs"]) == {"保存"}


def test_s03_2_value_wrapper_is_unwrapped(server: Server, prefix: str) -> None:
    """A literal in a __value__ wrapper is unwrapped in place."""
    entry = server.render(picture(prefix, width={"__value__": 24}))

    assert entry["status"]["status_str"] == "success"
    assert entry["prompt"][2]["1"]["inputs"]["width"] == 24


def test_s03_2_meta_survives(server: Server, prefix: str) -> None:
    """A node's _meta is found unchanged in the history entry."""
    graph = picture(prefix)
    graph["1"]["_meta"] = {"title": "空"}

    assert server.render(graph)["prompt"][2]["1"]["_meta"] == {"title": "空"}


def test_s03_2_unconnected_nodes_do_not_run(server: Server, prefix: str) -> None:
    """A node that no output needs is neither validated nor run."""
    graph = picture(prefix) | {"9": node("EmptyImage", width=-1)}
    with server.listen() as socket:
        prompt_id = server.submit(graph, client_id=socket.client_id)
        frames = socket.job(prompt_id)

    assert ran(frames) == ["1", "2"]
    assert server.entry(prompt_id)["status"]["status_str"] == "success"


@pytest.mark.parametrize(("sent", "stored"), [("24", 24), (24.9, 24), (True, 1)])
def test_s03_6_values_are_converted(server: Server, prefix: str, sent: object, stored: int) -> None:
    """Numeric text and floats become integers for INT, and history shows the converted value."""
    inputs = server.render(picture(prefix, width=sent))["prompt"][2]["1"]["inputs"]

    assert inputs["width"] == stored
    assert type(inputs["width"]) is int


def test_s03_5_a_star_matches_every_type(server: Server, need: Callable[..., None]) -> None:
    """A socket of type * takes a link of any type."""
    need("PreviewAny")
    entry = server.render({"1": canvas(), "2": node("PreviewAny", source=["1", 0])})

    assert entry["status"]["status_str"] == "success"
    assert isinstance(entry["outputs"]["2"]["text"][0], str)


def test_s03_6_optional_inputs_may_be_left_out(server: Server, prefix: str) -> None:
    """A missing optional input, here the mask, is no fault."""
    graph = picture(prefix) | {
        "3": canvas(),
        "4": node(
            "ImageCompositeMasked", destination=["1", 0], source=["3", 0], x=0, y=0, resize_source=False
        ),
    }
    graph["2"]["inputs"]["images"] = ["4", 0]

    assert server.render(graph)["status"]["status_str"] == "success"


def test_s03_6_unknown_inputs_are_accepted(server: Server, prefix: str) -> None:
    """An input that the class does not have is accepted, kept and ignored."""
    graph = picture(prefix)
    graph["2"]["inputs"]["nonce"] = "abc"
    entry = server.render(graph)

    assert entry["status"]["status_str"] == "success"
    assert entry["prompt"][2]["2"]["inputs"]["nonce"] == "abc"


def test_s03_6_a_constant_on_a_socket_fails_only_at_run_time(server: Server, prefix: str) -> None:
    """A text where an IMAGE link belongs passes validation and fails when the node runs."""
    entry = server.render({"1": node("SaveImage", images="hello", filename_prefix=prefix)})

    assert entry["status"]["status_str"] == "error"
    assert message(entry, "execution_error")["node_id"] == "1"


def test_s03_4_partly_valid_prompt_is_queued_with_node_errors(server: Server, prefix: str) -> None:
    """One valid output is enough for a 200: node_errors is not empty and only the valid output runs."""
    graph = picture(prefix) | {
        "3": canvas(width=0),
        "4": node("SaveImage", images=["3", 0], filename_prefix=prefix + "-bad"),
    }
    answer = server.post_prompt(graph)
    body = answer.json()
    entry = server.finish(body["prompt_id"])

    assert answer.status_code == 200
    assert set(body["node_errors"]) == {"3"}
    assert body["node_errors"]["3"]["dependent_outputs"] == ["4"]
    assert entry["prompt"][4] == ["2"]
    assert set(entry["outputs"]) == {"2"}
    assert entry["status"]["status_str"] == "success"


def test_s03_5_an_error_in_a_test_node_is_no_validation_matter(
    server: Server, prefix: str, need: Callable[..., None]
) -> None:
    """A node that raises when it runs is accepted with 200."""
    need("TRaise")

    assert server.post_prompt(through("TRaise", prefix, kind="value")).status_code == 200


def test_s03_4_many_clients_at_once(server: Server, prefix: str) -> None:
    """Submissions that arrive together all get numbers of their own, and all run."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: server.post_prompt(picture(f"{prefix}-{n}")).json(), range(24)))
    entries = [server.finish(answer["prompt_id"]) for answer in answers]

    assert len({answer["number"] for answer in answers}) == 24
    assert {entry["status"]["status_str"] for entry in entries} == {"success"}


def test_s03_4_several_outputs(server: Server, prefix: str) -> None:
    """All output nodes of a job run, and each has its own entry under outputs."""
    graph = picture(prefix) | {
        "3": node("ImageInvert", image=["1", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix=prefix + "-inverse"),
        "5": node("PreviewImage", images=["3", 0]),
    }
    entry = server.render(graph)

    assert set(entry["outputs"]) == set(entry["prompt"][4]) == {"2", "4", "5"}
    assert files(entry, "5")[0]["type"] == "temp"
