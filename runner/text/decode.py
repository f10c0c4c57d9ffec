"""Bytes → text: strict UTF-8, with a guess at what the bytes are when they are not."""

from __future__ import annotations

import codecs
import re

from runner.errors import Problem, SpecError
from runner.text.tree import Mark, Source

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
REFUSED = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that no YAML text holds: control characters, surrogates, U+FEFF and its like."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_KANA = re.compile("[\u3040-\u30ff]")
_SAMPLE = 4096


def decode(data: bytes, *, path: str) -> tuple[str, Source]:
    """Return the text of *data* without its BOM, and the source that its places point into.

    Lines are cut where YAML cuts them: LF, CR, CR LF, NEL, LS, PS.

    Raises:
        SpecError: *data* is not UTF-8 (with byte offset and likely encoding), or holds a character
            that YAML does not admit (control characters, a BOM in the middle).

    """
    guess = _wide(data)
    if guess:
        raise SpecError([Problem(message=f"this file is {guess}, not UTF-8; save it as UTF-8", path=path)])
    body = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = body.decode()
    except UnicodeDecodeError as fault:
        offset = fault.start + len(data) - len(body)
        raise SpecError([_not_utf8(data, offset, path)]) from fault
    source = Source(path, tuple(BREAK.split(text)))
    refused = REFUSED.search(text)
    if refused:
        message = f"the invisible character U+{ord(refused.group()):04X} is not allowed here; delete it"
        raise SpecError([mark_at(source, text, refused.start()).problem(message)])
    return text, source


def mark_at(source: Source, text: str, offset: int) -> Mark:
    """Return the place of character *offset* of *text*."""
    before = BREAK.split(text[:offset])
    return Mark(source, len(before), len(before[-1]) + 1)


def _wide(data: bytes) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    head = data[:_SAMPLE]
    return "UTF-16" if len(head) >= 4 and head.count(0) * 3 > len(head) else ""


def _not_utf8(data: bytes, offset: int, path: str) -> Problem:
    lead = data[:offset].removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    lines = BREAK.split(lead)
    rest = BREAK.split(data[offset : offset + 200].decode("utf-8", "replace"))[0]
    return Problem(
        message=f"byte {offset} (0x{data[offset]:02x}) is not UTF-8; the file looks like {_guess(data)}: "
        "save it as UTF-8",
        path=path,
        line=len(lines),
        column=len(lines[-1]) + 1,
        source=lines[-1] + rest,
    )


def _guess(data: bytes) -> str:
    for codec, name in (("shift_jis", "Shift_JIS"), ("euc_jp", "EUC-JP")):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if _KANA.search(text):
            return name
    return "Windows-1252 or Latin-1"
