"""A project folder with hand-made templates, so that specs are judged without any file of the renderer."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from runner.domain import Job, Parameter, Template
from runner.errors import Problem, SpecError, TemplateError
from runner.expand import Expansion, expand
from runner.spec import load
from runner.story import Spec

WORDING = (
    "{{ count }}, {{ cast }}, {{ action }}, {{ camera }}, {{ place }}, {{ light }}, {{ prompt }}, {{ style }}"
)


def template(name: str, *parameters: Parameter) -> Template:
    """Return a template that takes *parameters*."""
    found = {parameter.name: parameter for parameter in parameters}
    return Template(name=name, path=f"templates/{name}.json.j2", parameters=found, outputs={"out": "image"})


_PROMPT = Parameter(name="prompt", type="text", wording=WORDING)
_NEGATIVE = Parameter(name="negative", type="text", default="")
_SEED = Parameter(name="seed", type="seed")
_SIZE = Parameter(name="size", type="size", default={"width": 512, "height": 512}, min=64, max=8192, step=8)
_STEPS = Parameter(name="steps", type="int", default=20, min=1, max=200)
_CFG = Parameter(name="cfg", type="float", default=7.0, min=0, max=30)
_LORAS = Parameter(name="loras", type="loras")
_I2V = (
    Parameter(name="prompt", type="text", wording="{{ cast }}, {{ action }}, {{ motion }}, {{ prompt }}"),
    Parameter(name="negative", type="text", default="static"),
    Parameter(name="start_image", type="image"),
    Parameter(
        name="length",
        type="length",
        fps=16,
        frames="4n+1",
        max=121,
        default={"frames": 81, "fps": 16, "seconds": 5.0625},
    ),
    Parameter(name="loras_high", type="loras", part="high"),
    Parameter(name="loras_low", type="loras", part="low"),
    _SEED,
)
TEMPLATES = (
    template(
        "txt2img",
        Parameter(name="checkpoint", type="file", folder="checkpoints", default="v1-5.safetensors"),
        Parameter(name="vae", type="file", folder="vae", default=None),
        _PROMPT,
        _NEGATIVE,
        _LORAS,
        _SIZE,
        _SEED,
        _STEPS,
        _CFG,
        Parameter(name="sampler", type="choice", default="euler", choices=("euler", "dpmpp_2m")),
    ),
    template("dit", Parameter(name="unet", type="file"), _PROMPT, _LORAS, _SEED, _STEPS),
    template("i2v", *_I2V),
    template("flf2v", *_I2V, Parameter(name="end_image", type="image")),
    template(
        "refs",
        _PROMPT,
        _SEED,
        Parameter(name="cast", type="cast"),
        Parameter(name="poses", type="images", default=None, max=2),
        Parameter(name="caption", type="text", wording="{{ place }}"),
    ),
    template("seedless", _PROMPT, _STEPS),
    template("bare", Parameter(name="prompt", type="text"), _SEED),
)


class Shelf:
    """Templates from memory; `broken` is one that cannot be loaded."""

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(("broken", *(one.name for one in TEMPLATES))))

    def load(self, name: str) -> Template:
        if name == "broken":
            raise TemplateError([Problem(message="no front matter", path="templates/broken.json.j2", line=1)])
        return {one.name: one for one in TEMPLATES}[name]


class Studio:
    """A project folder in which specs are written, loaded and expanded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "animerun.toml").touch()

    def write(self, text: str, name: str = "specs/ep.yaml") -> Path:
        """Write *text* (indented or not) and return its path."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def touch(self, *names: str) -> None:
        """Make empty files."""
        for name in names:
            self.write("", name)

    def load(self, text: str, *, sets: Sequence[str] = ()) -> Spec:
        """Return the spec that *text* writes."""
        return load(self.write(text), sets=sets)

    def expand(
        self,
        text: str,
        *,
        sets: Sequence[str] = (),
        only: Sequence[str] = (),
        without: Sequence[str] = (),
        max_jobs: int = 1_000_000,
    ) -> Expansion:
        """Return the expansion of what *text* writes."""
        return expand(self.load(text, sets=sets), Shelf(), only=only, without=without, max_jobs=max_jobs)

    def expand_file(self, path: Path) -> Expansion:
        """Return the expansion of the spec at *path*."""
        return expand(load(path), Shelf(), max_jobs=1_000_000)

    def jobs(self, text: str, *, sets: Sequence[str] = ()) -> list[Job]:
        """Return the jobs of what *text* writes."""
        return list(self.expand(text, sets=sets))

    def keys(self, text: str, *, sets: Sequence[str] = ()) -> list[str]:
        """Return the keys of its jobs."""
        return [job.key for job in self.jobs(text, sets=sets)]

    def job(self, text: str, *, sets: Sequence[str] = ()) -> Job:
        """Return the first job of what *text* writes."""
        return self.jobs(text, sets=sets)[0]

    def problems(
        self, text: str, *, sets: Sequence[str] = (), only: Sequence[str] = (), max_jobs: int = 1_000_000
    ) -> tuple[Problem, ...]:
        """Return every mistake in what *text* writes; none when it expands."""
        try:
            self.expand(text, sets=sets, only=only, max_jobs=max_jobs)
        except SpecError as refused:
            return refused.problems
        return ()

    def messages(self, text: str, *, sets: Sequence[str] = (), only: Sequence[str] = ()) -> list[str]:
        """Return the sentences alone."""
        return [problem.message for problem in self.problems(text, sets=sets, only=only)]

    def warnings(self, text: str, *, sets: Sequence[str] = ()) -> list[str]:
        """Return what is warned of in what *text* writes."""
        return [problem.message for problem in self.expand(text, sets=sets).warnings]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """Return a studio in an empty folder."""
    return Studio(tmp_path)


@pytest.fixture
def shelf() -> Shelf:
    """Return the hand-made templates."""
    return Shelf()
