"""Verdicts over two records, and what is sent when nothing may come from a cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from runner.domain import Output
from runner.errors import RecordDamaged
from runner.render.bind import NONCE, bind, bind_fresh
from runner.replay import Compared, Outcome, compare
from runner.stored import Record, read

KEY = "ep/s01/seed=1"


def picture(folder: Path, *, shade: int = 200, moved: int = 0, node: str = "out") -> Output:
    """Draw a disc on a slope into *folder* and return the output a collector would record."""
    image = Image.linear_gradient("L").convert("RGB")
    ImageDraw.Draw(image).ellipse((40 + moved, 60, 120 + moved, 140), fill=(shade, 40, 40))
    folder.mkdir(exist_ok=True)
    path = folder / f"{node}.png"
    image.save(path)
    content = path.read_bytes()
    return Output(
        node=node,
        index=0,
        path=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        kind="image",
        pixels=hashlib.sha256(image.tobytes()).hexdigest(),
        mtime_ns=path.stat().st_mtime_ns,
    )


def record(folder: Path, *outputs: Output, failed: bool = False) -> Record:
    """A record of one job."""
    made = {KEY: outputs} if outputs else {}
    return Record(folder, run=folder.name, made=made, failed={KEY} if failed else set())


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ({}, "identical"),
        ({"shade": 198}, "near"),
        ({"moved": 90}, "different"),
    ],
)
def test_outputs_are_graded_by_what_they_show(tmp_path: Path, now: dict[str, int], verdict: str) -> None:
    """Equal samples are identical, a shade of difference is near, another picture is different."""
    old, new = tmp_path / "old", tmp_path / "new"
    [found] = compare(record(old, picture(old)), record(new, picture(new, **now)), [KEY])

    assert found.verdict == verdict
    assert (found.then, found.now) == (old / "out.png", new / "out.png")
    assert found.note == ""


def test_a_missing_output_says_why(tmp_path: Path) -> None:
    """Missing is an output whose job failed, was not made, or made another file."""
    old, new = tmp_path / "old", tmp_path / "new"
    then = record(old, picture(old))
    others = [record(new, failed=True), record(new), record(new, picture(new, node="other"))]
    found = [compare(then, now, [KEY])[0] for now in others]

    assert [each.verdict for each in found] == ["missing"] * 3
    assert [each.note for each in found] == [
        "the job failed",
        "the job was not made",
        "the job made no such file",
    ]


def test_an_edited_old_file_is_not_looked_at(tmp_path: Path) -> None:
    """The recorded hash is what came out then: an edit since makes no difference near, or identical."""
    old, new = tmp_path / "old", tmp_path / "new"
    then, now = record(old, picture(old)), record(new, picture(new, moved=90))
    (old / "out.png").write_bytes((new / "out.png").read_bytes())
    [found] = compare(then, now, [KEY])

    assert found.verdict == "different"
    assert found.note == "not graded: output file out.png was edited"


def test_a_path_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """What a foreign journal names outside of its folder is never opened."""
    old, new = tmp_path / "old", tmp_path / "new"
    output = picture(tmp_path)
    then = record(
        old, Output(node="out", index=0, path="../out.png", sha256=output.sha256, size=1, kind="image")
    )
    [found] = compare(then, record(new, picture(new, moved=90)), [KEY])

    assert found.note == "not graded: ../out.png leads out of the run folder"


def outcome(*verdicts: str) -> Outcome:
    compared = tuple(
        Compared(key=f"k{n}", node="out", index=0, verdict=verdict, then=Path("a"))  # type: ignore[arg-type]
        for n, verdict in enumerate(verdicts)
    )
    return Outcome(compared=compared, drift=(), failed_then=0, made_now=0)


def test_the_worst_come_first() -> None:
    """Missing before different before near; identical ones are counted, not listed."""
    found = outcome("near", "identical", "missing", "different")

    assert [each.verdict for each in found.odd] == ["missing", "different", "near"]
    assert found.counts == {"identical": 1, "near": 1, "different": 1, "missing": 1}


@pytest.mark.parametrize(
    ("verdict", "near", "different"),
    [("identical", False, False), ("near", True, False), ("different", True, True), ("missing", True, True)],
)
def test_a_gate_trips_on_what_is_no_better(verdict: str, near: bool, different: bool) -> None:
    """`near` asks for identical pictures; `different` lets near ones pass."""
    found = outcome("identical", verdict)

    assert (found.trips("near"), found.trips("different")) == (near, different)


def test_a_fresh_workflow_shares_no_node_with_the_past() -> None:
    """Every node carries the nonce, loaders too; all else is what `bind` makes of it."""
    nodes = {
        "load": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a"}},
        "out": {
            "class_type": "SaveImage",
            "inputs": {"images": ["load", 0], "filename_prefix": {"$prefix": True}},
        },
    }
    sent = bind_fresh("n1")(nodes, prefix="p", uploads={})

    assert {node["inputs"].pop(NONCE) for node in sent.values()} == {"n1"}
    assert sent == bind(nodes, prefix="p", uploads={})
    assert NONCE not in nodes["load"]["inputs"]


def test_a_journal_without_a_head_is_no_run(tmp_path: Path) -> None:
    """A run killed before it said what it is cannot be replayed, and says so."""
    from runner.manifest.journal import Journal

    Journal.create(tmp_path / "journal.jsonl", run="demo").close()

    with pytest.raises(RecordDamaged, match="before it says what run"):
        read(tmp_path)
