from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.compare import Asked, Comparison
from runner.diff import RunDiff
from runner.errors import RecordDamaged
from runner.manifest.export import export_run
from runner.manifest.store import refresh
from tests.diff.record import WORDS, Made, jobs, write_run


def compared(runs: Path, a: str = "a", b: str = "b", **more: Any) -> RunDiff:
    sides = [Asked(name=name, kind="run", run=name, path=runs / name) for name in (a, b)]
    with Comparison(*sides, runs=runs, **more) as found:
        return found.diff


def causes(diff: RunDiff) -> list[tuple[str, str, int]]:
    return [(group.kind, group.cause, group.jobs) for group in diff.groups]


def with_words(made: list[Made], **words: Any) -> list[Made]:
    return [replace(job, words={**job.words, **words}) for job in made]


def test_equal_runs_have_no_difference(tmp_path: Path) -> None:
    """Two runs of the same jobs with the same pixels are the same, other titles and lines included."""
    write_run(tmp_path, "a", jobs(4))
    write_run(tmp_path, "b", with_words(jobs(4), title="else", place="a.yaml:9"), at=2000)
    diff = compared(tmp_path)

    assert diff.same
    assert diff.groups == ()
    assert (diff.counts.both, diff.counts.same) == (4, 4)


def test_reused_counts_as_made(tmp_path: Path) -> None:
    """A job whose files came from an earlier run is no other job than one that was rendered."""
    write_run(tmp_path, "a", jobs(2))
    write_run(tmp_path, "b", jobs(2, reused=True))

    assert compared(tmp_path).same


def test_jobs_come_and_go(tmp_path: Path) -> None:
    """What only one side has is told by cut, with the first keys."""
    write_run(tmp_path, "a", jobs(3))
    write_run(
        tmp_path, "b", [*jobs(2), Made("ep/s2/c7/camera=wide/take=1"), Made("ep/s2/c7/camera=close/take=1")]
    )
    diff = compared(tmp_path)

    assert causes(diff) == [("removed", "ep/s1/c1", 1), ("added", "ep/s2/c7", 2)]
    assert diff.groups[1].keys == ("ep/s2/c7/camera=wide/take=1", "ep/s2/c7/camera=close/take=1")
    assert (diff.counts.removed, diff.counts.added, diff.counts.both, diff.counts.same) == (1, 2, 2, 2)


MEMBER = {"name": "aki", "prompt": "red hair", "outfit": "", "expression": ""}


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ({"members": [MEMBER], "prompt": "with red hair"}, "prompt of character aki changed"),
        ({"members": [*WORDS["members"], {**MEMBER, "name": "ren"}]}, "cast aki → aki, ren"),
        ({"slots": {"camera": "close"}, "prompt": "close"}, "camera wide → close"),
        ({"params": {**WORDS["params"], "cfg": 6}}, "cfg 5 → 6"),
        ({"params": {"cfg": 5, "size": {"width": 16, "height": 8}}}, "size 8x8 → 16x8"),
        ({"loras": [{"file": "x.safetensors", "weight": 0.5, "clip": 0.5}]}, "LoRA x.safetensors none → 0.5"),
        ({"negative": "bad"}, "negative low → bad"),
        ({"prompt": "another"}, "wording a prompt → another"),
        ({"model": "paint", "template": "flux"}, "template txt2img → flux, model ink → paint"),
    ],
)
def test_a_changed_word_is_the_cause(tmp_path: Path, words: dict[str, Any], cause: str) -> None:
    """The word that was changed is named, and what follows from it is not told twice."""
    write_run(tmp_path, "a", jobs(6))
    write_run(tmp_path, "b", [*with_words(jobs(4), **words), *jobs(6)[4:]])
    diff = compared(tmp_path)

    assert causes(diff) == [("changed", cause, 4)]
    assert diff.groups[0].keys == tuple(f"ep/s1/c1/take={n}" for n in (1, 2, 3, 4))
    assert diff.counts.same == 2


def test_many_values_are_one_cause(tmp_path: Path) -> None:
    """Jobs in which the same word took different values are one group, without a value in its name."""
    write_run(tmp_path, "a", jobs(30))
    changed = [with_words([job], params={**WORDS["params"], "cfg": job.seed + 9})[0] for job in jobs(30)]
    write_run(tmp_path, "b", changed)
    [group] = compared(tmp_path).groups

    assert (group.cause, group.jobs, group.uniform) == ("cfg changed", 30, False)
    assert (group.changes[0].before, group.changes[0].after) == (5, 10)


def test_another_seed_is_told(tmp_path: Path) -> None:
    """A job that kept its key and got another seed says so."""
    write_run(tmp_path, "a", [Made("ep/s1/take=1", seed=2**64 - 1)])
    write_run(tmp_path, "b", [Made("ep/s1/take=1", seed=6)])

    assert compared(tmp_path).groups[0].cause == f"seed {2**64 - 1} → 6"


def test_nodes_tell_where_words_do_not(tmp_path: Path) -> None:
    """With equal words the stored workflows tell which input of which node is another."""
    write_run(tmp_path, "a", jobs(3))
    write_run(tmp_path, "b", [replace(job, nodes={"steps": 30}) for job in jobs(3)])

    assert causes(compared(tmp_path)) == [("changed", "node sampler.steps 20 → 30", 3)]


def test_a_changed_template_is_one_cause(tmp_path: Path) -> None:
    """An edited template is told as that, however many variants use it, and stands in the environment."""
    write_run(tmp_path, "a", [*with_words(jobs(3), params={"cfg": 1}), Made("ep/s2/take=1")])
    edited = [replace(job, nodes={"steps": 30}) for job in with_words(jobs(3), params={"cfg": 1})]
    write_run(
        tmp_path, "b", [*edited, Made("ep/s2/take=1", nodes={"steps": 30})], templates={"txt2img": "d2"}
    )
    diff = compared(tmp_path)

    assert causes(diff) == [("changed", "source of template txt2img changed", 4)]
    assert [(drift.what, drift.after) for drift in diff.environment] == [("template txt2img", ("d2",))]


def test_states_are_compared(tmp_path: Path) -> None:
    """A job that failed, waits or was not begun is told with its fault."""
    write_run(tmp_path, "a", jobs(4))
    last = [
        replace(job, state=state)
        for job, state in zip(jobs(4)[1:], ("failed", "waiting", "pending"), strict=True)
    ]
    write_run(tmp_path, "b", [jobs(4)[0], *last], code=1)
    diff = compared(tmp_path)

    assert [cause for kind, cause, _ in causes(diff) if kind == "state"] == [
        "succeeded → failed (OOM)",
        "succeeded → waiting",
        "succeeded → pending",
    ]
    assert diff.counts.state == 3


def test_pixels_are_graded(tmp_path: Path) -> None:
    """Other pixels from the same workflow are looked at: a shade is near, another colour is changed."""
    write_run(tmp_path, "a", [*jobs(3, pixels="#204060")])
    write_run(
        tmp_path,
        "b",
        [replace(job, pixels=c) for job, c in zip(jobs(3), ("#204060", "#204061", "#e04060"), strict=True)],
    )
    diff = compared(tmp_path)
    looks = {group.look: (group.keys, group.expected) for group in diff.groups}

    assert looks == {"near": (("ep/s1/c1/take=2",), False), "changed": (("ep/s1/c1/take=3",), False)}
    assert diff.counts.pixels == 2
    assert [picture.before for picture in diff.pictures] == ["s/1.png", "s/2.png"]


def test_pictures_are_looked_at_up_to_a_number(tmp_path: Path) -> None:
    """Only so many pictures are opened, those without a reason first, and a remark says so."""
    write_run(tmp_path, "a", jobs(6))
    changed = with_words(jobs(3, pixels="red"), negative="x")
    write_run(tmp_path, "b", [*changed, *(replace(job, pixels="red") for job in jobs(6)[3:])])
    diff = compared(tmp_path, pictures=3)

    assert [picture.expected for picture in diff.pictures] == [False] * 3
    assert [(g.look, g.jobs) for g in diff.groups if g.kind == "pixels"] == [("changed", 3), ("ungraded", 3)]
    assert any("--pixels" in remark for remark in diff.remarks)
    assert len(compared(tmp_path, pictures=None).pictures) == 6


def test_equal_films_with_other_tags_are_the_same(tmp_path: Path) -> None:
    """Where files differ in their tags alone, looking at them takes the difference back."""
    write_run(tmp_path, "a", jobs(2, pixels="#010203"))
    write_run(tmp_path, "b", [replace(job, pixels="rgb(1,2,3)") for job in jobs(2)])

    assert compared(tmp_path).same


def test_a_missing_file_is_not_taken_for_equal(tmp_path: Path) -> None:
    """A picture that is not on disk any more cannot be graded and stays a difference."""
    write_run(tmp_path, "a", jobs(1), pictures=False)
    write_run(tmp_path, "b", jobs(1, pixels="red"))
    diff = compared(tmp_path)

    assert [group.look for group in diff.groups] == ["ungraded"]
    assert "is not there" in diff.remarks[-1]


def test_narrowed_runs_are_compared_where_both_were_asked(tmp_path: Path) -> None:
    """Jobs outside the narrower run's scope are left out; what it was asked for and lacks is not."""
    write_run(tmp_path, "a", [*jobs(3), Made("ep/s2/take=1"), Made("ep/s2/take=2")])
    write_run(tmp_path, "b", jobs(2), scope={"only": ["s1"], "without": ["take=9"], "sets": ["cfg=5"]})
    diff = compared(tmp_path)

    assert (diff.counts.outside, diff.counts.removed, diff.counts.both) == (2, 1, 2)
    assert any("--only s1 --except take=9 --set cfg=5" in remark for remark in diff.remarks)
    assert any("2 jobs were left out" in remark for remark in diff.remarks)


def test_realms_are_compared_with_a_remark(tmp_path: Path) -> None:
    """Cards and pictures are never looked at side by side."""
    write_run(tmp_path, "a", jobs(1))
    write_run(tmp_path, "b", jobs(1, pixels="red"), realm="comfyui")
    diff = compared(tmp_path)

    assert diff.pictures == ()
    assert any("previz (storyboard cards)" in remark for remark in diff.remarks)


def test_the_environment_alone_is_no_difference(tmp_path: Path) -> None:
    """Another server version is told, and does not make two runs different."""
    write_run(tmp_path, "a", jobs(1), server={"torch": "2.4", "device": "cpu"})
    write_run(tmp_path, "b", jobs(1), server={"torch": "2.5", "device": "cpu"})
    diff = compared(tmp_path)

    assert diff.same
    assert [(drift.what, drift.before, drift.after) for drift in diff.environment] == [
        ("torch", ("2.4",), ("2.5",))
    ]


def test_times_are_those_both_rendered(tmp_path: Path) -> None:
    """Seconds are summed over jobs that both sides rendered; a reused one has none."""
    write_run(tmp_path, "a", jobs(3))
    write_run(
        tmp_path,
        "b",
        [replace(jobs(3)[0], run_s=3.0), replace(jobs(3)[1], run_s=1.0), replace(jobs(3)[2], reused=True)],
    )
    times = compared(tmp_path).times

    assert (times.jobs, times.before_s, times.after_s, times.ratio) == (2, 2.0, 4.0, 2.0)
    assert times.slowest[0].key == "ep/s1/c1/take=1"


def test_a_run_that_was_stopped_says_so(tmp_path: Path) -> None:
    """Jobs that a stopped run never began count as missing, and a remark says why."""
    write_run(tmp_path, "a", jobs(5))
    write_run(tmp_path, "b", jobs(2), code=None, total=5)
    diff = compared(tmp_path)

    assert diff.counts.removed == 3
    assert any("has begun 2 of its 5 jobs and has no end" in remark for remark in diff.remarks)


def test_only_the_last_attempt_counts(tmp_path: Path) -> None:
    """A job that failed first and was made then is made."""
    from runner.manifest.journal import Journal

    write_run(tmp_path, "a", jobs(1))
    folder = write_run(tmp_path, "b", [replace(jobs(1)[0], state="failed")])
    journal, _ = Journal.resume(folder / "journal.jsonl")
    who = {"key": "ep/s1/c1/take=1", "n": 2, "id": "second", "server": "http://a", "at": 9.0}
    journal.append({"t": "intent", **who, "prefix": "p"})
    journal.commit()
    assert causes(compared(tmp_path))[0][1] == "succeeded → submitted"
    journal.append({"t": "done", **who, "queue_s": 0, "run_s": 1, "collect_s": 0, "cached": 0, "outputs": []})
    journal.close()

    assert "state" not in [kind for kind, *_ in causes(compared(tmp_path))]


@pytest.mark.parametrize("published", [True, False])
def test_folders_and_exported_files_are_sides(tmp_path: Path, published: bool) -> None:
    """A run's folder anywhere, its exported file and its name in the manifest give the same answer."""
    write_run(tmp_path / "runs", "a", jobs(3))
    elsewhere = write_run(tmp_path / "else", "b", with_words(jobs(3, pixels="red"), negative="x"))
    write_run(tmp_path / "runs", "b", with_words(jobs(3, pixels="red"), negative="x"))
    export_run(elsewhere, tmp_path / "b.animerun.tar")
    if published:
        refresh(tmp_path / "runs")
    a = Asked(name="a", kind="run", run="a", path=tmp_path / "runs" / "a")
    told = []
    for b in (
        Asked(name="b", kind="run", run="b", path=tmp_path / "runs" / "b"),
        Asked(name="b", kind="folder", path=elsewhere),
        Asked(name="b", kind="file", path=tmp_path / "b.animerun.tar"),
    ):
        with Comparison(a, b, runs=tmp_path / "runs") as found:
            told.append((found.diff.groups, found.diff.counts, [p.kind for p in found.diff.pictures]))

    assert told[0] == told[1] == told[2]
    assert told[0][2] == ["changed"] * 3


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    """A side whose journal is damaged is not compared by halves."""
    write_run(tmp_path / "runs", "a", jobs(1))
    folder = write_run(tmp_path / "else", "b", jobs(3))
    content = bytearray((folder / "journal.jsonl").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "journal.jsonl").write_bytes(content)

    with pytest.raises(RecordDamaged, match=r"journal\.jsonl:"):
        Comparison(
            Asked(name="a", kind="run", run="a", path=tmp_path / "runs" / "a"),
            Asked(name="b", kind="folder", path=folder),
            runs=tmp_path / "runs",
        )


def test_beyond_a_number_causes_are_told_by_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many kinds of change are found, the rest is told by the kind of word, and no job is lost."""
    monkeypatch.setattr("runner.compare.changed._PAIRS", 2)
    write_run(tmp_path, "a", jobs(5))
    write_run(tmp_path, "b", [with_words([job], negative=f"x{job.seed}")[0] for job in jobs(5)])

    assert causes(compared(tmp_path)) == [
        ("changed", "negative changed", 2),
        ("changed", "negative changed (not looked into)", 3),
    ]


def test_one_cause_is_found_whatever_else_the_jobs_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that share a change are one class, though their prompts and other words all differ."""
    monkeypatch.setattr("runner.compare.changed._PAIRS", 2)
    old = [with_words([job], prompt=f"p{job.seed}", negative=f"n{job.seed}")[0] for job in jobs(9)]
    write_run(tmp_path, "a", old)
    write_run(tmp_path, "b", [with_words([job], members=[MEMBER], prompt=f"q{job.seed}")[0] for job in old])

    assert causes(compared(tmp_path)) == [("changed", "prompt of character aki changed", 9)]
