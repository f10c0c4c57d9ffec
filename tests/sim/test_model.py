# ruff: noqa: F401 - the sentences come by import, with fixtures of their own
"""The model says what a ComfyUI says: sentences of `tests/conformance` that a simulated client relies on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.conformance import server as plain
from tests.conformance.abilities import ABILITIES
from tests.conformance.graphs import sleeper
from tests.conformance.test_s03_rejections import (
    test_s03_5_a_rejected_job_is_nowhere,
    test_s03_5_bad_linked_input,
    test_s03_5_missing_class_type,
    test_s03_5_no_outputs,
    test_s03_5_node_errors_name_the_culprit_and_its_victims,
    test_s03_5_null_extra_data_with_a_client_id,
    test_s03_5_prompt_of_a_wrong_type,
    test_s03_5_required_input_missing,
    test_s03_5_unknown_class,
    test_s03_5_value_out_of_range,
)
from tests.conformance.test_s03_submit import (
    test_s03_1_a_given_number_comes_back_as_a_float,
    test_s03_1_a_given_number_leaves_the_counter_alone,
    test_s03_1_client_chooses_the_id,
    test_s03_1_duplicate_id_and_number_is_a_500_that_runs,
    test_s03_1_duplicate_id_is_queued_again,
    test_s03_1_extra_data_is_an_empty_object_by_default,
    test_s03_1_extra_data_is_kept,
    test_s03_1_front_negates_the_counter,
    test_s03_1_number_must_be_numeric,
    test_s03_1_numbers_count_up,
    test_s03_1_partial_execution_targets,
    test_s03_1_partial_execution_without_a_target,
    test_s03_1_server_chooses_a_uuid,
    test_s03_2_meta_survives,
    test_s03_2_node_ids_are_any_text,
    test_s03_4_partly_valid_prompt_is_queued_with_node_errors,
    test_s03_4_several_outputs,
    test_s03_4_success_shape,
    test_s03_5_an_error_in_a_test_node_is_no_validation_matter,
    test_s03_6_unknown_inputs_are_accepted,
)
from tests.conformance.test_s04_queue import (
    test_s04_an_empty_order_is_fine,
    test_s04_an_idle_interrupt_is_forgotten,
    test_s04_clear,
    test_s04_delete_a_pending_job,
    test_s04_delete_given_a_text_deletes_nothing,
    test_s04_delete_ignores_the_running_job,
    test_s04_delete_several,
    test_s04_delete_takes_the_first_of_a_duplicate,
    test_s04_equal_numbers_run_by_id,
    test_s04_global_interrupt,
    test_s04_interrupt_by_id,
    test_s04_interrupt_with_a_broken_body_is_global,
    test_s04_interrupt_with_a_list_is_a_500,
    test_s04_one_job_runs_at_a_time,
    test_s04_order,
    test_s04_prompt_counts_running_and_pending,
    test_s04_queue_items,
    test_s04_the_counter_is_shared_by_all_clients,
)
from tests.conformance.test_s06_history import (
    test_s06_a_blocked_branch_is_a_success_without_outputs,
    test_s06_an_interrupt_looks_like_an_error,
    test_s06_clear,
    test_s06_delete_entries,
    test_s06_entry_of_a_success,
    test_s06_negative_offset_counts_as_none,
    test_s06_nodes_without_ui_do_not_appear,
    test_s06_pending_and_running_ids_are_not_in_history,
    test_s06_status_of_a_success,
    test_s06_unknown_id,
    test_s06_whole_history_is_oldest_first,
)
from tests.conformance.test_s07_outputs import (
    test_s07_3_counter_counts_up,
    test_s07_3_first_name,
    test_s07_3_prefixes_do_not_share_a_counter,
)
from tests.conformance.test_s07_view import (
    saved,
    test_s07_1_a_folder_in_the_name_is_dropped,
    test_s07_1_names_with_odd_letters,
    test_s07_1_output_is_the_default_type,
    test_s07_1_refusals,
)
from tests.conformance.test_s09_frames import (
    test_s09_2_blocked_output_without_a_message,
    test_s09_2_failure,
    test_s09_2_messages_are_the_frames,
    test_s09_2_status_after_a_delete,
    test_s09_6_history_exists_at_the_end_frame,
    test_s09_6_jobs_do_not_overlap,
    test_s09_6_order_of_a_job,
    test_s09_6_status_around_a_job,
)
from tests.conformance.test_s09_socket import (
    test_s09_1_first_frame,
    test_s09_4_frames_go_to_the_submitter,
    test_s09_4_unregistered_submitter,
    test_s09_5_a_new_id_hears_again,
    test_s09_5_connect_after_submitting,
    test_s09_5_connect_after_the_end,
    test_s09_5_reconnect_mid_job,
    test_s09_5_second_socket_takes_over,
    test_s09_5_the_deaf_socket,
    test_s09_6_different_sockets_see_one_order,
)
from tests.conformance.test_s10_cache import (
    test_s09_7_frames_of_a_cached_job,
    test_s10_1_a_nonce_upstream_runs_everything_below,
    test_s10_1_an_unknown_key_is_in_the_key,
    test_s10_1_identical_job_runs_nothing,
    test_s10_1_key_order_is_not_in_the_key,
    test_s10_1_meta_and_extra_data_are_not_in_the_key,
    test_s10_1_node_ids_are_not_in_the_key,
    test_s10_1_twins_write_one_file,
    test_s10_2_a_failing_prompt_evicts,
    test_s10_2_a_rejected_prompt_evicts_nothing,
    test_s10_2_only_the_previous_prompt_is_kept,
    test_s10_2_shared_parts_survive,
    test_s10_4_a_dangling_copy_keeps_a_result,
    test_s10_5_a_new_prefix_runs_the_save_alone,
    test_s10_6_cached_lists_every_cached_node,
)
from tests.sim.comfy import CLASSES, Comfy, Socket

STEP_S = 0.02
"""Time that goes by with each request, and with each look at a socket."""


class Moving:
    """A model whose clock goes on with every request."""

    def __init__(self) -> None:
        self.comfy, self.now = Comfy(), 0.0

    def step(self) -> None:
        self.now += STEP_S
        self.comfy.advance(self.now)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.step()
        url = request.url
        answer = self.comfy.request(request.method, url.path, dict(url.params), request.content)
        self.comfy.advance(self.now)
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)


class Listener(plain.Listener):
    """A socket of the model."""

    def __init__(self, moving: Moving, socket: Socket) -> None:
        self._moving, self._socket, self.client_id = moving, socket, socket.client_id
        self.connection = self  # type: ignore[assignment]

    def close(self) -> None:
        self._moving.comfy.disconnect(self._socket)

    def next(self) -> Any:
        for _ in range(5000):
            if self._socket.frames:
                return json.loads(self._socket.frames.pop(0))
            self._moving.step()
        raise AssertionError("no frame came")

    def arrived(self) -> list[Any]:
        frames, self._socket.frames[:] = list(map(json.loads, self._socket.frames)), []
        return frames

    def send(self, text: str | bytes) -> None:
        """The model hears nothing on a socket."""


class Server(plain.Server):
    """The plain client, on a model."""

    def __init__(self, moving: Moving) -> None:
        http = httpx.Client(base_url="http://model", transport=httpx.MockTransport(moving.answer))
        super().__init__("http://model", http)
        self._moving = moving

    @contextmanager
    def listen(
        self, client_id: str | None = None, *, path: str = "/ws", greet: bool = True
    ) -> Iterator[Listener]:
        socket = self._moving.comfy.connect(client_id or uuid.uuid4().hex)
        listener = Listener(self._moving, socket)
        if greet:
            assert listener.next()["type"] == "status"
        try:
            yield listener
        finally:
            self._moving.comfy.disconnect(socket)


@pytest.fixture
def abilities() -> dict[str, bool]:
    """Return what the model can do of what servers differ in: nothing, it answers as 0.3.64 does."""
    return dict.fromkeys(ABILITIES, False)


@pytest.fixture
def server() -> Iterator[Server]:
    """A model of its own for each test."""
    server = Server(Moving())
    yield server
    server.http.close()


@pytest.fixture
def classes() -> dict[str, Any]:
    return CLASSES


@pytest.fixture
def need(classes: dict[str, Any]) -> Callable[..., None]:
    def check(*names: str) -> None:
        if missing := [name for name in names if name not in classes]:
            pytest.fail(f"the model has no {', '.join(missing)}")

    return check


@pytest.fixture
def prefix() -> str:
    return f"conformance/{uuid.uuid4().hex[:12]}/pic"


@pytest.fixture
def blocker(server: Server) -> str:
    """The id of a job that runs until it is interrupted."""
    prompt_id = server.submit(sleeper())
    server.await_start(prompt_id)
    return prompt_id
