"""YAML bytes → the tree of `tree.py`, from the parser's event stream, within limits.

PyYAML's own composer keeps the last of two equal keys, guesses types and expands alias bombs; its C loader
dies of deep nesting. The event stream does none of that, so the tree is built here. What a key may be called
and what a value must be is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from runner.errors import Problem, SpecError
from runner.text.decode import BREAK, REFUSED, decode
from runner.text.shown import shown
from runner.text.slips import paired
from runner.text.syntax import syntax_problem
from runner.text.tree import Entry, Mapping, Mark, Node, Scalar, Sequence, Source

Parser = Literal["c", "python"]
_PLAIN = (None, "")
"""The Python parser calls the plain style None, the C parser ''."""
_COMMENT = re.compile(r"[ \t]+(#[^\s#].*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a YAML text may cost; beyond it the text is refused before anything is built."""

    file_bytes: int = 16 * 2**20
    scalar_bytes: int = 2**20
    depth: int = 64
    """Lists and maps inside one another, aliases followed."""
    aliases: int = 1_000
    nodes: int = 1_000_000
    """Scalars, lists, maps and keys, aliases counted as often as they are used."""
    problems: int = 100
    """Composing stops after so many mistakes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A composed text and what is legal in it but likely a slip."""

    root: Node
    warnings: tuple[Problem, ...] = ()


def compose(data: bytes, *, path: str, limits: Limits = Limits()) -> Node:
    """Return the one document of *data* as a tree; see `compose_with_warnings`."""
    return compose_with_warnings(data, path=path, limits=limits).root


def compose_with_warnings(
    data: bytes, *, path: str, limits: Limits = Limits(), parser: Parser | None = None
) -> Composed:
    """Return the one document of *data* with the warnings in file order.

    A key with nothing behind it holds an empty plain scalar that stands where the key stands
    (`slips.unset_problem` words the mistake). An aliased value is one shared node.

    Args:
        data: UTF-8, with or without a BOM.
        path: The name for messages.
        limits: Largest file, scalar, depth, number of aliases and of nodes.
        parser: `c` or `python`; default: C where PyYAML has it. What both admit gives the same tree; they
            differ over a tab behind a colon, over `?` and a colon without a blank inside unquoted text
            in { }, and over a comment right behind `|`.

    Raises:
        SpecError: Every duplicate key, merge key, tag, key that is not text and unknown or cyclic alias, in
            file order; or the first breach of a limit or of YAML's syntax, after the mistakes before it.

    """
    if len(data) > limits.file_bytes:
        message = f"the file has {len(data):,} bytes; at most {limits.file_bytes:,} are read"
        raise SpecError([Problem(message=message, path=path)])
    text, source = decode(data, path=path)
    if (whole := paired(text)) != text:
        text, source = whole, Source(path, tuple(BREAK.split(whole)))
    builder = _Builder(source=source, limits=limits)
    try:
        builder.feed(_events(text, parser or _fastest()))
    except yaml.YAMLError as fault:
        builder.problems.append(
            syntax_problem(fault, source, inside=builder.inside, too_deep=builder.too_deep)
        )
    except _Stop:
        pass
    return builder.result()


def _fastest() -> Parser:
    return "c" if yaml.__with_libyaml__ else "python"


def _events(text: str, parser: Parser) -> Iterator[Any]:
    # CLoader and SafeLoader: only their parsing half is used, nothing is ever constructed.
    loader: Any = yaml.CSafeLoader if parser == "c" else yaml.SafeLoader
    return iter(yaml.parse(text, Loader=loader))


class _Stop(Exception):
    """A limit was broken; nothing behind this place is read."""


@dataclass(frozen=True, slots=True)
class _Built:
    """A finished node with its cost."""

    node: Node
    size: int = 1
    """Nodes with aliases expanded."""
    height: int = 0
    """Levels of lists and maps in it."""


@dataclass(slots=True)
class _Open:
    """A list or map that is not closed yet."""

    mark: Mark
    is_map: bool
    anchor: str = ""
    items: list[Node] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    names: dict[str, Mark] = field(default_factory=dict)
    key: Scalar | None = None
    at_key: bool = True
    size: int = 1
    height: int = 1

    def close(self) -> _Built:
        node: Node = (
            Mapping(tuple(self.entries), self.mark) if self.is_map else Sequence(tuple(self.items), self.mark)
        )
        return _Built(node, self.size, self.height)


@dataclass(slots=True)
class _Builder:
    """Turns events into a tree; never recursive, never holds more than the text does."""

    source: Source
    limits: Limits
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Built] = field(default_factory=dict)
    root: Node | None = None
    documents: int = 0
    aliases: int = 0
    nodes: int = 0

    def feed(self, events: Iterator[Any]) -> None:
        for event in events:
            if isinstance(event, ScalarEvent):
                self._scalar(event)
            elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
                self._open(event)
            elif isinstance(event, CollectionEndEvent):
                self._close()
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, DocumentStartEvent):
                self._document(event)

    def result(self) -> Composed:
        empty = isinstance(self.root, Scalar) and self.root.is_empty
        if not self.problems and (self.root is None or empty):
            self.problems.append(Problem(message="nothing is written here", path=self.source.path))
        if self.problems or self.root is None:
            distinct = dict.fromkeys(self.problems)
            raise SpecError(sorted(distinct, key=lambda found: (found.line, found.column)))
        return Composed(root=self.root, warnings=tuple(self.warnings))

    @property
    def inside(self) -> Mark | None:
        """Where the innermost list or map that is still open began."""
        return self.stack[-1].mark if self.stack else None

    def _document(self, event: DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            self._stop(self._mark(event), "a second document starts here; one file holds one")

    def _scalar(self, event: ScalarEvent) -> None:
        mark = self._mark(event)
        self._refuse_tag(event, mark)
        if len(event.value) * 4 > self.limits.scalar_bytes:
            size = len(event.value.encode())
            if size > self.limits.scalar_bytes:
                limit = self.limits.scalar_bytes
                self._stop(mark, f"this text has {size:,} bytes; at most {limit:,} are read")
        plain = event.style in _PLAIN
        if event.style == '"' and (odd := REFUSED.search(event.value)):
            self._problem(mark, f"an escape in it writes U+{ord(odd.group()):04X}, which no text may hold")
        if plain:
            self._warn_of_comment(event)
        built = _Built(Scalar(event.value, mark, plain))
        if event.anchor:
            self.anchors[event.anchor] = built
        self._add(built, mark)

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        mark = self._mark(event)
        self._refuse_tag(event, mark)
        if len(self.stack) >= self.limits.depth:
            self._stop(mark, self.too_deep)
        is_map = isinstance(event, MappingStartEvent)
        if self.stack and self.stack[-1].is_map and self.stack[-1].at_key:
            self._refuse_key(mark)
        self.stack.append(_Open(mark, is_map, event.anchor or ""))

    def _close(self) -> None:
        level = self.stack.pop()
        built = level.close()
        if level.anchor:
            self.anchors[level.anchor] = built
        # Its children are counted already.
        self._add(built, level.mark, counted=built.size - 1)

    def _alias(self, event: AliasEvent) -> None:
        name, mark = event.anchor or "", self._mark(event)
        self.aliases += 1
        if self.aliases > self.limits.aliases:
            self._stop(mark, f"more than {self.limits.aliases:,} aliases")
        built = self.anchors.get(name)
        if built is None:
            if any(level.anchor == name for level in self.stack):
                self._stop(mark, f"`*{name}` stands inside what it refers to: that has no end")
            self._problem(mark, f"no anchor `&{name}` stands above; text that begins with * needs quotes")
            built = _Built(Scalar(f"*{name}", mark))
        if len(self.stack) + built.height > self.limits.depth:
            self._stop(mark, self.too_deep)
        if self.nodes + built.size > self.limits.nodes:
            total = self.nodes + built.size
            self._stop(
                mark, f"with `*{name}` the file would hold {total:,} values; at most {self.limits.nodes:,}"
            )
        if self.stack and self.stack[-1].is_map and self.stack[-1].at_key:
            if not isinstance(built.node, Scalar):
                self._problem(mark, "a key must be a text, not a list or map")
            else:
                # A key is looked for where it is used, not where it was first written.
                built = _Built(Scalar(built.node.text, mark, built.node.plain))
        self._add(built, mark)

    def _add(self, built: _Built, mark: Mark, *, counted: int = 0) -> None:
        self.nodes += built.size - counted
        if self.nodes > self.limits.nodes:
            self._stop(mark, f"more than {self.limits.nodes:,} values")
        if not self.stack:
            self.root = built.node
            return
        level = self.stack[-1]
        level.size += built.size
        level.height = max(level.height, built.height + 1)
        if not level.is_map:
            level.items.append(built.node)
        elif level.at_key:
            level.key, level.at_key = self._key(level, built.node), False
        else:
            if level.key is not None:
                level.entries.append(Entry(level.key, _standing_at_key(built.node, level.key)))
            level.key, level.at_key = None, True

    def _key(self, level: _Open, node: Node) -> Scalar | None:
        """Return *node* as a key of *level*; None after telling why it cannot be one."""
        if not isinstance(node, Scalar):
            return None  # told when it was opened
        if node.plain and node.text == "<<":
            self._problem(
                node.mark, "merge keys (<<) are not used: put shared words on the scene, or use `extends`"
            )
            return None
        if node.is_empty:
            self._problem(node.mark, "the name before the colon is missing")
            return None
        first = level.names.setdefault(node.text, node.mark)
        if first is not node.mark:
            place = f"line {first.line}, column {first.column}"
            self._problem(node.mark, f"`{shown(node.text)}` is set twice in one map; the first is in {place}")
            return None
        return node

    def _refuse_key(self, mark: Mark) -> None:
        if self.source.lines[mark.line - 1][: mark.column].endswith("{{"):
            hole = Mark(self.source, mark.line, mark.column - 1, 2)
            self._problem(hole, "a value that begins with {{ needs quotes, or `>-` and a new line")
        else:
            self._problem(mark, "a key must be a text, not a list or map")

    def _refuse_tag(self, event: Any, mark: Mark) -> None:
        if event.tag is not None:
            self._problem(
                mark, f"tags (`{shown(event.tag)}`) are not used; text that begins with ! needs quotes"
            )

    def _warn_of_comment(self, event: Any) -> None:
        line, column = event.end_mark.line, event.end_mark.column
        comment = _COMMENT.match(self.source.lines[line], column) if line < len(self.source.lines) else None
        if comment and event.value:
            mark = Mark(self.source, line + 1, comment.start(1) + 1, len(comment[1]))
            remedy = "quote the text, or put a blank behind the #"
            self.warnings.append(mark.problem(f"`{shown(comment[1])}` is read as a comment; {remedy}"))

    def _mark(self, event: Any) -> Mark:
        start, end = event.start_mark, event.end_mark
        width = 1
        if isinstance(event, (ScalarEvent, AliasEvent)):
            lines = self.source.lines
            stop = end.column if end.line == start.line else len(lines[start.line].rstrip())
            width = max(1, stop - start.column)
        return Mark(self.source, start.line + 1, start.column + 1, width)

    @property
    def too_deep(self) -> str:
        """What is said of a breach of the limit of depth."""
        return f"more than {self.limits.depth} lists and maps inside one another"

    def _problem(self, mark: Mark, message: str) -> None:
        self.problems.append(mark.problem(message))
        if len(self.problems) >= self.limits.problems:
            raise _Stop

    def _stop(self, mark: Mark, message: str) -> None:
        self.problems.append(mark.problem(message))
        raise _Stop


def _standing_at_key(node: Node, key: Scalar) -> Node:
    return Scalar("", key.mark) if isinstance(node, Scalar) and node.is_empty else node
