"""Labels of axis values: how a value is called in keys and file names.

A label is part of the contract with earlier runs: a changed one is a new key for every job of its variant.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Final

from runner.faults import Faults
from runner.naming import BESIDE, DECIMAL, LORA, MAX_LABEL
from runner.story import Axis, AxisValue
from runner.text.letters import folded, shortened, squeezed
from runner.text.shown import shown
from runner.text.tree import Mapping, Node, Scalar
from runner.text.tree import Sequence as List

_MOST_OF_TEXT: Final = 40
"""Characters of a text that its label keeps."""
_HASH: Final = 4
"""Digits that tell values apart whose labels would be equal; more where these are equal too."""


def axis_labels(axis: Axis, *, files: Collection[str], faults: Faults) -> tuple[str, ...]:
    """Return one label per value of *axis*, all distinct; notes values without a label and values twice.

    *files* are the words whose values are files or LoRAs: folder and extension are left out.
    """
    word = axis.words[0]
    labels = [_label(value, word, is_file=word in files, faults=faults) for value in axis.values]
    texts = [value.name or "\0".join(map(_source, value.cells)) for value in axis.values]
    twice = _twice(texts)
    if twice is not None:
        text = shown(" ".join(map(_source, axis.values[twice].cells)).strip() or "null")
        faults.at(axis.values[twice].mark, f"`{text}` stands twice under `{word}`; take one out")
    return tuple(labels) if twice is not None or "" in labels else tuple(distinct(labels, texts))


def distinct(labels: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return *labels*, with digits of a hash of their *texts* behind all that some file system takes for one.

    Which digits does not depend on the order of the values, so that reordering a spec keeps its keys.
    """
    often = Counter(map(folded, labels))
    digits = _HASH
    while True:
        made = [
            _with_hash(label, text, digits) if often[folded(label)] > 1 else label
            for label, text in zip(labels, texts, strict=True)
        ]
        if digits > 2 * _HASH * _HASH or len(set(map(folded, made))) == len(made):
            return made
        digits += _HASH


def label_of_text(text: str | None, *, is_file: bool = False) -> str:
    """Return the label of an axis value that has no name of its own.

    Args:
        text: The value's source text; None for `null`.
        is_file: Whether the value names a file or a LoRA: folder and extension are left out.

    Returns:
        1 to 60 bytes of letters and digits of any script and `._+@-`; `none` for an empty text or None; a
        hash for a text without letters and digits.

    Raises:
        ValueError: It is a number that would be longer than a label, written out.

    """
    text = (text or "").strip()
    if not text:
        return "none"
    if is_file:
        return _lettered(shortened(_file_label(text), characters=MAX_LABEL, size=MAX_LABEL), text)
    if DECIMAL.fullmatch(text):
        return plain_decimal(text)
    label = shortened(squeezed(text, BESIDE), characters=_MOST_OF_TEXT, size=MAX_LABEL)
    return _lettered(label, text)


def label_of_list(texts: Iterable[str | None], *, is_file: bool = False) -> str:
    """Return the labels of *texts* joined by `+`; `none` for an empty list. Errors as `label_of_text`."""
    labels = [label_of_text(text, is_file=is_file) for text in texts]
    return shortened("+".join(labels), characters=MAX_LABEL, size=MAX_LABEL) if labels else "none"


def plain_decimal(text: str) -> str:
    """Return the number *text* exactly, without exponent, plus sign and needless zeros: `1e1` is `10`.

    Raises:
        ValueError: Written out it would be longer than a label may be.

    """
    number = Decimal(text)
    if not number:
        return "0"
    digits = f"{number:f}" if abs(number.adjusted()) <= MAX_LABEL and len(text) <= 4 * MAX_LABEL else ""
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    if not 0 < len(digits) <= MAX_LABEL:
        raise ValueError(f"`{shown(text)}` is too long for a label; name the values, as in {{NAME: …}}")
    return digits


def _file_label(text: str) -> str:
    match = LORA.fullmatch(text)
    if match is None:
        return squeezed(text, BESIDE)
    stem = re.split(r"[/\\]", match["file"])[-1]
    stem = re.sub(r"(?<=.)\.[A-Za-z][A-Za-z0-9]{0,14}$", "", stem)
    weights = [plain_decimal(weight) for weight in (match["weight"], match["clip"]) if weight]
    whole = f"{match['part']}:{stem}" if match["part"] else stem
    return squeezed(f"{whole}@{':'.join(weights)}" if weights else whole, BESIDE)


def _lettered(label: str, text: str) -> str:
    return label if label.strip("-") else _hash(text, 2 * _HASH)


def _with_hash(label: str, text: str, digits: int) -> str:
    room = MAX_LABEL - digits - 1
    return f"{shortened(label, characters=room, size=room).rstrip('-')}-{_hash(text, digits)}"


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _label(value: AxisValue, word: str, *, is_file: bool, faults: Faults) -> str:
    if value.name:
        return value.name
    try:
        return _of_node(value.cells[0], is_file=is_file)
    except ValueError as error:
        faults.at(value.mark, f"`{word}`: {error}")
        return ""


def _of_node(node: Node, *, is_file: bool) -> str:
    if isinstance(node, List):
        return label_of_list(
            (_text(item) if isinstance(item, Scalar) else "-" for item in node), is_file=is_file
        )
    if isinstance(node, Mapping):
        inner = node.get("prompt") or node.get("from")
        if not isinstance(inner, Scalar):
            raise ValueError("this value needs a name; write NAME: { … }")
        return _of_node(inner, is_file=False)
    return label_of_text(_text(node), is_file=is_file)


def _text(node: Scalar) -> str | None:
    return None if node.is_null else node.text


def _source(node: Node) -> str:
    """Return a text that is equal for equal values; `5` and `5.0` are equal."""
    if isinstance(node, Mapping):
        return "\0".join(f"{entry.key.text}\0{_source(entry.value)}" for entry in node)
    if isinstance(node, List):
        return "\0".join(map(_source, node))
    text = (_text(node) or "").strip()
    try:
        return plain_decimal(text) if DECIMAL.fullmatch(text) else text
    except ValueError:
        return text


def _twice(texts: Sequence[str]) -> int | None:
    """Return the place of the first of *texts* that stands before it already, or None."""
    seen: set[str] = set()
    for place, text in enumerate(texts):
        if text in seen:
            return place
        seen.add(text)
    return None
