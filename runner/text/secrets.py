"""Taking known secrets out of text, in every form in which they travel."""

from __future__ import annotations

import base64
import re
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

SHORTEST: Final = 6
"""Characters; shorter secrets are found everywhere, and hiding them would leave nothing readable."""
HIDDEN: Final = "***"
_NAMED: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


class Secrets:
    """Hides *values* wherever they stand: as they are, in base64, and with any of their characters written as
    URLs, JSON or HTML may write it.

    Base64 is found at any place of a longer encoded text too.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        long = {value for value in values if len(value) >= SHORTEST}
        forms = {form for value in long for form in _forms(value)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        written = [_written(value) for value in sorted(long, key=lambda value: (-len(value), value))]
        pattern = "|".join([*written, *map(re.escape, longest_first)])
        self._text = re.compile(pattern) if long else None
        self._bytes = re.compile(pattern.encode()) if long else None

    def __bool__(self) -> bool:
        """Tell whether there is anything to hide."""
        return self._text is not None

    def hide(self, text: str) -> str:
        """Return *text* with `***` for every secret."""
        return text if self._text is None else self._text.sub(HIDDEN, text)

    def hide_in(self, data: Any, *, names: bool = False, words: Container[str] = ()) -> Any:
        """Return plain *data* with `***` for every secret in its texts, with *names* in those of members too.

        Numbers stay, and so does a text that is wholly one of *words*. Where there is nothing to hide, *data*
        itself comes back.
        """
        pattern = self._text
        if pattern is None:
            return data

        def hidden(value: Any) -> Any:
            if isinstance(value, str):
                return value if value in words else pattern.sub(HIDDEN, value)
            if isinstance(value, dict):
                return {hidden(name) if names else name: hidden(each) for name, each in value.items()}
            return [hidden(each) for each in value] if isinstance(value, list | tuple) else value

        return hidden(data)

    def found_in(self, data: bytes) -> bool:
        """Tell whether *data* holds a secret."""
        return self._bytes is not None and self._bytes.search(data) is not None


def _written(value: str) -> str:
    """Return the pattern of *value* with each character in any form that a writer of texts may give it."""
    return "".join(f"(?:{'|'.join(_ways(ch))})" for ch in value)


def _ways(ch: str) -> Iterator[str]:
    """Yield patterns of one character: itself, `%2B`, `\\u002b`, `\\/`, `&#43;`, `&amp;`, escaped again."""
    yield re.escape(ch)
    yield "".join(rf"%(?:25){{0,3}}{_digits(byte, 2)}" for byte in ch.encode("utf-8", "surrogatepass"))
    units = ch.encode("utf-16-be", "surrogatepass")
    yield "".join(
        rf"\\{{1,8}}u{_digits(units[at] * 256 + units[at + 1], 4)}" for at in range(0, len(units), 2)
    )
    yield rf"&(?:amp;){{0,3}}#(?:0{{0,5}}{ord(ch)}|[xX]0{{0,5}}{_digits(ord(ch), 1)});"
    if ch in _NAMED:
        yield rf"&(?:amp;){{0,3}}(?:{_NAMED[ch]});"
    if ch in '"\\/':
        yield rf"\\{{1,8}}{re.escape(ch)}"
    if ch == " ":
        yield r"\+"


def _digits(number: int, least: int) -> str:
    """Return the pattern of *number* in hex digits of either case."""
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{number:0{least}x}")


def _forms(value: str) -> set[str]:
    """Return *value* in base64, whole or as a part of something longer."""
    whole = base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()
    forms = {whole, whole.replace("+", "-").replace("/", "_"), quote(whole, safe="")}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value.encode("utf-8", "surrogatepass")).decode()
        # The first and last characters hold bits of what stands beside the secret.
        core = encoded[-(-8 * before // 6) : 8 * (before + len(value.encode("utf-8", "surrogatepass"))) // 6]
        forms |= {core, core.replace("+", "-").replace("/", "_")}
    return forms
