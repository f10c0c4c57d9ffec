# ruff: noqa: E501 - a table reads better in long rows
"""Texts that would command a terminal, a CI, a spreadsheet or a browser, as a server or a spec may hold them."""

from __future__ import annotations

import re
import unicodedata

_CONTROLS = [f"a{chr(code)}b" for code in (*range(32), *range(127, 160))]
_UNSEEN = [
    f"a{chr(code)}b"
    for code in (
        0xAD, 0x61C, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B, 0x202C,
        0x202D, 0x202E, 0x2060, 0x2061, 0x2066, 0x2067, 0x2068, 0x2069, 0x206A, 0xFEFF, 0xFFF9, 0xFFFE, 0xFFFF,
        0xD800, 0xDFFF, 0xE000, 0xE0001, 0xE0041, 0xE007F, 0x10FFFF,
    )
]  # fmt: skip
_FILLERS = [
    f"a{chr(code)}b"
    for code in (
        0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0, 0xFE00, 0xFE0E,
        0xE0100, 0xE01EF,
    )
]  # fmt: skip
_TERMINAL = [
    "\x1b[31mred", "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\", "\x9b31m",
    "\x1b[6n", "\x1bP$q\"p\x1b\\", "\x1b]52;c;ZXZpbA==\x07", "\r\x1b[Kdone", "\x08\x08\x08ok", "name\x1b[A\x1b[2K",
]  # fmt: skip
_CI = [
    "::error::x", "::set-output name=a::b", "  ::add-mask::x", "\t::warning file=a::b", "\n::error::x", "a\n::error::x",
    "a\r::error::x", "a\r\n::error::x", "a\u2028::error::x", "a\u2029::error::x", "a\x85::error::x", "a\x0b::error::x",
    "a\x0c::error::x", "a\x1c::error::x", "\u200b::error::x", "\ufeff::error::x", "\x1b::error::x", "::stop-commands::x",
    "##[error]x", "a##[command]x", "##vso[task.setvariable variable=a]b", "a ##vso[task.complete result=Failed;]",
    "##teamcity[testFailed name='x']", "\n##[section]x", "a\u2028##[error]x", "section_start:1:x\r\x1b[0K",
]  # fmt: skip
_MARKUP = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</testcase><testcase name='x'>", "]]>", "<!-- x",
    "&#0;", "&lt;b&gt;", "\"><b>", "' onload='x", "[x](javascript:alert(1))", "![x](http://evil/x.png)", "a | b | c",
    "`code`", "```\nfence", "# head", "- item", "@everyone", "[bold red]x[/bold red]", "[link=http://evil]x[/link]",
    "[/]", "[@click=app.quit]x[/]", ":warning:", "a\n\n| x | y |\n| - | - |", "<details><summary>x", "\\| a",
]  # fmt: skip
_SHEET = [
    "=1+1", "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "=HYPERLINK(\"http://evil\")", "a,\"b\"",
    "a\n=1+1", "'=1",
]  # fmt: skip
_PLAIN = [
    "桜の木の下で",
    "naïve café",
    "🌸 👩‍🎨",
    "❤️",
    "a\\x1bb",
    "100 % #1 [1/2] (x) ::",
    "C:\\x",
    "a::b",
    "## not [one",
]

TEXTS = (*_CONTROLS, *_UNSEEN, *_FILLERS, *_TERMINAL, *_CI, *_MARKUP, *_SHEET, *_PLAIN)

_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0e\U000e0100-\U000e01ef]"
)
"""What Python calls printable, and nobody sees."""
_COMMAND = re.compile(r"\A\s*::|##\w*\[")


def trouble(line: str) -> str:
    """Return what is wrong with printing *line*, empty when nothing is."""
    unseen = any(unicodedata.category(ch) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for ch in line)
    if unseen or _BLANK.search(line):
        return "holds a character that cannot be seen"
    return "commands a CI" if _COMMAND.search(line) else ""
