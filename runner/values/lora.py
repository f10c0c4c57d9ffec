"""LoRAs as a spec writes them: `[PART:]FILE[@WEIGHT[:CLIP]]`."""

from __future__ import annotations

import re
from typing import Final

from runner.domain import Lora
from runner.errors import Problem, SpecError
from runner.naming import DECIMAL, LORA
from runner.text.tree import Mark, Node, Scalar, Sequence
from runner.values.decimals import exact, refusal

_PROMPT_FORM: Final = re.compile(r"<lora:(?P<file>[^:>]+)(?::(?P<weight>[^:>]+))?(?::[^>]*)?>")
_COLON_FORM: Final = re.compile(rf"(?P<file>[^:@]+):(?P<weight>{DECIMAL.pattern}(?::{DECIMAL.pattern})?)")


def parse_lora(text: str, mark: Mark) -> Lora:
    """Return the LoRA *text* names; weight 1 and clip = weight unless written. Raises SpecError at *mark*."""
    try:
        return _lora(text.strip())
    except ValueError as error:
        raise SpecError([mark.problem(refusal("lora", text, str(error)))]) from error


def parse_loras(node: Node) -> tuple[Lora, ...]:
    """Return one LoRA or a list of them, in the order written; plain null gives none. Raises SpecError."""
    if isinstance(node, Scalar) and node.is_null:
        return ()
    items = node.items if isinstance(node, Sequence) else (node,)
    problems: list[Problem] = []
    loras: list[Lora] = []
    for item in items:
        if not isinstance(item, Scalar):
            problems.append(
                item.mark.problem("a LoRA is one text: FILE, FILE@WEIGHT or PART:FILE@WEIGHT:CLIP")
            )
            continue
        try:
            loras.append(parse_lora(item.text, item.mark))
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
    return tuple(loras)


def _lora(text: str) -> Lora:
    written = _PROMPT_FORM.fullmatch(text)
    if written:
        raise ValueError(f"write {written['file']}.safetensors@{written['weight'] or '1'}")
    weighted = _COLON_FORM.fullmatch(text)
    if weighted:
        file = weighted["file"] if "." in weighted["file"] else f"{weighted['file']}.safetensors"
        raise ValueError(f"write {file}@{weighted['weight']}")
    match = LORA.fullmatch(text)
    if match is None:
        raise ValueError("a LoRA's file is wanted here" if not text else "a LoRA is one line of text")
    file = match["file"].strip()
    tail = file.rpartition("@")[2] if "@" in file else ""
    if "@" in file and (not tail or not re.search(r"\.[A-Za-z]\w*$", tail)):
        raise ValueError(f"`{tail}` is no weight; write FILE@0.8, or FILE@0.8:0.6 with a weight for clip")
    if file.startswith(("/", "\\")) or re.search(r"[\x00-\x1f]", file):
        raise ValueError("the file stands below the server's folder for LoRAs; write its name from there")
    weight = float(exact(match["weight"] or "1"))
    clip = float(exact(match["clip"])) if match["clip"] else weight
    return Lora(file=file, weight=weight, clip=clip, part=match["part"] or "")
