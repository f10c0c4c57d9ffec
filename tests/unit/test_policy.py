"""What follows from failures: for the job, for its server, for the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.domain import Fault
from runner.events import (
    AttemptFailed,
    AttemptSucceeded,
    Elapsed,
    ServerBusy,
    ServerDown,
    ServerResting,
    ServerUp,
)
from runner.schedule import Alarm, Ended, Limits, Schedule
from tests.unit.test_schedule import done, facts, failed, ready, take, ticket

ELSEWHERE = ("OOM", "HUNG", "SERVER_ERROR", "SERVER_REJECTS", "SERVER_SICK", "SERVER_DIED", "UNREACHABLE")
RETRY = dict.fromkeys(ELSEWHERE, "elsewhere") | {"NODE_ERROR": "never", "VALIDATION": "never"}


def fail(schedule: Schedule, prompt_id: str, server: str, code: str, message: str = "") -> Ended:
    fault = Fault(code=code, message=message, retry=RETRY.get(code, "again"))
    ended = schedule.handle(AttemptFailed(prompt_id=prompt_id, server=server, fault=fault))
    assert ended is not None
    return ended


def one(schedule: Schedule) -> tuple[str, str]:
    """Return (id, server) of the one attempt that starts now."""
    [(prompt_id, start)] = take(schedule)
    return prompt_id, start.server


def offered(schedule: Schedule, jobs: int, models: str = "m") -> Schedule:
    for seq in range(jobs):
        schedule.offer(ticket(seq, models, f"{models}{seq}"))
    schedule.close_feed()
    return schedule


# -- for the job ------------------------------------------------------------------------------------------


def test_a_job_that_was_running_at_two_server_deaths_is_quarantined() -> None:
    """The second death ends the job under a code of its own, on whatever servers, and it is told why."""
    schedule = offered(ready("a", "b", depth=1, attempts=9), 1)
    assert not fail(schedule, *one(schedule), "SERVER_DIED").final
    prompt_id, server = one(schedule)
    ended = fail(schedule, prompt_id, server, "SERVER_DIED")

    assert server == "b"
    assert ended.final
    assert ended.fault is not None
    assert (ended.fault.code, ended.fault.retry) == ("QUARANTINED", "never")
    assert "was running at 2 server crashes" in ended.fault.message


def test_a_death_that_an_earlier_process_saw_counts() -> None:
    """After a resume the next death of a server during the job is its last."""
    schedule = ready("a", depth=1, attempts=9)
    schedule.offer(replace(ticket(0), number=2, deaths=1))
    schedule.close_feed()
    ended = fail(schedule, *one(schedule), "SERVER_DIED")

    assert ended.final
    assert ended.fault is not None
    assert ended.fault.code == "QUARANTINED"


def test_a_second_death_while_stopping_is_the_last_too() -> None:
    """Quarantine is a fact about the job: a stopping run records it as well."""
    schedule = ready("a", depth=1)
    schedule.offer(replace(ticket(0), deaths=1))
    schedule.close_feed()
    prompt_id, server = one(schedule)
    schedule.stop()

    assert fail(schedule, prompt_id, server, "SERVER_DIED").final


def test_a_job_that_saw_a_server_die_goes_last() -> None:
    """It may be what kills servers, so everything else is made before, other second attempts included."""
    schedule = offered(ready("a", depth=2, attempts=9), 4)
    (first, _), (second, _) = take(schedule)
    fail(schedule, first, "a", "SERVER_DIED")
    fail(schedule, second, "a", "LOST")
    order = []
    while not schedule.done:
        for prompt_id, start in take(schedule):
            order.append(prompt_id)
            schedule.handle(done(prompt_id, start.server))

    assert order == ["ep/s/k1#2", "ep/s/k2#1", "ep/s/k3#1", "ep/s/k0#2"]


def test_a_job_that_ran_out_of_memory_is_tried_once_more_there_with_memory_freed() -> None:
    """Out of memory: the server frees its memory and tries again, then another one does; then it failed."""
    schedule = offered(ready("a", "b", depth=1, attempts=9), 1)
    courses = []
    for _ in range(4):
        [(prompt_id, start)] = take(schedule)
        courses.append((start.server, start.free))
        if fail(schedule, prompt_id, start.server, "OOM").final:
            break

    assert courses == [("a", False), ("a", True), ("b", False), ("b", True)]


def test_with_one_server_the_second_time_out_of_memory_is_final() -> None:
    """Memory was freed and did not suffice, and there is no other server: nothing is left to try."""
    schedule = offered(ready("a", depth=1, attempts=9), 1)

    assert not fail(schedule, *one(schedule), "OOM").final
    assert fail(schedule, *one(schedule), "OOM").final


@pytest.mark.parametrize("first", ["INTERRUPTED", "REMOVED"])
@pytest.mark.parametrize("second", ["INTERRUPTED", "REMOVED"])
def test_a_job_that_people_stopped_twice_is_left_alone(first: str, second: str) -> None:
    """Interrupted or taken out of the queue: one more attempt, then it ends as INTERRUPTED."""
    schedule = offered(ready("a", depth=1, attempts=9), 1)
    assert not fail(schedule, *one(schedule), first, "stopped").final
    for alarm in schedule.alarms():
        schedule.handle(alarm.event)
    ended = fail(schedule, *one(schedule), second, "stopped")

    assert ended.final
    assert ended.fault is not None
    assert (ended.fault.code, ended.fault.message) == ("INTERRUPTED", "stopped, for the second time")


def test_an_interrupted_job_waits_half_a_minute() -> None:
    """The person who stopped it gets time; the schedule asks for an alarm and starts nothing before it."""
    schedule = offered(ready("a", depth=1), 1)
    fail(schedule, *one(schedule), "INTERRUPTED")
    [alarm] = schedule.alarms()

    assert (alarm.seconds, take(schedule), schedule.done) == (30.0, [], False)
    schedule.handle(alarm.event)
    assert len(take(schedule)) == 1


def test_a_loss_before_an_interrupt_is_no_reason_to_give_up() -> None:
    """Only what people did counts as what people did."""
    schedule = offered(ready("a", depth=1), 1)
    fail(schedule, *one(schedule), "LOST")

    assert not fail(schedule, *one(schedule), "INTERRUPTED").final


def test_a_stale_cache_is_worth_one_more_attempt() -> None:
    """The second answer from the cache is the last, whatever the limit of attempts."""
    schedule = offered(ready("a", depth=1, attempts=9), 1)

    assert not fail(schedule, *one(schedule), "CACHED_OUTPUT").final
    assert fail(schedule, *one(schedule), "CACHED_OUTPUT").final


def test_two_server_errors_for_one_job_while_others_pass_are_the_jobs_fault() -> None:
    """A job answered with 500 twice, with a success in between, ends as refused by the server."""
    schedule = offered(ready("a", depth=2, attempts=9), 2)
    (first, _), (second, _) = take(schedule)
    assert not fail(schedule, first, "a", "SERVER_ERROR", "500").final
    schedule.handle(done(second, "a"))
    ended = fail(schedule, *one(schedule), "SERVER_ERROR", "500")

    assert ended.final
    assert ended.fault is not None
    assert (ended.fault.code, ended.fault.retry) == ("SERVER_REJECTS", "never")


def test_a_server_that_answers_with_errors_only_costs_no_job() -> None:
    """What one server answers with 502 is made by the other, though that one's successes would be counted."""
    schedule = offered(ready("a", "b", depth=1), 2)
    (first, _), (second, _) = take(schedule)
    assert not fail(schedule, first, "a", "SERVER_ERROR", "502").final
    schedule.handle(done(second, "b"))

    assert [start.server for _, start in take(schedule)] == ["b"]


def test_server_errors_for_every_job_are_the_servers() -> None:
    """While nothing passes, a second 500 is retried like any other fault that may pass."""
    schedule = offered(ready("a", depth=1), 1)

    assert not fail(schedule, *one(schedule), "SERVER_ERROR").final
    assert not fail(schedule, *one(schedule), "SERVER_ERROR").final
    assert fail(schedule, *one(schedule), "SERVER_ERROR").final


def test_what_was_never_sent_costs_no_attempt_but_has_an_end() -> None:
    """Unreachable twenty times is too often, three times is not."""
    schedule = offered(ready("a", depth=1, attempts=3), 1)
    count = 1
    while not fail(schedule, *one(schedule), "UNREACHABLE").final:
        count += 1

    assert count == 20


# -- for its server ---------------------------------------------------------------------------------------


def test_a_server_whose_machine_failed_rests_and_is_tried_by_one_job() -> None:
    """CUDA error: no new job there for a time, then one alone; its success brings the rest back."""
    schedule = offered(ready("a", "b", depth=2), 9)
    [a1, a2], [b1, b2] = _by_server(schedule)
    fail(schedule, a1, "a", "SERVER_SICK", "CUDA error")
    [rest] = schedule.news()
    [alarm] = schedule.alarms()
    schedule.handle(done(b1, "b"))
    schedule.handle(done(a2, "a"))
    fail(schedule, b2, "b", "NODE_ERROR")

    assert isinstance(rest, ServerResting)
    assert (rest.server, rest.reason) == ("a", "CUDA error")
    assert {start.server for _, start in take(schedule)} == {"b"}
    schedule.handle(alarm.event)
    assert [start.server for _, start in take(schedule)] == ["a", "a"]


def test_a_server_on_trial_gets_one_job_that_did_not_fail_there() -> None:
    """The job that met the fault proves nothing: another one goes first, and its success ends the trial."""
    schedule = offered(ready("a", depth=3), 3)
    for prompt_id in [each for each, _ in take(schedule)][:2]:
        fail(schedule, prompt_id, "a", "SERVER_SICK")
    schedule.handle(done("ep/s/k2#1", "a"))
    schedule2 = offered(ready("a", depth=1), 3)
    fail(schedule2, *one(schedule2), "SERVER_SICK")
    [alarm] = schedule2.alarms()
    schedule2.handle(alarm.event)

    assert one(schedule2) == ("ep/s/k1#1", "a")
    schedule2.handle(done("ep/s/k1#1", "a"))
    assert one(schedule2) == ("ep/s/k0#2", "a")


def test_a_server_that_fails_its_trial_is_left_out_by_name() -> None:
    """Sick again at the first job after its rest: it needs a restart, and the run knows that none is left."""
    schedule = offered(ready("a", depth=1), 3)
    fail(schedule, *one(schedule), "SERVER_SICK", "CUDA error")
    [alarm] = schedule.alarms()
    schedule.handle(alarm.event)
    schedule.news()
    fail(schedule, *one(schedule), "SERVER_SICK", "CUDA error")
    [out] = schedule.news()

    assert isinstance(out, ServerDown)
    assert (out.server, out.final) == ("a", True)
    assert "needs a restart" in out.reason
    assert schedule.stranded
    assert "needs a restart" in schedule.reasons[0]


def test_a_sick_server_that_came_back_is_another_process() -> None:
    """Down and up again: whatever its machine said before is forgotten."""
    schedule = offered(ready("a", depth=2), 4)
    (first, _), (second, _) = take(schedule)
    fail(schedule, first, "a", "SERVER_SICK")
    schedule.handle(done(second, "a"))
    schedule.handle(ServerDown(server="a", reason="restarting"))
    schedule.handle(ServerUp(server="a", facts=facts("a")))

    assert len(take(schedule)) == 2


def test_a_server_on_which_three_jobs_failed_that_others_can_do_is_left_out() -> None:
    """Three different jobs in a row, while another server does well: it is the server, and it is named."""
    schedule = offered(ready("a", "b", depth=1, attempts=9), 20)
    for _ in range(3):
        for prompt_id, start in take(schedule):
            if start.server == "a":
                fail(schedule, prompt_id, "a", "SERVER_REJECTS")
            else:
                schedule.handle(done(prompt_id, "b"))
    told = schedule.news()

    assert [type(each) for each in told] == [ServerDown]
    assert told[0].server == "a"
    assert "3 jobs in a row failed there and not elsewhere (SERVER_REJECTS)" in told[0].reason
    assert {start.server for _, start in take(schedule)} == {"b"}


def test_faults_that_all_servers_have_leave_none_out() -> None:
    """Jobs that fail everywhere are the jobs' matter."""
    schedule = offered(ready("a", "b", depth=1, attempts=2, limits=Limits(same=0)), 12)
    while not schedule.done:
        for prompt_id, start in take(schedule):
            fail(schedule, prompt_id, start.server, "DOWNLOAD_CORRUPT")

    assert schedule.news() == []


def test_restarts_are_not_held_against_a_server() -> None:
    """Jobs that a restart took away say nothing about the server."""
    schedule = offered(ready("a", "b", depth=4, attempts=9), 20)
    [*mine], [theirs, *_] = _by_server(schedule)
    schedule.handle(done(theirs, "b"))
    for prompt_id in mine:
        fail(schedule, prompt_id, "a", "LOST")

    assert len(mine) == 4
    assert schedule.news() == []


def test_a_busy_server_is_left_alone_and_gets_less() -> None:
    """`Retry-After` counts up to two minutes; then the server holds half as many jobs until some succeed."""
    schedule = offered(ready("a", depth=4), 20)
    held = [prompt_id for prompt_id, _ in take(schedule)]
    schedule.handle(ServerBusy(server="a", seconds=3600))
    assert schedule.alarms() == [Alarm(120.0, Elapsed(kind="server", name="a"))]
    schedule.handle(done(held.pop(), "a"))
    assert take(schedule) == []
    for prompt_id in held:
        schedule.handle(ServerBusy(server="a", seconds=1))
        schedule.handle(failed(prompt_id, "a", code="SERVER_BUSY"))
    schedule.handle(Elapsed(kind="server", name="a"))
    (first, _), (second, _) = take(schedule)
    for prompt_id in (first, second):
        schedule.handle(done(prompt_id, "a"))

    assert len(take(schedule)) == 4


def _by_server(schedule: Schedule) -> tuple[list[str], list[str]]:
    started = take(schedule)
    first, second = ([each for each, start in started if start.server == name] for name in ("a", "b"))
    return first, second


# -- for the run ------------------------------------------------------------------------------------------


def run_down(schedule: Schedule, broken: set[str]) -> list[str]:
    """Run until a limit is reached or all is done, jobs of *broken* groups failing; return what was made."""
    made = []
    while not schedule.done and not schedule.limit_reached:
        for prompt_id, start in take(schedule):
            if start.ticket.models in broken:
                fail(schedule, prompt_id, start.server, "NODE_ERROR", f"node 7: no key {start.ticket.seq}")
            else:
                schedule.handle(AttemptSucceeded(prompt_id=prompt_id, server=start.server, outputs=()))
                made.append(start.ticket.models)
    return made


def test_five_jobs_in_a_row_that_fail_in_the_same_way_stop_the_run() -> None:
    """Numbers in the message aside, the same node says the same five times: it will go on doing so."""
    schedule = offered(ready("a", depth=1), 20, models="broken")
    run_down(schedule, {"broken"})

    assert schedule.failed == 5
    assert "5 jobs in a row failed in the same way (NODE_ERROR" in schedule.limit_reached


def test_different_failures_do_not_stop_the_run() -> None:
    """Twenty jobs that fail each in its own way are twenty failed jobs."""
    schedule = offered(ready("a", depth=1), 20)
    for number in range(20):
        fail(schedule, *one(schedule), "NODE_ERROR", "abc"[number % 3])

    assert (schedule.failed, schedule.limit_reached) == (20, "")


@pytest.mark.parametrize("at", [0, 3, 6])
@pytest.mark.parametrize("servers", [1, 2])
def test_one_broken_character_among_seven_costs_nobody_else_a_picture(at: int, servers: int) -> None:
    """Wherever it stands in the spec, everybody else's pictures are made before the run stops for it."""
    schedule = ready(*"ab"[:servers], depth=2)
    names = [f"c{number}" for number in range(7)]
    for seq in range(7 * 20):
        schedule.offer(ticket(seq, names[seq // 20], f"text{seq // 10}"))
    schedule.close_feed()
    made = run_down(schedule, {names[at]})

    assert {name: made.count(name) for name in names} == {
        name: 0 if name == names[at] else 20 for name in names
    }


def test_the_first_three_jobs_refused_for_the_same_reason_stop_the_run() -> None:
    """A spec the server refuses is refused three times, not a thousand times."""
    schedule = offered(ready("a", depth=1), 20)
    for _ in range(3):
        assert not schedule.limit_reached
        fail(schedule, *one(schedule), "VALIDATION", "sampler_name: 'x' is not offered")

    assert "the first 3 jobs were refused in the same way" in schedule.limit_reached


def test_refusals_after_a_success_are_borne_longer() -> None:
    """Once something has been made, three refusals are three failed jobs."""
    schedule = offered(ready("a", depth=1), 20)
    prompt_id, server = one(schedule)
    schedule.handle(done(prompt_id, server))
    for _ in range(4):
        fail(schedule, *one(schedule), "VALIDATION")

    assert not schedule.limit_reached
    fail(schedule, *one(schedule), "VALIDATION")
    assert schedule.limit_reached


def test_no_limit_of_same_failures_means_none() -> None:
    """0 goes on to the end."""
    schedule = offered(ready("a", depth=1, limits=Limits(same=0)), 20, models="broken")
    run_down(schedule, {"broken"})

    assert (schedule.failed, schedule.limit_reached) == (20, "")


def test_a_share_of_failures_is_judged_from_ten_jobs_on() -> None:
    """With a limit of 25 %, three failures among the first nine stop nothing, three among ten do."""
    schedule = offered(ready("a", depth=1, limits=Limits(percent=25, same=0)), 20)
    for number in range(9):
        prompt_id, server = one(schedule)
        if number % 3:
            schedule.handle(done(prompt_id, server))
        else:
            fail(schedule, prompt_id, server, "NODE_ERROR")
    assert not schedule.limit_reached
    prompt_id, server = one(schedule)
    schedule.handle(done(prompt_id, server))

    assert schedule.limit_reached == "3 of 10 jobs failed, and the limit is 25 %"
