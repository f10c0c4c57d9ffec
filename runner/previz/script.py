"""Scripts of faults: what a server that misbehaves on purpose does, when, and how often. Pure.

A script is a list in YAML or JSON, each item one step:

    - {on: POST /prompt, nth: 3, do: eat answer}
    - {on: GET /history, job: 7, do: nan}
    - {on: GET /view, times: 2, do: truncate, bytes: 900}
    - {on: job, do: oom}
    - {at: 2, do: restart}

`on` says what it waits for: a request (`GET /view` stands for every path below it), `socket` (one being
opened), `frame`, or `job` (one that begins). `job: 7` counts only what is about the 7th submission, `nth` is
the first of those that counts (1), `times` how many do (1; 0 = all from then on). `at` counts seconds from
the start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.errors import Problem, SpecError
from runner.text.compose import compose
from runner.text.nearest import did_you_mean
from runner.text.tree import Mapping as Map
from runner.text.tree import Node, Scalar, Sequence

ROUTES = (
    "GET /system_stats", "GET /object_info", "GET /features", "GET /models", "GET /experiment",
    "GET /prompt", "POST /prompt", "GET /queue", "POST /queue", "POST /interrupt", "POST /free",
    "GET /history", "POST /history", "GET /view", "POST /upload",
)  # fmt: skip

_REQUEST: Mapping[str, tuple[str, ...]] = {
    "reset": (),
    "eat request": (),
    "eat answer": (),
    "silence": ("seconds",),
    "late": ("seconds",),
    "drip": ("seconds",),
    "truncate": ("bytes",),
    "unannounced": ("bytes",),
    "corrupt": ("bytes",),
    "status": ("status", "retry_after", "text"),
    "redirect": ("text",),
    "html": (),
    "garbage": (),
    "empty": (),
    "nan": (),
    "no outputs": (),
    "bomb": (),
    "text": ("text",),
}
_SOCKET: Mapping[str, tuple[str, ...]] = {"reset": (), "forbid": (), "silence": ("seconds",)}
_FRAME: Mapping[str, tuple[str, ...]] = {"drop": (), "double": (), "junk": (), "large": ("bytes",)}
_JOB: Mapping[str, tuple[str, ...]] = {
    "kill worker": (),
    "never finish": (),
    "hang": (),
    "oom": (),
    "fail": ("text",),
}
_SERVER: Mapping[str, tuple[str, ...]] = {
    "restart": ("seconds",),
    "refuse": ("seconds",),
    "clear queue": (),
    "clear history": (),
    "close sockets": (),
    "deafen sockets": (),
    "die": (),
}
_DEFAULTS = {"seconds": 1.0, "bytes": 100.0, "status": 500.0, "retry_after": 0.0}
_KEYS = ("on", "at", "job", "nth", "times", "do", "seconds", "bytes", "status", "retry_after", "text")
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that goes wrong."""

    on: str = ""
    """A route of ROUTES, `socket`, `frame` or `job`; empty = at a time."""
    at_s: float = 0.0
    job: int = 0
    """Only what is about this submission, from 1; 0 = any."""
    nth: int = 1
    times: int = 1
    """0 = every time from the *nth* on."""
    do: str
    seconds: float = 1.0
    bytes: int = 100
    status: int = 500
    retry_after: float = 0.0
    text: str = ""

    @property
    def of_server(self) -> bool:
        """Whether it happens to the whole server, after whatever it waited for."""
        return self.do in _SERVER


@dataclass(slots=True)
class Script:
    """The steps and how often each has come up; the first that is due wins."""

    steps: tuple[Step, ...] = ()
    _seen: dict[int, int] = field(default_factory=dict)

    def due(self, on: str, *, job: int = 0) -> Step | None:
        """Count one occurrence of *on*, about the *job*-th submission if any; return what goes wrong."""
        found: Step | None = None
        for index, step in enumerate(self.steps):
            if step.on != on or (step.job and step.job != job):
                continue
            count = self._seen[index] = self._seen.get(index, 0) + 1
            late = step.times and count >= step.nth + step.times
            if found is None and count >= step.nth and not late:
                found = step
        return found

    @property
    def timed(self) -> tuple[Step, ...]:
        """The steps that wait for a time, earliest first."""
        return tuple(sorted((step for step in self.steps if not step.on), key=lambda step: step.at_s))


def read_script(content: bytes, *, path: str) -> Script:
    """Return the script in *content*, YAML or JSON; raises SpecError with every mistake in it."""
    root = compose(content, path=path)
    if not isinstance(root, Sequence):
        raise SpecError([root.mark.problem("a script is a list of steps, like `- {at: 2, do: restart}`")])
    problems: list[Problem] = []
    steps = [step for item in root if (step := _step(item, problems)) is not None]
    if problems:
        raise SpecError(problems)
    return Script(tuple(steps))


def _step(item: Node, problems: list[Problem]) -> Step | None:
    """Return one step; None, with what is wrong put into *problems*, when it cannot be used."""
    before = len(problems)
    if not isinstance(item, Map):
        problems.append(item.mark.problem("a step is a map, like `{on: GET /view, do: reset}`"))
        return None
    for entry in item:
        if entry.key.text not in _KEYS:
            near = did_you_mean(entry.key.text, _KEYS) or f"; there are: {', '.join(_KEYS)}"
            problems.append(entry.key.mark.problem(f"unknown key `{entry.key.text}`{near}"))
        elif not isinstance(entry.value, Scalar):
            problems.append(entry.value.mark.problem(f"`{entry.key.text}` must be a number or a text"))
    if len(problems) > before:
        return None
    texts = {entry.key.text: entry.value for entry in item if isinstance(entry.value, Scalar)}
    if ("on" in texts) == ("at" in texts):
        problems.append(
            item.mark.problem("a step needs `on` (what it waits for) or `at` (seconds), not both")
        )
        return None
    on = _word(texts.get("on"), (*ROUTES, "socket", "frame", "job"), "on", problems)
    numbers = {
        name: _number(name, texts[name], problems) for name in _KEYS if name in texts and name in _COUNTED
    }
    allowed = _allowed(on, has_time="at" in texts)
    do = _word(texts.get("do"), allowed, "do", problems) if len(problems) == before else ""
    if "do" not in texts:
        problems.append(item.mark.problem(f"what goes wrong is missing: `do`, one of: {', '.join(allowed)}"))
    if len(problems) > before:
        return None
    for name in sorted(texts.keys() & (_DEFAULTS.keys() | {"text"}) - set(allowed[do])):
        problems.append(texts[name].mark.problem(f"`{do}` takes no `{name}`"))
    valued = {**_DEFAULTS, **{name: value for name, value in numbers.items() if name in _DEFAULTS}}
    return Step(
        on=on,
        at_s=numbers.get("at", 0.0),
        job=int(numbers.get("job", 0)),
        nth=int(numbers.get("nth", 1)),
        times=int(numbers.get("times", 1)),
        do=do,
        seconds=valued["seconds"],
        bytes=int(valued["bytes"]),
        status=int(valued["status"]),
        retry_after=valued["retry_after"],
        text=texts["text"].text if "text" in texts else "",
    )


_COUNTED = ("at", "job", "nth", "times", *_DEFAULTS)


def _allowed(on: str, *, has_time: bool) -> Mapping[str, tuple[str, ...]]:
    """Return what can happen to *on*, each with the values it takes."""
    if has_time:
        return _SERVER
    special = {"socket": _SOCKET, "frame": _FRAME, "job": _JOB}
    return {**special.get(on, _REQUEST), **_SERVER}


def _word(found: Scalar | None, known: Iterable[str], key: str, problems: list[Problem]) -> str:
    if found is None:
        return ""
    if found.text not in known:
        near = did_you_mean(found.text, known) or f"; there are: {', '.join(known)}"
        problems.append(found.mark.problem(f"`{key}: {found.text}` is not known{near}"))
    return found.text


def _number(name: str, found: Scalar, problems: list[Problem]) -> float:
    if not _NUMBER.fullmatch(found.text):
        problems.append(found.mark.problem(f"`{name}` must be a number, not `{found.text}`"))
        return 0.0
    return float(found.text)
