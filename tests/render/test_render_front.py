"""Front matter: what it declares, and what is refused with its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runner.domain import Required, Template
from runner.errors import TemplateError

from .samples import problems

BODY = '{"out": {"class_type": "SaveImage", "inputs": {}}}'
FULL = """---
title: Everything there is
comfyui: ">=0.3.46"
packs: [comfyui-videohelpersuite]
x-note: {anything: at all}
parameters:
  text1: {type: text, wording: "{{ cast }}, {{ action }}", description: what is seen}
  int1: {type: int, default: 4, min: 1, max: 9}
  float1: {type: float, default: 0.5, min: 0, max: 1, step: 0.01}
  bool1: {type: bool, default: true}
  choice1: {type: choice, choices: [a, b], default: b}
  size1: {type: size, default: 64x32, min: 16, max: 128, step: 8}
  file1: {type: file, folder: loras, default: null}
  files1: {type: files, folder: text_encoders, min: 1, max: 2}
  image1: {type: image}
  seed1: {type: seed}
  loras1: {type: loras, part: high}
outputs: {out: image, other-1: video}
---
{%- set used = [text1, int1, float1, bool1, choice1, size1, file1, files1, image1, seed1, loras1] %}
"""


def test_everything_declared_is_read(load: Callable[..., Template]) -> None:
    """Types, defaults as the template sees them, limits as written, and the rest of the front matter."""
    template = load(FULL + BODY)
    parameters = template.parameters

    assert (template.title, template.comfyui, template.packs) == (
        "Everything there is", ">=0.3.46", ("comfyui-videohelpersuite",),
    )  # fmt: skip
    assert template.outputs == {"out": "image", "other-1": "video"}
    assert list(template.outputs) == ["out", "other-1"]
    assert [parameter.type for parameter in parameters.values()] == [
        name.removesuffix("1") for name in parameters
    ]
    assert parameters["text1"].wording == "{{ cast }}, {{ action }}"
    assert parameters["text1"].description == "what is seen"
    assert (parameters["int1"].default, parameters["int1"].min, parameters["int1"].max) == (4, 1, 9)
    assert (parameters["float1"].default, parameters["float1"].step) == (0.5, "0.01")
    assert parameters["bool1"].default is True
    assert (parameters["choice1"].choices, parameters["choice1"].default) == (("a", "b"), "b")
    assert parameters["size1"].default == {"width": 64, "height": 32}
    assert (parameters["file1"].folder, parameters["file1"].default) == ("loras", None)
    assert parameters["image1"].default is Required
    assert parameters["image1"].required
    assert parameters["loras1"].part == "high"
    assert template.body_line == 20
    assert template.body.startswith("{%- set used")


def test_ids_of_subgraphs_and_optional_outputs_are_read(load: Callable[..., Template]) -> None:
    """ComfyUI exports `57:9` for a node in a subgraph; an output that a switch may leave out says so."""
    front = 'outputs: {"57:9": image, "4.0.0.9": text, a b: model3d, x: {kind: file, optional: true}}'
    nodes = ", ".join(
        f'"{name}": {{"class_type": "S", "inputs": {{}}}}' for name in ("57:9", "4.0.0.9", "a b")
    )
    template = load(f"---\n{front}\n---\n{{{nodes}}}")

    assert template.outputs == {"57:9": "image", "4.0.0.9": "text", "a b": "model3d", "x": "file"}
    assert template.optional == {"x"}


CORPUS = [
    ("titel: x\noutputs: {out: image}", 2, "unknown key `titel`; did you mean `title`?"),
    ("title: [x]\noutputs: {out: image}", 2, "a text is wanted here"),
    ("comfyui: new\noutputs: {out: image}", 2, "`comfyui` is a version"),
    ("packs: one\noutputs: {out: image}", 2, "`packs` is a list"),
    ("title: x", 2, "which nodes save something? write outputs: {NODE: image}"),
    ("outputs: {}", 2, "at least one output"),
    ("outputs: [out]", 2, "`outputs` is a map"),
    ("outputs: {out: picture}", 2, "an output is one of image, video, audio, text, latent"),
    ("outputs: {out: vidoe}", 2, "did you mean `video`?"),
    ("outputs: {" + "x" * 201 + ": image}", 2, "the id of an output's node"),
    ("outputs: {out: {optional: true}}", 2, "what does the node save?"),
    ("outputs: {out: {kind: imag}}", 2, "did you mean `image`?"),
    ("outputs: {out: {kind: image, optional: maybe}}", 2, "`optional` is true or false"),
    ("outputs: {out: {kind: image, optionel: true}}", 2, "did you mean `optional`?"),
    ("outputs: {out: image}\nparameters: [a]", 3, "`parameters` is a map"),
    ("outputs: {out: image}\nparameters:\n  a: text", 4, "parameter `a` is a map"),
    ("outputs: {out: image}\nparameters:\n  a: {default: 1}", 4, "parameter `a` has no `type`"),
    ("outputs: {out: image}\nparameters:\n  a: {type: txt}", 4, "unknown type `txt`; did you mean `text`?"),
    ("outputs: {out: image}\nparameters:\n  a: {type: [text]}", 4, "unknown type"),
    ("outputs: {out: image}\nparameters:\n  a b: {type: text}", 4, "`a b` cannot name a parameter"),
    ("outputs: {out: image}\nparameters:\n  loop: {type: text}", 4, "`loop` cannot name a parameter"),
    ("outputs: {out: image}\nparameters:\n  _a: {type: text}", 4, "`_a` cannot name a parameter"),
    (
        "outputs: {out: image}\nparameters:\n  a: {type: int, defualt: 1}",
        4,
        "unknown key `defualt`; did you mean",
    ),
    ("outputs: {out: image}\nparameters:\n  a: {type: text, min: 1}", 4, "type `text` has no `min`; it has"),
    (
        "outputs: {out: image}\nparameters:\n  a: {type: seed, default: 1}",
        4,
        "filled by the runner and has no default",
    ),
    ("outputs: {out: image}\nparameters:\n  a: {type: int, min: 0.5}", 4, "a whole number is wanted here"),
    ("outputs: {out: image}\nparameters:\n  a: {type: float, min: low}", 4, "a number is wanted here"),
    ("outputs: {out: image}\nparameters:\n  a: {type: int, default: many}", 4, "many"),
    ("outputs: {out: image}\nparameters:\n  a: {type: int, default: 9, max: 4}", 4, "4"),
    ("outputs: {out: image}\nparameters:\n  a: {type: choice, choices: [x], default: y}", 4, "y"),
    (
        "outputs: {out: image}\nparameters:\n  a: {type: length, frames: odd}",
        4,
        "`frames` is a rule like 4n+1",
    ),
    (
        "outputs: {out: image}\nparameters:\n  a: {type: length, fps: 0}",
        4,
        "`fps` is a whole number from 1 to 1000",
    ),
    (
        "outputs: {out: image}\nparameters:\n  a: {type: file, folder: ../x}",
        4,
        "`folder` is a folder of models",
    ),
    ("outputs: {out: image}\noutputs: {b: image}", 3, "outputs"),
    ("outputs: {out: image\ntitle: x", 3, ""),
]


@pytest.mark.parametrize(("matter", "line", "message"), CORPUS)
def test_mistakes_are_told_at_their_line_of_the_file(
    matter: str, line: int, message: str, load: Callable[..., Template]
) -> None:
    """Each mistake names the line of the template file, the first `---` counted."""
    with pytest.raises(TemplateError) as fault:
        load(f"---\n{matter}\n---\n{BODY}")
    found = problems(fault)

    assert any(told_line == line and message in told for told_line, told in found), found


def test_all_mistakes_are_told_at_once(load: Callable[..., Template]) -> None:
    """Nothing is hidden behind the first mistake."""
    with pytest.raises(TemplateError) as fault:
        load(
            "---\ntitel: x\nparameters:\n  a: {type: txt}\n  b: {type: int, min: x}\noutputs: {o: pic}\n---\n"
        )

    assert [line for line, _ in problems(fault)] == [2, 4, 5, 6]


def test_no_more_than_twenty_mistakes_are_told(load: Callable[..., Template]) -> None:
    """Wrong defaults count as any other mistake, and reading ends at the twentieth."""
    wrong = "".join(f"  p{number}: {{type: int, default: x}}\n" for number in range(400))

    with pytest.raises(TemplateError) as fault:
        load(f"---\noutputs: {{out: image}}\nparameters:\n{wrong}---\n{BODY}")

    assert [line for line, _ in problems(fault)] == list(range(4, 24))


@pytest.mark.parametrize("text", ["", BODY, "title: x\n---\n" + BODY, "--- \r\noutputs: {out: image}\n"])
def test_a_template_without_whole_front_matter_is_refused(text: str, load: Callable[..., Template]) -> None:
    """The two lines of dashes are told about."""
    with pytest.raises(TemplateError, match="---"):
        load(text)


def test_windows_line_ends_change_no_line_number(load: Callable[..., Template]) -> None:
    """A template saved with CR LF loads, and its mistakes stand on the same lines."""
    with pytest.raises(TemplateError) as fault:
        load(("---\noutputs: {out: image}\n---\n{{ x }}\n" + BODY).replace("\n", "\r\n"))

    assert [line for line, _ in problems(fault)] == [4]
