"""What things are called: names, labels, keys, patterns, derived seeds, file names.

Pure: no files, clock, randomness or environment. Everything here is part of the contract with earlier
runs: a changed label or seed makes every picture new.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice, starmap
from typing import Final, Literal

from runner.text.jinja import Jinja, hole
from runner.text.letters import composed, is_letter, strange
from runner.text.shown import shown

MAX_NAME: Final = 40
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""A name in ASCII, to be matched whole; `is_name` knows the letters of every script."""
DECIMAL: Final = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
"""A number as people write it, to be matched whole."""
LORA: Final = re.compile(
    rf"(?:(?P<part>{NAME.pattern}):)?(?P<file>.+?)(?:@(?P<weight>{DECIMAL.pattern})(?::(?P<clip>{DECIMAL.pattern}))?)?"
)
"""`[PART:]FILE[@WEIGHT[:CLIP]]`, to be matched whole."""
MAX_LABEL: Final = 60
"""Bytes of a label."""
BESIDE: Final = "._+@-"
"""What a label holds beside letters and digits."""
DEFAULT_NAME: Final = "{{ scene }}/{{ episode }}_{{ scene }}_{{ cut }}_{{ variant }}_t{{ take }}"
"""`deliver.name` when the spec has none."""
NAME_HOLES: Final = frozenset({"episode", "scene", "cut", "variant", "take", "seed", "model", "template"})
"""Holes of `deliver.name` besides the axis words."""

TakeWord = Literal["take", "seed"]


def is_name(text: str) -> bool:
    """Whether *text* may name an episode, scene, cut, model, character, entry or axis value.

    That is at most 40 letters and digits of any script, `_` and `-`; a letter or digit in front.
    """
    if text.isascii():
        return NAME.fullmatch(text) is not None
    return len(text) <= MAX_NAME and is_letter(text[0]) and not strange(text, "_-")


# ---------------------------------------------------------------- keys


def cut_path(episode: str, scene: str, cut: str | None = None) -> str:
    """Return the path of a cut: `ep01/s01/c002`; without *cut* the scene is the cut."""
    return f"{episode}/{scene}/{cut}" if cut else f"{episode}/{scene}"


def point_key(path: str, axes: Iterable[tuple[str, str]]) -> str:
    """Return the key of a variant without its take: *path*, then `word=label` in ASCII order of the word."""
    return "/".join((path, *(f"{word}={text}" for word, text in sorted(axes))))


def job_key(path: str, axes: Iterable[tuple[str, str]], take: tuple[TakeWord, int], alt: int = 0) -> str:
    """Return a job's key: `point_key`, then `take=3` or `seed=1000`, then `alt=1` for a retake.

    Independent of the order of *axes*, (word, label) each.
    """
    word, number = take
    key = f"{point_key(path, axes)}/{word}={number}"
    return f"{key}/alt={alt}" if alt else key


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyParts:
    """A key, taken apart."""

    episode: str
    scene: str
    cut: str = ""
    """Empty when the scene itself is the cut."""
    axes: tuple[tuple[str, str], ...] = ()
    """(word, label) in ASCII order of the word."""
    take: tuple[TakeWord, int]
    alt: int = 0

    @property
    def path(self) -> str:
        """The path of its cut."""
        return cut_path(self.episode, self.scene, self.cut)

    @property
    def point(self) -> str:
        """The key without take and alt."""
        return point_key(self.path, self.axes)


_KEY: Final = re.compile(
    r"(?P<names>[^/=]+(?:/[^/=]+){1,2})(?P<axes>(?:/[^/=]+=[^/=]+)*?)"
    r"/(?P<word>take|seed)=(?P<number>[0-9]{1,20})(?:/alt=(?P<alt>[1-9][0-9]{0,8}))?"
)


def split_key(key: str) -> KeyParts:
    """Return the parts of a job's key; raises ValueError when *key* is none."""
    match = _KEY.fullmatch(key)
    names = match["names"].split("/") if match else []
    pairs = [part.split("=") for part in match["axes"].split("/") if part] if match else []
    if match is None or not all(map(is_name, names)) or not all(starmap(_is_axis, pairs)):
        raise ValueError(f"`{key[:200]}` is no key of a job")
    return KeyParts(
        episode=names[0],
        scene=names[1],
        cut=names[2] if len(names) > 2 else "",
        axes=tuple((word, text) for word, text in pairs),
        take=("take" if match["word"] == "take" else "seed", int(match["number"])),
        alt=int(match["alt"] or 0),
    )


def _is_axis(word: str, label: str) -> bool:
    parts = word.split(".")
    return (
        len(parts) <= 2
        and all(map(is_name, parts))
        and len(label.encode()) <= MAX_LABEL
        and not strange(label, BESIDE)
    )


# ---------------------------------------------------------------- seeds


def derived_seeds(path: str, n: int) -> tuple[int, ...]:
    """Return the seeds of takes 1 … *n* of the cut *path*: distinct, below 2^32.

    A larger *n* begins with the same ones; every variant of a cut has the same ones.
    """
    return tuple(islice(seeds_of_takes(path), n))


def seeds_of_takes(path: str) -> Iterator[int]:
    """Yield the seeds of takes 1, 2, … of the cut *path*, as `derived_seeds` has them."""
    had: set[int] = set()
    for number in count(1):
        seed = _fresh_seed(f"{path}#{number}", had)
        had.add(seed)
        yield seed


def retake_seed(key: str, alt: int, taken: Container[int] = ()) -> int:
    """Return the seed of retake *alt* (from 1) of the job *key*, other than those *taken*."""
    return _fresh_seed(f"{key}/alt={alt}", taken)


def _fresh_seed(text: str, taken: Container[int]) -> int:
    """Return the seed of *text*, or else of `text.1`, `text.2` …: the first that is not *taken*."""
    seed = _first_bytes(text)
    if seed in taken:
        seed = next(
            other for other in map(_first_bytes, map(f"{text}.{{}}".format, count(1))) if other not in taken
        )
    return seed


def _first_bytes(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


# ---------------------------------------------------------------- patterns


@dataclass(frozen=True, slots=True)
class _Part:
    """What one part of a pattern allows: any of its alternatives."""

    alternatives: tuple[str, ...]
    """Each a whole segment, or a glob of one, `word=` written out."""
    literal: tuple[str, ...]
    """The ones without glob, framed by slashes."""
    glob: re.Pattern[str] | None

    def allows(self, framed: str) -> bool:
        """Whether some segment of the key, framed by slashes, is one of the alternatives."""
        if any(text in framed for text in self.literal):
            return True
        return self.glob is not None and any(map(self.glob.match, framed[1:-1].split("/")))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A choice of keys: `s01/expression=smile,crying`, `c00*/take=1`. Hashable, compiled once."""

    text: str
    _parts: tuple[_Part, ...] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Return *text* compiled.

        Raises:
            ValueError: A part or an alternative is empty, a `[` is open, or it holds a character that
                stands in no key; the text is a sentence.

        """
        if not text.strip():
            raise ValueError("the pattern is empty")
        text = composed(text)
        return cls(text, tuple(_part(part, text) for part in text.strip().split("/")))

    def matches(self, key: str) -> bool:
        """Whether every part is some whole segment of *key* (case counts)."""
        framed = f"/{key}/"
        return all(part.allows(framed) for part in self._parts)

    def words(self) -> frozenset[str]:
        """Return the words it names before a `=`, also `take`, `seed`, `alt`; globs among them as written."""
        return frozenset(text.partition("=")[0] for text in self._alternatives() if "=" in text)

    def may_touch(self, word: str) -> bool:
        """Whether it can match the segment of axis *word* under some label; True when in doubt."""
        return any(_may_touch(text, f"{word}=") for text in self._alternatives())

    def numbers(self, word: str) -> frozenset[int] | None:
        """Return the numbers whose segment `word=NUMBER` it can match; None for more than it names."""
        segment = f"{word}="
        touching = [text for text in self._alternatives() if _may_touch(text, segment)]
        if any(_GLOB.search(text) for text in touching):
            return None
        named = (text.removeprefix(segment) for text in touching)
        return frozenset(int(text) for text in named if re.fullmatch(r"0|[1-9][0-9]{0,19}", text))

    def _alternatives(self) -> Iterator[str]:
        for part in self._parts:
            yield from part.alternatives


_GLOB: Final = re.compile(r"[*?[]")


def _may_touch(alternative: str, segment: str) -> bool:
    """Whether *alternative* can match a text that begins with *segment*, `word=`."""
    start = _GLOB.split(alternative, maxsplit=1)[0]
    return start.startswith(segment) or (start != alternative and segment.startswith(start))


_IN_PATTERNS: Final = f"{BESIDE}=*?"


def _part(text: str, whole: str) -> _Part:
    word, alternatives = "", []
    for piece in re.split(r",(?![^\[]*\])", text):
        named, equals, value = piece.strip().rpartition("=")
        word = named.strip() if equals else word
        if not value.strip() or (equals and not word):
            raise ValueError(f"`{whole[:80]}`: a part of the pattern is empty")
        alternatives.append(f"{word}={value.strip()}" if word else value.strip())
    for alternative in alternatives:
        _check_alternative(alternative, whole)
    globs = [alternative for alternative in alternatives if _GLOB.search(alternative)]
    literal = tuple(f"/{alternative}/" for alternative in alternatives if alternative not in globs)
    compiled = re.compile("|".join(map(fnmatch.translate, globs))) if globs else None
    return _Part(tuple(alternatives), literal, compiled)


def _check_alternative(alternative: str, whole: str) -> None:
    outside = re.sub(r"\[[^\]]+\]", "", alternative)
    if "[" in outside or "]" in outside:
        raise ValueError(f"`{whole[:80]}`: a `[` without its `]`")
    odd = strange(outside, _IN_PATTERNS)
    if odd:
        raise ValueError(f"`{whole[:80]}`: `{shown(odd)}` stands in no key")


# ---------------------------------------------------------------- file names


def variant(axes: Iterable[tuple[str, str]]) -> str:
    """Return the hole `variant`: labels in key order joined by `_`.

    A label that does not start with a letter carries its word: `cfg5.5`, `aki.weight0.6`.
    """
    return "_".join(text if text[:1].isalpha() else f"{word}{text}" for word, text in sorted(axes))


_TAKE_HOLES: Final[Mapping[TakeWord, str]] = {"take": "{0:02}", "seed": "{0}"}


def take_hole(take: tuple[TakeWord, int], alt: int = 0) -> str:
    """Return the hole `take`: `03` for the third take, the seed itself for a seed, `03alt1` for a retake."""
    word, number = take
    text = _TAKE_HOLES[word].format(number)
    return f"{text}alt{alt}" if alt else text


@dataclass(frozen=True, slots=True)
class NameTemplate:
    """A `deliver.name` or `deliver.video.name`, compiled once and filled for every job."""

    text: str
    _jinja: Jinja = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str = DEFAULT_NAME) -> NameTemplate:
        """Return *text* compiled; raises ValueError with a sentence when it is no usable Jinja."""
        return cls(text, Jinja.parse(text))

    @property
    def holes(self) -> frozenset[str]:
        """Every name it takes from outside; an axis word stands with `_` for `.` and `-` (`hole`)."""
        return self._jinja.holes

    def unknown_holes(self, allowed: Iterable[str]) -> list[tuple[str, str]]:
        """Return its holes that are not in *allowed*: (name, nearest or "")."""
        return self._jinja.unknown(allowed)

    def render(self, holes: Mapping[str, str]) -> str:
        """Return the deliver name: a relative path with `/`, without extension.

        Holes without a value are given as empty texts; dots in the holes' names may be kept.

        Raises:
            ValueError: An unknown hole, or a part that cannot be a file's name everywhere.

        """
        known = {hole(word): text for word, text in holes.items()}
        for name, suggestion in self.unknown_holes(known):
            advice = (
                f"; did you mean `{suggestion}`?" if suggestion else f"; it has {', '.join(sorted(known))}"
            )
            raise ValueError(f"deliver.name has no hole `{name}`{advice}")
        return self._write(known)

    def at(
        self, known: Mapping[str, str], word: TakeWord
    ) -> Callable[[Sequence[tuple[int, int]]], list[str]]:
        """Return what writes the names of jobs where the other holes stand as in *known*.

        *known* holds all of them by the names the text has for them. A job is told by its number in the key
        and its seed: by *word* ascending takes, or a seed twice. What it gives raises as `render` does.
        """
        whole = "".join((self.text, *known.values()))
        if self._jinja.plain and "\0" not in whole and "\1" not in whole:
            return _Names(
                composed(_tidy(self._jinja.text({**known, "take": "\0", "seed": "\1"}).strip())), word
            ).names
        return lambda takes: [
            self._write({**known, "take": take_hole((word, number)), "seed": str(seed)})
            for number, seed in takes
        ]

    def _write(self, known: Mapping[str, str]) -> str:
        return _usable(composed(_tidy(self._jinja.text(known).strip())))


def file_name(template_text: str, holes: Mapping[str, str]) -> str:
    """Return `NameTemplate.parse(template_text).render(holes)`."""
    return NameTemplate.parse(template_text).render(holes)


_UNDERSCORES: Final = re.compile("_+")
_IN_FILES: Final = f"{BESIDE}="
_MOST_BYTES: Final = 200
"""Bytes of one part of a file's name; file systems take 255, and node, number and ending come behind it."""
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices; it reads ¹ ² ³ as digits."""


class _Names:
    """The names at one point: *text* with NUL for the take and U+0001 for the seed."""

    def __init__(self, text: str, word: TakeWord) -> None:
        escaped = text.replace("{", "{{").replace("}", "}}")
        self._word = word
        self._name = escaped.replace("\0", _TAKE_HOLES[word]).replace("\1", "{1}").format

    def names(self, takes: Sequence[tuple[int, int]]) -> list[str]:
        """Return the names of *takes*, written and checked at the pace of C: a point may have a million.

        Whether a name can be used depends on the digits in it by their number alone. Where all takes have
        equally many, the length of a name tells how many the seed has; a seed is its own number.
        """
        names = list(starmap(self._name, takes))
        widths = {len(take_hole((self._word, number))) for number, _ in (takes[0], takes[-1])}
        if self._word == "seed" or len(widths) == 1:
            backwards = names[::-1]
            unlike: Iterable[str] = dict(zip(map(len, backwards), backwards, strict=True)).values()
        else:
            unlike = names
        for name in unlike:
            _usable(name)
        return names


def _tidy(text: str) -> str:
    """Return *text* without the underscores that empty holes leave."""
    single = _UNDERSCORES.sub("_", text) if "__" in text else text
    return "/".join([part.strip("_") for part in single.split("/")])


def _usable(path: str) -> str:
    for part in path.split("/"):
        trouble = _trouble(part)
        if trouble:
            raise ValueError(f"deliver.name writes `{path[:120]}`: {trouble}")
    if len(path) > 200:
        raise ValueError(f"deliver.name writes `{path[:60]}…`: {len(path)} characters, at most 200")
    return path


def is_delivered(path: str) -> bool:
    """Whether *path* is one that a deliver name can write, whatever its length."""
    return all(part and is_letter(part[0]) and not strange(part, _IN_FILES) for part in path.split("/"))


def _trouble(part: str) -> str:
    """Say why *part* cannot be one part of a file's name, or return an empty text."""
    if not part:
        return "a part of it is empty"
    odd = strange(part, _IN_FILES)
    if odd:
        hint = "; a hole is written {{ seed }}" if odd in "{[<$%" else ""
        return f"in `{part[:60]}` `{shown(odd)}` is not used in file names{hint}"
    if not is_letter(part[0]):
        return f"`{part[:60]}`: it starts with no letter or digit"
    if len(part) > 100:
        return f"a part of it has {len(part)} characters, at most 100"
    if not part.isascii() and len(part.encode()) > _MOST_BYTES:
        return f"a part of it has {len(part.encode())} bytes in UTF-8, at most {_MOST_BYTES}"
    if part.endswith("."):
        return f"`{part[:60]}` ends in a point, which Windows drops"
    return f"`{part}` is a device on Windows" if _DEVICE.fullmatch(part) else ""
