"""How a run shows itself: a live display on a terminal, plain lines without one, JSON lines for machines.

Three views of one stream of events. None decides anything, none may raise for what an event holds.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from runner import door
from runner.cli.asking import LOCAL, comfyui_at_hand
from runner.cli.console import block, clean, counted, duration, emit, say, warn
from runner.domain import Fault, ServerFacts
from runner.events import (
    AttemptAdopted,
    AttemptCancelled,
    AttemptFailed,
    AttemptIntended,
    AttemptProgress,
    AttemptRunning,
    AttemptSucceeded,
    Event,
    JobReused,
    ServerDown,
    ServerNotice,
    ServerResting,
)
from runner.manifest.store import Report
from runner.plan import Plan
from runner.preflight import differences
from runner.rendered import Work
from runner.settings import PREVIZ, Settings
from runner.summary import Before, Summary

_FAILURES_SHOWN = 10


@dataclass(slots=True)
class Tally:
    """What is known so far, for every view alike."""

    total: int = 0
    waiting: int = 0
    succeeded: int = 0
    reused: int = 0
    failed: int = 0
    before: Before = field(default_factory=Before)
    """What earlier processes of the run did; part of the counts."""
    began: float = field(default_factory=door.monotonic)
    doing: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """prompt_id → (server, key, what it does now)."""
    keys: dict[str, str] = field(default_factory=dict)

    def see(self, event: Event) -> None:
        """Take note of *event*."""
        match event:
            case AttemptIntended() | AttemptAdopted():
                self.keys[event.attempt.prompt_id] = event.attempt.key
            case AttemptRunning(prompt_id=prompt_id, server=server):
                self.doing[prompt_id] = (server, self.keys.get(prompt_id, ""), "")
            case AttemptProgress(prompt_id=prompt_id, server=server):
                step = f"{event.value}/{event.maximum}" if event.maximum else ""
                what = " ".join(part for part in (event.node_class or event.node, step) if part)
                self.doing[prompt_id] = (server, self.keys.get(prompt_id, ""), what)
            case JobReused():
                self.reused += 1
            case AttemptSucceeded(prompt_id=prompt_id):
                self.succeeded += 1
                self._over(prompt_id)
            case AttemptFailed(prompt_id=prompt_id, again=again):
                self.failed += not again
                self._over(prompt_id)
            case AttemptCancelled(prompt_id=prompt_id):
                self._over(prompt_id)
            case _:
                pass

    def key(self, prompt_id: str) -> str:
        """Return the key of the attempt's job, empty for a stranger."""
        return self.keys.get(prompt_id, "")

    def eta_s(self) -> float | None:
        """Return the seconds left at the pace so far, None before there is one."""
        left = self.total - self.waiting - self.reused - self.succeeded
        past, here = door.monotonic() - self.began, self.succeeded - self.before.succeeded
        return past / here * left if here and past > 1 else None

    def goes_on(self, before: Before) -> None:
        """Begin with what earlier processes of the run did."""
        self.before = before
        self.succeeded, self.reused, self.failed = before.succeeded, before.reused, before.failed

    def _over(self, prompt_id: str) -> None:
        self.doing.pop(prompt_id, None)


class RunView:
    """The plain view: one line for each finished job. The other two are built on it."""

    def __init__(self, settings: Settings, *, quiet: bool = False) -> None:
        self.settings = settings
        self.quiet = quiet
        self.tally = Tally()
        self.folder = Path()
        self.run = ""
        self.replaying = False
        self._warned = set[str]()

    def __enter__(self) -> RunView:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def line(self, text: str) -> None:
        """Show one line of news."""
        say(text)

    # -- what happens, in this order -------------------------------------------------------------------

    def planned(self, plan: Plan) -> None:
        """Say what is about to be made, and what of the spec has no effect yet."""
        for warning in plan.warnings:
            self._warn(str(warning))
        for note in plan.later:
            say(f"note: {note}")
        if not self.quiet:
            say(f"{plan.spec.title or plan.spec.episode}: {counted(plan.total, 'job')} {_made_of(plan)}")
        if self.settings.previz:
            say("No server given: drawing storyboard cards (previz). " + self._real())

    def _real(self) -> str:
        found = " (a ComfyUI answers there)" if self.settings.servers == () and comfyui_at_hand() else ""
        return f"Real pictures: add --server {LOCAL}{found}"

    def opened(self, facts: Sequence[ServerFacts]) -> None:
        """Name the servers."""
        if not self.quiet and not self.settings.previz:
            for each in facts:
                what = f"ComfyUI {each.version}" if each.realm != PREVIZ else "previz (storyboard cards)"
                say(f"{each.url}: {what}, {each.device or 'unknown device'}")
        for difference in differences(facts):
            say(f"warning: {difference}; pictures of one job may differ between them")

    def settling(self, run: str) -> None:
        """Say that an earlier run is settled first, which can take some seconds."""
        self.line(f"Settling what run {run} left open on the servers …")

    def unsettled(self, run: str, why: str) -> None:
        """Say that an earlier run stays as it is, and why: its jobs may be rendered twice."""
        self.line(f"warning: run {run} cannot be settled and is left as it is: {why}")

    def edited(self, names: Sequence[str]) -> None:
        """Say that the files are newer than the run; what it was made from is kept in its folder."""
        kept = f"what it was made from is in {self.folder}/plan"
        self.line(
            f"warning: edited during the run, which kept to what it had read: {', '.join(names)}; {kept}"
        )

    def began(self, run: str, folder: Path, work: Work) -> None:
        """Name the run."""
        self.run, self.folder = run, folder
        self.tally.total, self.tally.waiting = work.total, work.waiting
        self.tally.began = door.monotonic()
        self.tally.goes_on(work.before)
        if not self.quiet:
            done = f" goes on: {work.before.jobs} of {counted(work.total, 'job')} settled"
            say(f"Run {run}{done if work.before.jobs else ''}")

    def __call__(self, event: Event) -> None:
        """Show what is worth a line."""
        key = self.tally.key(getattr(event, "prompt_id", ""))
        self.tally.see(event)
        match event:
            case AttemptSucceeded(outputs=outputs):
                self.succeeded(key, outputs[0].path if outputs else "", event.run_s)
            case AttemptFailed(fault=fault, server=server, again=again):
                said = "will be tried again" if again else "failed"
                self.line(f"{said}: {key}\n  {_why(fault)}  ({server})")
            case ServerDown(server=server, reason=reason, final=final):
                named = "" if reason.startswith(server) else f"{server} "
                what = "is left out" if final else "cannot be used"
                self.line(f"{named}{what}: {reason}" if named else reason)
            case ServerResting(server=server, reason=reason, seconds=seconds):
                self.line(f"{server} gets no jobs for {duration(seconds)}: {reason}")
            case ServerNotice(message=message):
                self.line(message)
            case _:
                pass

    def succeeded(self, key: str, path: str, seconds: float) -> None:
        """Show a finished job."""
        if not self.quiet:
            done = self.tally.succeeded + self.tally.reused
            total = self.tally.total - self.tally.waiting
            say(f"[{done:>{len(str(total))}}/{total}] {key}  {duration(seconds)}  {path}")

    def stopping(self, *, again: bool) -> None:
        """Say what a Ctrl-C does."""
        if again:
            self.line("Leaving now. What still runs on a server is left there.")
        else:
            self.line(
                "Stopping: nothing more is submitted, running jobs may end. Ctrl-C again leaves at once."
            )

    def ended(self, summary: Summary, index: Report | None) -> None:
        """The last lines: what was made, where it lies, what failed, what to type next."""
        self.closed(summary)
        for warning in index.warnings if index else ():
            self._warn(warning)

    def _warn(self, text: str) -> None:
        """Warn of something once: reading before a run and writing after it meet the same."""
        if text not in self._warned:
            self._warned.add(text)
            warn(text)

    def closed(self, summary: Summary) -> None:
        """Say what the run came to."""
        say(closing(summary, self.settings, replaying=self.replaying))


class QuietView(RunView):
    """Failures only, and the last lines of a run that did not go well."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, quiet=True)

    def planned(self, plan: Plan) -> None:
        """A plan that can be run is no failure."""

    def opened(self, facts: Sequence[ServerFacts]) -> None:
        """Nor are servers that can be used."""

    def settling(self, run: str) -> None:
        """Nor is what takes some seconds."""

    def __call__(self, event: Event) -> None:
        """Show what failed for good."""
        match event:
            case AttemptFailed(again=True) | ServerNotice():
                self.tally.see(event)
            case _:
                super().__call__(event)

    def closed(self, summary: Summary) -> None:
        """Say what the run came to, if that is no success."""
        if summary.exit_code:
            super().closed(summary)


def _made_of(plan: Plan) -> str:
    scenes = len({cut.scene for cut in plan.cuts})
    text = f"in {counted(scenes, 'scene')}, {counted(len(plan.cuts), 'cut')}"
    text += f"; {plan.reused} up to date" if plan.reused else ""
    return text + (f", {plan.waiting} of them waiting for a pick" if plan.waiting else "")


def _why(fault: Fault) -> str:
    return clean(fault.message or fault.code)


def closing(summary: Summary, settings: Settings, *, replaying: bool = False) -> str:
    """Return the last lines of a run."""
    if summary.reused + summary.waiting == summary.total and not summary.files and summary.reused:
        return _up_to_date(summary, settings)
    made = f"{counted(summary.succeeded, 'job')} made" if summary.succeeded else "nothing made"
    odd = summary.files != summary.succeeded + summary.reused
    more = [counted(summary.files, "file")] if odd else []
    more += [f"{summary.before.succeeded} of them before"] if summary.before.succeeded else []
    parts = [made + (f" ({', '.join(more)})" if more else "")]
    parts += [f"{summary.reused} reused"] if summary.reused else []
    parts += [f"{summary.failed} failed"] if summary.failed else []
    parts += [f"{counted(summary.waiting, 'job')} waiting for a pick"] if summary.waiting else []
    parts += [f"{summary.unfinished} not made"] if summary.unfinished else []
    head = f"{', '.join(parts)}, in {duration(summary.seconds)}"
    lines = ["", head + (f" – {summary.reason}" if summary.reason else ".")]
    for key, fault in summary.failures[:_FAILURES_SHOWN]:
        lines += [f"  {key}", f"    {fault.code}: {_why(fault)}"]
    if len(summary.failures) > _FAILURES_SHOWN:
        lines.append(f"  … and {len(summary.failures) - _FAILURES_SHOWN} more")
    lines += [f"Files: {summary.folder}/"]
    lines += [f"Next:  {command}" for command in _next(summary, settings, replaying=replaying)]
    return "\n".join(lines)


def _up_to_date(summary: Summary, settings: Settings) -> str:
    waiting = f", {summary.waiting} waiting for a pick" if summary.waiting else ""
    done = counted(summary.reused, "job")
    lines = ["", f"Nothing to do: {done} up to date, all in run {summary.run}{waiting}."]
    lines += [f"Files: {summary.folder}/", "Next:  --force renders them again"]
    return "\n".join(lines)


def _next(summary: Summary, settings: Settings, *, replaying: bool) -> list[str]:
    where = "" if str(settings.runs) == "runs" else f" --runs {shlex.quote(str(settings.runs))}"
    # A run that was gone on with need not be the newest.
    named = f" --run {summary.run}" if summary.before != Before() and not replaying else ""
    commands = [f"animerun show{named}{where}"]
    if summary.unfinished and not replaying:
        return [f"animerun resume{where}"]
    if summary.failures:
        commands = [f"animerun show '{summary.failures[0][0]}'{named}{where}      # what went wrong there"]
    if settings.previz and not replaying and summary.exit_code == 0:
        commands.append(f"the same command with --server {LOCAL} for real pictures")
    return commands


class JsonView(RunView):
    """One JSON object a line on stdout: run, job, failure, summary. Field names are a contract."""

    def planned(self, plan: Plan) -> None:
        """Emit the plan's counts and warnings."""
        warnings = [str(warning) for warning in plan.warnings]
        emit({"event": "planned", "spec": plan.spec.path, "jobs": plan.total, "waiting": plan.waiting,
              "warnings": warnings, "notes": [str(note) for note in plan.later]})  # fmt: skip

    def opened(self, facts: Sequence[ServerFacts]) -> None:
        """Emit each server."""
        for each in facts:
            emit({"event": "server", "url": each.url, "realm": each.realm, "version": each.version,
                  "device": each.device})  # fmt: skip
        for difference in differences(facts):
            emit({"event": "server_notice", "url": "", "message": clean(difference)})

    def settling(self, run: str) -> None:
        """Emit which run is settled."""
        emit({"event": "settling", "run": run})

    def unsettled(self, run: str, why: str) -> None:
        """Emit which run stays as it is, and why."""
        emit({"event": "unsettled", "run": run, "why": why})

    def edited(self, names: Sequence[str]) -> None:
        """Emit which files are newer than the run."""
        emit({"event": "edited", "files": list(names)})

    def began(self, run: str, folder: Path, work: Work) -> None:
        """Emit the run's name and folder."""
        super().began(run, folder, work)
        emit({"event": "run", "run": run, "folder": str(folder), "jobs": work.total,
              "before": asdict(work.before)})  # fmt: skip

    def __call__(self, event: Event) -> None:
        """Emit what became of an attempt."""
        key = self.tally.key(getattr(event, "prompt_id", ""))
        self.tally.see(event)
        match event:
            case AttemptIntended(attempt=a):
                emit({"event": "submitting", "key": a.key, "attempt": a.number, "server": a.server})
            case AttemptAdopted(attempt=a):
                emit({"event": "adopted", "key": a.key, "attempt": a.number, "server": a.server})
            case AttemptSucceeded(outputs=outputs):
                files = [{"path": o.path, "sha256": o.sha256, "pixels": o.pixels} for o in outputs]
                emit({"event": "succeeded", "key": key, "run_s": round(event.run_s, 3), "outputs": files})
            case JobReused(outputs=outputs):
                files = [{"path": o.path, "sha256": o.sha256, "pixels": o.pixels} for o in outputs]
                emit({"event": "reused", "key": event.key, "from": event.from_run, "outputs": files})
            case AttemptFailed(fault=fault):
                emit({"event": "failed", "key": key, "code": fault.code, "message": clean(fault.message),
                      "again": event.again})  # fmt: skip
            case ServerDown(server=server, reason=reason, final=final):
                emit({"event": "server_down", "url": server, "reason": clean(reason), "final": final})
            case ServerResting(server=server, reason=reason, seconds=seconds):
                emit({"event": "server_resting", "url": server, "reason": clean(reason), "seconds": seconds})
            case ServerNotice(server=server, message=message):
                emit({"event": "server_notice", "url": server, "message": clean(message)})
            case _:
                pass

    def stopping(self, *, again: bool) -> None:
        """Emit that a stop was asked for."""
        emit({"event": "stopping", "now": again})

    def ended(self, summary: Summary, index: Report | None) -> None:
        """Emit the summary."""
        numbers: dict[str, Any] = {
            name: getattr(summary, name)
            for name in (
                "run",
                "total",
                "succeeded",
                "reused",
                "failed",
                "waiting",
                "unfinished",
                "files",
                "exit_code",
            )
        }
        extra: dict[str, Any] = {
            "folder": str(summary.folder),
            "reason": summary.reason,
            "seconds": round(summary.seconds, 3),
        }
        extra["before"] = asdict(summary.before)
        emit({"event": "summary", **numbers, **extra, "damaged": list(index.damaged) if index else [],
               "index": list(index.index) if index else []})  # fmt: skip


def make_view(settings: Settings, *, as_json: bool, quiet: bool) -> RunView:
    """Return the view that fits: JSON when asked, live on a terminal, else plain lines."""
    if as_json:
        return JsonView(settings, quiet=True)
    if sys.stderr.isatty() and not quiet:
        from runner.cli.live import LiveView

        return LiveView(settings)
    return QuietView(settings) if quiet else RunView(settings)


__all__ = ["JsonView", "RunView", "Tally", "block", "closing", "make_view"]
