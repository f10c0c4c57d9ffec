"""The rest of a run is planned from what was frozen, pictures among it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.expand import expand
from runner.plan import Plan, frozen, make_plan
from runner.resume import Standing, frozen_plan

TEXT = """
animerun: 1
episode: ep
template: img2img
scenes:
  s01: {prompt: a, seeds: [7], vary: {image: ["in/屋上 (夜).png", in/b.png]}}
  s02: {prompt: b, image: in/c.png}
"""


def frozen_again(plan: Plan, folder: Path, only: list[str]) -> Plan:
    """Freeze *plan* below *folder*, as a run does, and return the plan of what was frozen."""
    for name, content in frozen(plan):
        path = folder / "plan" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    scope = {"sets": [], "only": only, "without": []}
    return frozen_plan(folder, Standing(head={"scope": scope}))


@pytest.mark.parametrize("only", [[], ["s01"]])
def test_a_run_with_pictures_goes_on_from_what_was_frozen(studio, tmp_path: Path, only: list[str]) -> None:
    """The project's own pictures may be gone; jobs that were not chosen need none."""
    for name in ("屋上 (夜)", "b", "c"):
        path = studio.root / "in" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    plan = make_plan(studio.write(TEXT), only=only)

    again = frozen_again(plan, tmp_path / "run", only)
    for path in (studio.root / "in").iterdir():
        path.unlink()

    assert [each.job.key for each in again.rendered()] == [job.key for job in plan.expansion]
    assert {file.name for file in again.inputs.values()} == {file.name for file in plan.inputs.values()}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/*.png", ["in/a.png", "in/b.png"]), ("**/*.png", ["in/a.png", "in/b.png", "in/x/c.png"]),
        ("in/**/c.*", ["in/x/c.png"]), ("in/a.png", ["in/a.png"]), ("in/?.jpg", []),
        ("in/[ab].png", ["in/a.png", "in/b.png"]),
    ],
)  # fmt: skip
def test_a_glob_matches_what_it_matched_when_the_run_was_planned(
    studio, shelf, pattern: str, found: list[str]
) -> None:
    """Frozen or looked up in the folder: the same files in the same order."""
    studio.touch("in/a.png", "in/b.png", "in/x/c.png", "in/d.txt")
    text = f"animerun: 1\nepisode: ep\ntemplate: refs\nscenes: {{s: {{prompt: a, poses: '{pattern}'}}}}"
    spec = studio.load(text)
    names = frozenset({"in/a.png", "in/b.png", "in/x/c.png"})

    assert [job.values["poses"] for job in expand(spec, shelf, frozen=names)] == [
        [{"$file": name} for name in found]
    ]


def test_a_run_whose_jobs_had_other_keys_is_not_gone_on_with(studio, tmp_path: Path) -> None:
    """An earlier version left out what is not ASCII in a label: the rest would be rendered under new keys."""
    studio.touch("in/屋上 (夜).png", "in/b.png", "in/c.png")
    plan = make_plan(studio.write(TEXT), only=["s01"])
    folder = tmp_path / "run"
    frozen_again(plan, folder, ["s01"])
    scope = {"sets": [], "only": ["s01"], "without": []}

    for key in ("ep/s01/image=屋上-夜-/seed=7", "ep/s01/image=b/seed=7"):
        assert frozen_plan(folder, Standing(head={"scope": scope}, made={key})).total == 2
    with pytest.raises(UsageError, match="has another key now"):
        frozen_plan(folder, Standing(head={"scope": scope}, made={"ep/s01/image=--/seed=7"}))
