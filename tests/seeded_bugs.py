# ruff: noqa: E501, T201 - the bugs as they would stand in the code; a script that prints
"""Show that the tests notice the bugs one would most likely write here.

    python tests/seeded_bugs.py [--only 2,7] [--list]

Each bug is a change of a few lines. It is made in a copy of the tree, and the tests that guard that place
run there until one fails: the bug is *killed*. First the same tests run in the copy as it is and must pass,
or a kill would say nothing. A bug whose place is not found exactly once is *stale*: the code moved on, and so
must the bug. Prints a line for each and exits with 1 unless all are killed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_WAIT_S = 900.0


@dataclass(frozen=True, slots=True)
class Bug:
    """A mistake: in *path*, the one place that reads *old* reads *new* instead; *tests* should notice."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


COURSE = "tests/comfy/test_attempts.py"
CHAOS = "tests/comfy/test_chaos.py"
RUN = "tests/flow/test_run.py"
SCHEDULE = "tests/unit/test_schedule.py"
COLLECT = "tests/unit/test_collect.py"
VERDICT = "tests/comfy/test_verdict.py"

BUGS = (
    Bug(
        "history asked before queue",
        "runner/comfy/server.py",
        '            # Nobody polls a server that was left out before this began.\n            if not self.final:\n                await watch.wait()\n            if self.final or self._gone(watch):\n                self._give_away(watch)\n                self._tell_loss(\n                    "is gone, and with it", [each for each in self._watches.values() if each.accepted]\n                )\n                raise Unreachable(self.down)\n            if not watch.look:\n                continue\n            watch.look = False\n            try:\n                entry = await self.client.history(watch.prompt_id)\n',
        '            try:\n                entry = await self.client.history(watch.prompt_id)\n            except ServerFault:\n                entry = None\n            # Nobody polls a server that was left out before this began.\n            if not self.final:\n                await watch.wait()\n            if self.final or self._gone(watch):\n                self._give_away(watch)\n                self._tell_loss(\n                    "is gone, and with it", [each for each in self._watches.values() if each.accepted]\n                )\n                raise Unreachable(self.down)\n            if not watch.look:\n                continue\n            watch.look = False\n            try:\n                pass\n',
        (COURSE, CHAOS),
    ),
    Bug(
        "no settle time",
        "runner/comfy/server.py",
        "settled = now - watch.missing_since >= self.settle_s",
        "settled = True",
        (COURSE, "tests/comfy/test_server.py"),
    ),
    Bug(
        "a submission repeated when its answer is unclear",
        "runner/comfy/course.py",
        "        except Ambiguous as doubt:\n            self._doubt = doubt\n",
        "        except Ambiguous as doubt:\n            if self._doubt is None:\n                self._doubt = doubt\n                return await self._post(nodes)\n",
        (COURSE, CHAOS),
    ),
    Bug(
        "intent written after the submission",
        "runner/run.py",
        "                await self._durable.commit()\n                self._tell(told, starting)\n",
        "                self._tell(told, starting)\n                await self._durable.commit()\n",
        (RUN,),
    ),
    Bug(
        "recorded before the download",
        "runner/comfy/course.py",
        "        outputs = await self._means.collect(\n",
        """        outputs = tuple(
            Output(node=ref.node, index=0, path=f"{attempt.name}.png", sha256="", size=0, kind="image")
            for ref in verdict.refs
        ) or await self._means.collect(
""",
        (COURSE, CHAOS),
    ),
    Bug(
        "recorded before the file is durable",
        "runner/collect.py",
        """        with door.File(part, "ab") as file:
            file.sync()
""",
        "",
        ("tests/sim/test_disks.py",),
    ),
    Bug(
        "named before the file is durable",
        "runner/collect.py",
        """        with door.File(part, "ab") as file:
            file.sync()
        path = _name(part, folder, f"{one.stem}.{facts.extension}", digest)
        door.sync_folder(path.parent)
""",
        """        path = _name(part, folder, f"{one.stem}.{facts.extension}", digest)
        door.sync_folder(path.parent)
        with door.File(part, "ab") as file:
            file.sync()
""",
        (COLLECT,),
    ),
    Bug(
        "ids by chance, so that a resumed run cannot find its attempts",
        "runner/run.py",
        'return str(uuid.uuid5(self._uuid, f"{key}/{number}"))',
        "return str(door.fresh_id())",
        (RUN,),
    ),
    Bug(
        "one id for all attempts of a job",
        "runner/run.py",
        'return str(uuid.uuid5(self._uuid, f"{key}/{number}"))',
        "return str(uuid.uuid5(self._uuid, key))",
        (RUN,),
    ),
    Bug(
        "a network error taken for a loss",
        "runner/comfy/server.py",
        """            except ServerFault as fault:
                await self._unread(watch, fault)
                continue
""",
        """            except ServerFault:
                return None
""",
        (COURSE, CHAOS),
    ),
    Bug(
        "a frame of success believed without the history",
        "runner/comfy/server.py",
        """            if not watch.look:
                continue
""",
        """            if watch.tracker.hint == "success":
                said = {"status_str": "success", "messages": [["execution_success", {}]]}
                return {"status": said, "outputs": watch.tracker.outputs}
            if not watch.look:
                continue
""",
        ("tests/comfy/test_server.py",),
    ),
    Bug(
        "node errors of an accepted submission ignored",
        "runner/comfy/course.py",
        "if errors := concerning(accepted.node_errors, attempt.workflow.outputs):",
        "if errors := {}:",
        (COURSE, "tests/flow/test_main_job.py"),
    ),
    Bug(
        "fewer outputs than declared accepted",
        "runner/comfy/verdict.py",
        """        if not kept:
            return _nothing_new(node, found, nodes)
""",
        "",
        (VERDICT,),
    ),
    Bug(
        "an older file accepted as the answer",
        "runner/comfy/verdict.py",
        'ref.type == "output" and under(ref.server_name, prefix)',
        'ref.type == "output"',
        (VERDICT,),
    ),
    Bug(
        "one client id for all connections",
        "runner/comfy/listener.py",
        """    async def _listen(self) -> None:
        self.client_id = door.fresh_id().hex
""",
        """    async def _listen(self) -> None:
""",
        ("tests/comfy/test_listener.py",),
    ),
    Bug(
        "a slot freed before its job has ended",
        "runner/schedule/machine.py",
        "            server.outstanding[prompt_id] = True\n",
        "            del server.outstanding[prompt_id]\n",
        (SCHEDULE, RUN),
    ),
    Bug(
        "interrupt without an id",
        "runner/comfy/client.py",
        'await self._order("/interrupt", {"prompt_id": prompt_id})',
        'await self._order("/interrupt", {})',
        (COURSE,),
    ),
    Bug(
        "the whole queue cleared on Ctrl-C",
        "runner/comfy/client.py",
        'await self._order("/queue", {"delete": list(prompt_ids)})',
        'await self._order("/queue", {"clear": True})',
        (COURSE,),
    ),
    Bug(
        "a server's file name in a path of ours",
        "runner/collect.py",
        "_short(name + (",
        "_short(name + ref.filename + (",
        (COLLECT,),
    ),
    Bug(
        "a report that shows text unescaped",
        "runner/diff/junit.py",
        'return quoteattr(_plain(text), {"\\n": "&#10;", "\\r": "&#13;", "\\t": "&#9;"})',
        "return '\"' + text + '\"'",
        ("tests/diff", "tests/cli/test_gate.py"),
    ),
    Bug(
        "a secret in a message",
        "runner/comfy/client.py",
        'where = f"{self.url} answered {path} with {status}"',
        'where = f"{self.url} answered {path} with {status} {self._credentials.headers}"',
        (COURSE, "tests/cli"),
    ),
    Bug(
        "a deadline by the wall clock",
        "runner/comfy/server.py",
        "watch.missing_since or self.clock()\n",
        "watch.missing_since or door.now() - 1e6\n",
        ("tests/comfy/test_server.py", COURSE),
    ),
    Bug(
        "a job tried without end",
        "runner/schedule/remedy.py",
        "if past.costly >= attempts or past.times(*_COSTLESS) >= _MOST_COSTLESS:",
        "if past.costly >= 100 * attempts:",
        ("tests/unit",),
    ),
    Bug(
        "the index ahead of the journal",
        "runner/manifest/tables.py",
        """    reading = Reading(path, start)
    db.execute("begin")
""",
        """    reading = Reading(path, start)
    db.execute(
        "insert into applied values (?, ?, ?, ?, ?)", [run, path.name, path.stat().st_size, 1, start.check]
    )
    db.execute("begin")
""",
        ("tests/manifest/test_store.py",),
    ),
    # -- mistakes that the tests of 2026-12-01 let pass, the worst first ----------------------------------
    Bug(
        "an imported record whose outputs lie elsewhere",
        "runner/manifest/intake.py",
        "if not isinstance(path, str) or unwanted_path(path):",
        "if not isinstance(path, str):",
        ("tests/manifest/test_export.py::test_a_record_that_names_a_file_elsewhere_is_not_taken_in",),
    ),
    Bug(
        "a job interrupted whose progress nobody can see",
        "runner/comfy/server.py",
        "(1 if watch.silent or self._will_be_told(watch) else _BLIND)",
        "1",
        ("tests/comfy/test_server.py::test_a_job_of_which_no_frames_can_come_is_given_longer",),
    ),
    Bug(
        "a start given up because no server answers soon",
        "runner/submit.py",
        "one_up, waiting = False,",
        "one_up, waiting = True,",
        ("tests/comfy/test_opening.py::test_servers_that_all_answer_late_are_waited_for",),
    ),
    Bug(
        "a published index of another schema read",
        "runner/manifest/opening.py",
        "    if found != (SCHEMA,):\n",
        "    if found == (SCHEMA,):\n",
        ("tests/manifest/test_store.py::test_a_published_index_of_another_schema_is_not_read",),
    ),
    Bug(
        "files that a run used not recorded",
        "runner/record.py",
        '        self._append({"t": "input", "name": name, "path": path, "size": size})\n',
        "",
        ("tests/flow/test_main_job.py::test_an_input_picture_is_uploaded_and_used",),
    ),
    Bug(
        "a second file found by name counted wrongly",
        "runner/comfy/course.py",
        "index=max(0, number - 1)",
        "index=max(0, number - 2)",
        ("tests/comfy/test_policy.py::test_several_files_found_by_name_keep_their_order",),
    ),
    Bug(
        "an attempt of an earlier process that takes no room",
        "runner/schedule/machine.py",
        "            server.unproven.discard(prompt_id)\n            server.outstanding[prompt_id] = False\n",
        "            server.unproven.discard(prompt_id)\n",
        ("tests/unit/test_schedule.py::test_an_attempt_of_an_earlier_process_takes_room_once_it_is_seen",),
    ),
    Bug(
        "a job reported as running again and again",
        "runner/comfy/course.py",
        "            self._running_told = True\n",
        "            self._running_told = False\n",
        ("tests/comfy/test_server.py::test_each_stage_of_an_attempt_is_reported_once",),
    ),
    Bug(
        "a job that waits not recorded",
        "runner/run.py",
        "                self._recorder.job(rendered.job, None, recipe=rendered.recipe)\n",
        "                pass\n",
        ("tests/flow/test_run.py::test_a_job_that_waits_is_recorded_without_a_workflow",),
    ),
    Bug(
        "the holder of some other lock named",
        "runner/locks.py",
        'if row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode)',
        'if row[1] == "FLOCK")',
        ("tests/manifest/test_journal.py::test_a_lock_names_its_own_holder_among_others",),
    ),
    Bug(
        "a run narrowed by --except taken for whole",
        "runner/diff/model.py",
        "return bool(self.only or self.without)",
        "return bool(self.only)",
        ("tests/cli/test_gate.py::test_narrowed_runs_compare_what_they_made",),
    ),
    Bug(
        "a number of a dozen characters written out in gigabytes",
        "runner/expand/labels.py",
        'f"{number:f}" if abs(number.adjusted()) <= MAX_LABEL and len(text) <= 4 * MAX_LABEL else ""',
        'f"{number:f}"',
        ("tests/unit/test_naming.py::test_a_number_without_end_is_refused_before_it_is_written_out",),
    ),
    Bug(
        "a cut put into a parameter that takes no picture",
        "runner/expand/parameters.py",
        'elif parameter is not None and parameter.type not in ("image", "video"):',
        'elif parameter is None and parameter.type not in ("image", "video"):',
        ("tests/spec/test_jobs.py::test_a_wrong_source_pick_or_check_is_told",),
    ),
    Bug(
        "a job that the server gave another id counted as submitted",
        "runner/comfy/course.py",
        "            return await self._misnamed(accepted.prompt_id)\n",
        "            await self._misnamed(accepted.prompt_id)\n",
        ("tests/comfy/test_attempts.py::test_an_echoed_foreign_id_is_taken_back",),
    ),
    Bug(
        "a refusal during a search by name let through",
        "runner/comfy/course.py",
        "        except (Ambiguous, Refused, Unreachable) as gone:\n",
        "        except (Ambiguous, Unreachable) as gone:\n",
        ("tests/comfy/test_server.py::test_whatever_ends_the_fetching_by_name_ends_the_attempt",),
    ),
    # -- of their kind ------------------------------------------------------------------------------------
    Bug(
        "a running job interrupted by the first Ctrl-C",
        "runner/run.py",
        "self._executor.cancel(prompt_id, running=False)",
        "self._executor.cancel(prompt_id)",
        ("tests/flow/test_run.py::test_stopping_takes_back_what_is_pending_and_waits_for_what_runs",),
    ),
    Bug(
        "what runs by now taken back",
        "runner/comfy/course.py",
        "                if self._interrupts:\n",
        "                if True:\n",
        ("tests/comfy/test_attempts.py::test_taking_back_spares_a_job_that_runs",),
    ),
    Bug(
        "jobs that a server still has counted as lost",
        "runner/comfy/server.py",
        "if each.accepted and each.missing_since]",
        "if each.accepted or each.missing_since]",
        ("tests/comfy/test_server.py::test_only_jobs_that_a_server_had_are_counted_as_lost",),
    ),
    Bug(
        "an error for one job taken for an outage",
        "runner/comfy/server.py",
        "        if not (isinstance(fault, Ambiguous) and fault.status):\n",
        "        if True:\n",
        ("tests/comfy/test_server.py::test_an_entry_that_cannot_be_read_is_no_outage",),
    ),
    Bug(
        "a job that was given up left running",
        "runner/comfy/orphans.py",
        "            if prompt_id in queue:\n",
        "            if prompt_id in queue.pending:\n",
        ("tests/comfy/test_server.py::test_a_job_that_was_given_up_is_taken_back_wherever_it_turns_up",),
    ),
    Bug(
        "a cancelled job interrupted a second time",
        "runner/comfy/server.py",
        "        elif not watch.cancelled:\n",
        "        else:\n",
        ("tests/comfy/test_server.py::test_what_was_cancelled_is_not_interrupted_for_want_of_progress",),
    ),
    Bug(
        "no hint where something else answers",
        "runner/comfy/client.py",
        "raise NotComfyUI(message, status=answer.status, hint=hint)",
        "raise NotComfyUI(message, status=answer.status)",
        ("tests/comfy/test_client.py::test_only_a_comfyui_answers_like_one",),
    ),
    Bug(
        "a reason without words",
        "runner/comfy/reasons.py",
        "printable(str(error) or type(error).__name__, limit=200)",
        "printable(str(error), limit=200)",
        ("tests/comfy/test_client.py::test_an_error_without_words_is_named_by_its_kind",),
    ),
    Bug(
        "files guessed by name of a node that names them otherwise",
        "runner/comfy/course.py",
        ' or nodes.get(outputs[0], {}).get("class_type") != "SaveImage"',
        "",
        ("tests/comfy/test_policy.py::test_only_the_files_of_one_save_image_are_known_by_name",),
    ),
    Bug(
        "an input that is too large tried everywhere",
        "runner/comfy/course.py",
        "            if no.status == 413:\n",
        "            if False:\n",
        ("tests/comfy/test_policy.py::test_an_input_that_is_refused_fails_its_job_by_the_reason",),
    ),
    Bug(
        "old warnings kept when the index was built again",
        "runner/manifest/store.py",
        "        self.left_out.clear()\n",
        "",
        ("tests/manifest/test_store.py::test_what_is_damaged_is_told_once_after_healing",),
    ),
)


def copy_tree(target: Path) -> None:
    """Copy what git tracks, as it is in the working tree, to *target*."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def tested(tree: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Return pytest's exit code for *tests* in *tree* up to the first failure, and the line that tells it."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *tests]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=_WAIT_S, check=False
    )
    told = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()[-200:]]
    return done.returncode, (told or last)[0].partition(" - ")[0]


def judged(tree: Path, bug: Bug) -> tuple[str, str]:
    """Return `killed`, `SURVIVED`, `STALE` or `BROKEN` for *bug*, and why."""
    path = tree / bug.path
    before = path.read_text("utf-8")
    if before.count(bug.old) != 1:
        return "STALE", f"{bug.path} has its place {before.count(bug.old)} times"
    path.write_text(before.replace(bug.old, bug.new), "utf-8")
    try:
        code, told = tested(tree, bug.tests)
    except subprocess.TimeoutExpired:
        return "BROKEN", f"its tests did not end within {_WAIT_S:.0f} s"
    finally:
        path.write_text(before, "utf-8")
    return {0: "SURVIVED", 1: "killed"}.get(code, "BROKEN"), told


def main() -> int:
    """Try every bug that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="numbers, separated by commas")
    parser.add_argument("--list", action="store_true", help="print the bugs and their tests")
    asked = parser.parse_args()
    wanted = {int(number) for number in asked.only.split(",") if number}
    bugs = [(number, bug) for number, bug in enumerate(BUGS, 1) if not wanted or number in wanted]
    if asked.list:
        for number, bug in bugs:
            print(f"{number:2} {bug.name}: {bug.path}; {' '.join(bug.tests)}")
        return 0
    verdicts = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        code, told = tested(tree, tuple(dict.fromkeys(test for _, bug in bugs for test in bug.tests)))
        if code:
            print(f"the tests do not pass without any bug: {told}")
            return 1
        for number, bug in bugs:
            began = time.monotonic()
            verdict, why = judged(tree, bug)
            verdicts.append(verdict)
            print(f"{number:2} {verdict:8} {bug.name} ({time.monotonic() - began:.0f} s): {why}", flush=True)
    print(f"{verdicts.count('killed')} of {len(bugs)} killed")
    return 0 if verdicts.count("killed") == len(bugs) else 1


if __name__ == "__main__":
    sys.exit(main())
