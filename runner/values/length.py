"""Storyboard lengths and the frames a video model makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from runner.domain import Parameter, Plain
from runner.values.decimals import exact, integer, parse_count

DEFAULT_FPS: Final = "24"
MAX_SECONDS: Final = 86_400
_STORYBOARD: Final = re.compile(r"(?P<seconds>\S+?)\s*\+\s*(?P<frames>\S+)")
_RULE: Final = re.compile(r"(?P<step>[0-9]{0,6})n(?:\s*\+\s*(?P<rest>[0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class Length:
    """A storyboard length: how long the timeline shows a cut."""

    seconds: Fraction
    fps: Fraction
    """The timeline's rate, in frames per second."""

    @property
    def frames(self) -> int:
        """Frames of the timeline, rounded up."""
        return -(-self.seconds * self.fps // 1)


@dataclass(frozen=True, slots=True)
class FrameRule:
    """The numbers of frames a model can make: step × n + rest, n from 0."""

    step: int = 1
    rest: int = 0

    @classmethod
    def parse(cls, text: str) -> FrameRule:
        """Return the rule `4n+1`, `8n`, `n`; an empty text allows every number. Raises ValueError."""
        if not text.strip():
            return cls()
        match = _RULE.fullmatch(text.strip())
        if match is None or match["step"] == "0":
            raise ValueError(f"`{text[:40]}` is no rule for frames; write it like 4n+1")
        return cls(int(match["step"] or 1), int(match["rest"] or 0))

    def up(self, frames: int) -> int:
        """Return the smallest allowed number that is not below *frames*."""
        return self.rest + max(0, -(-(frames - self.rest) // self.step)) * self.step


def parse_fps(text: str) -> Fraction:
    """Return frames per second, exactly: `24`, `23.976`, `24000/1001`. Raises ValueError."""
    over, slash, under = text.partition("/")
    rate = exact(over) / parse_count(under) if slash else exact(over)
    if not 0 < rate <= 1000:
        raise ValueError(f"`{text[:40]}` frames per second is out of range (above 0, at most 1000)")
    return rate


def parse_storyboard_length(text: str, fps: str | None = None) -> Length:
    """Return the length `3+12` (seconds+frames), `3.5s` or `84f`, at *fps* of the timeline (24).

    Raises:
        ValueError: It has none of these forms, is empty or longer than a day.

    """
    rate = parse_fps(fps or DEFAULT_FPS)
    seconds = _seconds(text.strip(), rate)
    if seconds <= 0:
        raise ValueError("the length must be above 0")
    if seconds > MAX_SECONDS:
        raise ValueError("is longer than a day")
    return Length(seconds, rate)


def counts_own_frames(parameter: Parameter, text: str) -> bool:
    """Return whether *text* is a number of frames that another rate than the timeline's (24) would change."""
    return text.strip()[-1:].lower() == "f" and parameter.fps not in (0, int(DEFAULT_FPS))


def model_length(parameter: Parameter, text: str, *, fps: str | None = None, own: bool = False) -> Plain:
    """Return {"frames", "fps", "seconds"} that the model makes for the storyboard length *text*.

    `fps` is the parameter's own, else the timeline's; `frames` rounded up to the parameter's rule;
    `seconds` = frames / fps, what is really made. Whole numbers are int, others float. With *own* the text
    belongs to the model (its preset, its template's default): `81f` there are 81 frames of the model.

    Raises:
        ValueError: No length, or outside `min` … `max` (frames) after rounding.

    """
    length = parse_storyboard_length(
        text, str(parameter.fps) if own and counts_own_frames(parameter, text) else fps
    )
    rate = Fraction(parameter.fps) if parameter.fps else length.fps
    frames = FrameRule.parse(parameter.frames).up(-(-length.seconds * rate // 1))
    for limit, beyond, verb in ((parameter.max, 1, "makes"), (parameter.min, -1, "makes at least")):
        if limit is not None and (frames - int(limit)) * beyond > 0:
            needs = f"needs {frames} frame{'s' * (frames != 1)} at {_number(rate)} fps"
            raise ValueError(f"{needs}; the model {verb} {int(limit)} ({_number(int(limit) / rate)} s)")
    return {"frames": frames, "fps": _number(rate), "seconds": _number(Fraction(frames) / rate, places=6)}


def _number(value: Fraction, *, places: int = 2) -> int | float:
    return value.numerator if value.denominator == 1 else round(float(value), places)


def _seconds(text: str, rate: Fraction) -> Fraction:
    both = _STORYBOARD.fullmatch(text)
    if both:
        return integer(both["seconds"]) + integer(both["frames"]) / rate
    unit = text[-1:].lower()
    if unit == "s":
        return exact(text[:-1])
    if unit == "f":
        return integer(text[:-1]) / rate
    if re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f"seconds or frames? write {text}s or {text}f")
    raise ValueError("write seconds+frames as in 3+12, or 3.5s, or 84f")
