"""Numbers as people write them: exact, in decimals, with advice when written otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Final

from runner.naming import DECIMAL

MAX_DIGITS: Final = 40
"""Longest number read, in characters."""
MAX_RANGE: Final = 100_000
"""Most values a range under `vary` may have."""

_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_COMMA: Final = re.compile(r"[-+]?(?:[0-9]+,[0-9]{1,2}|0,[0-9]+)")
"""A decimal comma; `1,000` may be a thousand."""
_GROUPED: Final = re.compile(r"[-+]?(?:[0-9]{1,3}(?:[,' ][0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9_]*)?")
_SPECIAL: Final = re.compile(r"[-+]?\.?(?:nan|inf|infinity)", re.IGNORECASE)
_DOTS: Final = re.compile(r"(?<!\.)\.\.(?!\.)")


def exact(text: str | float) -> Fraction:
    """Return the decimal *text* exactly; `5,5` is 5.5.

    Raises:
        ValueError: It is no plain decimal number, too long or too large; the text says what to write.

    """
    text = str(text).strip()
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters is too long; at most {MAX_DIGITS}")
    if _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if not DECIMAL.fullmatch(text):
        raise ValueError(_no_number(text))
    number = Decimal(text)
    if number and abs(number.adjusted()) > 300:
        raise ValueError("the number is too large or too small")
    return Fraction(number)


def refusal(word: str, text: str, reason: str) -> str:
    """Return the sentence for *text* written as the value of *word* and refused for *reason*.

    A reason that begins with `is`, `needs` or `runs` goes on from there, others stand behind a colon.
    """
    shown = text if len(text) <= 60 else f"{text[:60]}…"
    return f"`{word}: {shown}`{'' if reason.startswith(('is ', 'needs ', 'runs ')) else ':'} {reason}"


def integer(text: str) -> int:
    """Return the whole number *text*; errors as `exact`, and for `28.0` or `1e3` the plain form."""
    text = text.strip()
    if len(text) <= MAX_DIGITS and _INTEGER.fullmatch(text):
        return int(text)
    number = exact(text)
    if number.denominator != 1:
        raise ValueError("a whole number is wanted here")
    raise ValueError(f"a whole number is wanted here; write {plain(number)}")


def plain(number: Fraction) -> str:
    """Return a decimal fraction written out, without exponent and needless zeros: `0.5`, `10`."""
    if number.denominator == 1:
        return str(number.numerator)
    digits = _decimal_places(number.denominator)
    scaled = str(abs(number.numerator) * 10**digits // number.denominator).rjust(digits + 1, "0")
    sign = "-" if number < 0 else ""
    return f"{sign}{scaled[:-digits]}.{scaled[-digits:].rstrip('0')}"


def bounded(
    number: Fraction,
    *,
    minimum: float | str | None = None,
    maximum: float | str | None = None,
    step: float | str | None = None,
) -> str:
    """Return why *number* is refused by the limits, without a subject, or an empty text.

    `step` asks for a multiple of it, counted from 0; limits are read as the decimals they are written as.
    """
    low = None if minimum is None else exact(minimum)
    high = None if maximum is None else exact(maximum)
    if low is not None and number < low:
        return f"is below the minimum, {plain(low)}"
    if high is not None and number > high:
        return f"is above the maximum, {plain(high)}"
    pace = None if step is None else exact(step)
    if pace is None or pace <= 0 or number % pace == 0:
        return ""
    below = number // pace * pace
    near = [at for at in (below, below + pace) if (low is None or at >= low) and (high is None or at <= high)]
    return f"is not a multiple of {plain(pace)}{_nearest(near)}"


def parse_count(text: str, *, minimum: int = 1, maximum: int = 2**31) -> int:
    """Return a whole number within the bounds; raises ValueError with what is wrong."""
    number = integer(text)
    trouble = bounded(Fraction(number), minimum=minimum, maximum=maximum)
    if trouble:
        raise ValueError(trouble)
    return number


def parse_range_axis(text: str) -> list[str] | None:
    """Return the values of a range `4..6..0.5` as exact plain decimals, ends included, or None.

    None when *text* has not the form of a range. Without a step it is 1. The last value is the
    largest one not above the end.

    Raises:
        ValueError: It is a range, but reversed, without a step above 0, or of too many values.

    """
    ends = [part.strip() for part in _DOTS.split(text)]
    if len(ends) not in (2, 3) or not all(DECIMAL.fullmatch(part) for part in ends):
        return None
    first, last = exact(ends[0]), exact(ends[1])
    step = exact(ends[2]) if len(ends) == 3 else Fraction(1)
    if step <= 0:
        raise ValueError(f"`{text}`: the step must be above 0")
    if last < first:
        raise ValueError(f"`{text}` runs backwards; write {plain(last)}..{plain(first)}{_step(step)}")
    count = (last - first) // step + 1
    if count > MAX_RANGE:
        raise ValueError(f"`{text}` gives {count} values; at most {MAX_RANGE}")
    return [plain(first + number * step) for number in range(count)]


def _step(step: Fraction) -> str:
    return "" if step == 1 else f"..{plain(step)}"


def _nearest(near: Iterable[Fraction]) -> str:
    texts = [plain(number) for number in near]
    return f": nearest {' or '.join(texts)}" if texts else ""


def _decimal_places(denominator: int) -> int:
    """Return how many decimals 1/denominator needs, for a denominator of twos and fives."""
    places = 0
    while 10**places % denominator:
        places += 1
    return places


def _no_number(text: str) -> str:
    shown = text[:MAX_DIGITS]
    if _SPECIAL.fullmatch(text):
        return f"`{shown}` is no number a model could use"
    if _GROUPED.fullmatch(text):
        return f"write {re.sub('[^-0-9.]', '', text)}"
    if re.fullmatch(r"[-+]?0[xXoObB][0-9A-Fa-f_]+", text):
        return _other_base(text)
    return f"`{shown}` is no number" if shown else "a number is wanted here"


def _other_base(text: str) -> str:
    try:
        return f"write {int(text, 0)}"
    except ValueError:
        return f"`{text}` is no number"
