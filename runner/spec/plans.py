"""`from`, `pick`, `checks` and `deliver`: read and validated here, acted upon by later stages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from runner.faults import Faults
from runner.story import Check, Cut, CutPlans, Deliver, Scope, Setting, Sheet, Upstream, Video
from runner.text.nearest import did_you_mean
from runner.text.tree import Entry, Mapping, Mark, Node, Scalar
from runner.text.tree import Sequence as List

LEVELS = ("off", "info", "warn", "fail")
_PICK = re.compile(r"person|first|all|best:[A-Za-z0-9][A-Za-z0-9_.-]*")
_LIMIT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)%?")


def read_plans(cuts: Sequence[Cut], faults: Faults) -> dict[str, CutPlans]:
    """Return what each of *cuts* is made from, how it is picked and checked, by the path of the cut."""
    return {cut.path: _plans(cut, cuts[:index], faults) for index, cut in enumerate(cuts)}


def read_deliver(node: Node | None, faults: Faults) -> Deliver:
    """Return the names, film and sheets that *node* asks for."""
    if not isinstance(node, Mapping):
        return Deliver()
    return Deliver(
        name=_scalar(node.get("name")),
        video=_video(node.entry("video"), faults),
        sheets=tuple(_sheets(node.get("sheets"))),
    )


def notes_for_later(root: Mapping, scopes: Sequence[Scope]) -> tuple[str, ...]:
    """Return one sentence, with its place, for each thing that is validated but not acted upon yet."""
    marks: list[tuple[str, Mark]] = []
    for word, sentence in (
        ("checks", "checks are validated but not run yet"),
        ("pick", "picks by rule are validated but not made yet"),
    ):
        settings = [scope.settings[word] for scope in scopes if word in scope.settings]
        marks += [(sentence, settings[0].mark)] if settings else []
    deliver = root.get("deliver")
    for key, sentence in (
        ("video", "the film of deliver.video is validated but not made yet"),
        ("sheets", "the sheets of deliver.sheets are validated but not made yet"),
    ):
        entry = deliver.entry(key) if isinstance(deliver, Mapping) else None
        marks += [(sentence, entry.key.mark)] if entry else []
    return tuple(f"{sentence} ({mark.source.path}:{mark.line})" for sentence, mark in marks)


def _plans(cut: Cut, earlier: Sequence[Cut], faults: Faults) -> CutPlans:
    checks, retake = _checks(cut, faults)
    return CutPlans(
        upstream=dict(_upstreams(cut, earlier, faults)),
        pick=_pick(cut, faults),
        checks=checks,
        retake=retake,
    )


def _upstreams(cut: Cut, earlier: Sequence[Cut], faults: Faults) -> Iterator[tuple[str, Upstream]]:
    nearest: dict[str, Setting] = {}
    for scope in cut.scopes:
        nearest |= scope.settings
    for word, setting in nearest.items():
        target = _target(word, setting.value)
        if target is not None:
            found = _upstream(target, cut, earlier, faults)
            if found:
                yield ("" if word == "from" else word), found


def _target(word: str, value: Node) -> Scalar | None:
    """Return what stands behind `from` when *value* is filled from a cut."""
    target = _scalar(value) if word == "from" else None
    if isinstance(value, Mapping):
        target = _scalar(value.get("from"))
    return None if target is None or target.is_null else target


def _upstream(target: Scalar, cut: Cut, earlier: Sequence[Cut], faults: Faults) -> Upstream | None:
    """Return the cut that *target* names: one of the same scene first, then SCENE/CUT or a scene."""
    parts = target.name.split("/")
    places = {f"{other.scene}/{other.name}" if other.name else other.scene: other for other in earlier}
    for name, rest in (
        (f"{cut.scene}/{parts[0]}", parts[1:]),
        ("/".join(parts[:2]), parts[2:]),
        (parts[0], parts[1:]),
    ):
        if name in places:
            return Upstream(cut=places[name].path, pattern="/".join(rest), mark=target.mark)
    own = [name.removeprefix(f"{cut.scene}/") for name in places]
    wanted = "/".join(parts[:2]) if len(parts) > 1 and "=" not in parts[1] else parts[0]
    hint = did_you_mean(wanted, [*own, *places])
    faults.at(target.mark, f"no cut before this one is called `{wanted}`{hint}")
    return None


def _pick(cut: Cut, faults: Faults) -> str:
    setting = _nearest(cut, "pick")
    value = _scalar(setting.value) if setting else None
    if setting is None or (value is not None and value.is_null):
        return "person"
    if value is None or not _PICK.fullmatch(value.text):
        faults.at(setting.value.mark, "`pick` is person, first, best:METRIC or all")
        return "person"
    return value.text


def _checks(cut: Cut, faults: Faults) -> tuple[tuple[Check, ...], int]:
    """Return the checks of all scopes added up, the nearest winning for each, and the number of retakes."""
    found: dict[str, Entry] = {}
    for scope in cut.scopes:
        setting = scope.settings.get("checks")
        if setting and isinstance(setting.value, Mapping):
            found |= {entry.key.text: entry for entry in setting.value}
        elif setting and not (isinstance(setting.value, Scalar) and setting.value.is_null):
            faults.at(setting.value.mark, "`checks` is a map: {NAME: off|info|warn|fail, …}")
    retake = found.pop("retake", None)
    checks = tuple(check for entry in found.values() if (check := _check(entry, faults)))
    return checks, _retakes(retake, faults) if retake else 0


def _check(entry: Entry, faults: Faults) -> Check | None:
    value = entry.value
    if not isinstance(value, Scalar):
        faults.at(value.mark, f"`{entry.key.text}` is off, info, warn or fail, and perhaps a limit")
        return None
    level, _, limit = ("off" if value.is_null else value.text).partition(" ")
    if level not in LEVELS:
        hint = did_you_mean(level, LEVELS)
        faults.at(value.mark, f"a check is off, info, warn or fail, not `{level}`{hint}")
        return None
    if limit and not _LIMIT.fullmatch(limit.strip()):
        faults.at(value.mark, f"the limit `{limit.strip()}` is no number")
        return None
    return Check(name=entry.key.text, level=level, limit=limit.strip())


def _retakes(entry: Entry, faults: Faults) -> int:
    value = _scalar(entry.value)
    if value is None or not re.fullmatch(r"[0-9]{1,3}", value.text):
        faults.at(entry.value.mark, "`retake` is how often a rejected take is made again: 0 … 999")
        return 0
    return int(value.text)


def _video(entry: Entry | None, faults: Faults) -> Video | None:
    if entry is None or not isinstance(entry.value, Mapping):
        return None
    root = entry.value
    name = _scalar(root.get("name"))
    if name is None or name.is_null:
        faults.at(entry.key.mark, "`deliver.video` needs a `name`")
        return None
    crf = _scalar(root.get("crf"))
    if (
        crf is not None
        and not crf.is_null
        and not (crf.text.isascii() and crf.text.isdigit() and int(crf.text) <= 63)
    ):
        faults.at(crf.mark, f"`crf: {crf.text}` is no whole number from 0 (best) to 63")
        crf = None
    return Video(
        name=name,
        cuts=_scalars(root.get("cuts")),
        codec=_text(root.get("codec")),
        crf=int(crf.text) if crf is not None and not crf.is_null else None,
        sound=_text(root.get("sound")),
        mark=entry.key.mark,
    )


def _sheets(node: Node | None) -> Iterator[Sheet]:
    for item in node if isinstance(node, List) else ():
        if isinstance(item, Mapping):
            yield Sheet(rows=_text(item.get("rows")), columns=_text(item.get("columns")), mark=item.mark)


def _nearest(cut: Cut, word: str) -> Setting | None:
    return next((scope.settings[word] for scope in reversed(cut.scopes) if word in scope.settings), None)


def _scalar(node: Node | None) -> Scalar | None:
    return node if isinstance(node, Scalar) else None


def _scalars(node: Node | None) -> tuple[Scalar, ...]:
    return tuple(item for item in node if isinstance(item, Scalar)) if isinstance(node, List) else ()


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) and not node.is_null else ""
