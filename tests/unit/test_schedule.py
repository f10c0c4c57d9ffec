from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.domain import Fault, ServerFacts
from runner.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptRunning,
    AttemptSubmitted,
    AttemptSucceeded,
    ServerDown,
    ServerUp,
)
from runner.schedule import Alarm, Ended, Limits, Schedule, Start, Ticket


def ticket(seq: int, models: str = "m", texts: str = "t") -> Ticket:
    return Ticket(key=f"ep/s/k{seq}", seq=seq, models=models, texts=texts)


def facts(url: str) -> ServerFacts:
    return ServerFacts(url=url, realm="comfyui", version="0")


def ready(*servers: str, depth: int = 2, attempts: int = 3, **more: Any) -> Schedule:
    schedule = Schedule(servers, depth=depth, attempts=attempts, **more)
    for server in servers:
        schedule.handle(ServerUp(server=server, facts=facts(server)))
    return schedule


def new_id(key: str, number: int) -> str:
    return f"{key}#{number}"


def take(schedule: Schedule) -> list[tuple[str, Start]]:
    return list(schedule.take(new_id))


def done(prompt_id: str, server: str) -> AttemptSucceeded:
    return AttemptSucceeded(prompt_id=prompt_id, server=server, outputs=())


def failed(prompt_id: str, server: str, *, code: str = "LOST", retry: str = "again") -> AttemptFailed:
    return AttemptFailed(prompt_id=prompt_id, server=server, fault=Fault(code=code, message="", retry=retry))


def test_never_more_than_depth_outstanding() -> None:
    """A server never holds more of our jobs than its depth."""
    schedule = ready("a", depth=2)
    for seq in range(5):
        schedule.offer(ticket(seq))

    assert [start.ticket.seq for _, start in take(schedule)] == [0, 1]
    assert take(schedule) == []


def test_nothing_starts_on_a_server_that_is_not_up() -> None:
    """A server that has not answered, or is down, gets no job."""
    schedule = Schedule(["a", "b"], depth=1, attempts=3)
    schedule.offer(ticket(0))

    assert take(schedule) == []
    schedule.handle(ServerUp(server="b", facts=facts("b")))
    assert [start.server for _, start in take(schedule)] == ["b"]
    schedule.offer(ticket(1))
    schedule.handle(done("ep/s/k0#1", "b"))
    schedule.handle(ServerDown(server="b", reason="gone"))
    assert take(schedule) == []


def test_a_server_stays_with_its_models_then_its_texts() -> None:
    """Jobs that share loaded models, and among them texts, run next to each other on one server."""
    schedule = ready("a", depth=1)
    for seq, (models, texts) in enumerate([("m1", "x"), ("m2", "y"), ("m1", "z"), ("m1", "x"), ("m2", "y")]):
        schedule.offer(ticket(seq, models, texts))
    order = []
    while found := take(schedule):
        for prompt_id, start in found:
            order.append(start.ticket.seq)
            schedule.handle(done(prompt_id, "a"))

    assert order == [0, 3, 2, 1, 4]


def test_an_idle_server_takes_the_group_nobody_works_on() -> None:
    """Two servers begin with different models where there are two."""
    schedule = ready("a", "b", depth=1)
    for seq, models in enumerate(["m1", "m1", "m2", "m2"]):
        schedule.offer(ticket(seq, models, models))

    assert {start.server: start.ticket.models for _, start in take(schedule)} == {"a": "m1", "b": "m2"}


def test_an_idle_server_shares_the_last_group() -> None:
    """No server stays idle while jobs wait, even when all of them share one model."""
    schedule = ready("a", "b", depth=1)
    for seq in range(2):
        schedule.offer(ticket(seq))

    assert {start.server for _, start in take(schedule)} == {"a", "b"}


def test_a_lost_attempt_is_tried_again_with_the_next_number() -> None:
    """A fault that may pass is retried under a new attempt number, until the attempts are used up."""
    schedule = ready("a", depth=1, attempts=2)
    schedule.offer(ticket(0))
    schedule.close_feed()
    [(first, _)] = take(schedule)

    assert schedule.handle(failed(first, "a")) == Ended("ep/s/k0", 1, final=False)
    [(second, start)] = take(schedule)
    assert start.number == 2
    assert schedule.handle(failed(second, "a")) == Ended("ep/s/k0", 2, final=True)
    assert schedule.done
    assert schedule.failed == 1


def test_a_node_error_is_never_retried() -> None:
    """A deterministic failure ends its job at once."""
    schedule = ready("a", depth=1)
    schedule.offer(ticket(0))
    [(first, _)] = take(schedule)

    assert schedule.handle(failed(first, "a", code="NODE_ERROR", retry="never")) == Ended(
        "ep/s/k0", 1, final=True
    )


def test_a_sick_machines_job_goes_to_another_server_first() -> None:
    """A job that failed with its machine waits for a server that has not tried it."""
    schedule = ready("a", "b", depth=1)
    schedule.handle(ServerDown(server="b", reason="busy"))
    schedule.offer(ticket(0))
    schedule.close_feed()
    [(first, _)] = take(schedule)
    schedule.handle(failed(first, "a", code="SERVER_REJECTS", retry="elsewhere"))

    assert take(schedule) == []
    schedule.handle(ServerUp(server="b", facts=facts("b")))
    assert [start.server for _, start in take(schedule)] == ["b"]


def test_a_job_goes_back_where_there_is_no_other_server() -> None:
    """With every other server lost for good, the same one may try again."""
    schedule = ready("a", "b", depth=1)
    schedule.handle(ServerDown(server="b", reason="gone", final=True))
    schedule.offer(ticket(0))
    [(first, _)] = take(schedule)
    schedule.handle(failed(first, "a", code="SERVER_REJECTS", retry="elsewhere"))

    assert [start.server for _, start in take(schedule)] == ["a"]


@pytest.mark.parametrize("seen", [AttemptSubmitted, AttemptRunning])
def test_an_attempt_of_an_earlier_process_takes_room_once_it_is_seen(seen: type[AttemptSubmitted]) -> None:
    """Unproven it holds up nobody; what its server is known to hold counts towards the depth."""
    schedule = ready("a", depth=2)
    schedule.follow(ticket(0), "earlier", "a")
    for seq in range(1, 4):
        schedule.offer(ticket(seq))
    schedule.handle(seen(prompt_id="earlier", server="a"))

    assert [start.ticket.seq for _, start in take(schedule)] == [1]
    schedule.handle(done("earlier", "a"))
    assert [start.ticket.seq for _, start in take(schedule)] == [2]


def test_stopping_starts_nothing_and_ends_when_what_runs_has_ended() -> None:
    """After a stop no ticket starts; a fault that may pass leaves its job over, it is no failure."""
    schedule = ready("a", depth=2)
    for seq in range(4):
        schedule.offer(ticket(seq))
    (first, _), (second, _) = take(schedule)
    schedule.handle(AttemptRunning(prompt_id=first, server="a"))
    schedule.stop()

    assert schedule.pending() == (second,)
    schedule.handle(AttemptCancelled(prompt_id=second, server="a"))
    assert take(schedule) == []
    assert not schedule.done
    assert schedule.handle(failed(first, "a")) == Ended("ep/s/k0", 1, final=False)
    assert schedule.done
    assert schedule.failed == 0


def test_a_node_error_while_stopping_is_a_failure() -> None:
    """What would never be tried again has failed, stopping or not."""
    schedule = ready("a", depth=1)
    schedule.offer(ticket(0))
    [(first, _)] = take(schedule)
    schedule.stop()

    assert schedule.handle(failed(first, "a", code="NODE_ERROR", retry="never")) == Ended(
        "ep/s/k0", 1, final=True
    )
    assert schedule.failed == 1


def test_an_outdated_result_is_no_result() -> None:
    """The end of an attempt that is not under way changes nothing."""
    schedule = ready("a")
    schedule.offer(ticket(0))
    [(first, _)] = take(schedule)

    assert schedule.handle(done("stranger", "a")) is None
    assert schedule.handle(done(first, "a")) == Ended("ep/s/k0", 1, final=True)
    assert schedule.handle(done(first, "a")) is None


def test_stranded_when_every_server_is_lost() -> None:
    """Work without any server that could come back is told as such."""
    schedule = ready("a", "b")
    schedule.offer(ticket(0))
    schedule.handle(ServerDown(server="a", reason="", final=True))

    assert not schedule.stranded
    schedule.handle(ServerDown(server="b", reason="", final=True))
    assert schedule.stranded


def test_the_limit_of_failures_counts_jobs_not_attempts() -> None:
    """A job that failed twice and then for good counts once."""
    schedule = ready("a", depth=1, attempts=2, limits=Limits(failures=1))
    schedule.offer(ticket(0))
    [(first, _)] = take(schedule)
    schedule.handle(failed(first, "a"))

    assert not schedule.limit_reached
    [(second, _)] = take(schedule)
    schedule.handle(failed(second, "a"))
    assert schedule.limit_reached


def test_the_window_bounds_what_is_held() -> None:
    """Tickets are wanted up to the window, and again as they start."""
    schedule = ready("a", depth=1, window=3)
    for seq in range(3):
        assert schedule.room == 3 - seq
        schedule.offer(ticket(seq))

    assert schedule.room == 0
    take(schedule)
    assert schedule.room == 1


CODES = [
    ("NODE_ERROR", "never"), ("VALIDATION", "never"), ("LOST", "again"), ("INTERRUPTED", "again"),
    ("REMOVED", "again"), ("CACHED_OUTPUT", "again"), ("SERVER_ERROR", "again"), ("SERVER_BUSY", "again"),
    ("UNREACHABLE", "elsewhere"), ("OOM", "elsewhere"), ("SERVER_SICK", "elsewhere"),
    ("SERVER_DIED", "elsewhere"), ("SERVER_REJECTS", "elsewhere"), ("HUNG", "elsewhere"), ("", ""),
]  # fmt: skip


@settings(max_examples=150)
@given(st.data())
def test_every_job_ends_exactly_once(data: st.DataObject) -> None:
    """Whatever the servers answer, each job ends once, within its attempts, and work never stands still."""
    servers = [f"s{n}" for n in range(data.draw(st.integers(1, 3)))]
    jobs = data.draw(st.integers(0, 12))
    schedule = ready(*servers, depth=data.draw(st.integers(1, 3)), attempts=3, limits=Limits(same=0))
    for seq in range(jobs):
        schedule.offer(ticket(seq, f"m{seq % 3}", f"t{seq % 2}"))
    schedule.close_feed()
    ended: dict[str, int] = {}
    under_way: dict[str, str] = {}
    alarms: list[Alarm] = []
    for _ in count():
        under_way |= {prompt_id: start.server for prompt_id, start in take(schedule)}
        assert all(sum(s == server for s in under_way.values()) <= 3 for server in servers)
        alarms += schedule.alarms()
        if schedule.done or (schedule.stranded and not under_way):
            break
        if alarms and (not under_way or data.draw(st.booleans())):
            schedule.handle(alarms.pop(data.draw(st.integers(0, len(alarms) - 1))).event)
            continue
        assert under_way, "nothing runs, nothing is waited for, and there is work"
        prompt_id = data.draw(st.sampled_from(sorted(under_way)))
        server = under_way.pop(prompt_id)
        code, retry = data.draw(st.sampled_from(CODES))
        event = failed(prompt_id, server, code=code, retry=retry) if code else done(prompt_id, server)
        end = schedule.handle(event)
        assert end is not None
        assert end.number <= 3 + 20
        if end.final:
            ended[end.key] = ended.get(end.key, 0) + 1

    assert all(times == 1 for times in ended.values())
    assert schedule.stranded or ended.keys() == {f"ep/s/k{seq}" for seq in range(jobs)}
