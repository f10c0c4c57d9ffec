"""Labels of axis values: how a value is called in keys and file names."""

from __future__ import annotations

from collections.abc import Collection

from runner.faults import Faults
from runner.naming import label_of_list, label_of_text, same_label
from runner.story import Axis, AxisValue
from runner.text.tree import Mapping, Node, Scalar, Sequence


def axis_labels(axis: Axis, *, files: Collection[str], faults: Faults) -> tuple[str, ...]:
    """Return one label per value of *axis*; notes labels that cannot be made or are equal.

    *files* are the words whose values are files or LoRAs: folder and extension are left out.
    """
    word = axis.words[0]
    labels = tuple(_label(value, word, is_file=word in files, faults=faults) for value in axis.values)
    twins = same_label(labels)
    if twins and "" not in labels:
        faults.at(
            axis.values[twins[1]].mark,
            f"two values of `{word}` would be called `{labels[twins[1]]}`;"
            f" name them: {'+'.join(axis.words)}: {{NAME: …, NAME: …}}",
        )
    return labels


def _label(value: AxisValue, word: str, *, is_file: bool, faults: Faults) -> str:
    if value.name:
        return value.name
    try:
        return _of_node(value.cells[0], is_file=is_file)
    except ValueError as error:
        faults.at(value.mark, f"`{word}`: {error}")
        return ""


def _of_node(node: Node, *, is_file: bool) -> str:
    if isinstance(node, Sequence):
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
