"""`seeds` and `takes`: which seeds a cut is drawn with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import gcd
from typing import Final

from runner.errors import Problem, SpecError
from runner.text.tree import Mapping, Mark, Node, Scalar
from runner.values.decimals import integer, parse_count, refusal

SEED_LIMIT: Final = 2**64
"""Seeds stay below this."""
EXACT_LIMIT: Final = 2**53
"""From here on a browser shows another number than the one used."""
MAX_ITEMS: Final = 10_000
"""Items of one list of seeds."""
_RANGE: Final = re.compile(r"([^.]*)\.\.([^.]*)(?:\.\.([^.]*))?")


@dataclass(frozen=True, slots=True)
class Seeds:
    """Distinct seeds in the order written, as ranges: counting costs nothing, whatever their number."""

    ranges: tuple[range, ...]
    warnings: tuple[Problem, ...] = ()

    @property
    def count(self) -> int:
        """How many seeds there are (`len` refuses numbers above `sys.maxsize`)."""
        return sum(map(_count, self.ranges))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        """The seeds, one by one."""
        return chain.from_iterable(self.ranges)

    def __contains__(self, seed: object) -> bool:
        return any(seed in span for span in self.ranges)


def parse_seeds(node: Node) -> Seeds:
    """Return the seeds of `1000..1015`, `0..90..10` or `[7, 11, 40..45]`.

    Seeds are 0 … 2^64-1, each once; from 2^53 on there is a warning.

    Raises:
        SpecError: A bare number, an empty list, a seed twice, a reversed range, a step of 0.

    """
    if isinstance(node, Mapping):
        raise _refused(node.mark, "`seeds` takes a range or a list, as in 1000..1015 or [7, 11, 40..45]")
    if isinstance(node, Scalar):
        return _seeds([(_alone(node), node.mark)])
    if not node.items:
        raise _refused(node.mark, "`seeds` is an empty list; `takes: 1` gives one seed")
    if len(node.items) > MAX_ITEMS:
        raise _refused(node.mark, f"`seeds` lists {len(node.items)} items, at most {MAX_ITEMS}; write ranges")
    problems: list[Problem] = []
    spans: list[tuple[range, Mark]] = []
    for item in node.items:
        try:
            spans.append((_item(item), item.mark))
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
    return _seeds(spans)


def parse_takes(node: Node) -> int:
    """Return the number of takes, at least 1. Raises SpecError."""
    if not isinstance(node, Scalar):
        raise _refused(node.mark, "`takes` is a count; a list of seeds is written as `seeds:`")
    if ".." in node.text:
        raise _refused(node.mark, f"`takes` is a count; write `seeds: {node.text[:80]}`")
    try:
        return parse_count(node.text)
    except ValueError as error:
        raise _refused(node.mark, refusal("takes", node.text, str(error))) from error


def _alone(node: Scalar) -> range:
    """Return the range a scalar stands for; a bare number is refused, it may mean a count."""
    text = node.text.strip()
    if re.fullmatch(r"[0-9]{1,40}", text):
        number = int(text)
        message = (
            f"`seeds: {text}`: {number} seeds, or seed {number}? write `takes: {text}` or `seeds: [{text}]`"
        )
        raise _refused(node.mark, message)
    if "," in text:
        raise _refused(node.mark, refusal("seeds", text, f"write `seeds: [{text[:80]}]`"))
    return _item(node)


def _item(node: Node) -> range:
    """Return one item of a list: a seed or a range of them."""
    if not isinstance(node, Scalar):
        raise _refused(node.mark, "an item of `seeds` is a number or a range such as 40..45")
    text = node.text.strip()
    match = _RANGE.fullmatch(text)
    try:
        if match:
            return _range([integer(part) for part in match.groups() if part is not None])
        number = _seed(integer(text))
    except ValueError as error:
        raise _refused(node.mark, refusal("seeds", text, _advice(text) or str(error))) from error
    return range(number, number + 1)


def _range(ends: list[int]) -> range:
    first, last, step = (*ends, 1)[:3]
    if step < 1:
        raise ValueError("the step must be at least 1")
    if _seed(last) < _seed(first):
        raise ValueError(f"runs backwards; write {last}..{first}{f'..{step}' if step > 1 else ''}")
    return range(first, last + 1, step)


def _seed(number: int) -> int:
    if not 0 <= number < SEED_LIMIT:
        raise ValueError(f"seeds are 0 to {SEED_LIMIT - 1}")
    return number


def _advice(text: str) -> str:
    if text == "-1":
        return "there is no random seed; write `takes: 1` for a seed derived from the cut's name"
    if re.fullmatch(r"[0-9]+(?:[ ,;]+[0-9]+)+", text):
        return f"write `seeds: [{', '.join(re.findall('[0-9]+', text))}]`"
    between = re.fullmatch(r"([0-9]+)\s*(?:-|–|…|\.{3,})\s*([0-9]+)", text)
    return f"write {between[1]}..{between[2]}" if between else ""


def _seeds(spans: list[tuple[range, Mark]]) -> Seeds:
    twice = _twice(spans)
    if twice:
        seed, mark = twice
        raise _refused(mark, f"seed {seed} stands twice in `seeds`")
    large = [
        mark.problem(f"seed {span[-1]} is 2^53 or more: browsers and JSON tools round it")
        for span, mark in spans
        if span[-1] >= EXACT_LIMIT
    ]
    return Seeds(tuple(span for span, _ in spans), tuple(large[:1]))


def _twice(spans: list[tuple[range, Mark]]) -> tuple[int, Mark] | None:
    """Return a seed that two ranges share, with the place of the later one, or None."""
    order = sorted(range(len(spans)), key=lambda at: spans[at][0][0])
    active: list[int] = []
    for at in order:
        span = spans[at][0]
        active = [other for other in active if spans[other][0][-1] >= span[0]]
        for other in active:
            seed = _shared(spans[other][0], span)
            if seed is not None:
                return seed, spans[max(at, other)][1]
        active.append(at)
        if len(active) > 1000:
            raise _refused(spans[at][1], "too many ranges of `seeds` run into each other")
    return None


def _shared(left: range, right: range) -> int | None:
    """Return the smallest number in both ranges, or None (Chinese remainder theorem)."""
    common = gcd(left.step, right.step)
    if (right.start - left.start) % common:
        return None
    pace = right.step // common
    turns = (
        (right.start - left.start) // common * pow(left.step // common, -1, pace) % pace if pace > 1 else 0
    )
    first = left.start + turns * left.step
    whole = left.step * pace
    start = max(left.start, right.start)
    seed = first + max(0, -(-(start - first) // whole)) * whole
    return seed if seed in left and seed in right else None


def _count(span: range) -> int:
    return (span.stop - 1 - span.start) // span.step + 1


def _refused(mark: Mark, message: str) -> SpecError:
    return SpecError([mark.problem(message)])
