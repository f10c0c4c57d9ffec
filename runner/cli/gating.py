"""The gate round a run: which baseline, what trips, and the reports that CI reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner import beneath, door
from runner.cli.console import clean, emit, hide, say
from runner.errors import StorageError, UsageError

if TYPE_CHECKING:
    from runner.cli.conducting import Launch
    from runner.cli.progress import RunView
    from runner.compare import Asked, Comparison
    from runner.diff.gate import Finding, Policy, Verdict
    from runner.manifest.compare_rows import Candidate
    from runner.manifest.store import Report
    from runner.run import Control
    from runner.settings import Settings
    from runner.summary import Summary

F = TypeVar("F", bound=Callable[..., Any])
LATEST, ACCEPTED = "latest-success", "accepted"
_FLAGS = "animerun.gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What was asked of the gate."""

    baseline: str = ""
    fail_on: str = ""
    junit: Path | None = None
    summary: Path | None = None
    require_baseline: bool = False


def gate_options(f: F) -> F:
    """Flags of the gate; `gated` finds them, the command does not see them."""
    for option in (
        click.option(
            "--summary", type=click.Path(path_type=Path), metavar="FILE", callback=_keep, expose_value=False,
            help="Write the verdict and the differences as Markdown.",
        ),
        click.option(
            "--junit", type=click.Path(path_type=Path), metavar="FILE", callback=_keep, expose_value=False,
            help="Write a JUnit report: a suite for each scene and cut, a case for each job.",
        ),
        click.option(
            "--fail-on", metavar="LIST", callback=_keep, expose_value=False,
            help="Exit 9 when met: missing, failed, changed, near, waiting, slower:1.5 "
            "(with a baseline: missing,failed,changed).",
        ),
        click.option(
            "--require-baseline", is_flag=True, default=None, callback=_keep, expose_value=False,
            help="Exit 9 when there is no baseline to compare with.",
        ),
        click.option(
            "--baseline", metavar="RUN", callback=_keep, expose_value=False,
            help="Compare with RUN, with `latest-success` (newest whole run of this spec that went well), or "
            "with `accepted` (the default where animerun accept has named one).",
        ),
    ):  # fmt: skip
        f = option(f)
    return f


def _keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    flags: Flags = ctx.meta.setdefault(_FLAGS, Flags())
    if value is not None and parameter.name:
        ctx.meta[_FLAGS] = replace(flags, **{parameter.name: value})


def gated(
    spec: Path, settings: Settings, view: RunView, launch: Launch, *, sets: Sequence[str], as_json: bool
) -> int:
    """Run *launch* and return the exit code: the run's own, or 9 when it went well and the gate trips."""
    from runner.cli.conducting import conducted

    flags: Flags = click.get_current_context().meta.get(_FLAGS, Flags())
    if flags == Flags():
        return conducted(view, launch)
    gate = _Gate(flags, spec, settings, tuple(sets))
    ended: list[Summary] = []

    async def watched(control: Control) -> tuple[Summary, Report | None]:
        summary, index = await launch(control)
        ended.append(summary)
        return summary, index

    code = conducted(view, watched)
    return gate.decide(ended[0], code, as_json=as_json) if ended else code


class _Gate:
    """Prepared before the run, so that what makes no sense is told before anything is submitted."""

    def __init__(self, flags: Flags, spec: Path, settings: Settings, sets: tuple[str, ...]) -> None:
        from runner.diff.gate import DEFAULT, Policy, read_policy

        self._flags, self._runs, self._spec, self._sets = flags, settings.runs, spec, sets
        self._baselines = _baselines(flags.baseline, spec, settings, sets)
        self._named = bool(flags.baseline or flags.require_baseline or self._baselines.known)
        written = read_policy(flags.fail_on) if flags.fail_on else None
        self._policy: Policy = written or (DEFAULT if self._named else Policy())
        if self._policy.needs_baseline and not self._named:
            raise UsageError(
                "--fail-on: without a baseline only `failed` and `waiting` can be told",
                hint="--baseline latest-success, or animerun accept RUN",
            )
        for path in (flags.junit, flags.summary):
            if path is not None:
                _make_room(path)

    def decide(self, summary: Summary, code: int, *, as_json: bool) -> int:
        """Compare, write the reports, print the verdict and return the exit code."""
        from runner.compare import Asked, Comparison

        this = Asked(name=summary.run, kind="run", run=summary.run, path=summary.folder)
        realm = _realm(this, self._runs)
        baseline = self._baselines.known.get(realm)
        if baseline is not None and baseline.run != summary.run:
            # Should this process end before the verdict, a run nobody has judged is no success.
            _note(summary, passed=False, baseline=baseline.run)
        with Comparison(baseline or this, this, runs=self._runs, pictures=None) as found:
            gone = [*found.gone(), *self._dropped(baseline, summary, found)] if baseline else []
            verdict = self._verdict(found, realm, gone, compared=baseline is not None)
            final = verdict.exit_code(code)
            self._write(found, verdict, gone, summary, compared=baseline is not None)
            name = found.diff.a.run if baseline else ""
            if os.environ.get("GITHUB_ACTIONS") == "true":
                _annotate(verdict, found)
        _note(summary, passed=verdict.passed, baseline=name, findings=verdict.findings)
        _tell(verdict, name, summary.run, final, as_json=as_json)
        if summary.run == name and gone:
            say(f"The spec makes fewer jobs than {name} holds: run it with --force, then accept that run.")
        return final

    def _dropped(self, baseline: Asked, summary: Summary, found: Comparison) -> list[dict[str, Any]]:
        """Return the baseline's jobs that the spec makes no more, where an earlier run held all it makes."""
        from runner.compare import Asked, Comparison

        asked = click.get_current_context().params
        if asked.get("only") or asked.get("without") or summary.total >= found.diff.b.recorded:
            return []
        plan = Asked(name=str(self._spec), kind="plan", path=self._spec, sets=self._sets)
        with Comparison(baseline, plan, runs=self._runs, pictures=0) as planned:
            known = {row["key"] for row in found.gone()}
            return [row for row in planned.gone() if row["key"] not in known]

    def _verdict(
        self, found: Comparison, realm: str, gone: Sequence[Mapping[str, Any]], *, compared: bool
    ) -> Verdict:
        from runner.diff.gate import Finding, Verdict, judge

        undone = found.undone() if compared else (0, ())
        keys = tuple(row["key"] for row in gone)
        missing = (undone[0] + len(keys), (*keys, *undone[1])[:5])
        verdict = judge(self._policy, found.states(), found.diff if compared else None, missing)
        if compared or not self._named:
            return verdict
        absent = self._baselines.absent(realm)
        insisted = self._flags.require_baseline or self._flags.baseline not in ("", LATEST)
        more = (Finding(condition="baseline", message=absent),) if insisted else ()
        return Verdict(findings=(*more, *verdict.findings), uncompared=absent)

    def _write(
        self,
        found: Comparison,
        verdict: Verdict,
        gone: Sequence[Mapping[str, Any]],
        ended: Summary,
        *,
        compared: bool,
    ) -> None:
        if self._flags.junit is not None:
            from runner.diff.cases import cases
            from runner.diff.junit import junit

            dropped = {row["key"] for row in gone}
            rows = (row for row in found.cases() if row["key"] not in dropped)
            unbegun = max(0, ended.total - found.diff.b.recorded)
            made = cases(
                rows, gone, found.diff, self._policy, unbegun=unbegun, why=ended.reason, verdict=verdict
            )
            _save(self._flags.junit, junit(f"animerun {found.diff.b.spec}", made))
        if self._flags.summary is not None:
            from runner.diff.report import summary

            told = summary(verdict, found.states(), found.diff if compared else None, run=found.diff.b)
            _save(self._flags.summary, told, append=_is_step_summary(self._flags.summary))


# -- which baseline ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Baselines:
    """The baseline of each realm; which realm a run is of is known when its servers have answered."""

    known: Mapping[str, Asked]
    why: str = ""
    """Why a realm has none."""

    def absent(self, realm: str) -> str:
        """Return why there is no baseline of *realm*."""
        if self.known:
            kinds = {"previz": "storyboard cards", "comfyui": "real pictures"}
            return f"this run makes {kinds.get(realm, realm)}, the baseline does not: {self._names()}"
        return self.why

    def _names(self) -> str:
        return ", ".join(each.name for each in self.known.values())


def _baselines(asked: str, spec: Path, settings: Settings, sets: tuple[str, ...]) -> _Baselines:
    if asked not in ("", LATEST, ACCEPTED):
        return _Baselines(_one(asked, settings.runs))
    from runner.compare import Asked
    from runner.manifest.compare_rows import candidates
    from runner.manifest.folder import head_of, is_of
    from runner.manifest.store import Manifest
    from runner.spec import name_in_project

    name, runs = name_in_project(spec), settings.runs
    with Manifest(runs) as manifest:
        known = candidates(manifest, Path(name).name)
    ordered = _good(known, sets) if asked == LATEST else _accepted(known)
    chosen: dict[str, str] = {}
    for each in ordered:
        # A journal's head is read for those that count only: a spec may have a thousand nights.
        if each.realm not in chosen and is_of(runs, head_of(runs, each.run), name, spec):
            chosen[each.realm] = each.run
    if asked == ACCEPTED and not chosen:
        raise UsageError(f"no run of {name} was accepted as a baseline", hint="animerun accept RUN")
    what = "has succeeded yet" if asked == LATEST else "was accepted as a baseline"
    with_sets = f" with --set {' '.join(sets)}" if sets and asked == LATEST else ""
    found = {realm: Asked(name=run, kind="run", run=run, path=runs / run) for realm, run in chosen.items()}
    why = f"no run of {name}{with_sets} {what} in {runs}/"
    if asked == LATEST and not found:
        say(f"note: {why}; this one has nothing to be compared with.")
    return _Baselines(found, why)


def _accepted(known: Sequence[Candidate]) -> list[Candidate]:
    """Return the runs that somebody accepted, the last accepted one first."""
    marked = [(each.accepted, each) for each in known if each.accepted is not None]
    return [each for _, each in sorted(marked, key=lambda pair: pair[0], reverse=True)]


def _good(known: Sequence[Candidate], sets: tuple[str, ...]) -> list[Candidate]:
    """Return the whole runs with the same `--set` that went well, newest first."""
    return [each for each in known if each.whole and each.succeeded and each.sets == sets]


def _one(asked: str, runs: Path) -> Mapping[str, Asked]:
    from runner.cli.diff_command import asked as meant
    from runner.cli.meant import run_names

    found = meant(asked, run_names(runs), runs)
    if found.kind == "plan":
        raise UsageError(f"--baseline {asked}: a plan has no pictures; name a run")
    return {_realm(found, runs): found}


def _realm(asked: Asked, runs: Path) -> str:
    from runner.compare import head_of

    return head_of(asked, runs=runs).realm


# -- what is written and said --------------------------------------------------------------------------------


def _make_room(path: Path) -> None:
    try:
        door.make_folder(path.parent)
        beneath.open_report(path, append=True).close()
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _save(path: Path, pieces: Any, *, append: bool = False) -> None:
    try:
        with beneath.open_report(path, append=append) as file:
            file.writelines(hide(piece).encode("utf-8", "replace") for piece in pieces)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _is_step_summary(path: Path) -> bool:
    """GitHub's own summary file may hold what other commands of the step wrote."""
    return bool(os.environ.get("GITHUB_STEP_SUMMARY")) and path == Path(os.environ["GITHUB_STEP_SUMMARY"])


def _note(summary: Summary, *, passed: bool, baseline: str, findings: Sequence[Finding] = ()) -> None:
    """Put the verdict beside the run's journal: what was refused is no success to compare with."""
    from runner.manifest.notes import add_note

    facts = {"passed": passed, "baseline": baseline, "findings": [asdict(each) for each in findings]}
    add_note(summary.folder, "gate", facts, at=door.now())


def _tell(verdict: Verdict, baseline: str, run: str, code: int, *, as_json: bool) -> None:
    if as_json:
        emit(
            {"event": "gate", "passed": verdict.passed, "exit_code": code, "run": run, "baseline": baseline,
             "compared": bool(baseline), "why": verdict.uncompared,
             "findings": [asdict(each) for each in verdict.findings]}
        )  # fmt: skip
    say(_headline(verdict, baseline, code))
    for finding in verdict.findings:
        say(f"  {finding.condition}: {finding.message}{_first(finding)}")
    if baseline and baseline != run:
        say(f"Differences:  animerun diff {baseline} {run}")
    if not verdict.passed and baseline != run:
        say(f"All as it should be? animerun accept {run}")


def _headline(verdict: Verdict, baseline: str, code: int) -> str:
    against = f" against {baseline}" if baseline else ""
    if verdict.uncompared and verdict.passed:
        ending = f"; the run itself ended with exit code {code}" if code else ""
        return f"Gate found no baseline: {verdict.uncompared}. Nothing was compared{ending}."
    if verdict.passed and code:
        return f"Gate: found nothing{against}; the run itself ended with exit code {code}."
    return f"Gate passed{against}." if verdict.passed else f"Gate tripped{against}:"


def _first(finding: Finding) -> str:
    more = finding.jobs - 1
    rest = f" and {more:,} more" if more > 0 else ""
    return f" ({finding.keys[0]}{rest})" if finding.keys else ""


def _annotate(verdict: Verdict, found: Comparison) -> None:
    """Print GitHub annotations on stderr; of every finding the place of its first job."""
    from runner.diff.annotations import error

    for finding in verdict.findings:
        place = found.places(finding.keys[:1]).get(finding.keys[0], "") if finding.keys else ""
        path, _, line = clean(place).rpartition(":")
        known = bool(path) and line.isdigit()
        message = "\n".join((clean(finding.message), *(clean(key) for key in finding.keys)))
        with suppress(BrokenPipeError):
            told = error(
                message,
                title=f"animerun: {finding.condition}",
                file=path if known else clean(found.diff.b.spec),
                line=int(line) if known else 0,
            )
            click.echo(told, err=True)
