"""Patterns must match something: `except`, `--only`, `--except`, and those under `deliver`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.errors import Problem
from runner.expand.points import Points
from runner.expand.stage import Choice
from runner.faults import Faults
from runner.naming import NameTemplate, Pattern
from runner.story import COMMAND, Sheet, Spec, Video
from runner.text.nearest import did_you_mean

_VIDEO_HOLES = frozenset({"episode"})


def check_patterns(spec: Spec, cuts: Sequence[Points], choice: Choice, faults: Faults) -> None:
    """Note every `except`, `--only` and `--except` that no job of *cuts* matches (all were counted)."""
    fixed = {word for scope in spec.scopes if scope.nearness == COMMAND for word in scope.settings}
    struck = frozenset().union(*(points.sieve.struck for points in cuts))
    for scope in spec.scopes:
        under = [points for points in cuts if any(one is scope for one in points.standing.cut.scopes)]
        left = frozenset().union(*(points.sieve.struck for points in under))
        for text in scope.excepts:
            if any(pattern.text == text.text for pattern in left) or not _parses(text.text):
                continue
            if Pattern.parse(text.text).words() & fixed:
                continue  # `--set` took the axis away it speaks of
            hint = _hint(text.text, under)
            faults.at(text.mark, f"except: `{text.text}` leaves nothing out{hint}")
    for flag, patterns in (("--only", choice.only), ("--except", choice.without)):
        for pattern in patterns:
            if pattern not in struck:
                hint = _hint(pattern.text, cuts)
                faults.add([Problem(message=f"{flag} `{pattern.text}` matches no job{hint}")])
    for points in cuts:
        if points.sieve.excepts and not points.sieve.count()[0]:
            mark = points.standing.cut.mark
            faults.warn([mark.problem("`except` leaves no job of this cut")])


def check_deliver(spec: Spec, cuts: Sequence[Points], faults: Faults) -> None:
    """Note a film's name or cuts, and words of sheets, that mean nothing here."""
    if spec.deliver.video:
        _check_video(spec.deliver.video, cuts, faults)
    words = {one.axis.words[0] for points in cuts for one in points.standing.axes}
    for sheet in spec.deliver.sheets:
        _check_sheet(sheet, words, faults)


def _check_video(video: Video, cuts: Sequence[Points], faults: Faults) -> None:
    try:
        name = NameTemplate.parse(video.name.text)
        for unknown, _ in name.unknown_holes(_VIDEO_HOLES):
            faults.at(video.name.mark, f"deliver.video.name has no hole `{unknown}`; it has `episode`")
    except ValueError as error:
        faults.at(video.name.mark, f"deliver.video.name: {error}")
    for text in video.cuts:
        try:
            pattern = Pattern.parse(text.text)
        except ValueError as error:
            faults.at(text.mark, f"deliver.video.cuts: {error}")
            continue
        if not any(points.sieve.only_these(pattern).count()[1] for points in cuts):
            hint = _hint(text.text, cuts)
            faults.at(text.mark, f"deliver.video.cuts: `{text.text}` matches no job{hint}")


def _check_sheet(sheet: Sheet, words: Iterable[str], faults: Faults) -> None:
    known = [*words, "take", "seed"]
    for key, word in (("rows", sheet.rows), ("columns", sheet.columns)):
        if not word:
            faults.at(sheet.mark, f"a sheet needs `{key}`: the word of an axis")
        elif word not in known:
            faults.at(sheet.mark, f"`{key}: {word}`: no cut varies it{did_you_mean(word, known)}")


def _hint(text: str, cuts: Iterable[Points]) -> str:
    """Return which segment the part of *text* that matches none was probably meant to be."""
    segments = {segment for points in cuts for segment in points.sieve.segments()}
    for part in text.split("/"):
        if _parses(part) and not any(Pattern.parse(part).matches(segment) for segment in segments):
            return did_you_mean(part, segments)
    return ""


def _parses(text: str) -> bool:
    try:
        Pattern.parse(text)
    except ValueError:
        return False
    return True
