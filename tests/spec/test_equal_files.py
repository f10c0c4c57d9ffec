"""Jobs made from files of equal content, planned with the shipped templates."""

from __future__ import annotations

import pytest

from runner.errors import SpecError
from runner.plan import make_plan

HEAD = "animerun: 1\nepisode: fr\ntemplate: img2img\n"
FRAMES = "scenes: {s01: {prompt: a, seeds: [7], vary: {image: [in/a.png, in/b.png]}}}\n"


def frame(studio, name: str, content: bytes) -> None:
    path = studio.root / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def test_two_equal_files_are_two_jobs(studio) -> None:
    """A frame that is held is the same file twice: both are rendered, and a warning says so."""
    frame(studio, "a.png", b"one")
    frame(studio, "b.png", b"one")

    plan = make_plan(studio.write(HEAD + FRAMES))

    assert (plan.total, plan.to_run) == (2, 2)
    (warning,) = plan.warnings
    assert warning.message == (
        "fr/s01/image=a/seed=7 and fr/s01/image=b/seed=7 are made from files of equal content;"
        " each is rendered"
    )


def test_two_files_that_the_template_does_not_tell_apart_are_refused(studio) -> None:
    """Where what differs is not used, the second job is a slip, whatever its files."""
    studio.write(
        """
        ---
        parameters: {word: {type: text, default: a}, seed: {type: seed}}
        outputs: {out: image}
        ---
        {"1": {"class_type": "EmptyImage",
               "inputs": {"width": {{ 64 if word else 65 }}, "height": {{ seed }}}},
         "out": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}
        """,
        "templates/still.json.j2",
    )

    with pytest.raises(SpecError) as refused:
        make_plan(studio.write(HEAD.replace("img2img", "still") + "scenes: {s: {vary: {word: [a, b]}}}"))

    assert "are the same picture" in str(refused.value)
