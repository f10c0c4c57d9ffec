"""One parameter's value: text as written → what the template will see."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from runner.domain import Parameter, Plain
from runner.errors import SpecError
from runner.text.nearest import did_you_mean
from runner.text.tree import Node, Scalar, Sequence
from runner.values.brought import brought_choice
from runner.values.decimals import bounded, exact, integer, refusal
from runner.values.length import model_length
from runner.values.paths import project_path

_SIZE: Final = re.compile(r"\s*([0-9]{1,6})\s*[xX×*]\s*([0-9]{1,6})\s*")
_LOOSE_SIZE: Final = re.compile(r"\s*([0-9]{1,6})\s*[xX×*:, ]\s*([0-9]{1,6})\s*")
_TRUTH: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_LIKE_TRUE: Final = frozenset({"yes", "y", "on", "1", "ja", "t"})
_LIKE_FALSE: Final = frozenset({"no", "n", "off", "0", "nein", "f", "none"})


def parse_value(parameter: Parameter, node: Node, *, fps: str | None = None, own: bool = False) -> Plain:
    """Return the value of *parameter* as the template sees it; also for front-matter defaults.

    `text file choice` str · `int` int · `float` float · `bool` bool · `size` {"width", "height"} ·
    `length` {"frames", "fps", "seconds"} · `files` list of str · `image video` {"$file": path} ·
    `images` {"$glob": text}. Plain null gives None.

    Args:
        parameter: Its type and limits; the default is not looked at.
        node: What the spec has, not resolved further.
        fps: The timeline's rate for lengths; None = 24.
        own: The value belongs to the model, see `model_length`.

    Raises:
        SpecError: One problem at the node: wrong shape, outside the limits, not of the type. Types
            `seed`, `loras`, `cast` are filled by the runner and always refused.

    """
    if isinstance(node, Scalar) and node.is_null:
        return None
    if parameter.type == "files":
        return _texts(parameter, node)
    return _parsed(parameter, node, _scalar_text(parameter, node), fps, own=own)


def _parsed(
    parameter: Parameter, node: Node, text: str, fps: str | None = None, *, own: bool = False
) -> Plain:
    try:
        if parameter.type == "length":
            return model_length(parameter, text, fps=fps, own=own)
        return _PARSERS[parameter.type](parameter, text)
    except ValueError as error:
        raise _refused(node, refusal(parameter.name, text, str(error))) from error


def _scalar_text(parameter: Parameter, node: Node) -> str:
    name, noun = parameter.name, _NOUN[parameter.type]
    if parameter.type in _INSTEAD:
        raise _refused(node, f"`{name}` is filled by the runner; {_INSTEAD[parameter.type]}")
    if isinstance(node, Sequence):
        raise _refused(node, f"`{name}` takes one {noun}; a list varies only under `vary:`")
    if not isinstance(node, Scalar):
        raise _refused(node, f"`{name}` takes one {noun}, not a map")
    if node.is_empty:
        raise _refused(node, f"`{name}` has no value")
    return node.text


def _refused(node: Node, message: str) -> SpecError:
    return SpecError([node.mark.problem(message)])


def _texts(parameter: Parameter, node: Node) -> list[Plain]:
    texts = []
    for item in node.items if isinstance(node, Sequence) else (node,):
        if not isinstance(item, Scalar):
            raise _refused(item, f"`{parameter.name}` takes a list of file names")
        texts.append(_parsed(parameter, item, item.text))
    return texts


def _text(parameter: Parameter, text: str) -> str:
    return text


def _int(parameter: Parameter, text: str) -> int:
    number = integer(text)
    _within(parameter, Fraction(number))
    if not -(2**63) <= number < 2**64:
        raise ValueError("the number is too large")
    return number


def _float(parameter: Parameter, text: str) -> float:
    number = exact(text)
    _within(parameter, number)
    return float(number)


def _within(parameter: Parameter, number: Fraction) -> None:
    trouble = bounded(number, minimum=parameter.min, maximum=parameter.max, step=parameter.step)
    if trouble:
        raise ValueError(trouble)


def _bool(parameter: Parameter, text: str) -> bool:
    value = _TRUTH.get(text.strip())
    if value is not None:
        return value
    meant = text.strip().lower()
    advice = "true" if meant in _LIKE_TRUE else "false" if meant in _LIKE_FALSE else "true or false"
    raise ValueError(f"write {advice}")


def _choice(parameter: Parameter, text: str) -> str:
    if not text.strip():
        raise ValueError("a choice is wanted here")
    if not parameter.choices or text in parameter.choices:
        return text
    if meant := brought_choice(parameter.name, text):
        raise ValueError(meant)
    known = ", ".join(parameter.choices[:20])
    raise ValueError(
        f"there is no such choice{did_you_mean(text, parameter.choices) or f'; it is one of {known}'}"
    )


def _size(parameter: Parameter, text: str) -> Plain:
    match = _SIZE.fullmatch(text)
    if match is None:
        loose = _LOOSE_SIZE.fullmatch(text)
        raise ValueError(f"write {loose[1]}x{loose[2]}" if loose else "write WIDTHxHEIGHT, as in 1216x832")
    width, height = int(match[1]), int(match[2])
    for side in (width, height):
        if side < 1:
            raise ValueError("a side of 0 is no size")
        _within(parameter, Fraction(side))
    return {"width": width, "height": height}


def _file(parameter: Parameter, text: str) -> str:
    if not text.strip():
        raise ValueError("a file's name on the server is wanted here")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("a file's name is one line of text")
    return text.strip()


def _picture(parameter: Parameter, text: str) -> Plain:
    if re.search(r"[*?]", text):
        raise ValueError("one file is wanted here, not a pattern")
    return {"$file": project_path(text)}


def _pictures(parameter: Parameter, text: str) -> Plain:
    return {"$glob": project_path(text)}


_INSTEAD: Final[Mapping[str, str]] = {
    "seed": "write `takes: 4` or `seeds: [7, 11]`",
    "loras": "write `lora: FILE@0.8`",
    "cast": "write `cast: NAME`",
}
_NOUN: Final[Mapping[str, str]] = {
    "text": "text", "int": "number", "float": "number", "bool": "true or false", "choice": "choice",
    "size": "size", "length": "length", "file": "file name", "files": "list",
    "image": "path", "video": "path", "audio": "path", "images": "glob", "seed": "seed", "loras": "LoRA",
    "cast": "text",
}  # fmt: skip
_PARSERS: Final[Mapping[str, Callable[[Parameter, str], Plain]]] = {
    "text": _text, "int": _int, "float": _float, "bool": _bool, "choice": _choice, "size": _size,
    "file": _file, "files": _file, "image": _picture, "video": _picture, "audio": _picture,
    "images": _pictures,
}  # fmt: skip
