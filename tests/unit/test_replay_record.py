"""What a journal alone tells of a run, and what of a stranger's journal is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runner.domain import Attempt, Fault, Job, Output, OutputKind, ServerFacts, Workflow
from runner.errors import RecordDamaged
from runner.events import AttemptFailed, AttemptIntended, AttemptSucceeded, ServerNotice, ServerUp
from runner.manifest.history import History
from runner.manifest.journal import Journal, Reading
from runner.record import Recorder
from runner.render import files_of, node_digests, workflow_digest
from runner.replay import Replay, judge
from runner.stored import Record, read
from runner.text.secrets import Secrets

Nodes = dict[str, dict[str, Any]]


def graph(seed: int = 1, **inputs: Any) -> Nodes:
    """A small graph in its stored form."""
    return {
        "noise": {"class_type": "Noise", "inputs": {"seed": seed} | inputs},
        "out": {
            "class_type": "Save",
            "inputs": {"images": ["noise", 0], "filename_prefix": {"$prefix": True}},
        },
    }


def stored(nodes: Nodes, kind: OutputKind = "image", *, digest: str = "") -> Workflow:
    digest = digest or workflow_digest(node_digests(nodes, ["out"]), ["out"])
    return Workflow(nodes=nodes, outputs={"out": kind}, digest=digest, inputs=tuple(files_of(nodes)))


class Past:
    """A run written line by line."""

    journals: ClassVar[list[Journal]] = []
    """Those open."""

    def __init__(self, folder: Path, **head: Any) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.journal = Journal.create(folder / "journal.jsonl", run=folder.name)
        self.journals.append(self.journal)
        self.recorder = Recorder(self.journal, clock=lambda: 0.0)
        told = {"uuid": "u", "spec": "ep.yaml", "episode": "ep", "title": "", "realm": "previz",
                "animerun": "0", "total": 1, "waiting": 0, "scope": {}, "replay_of": ""}  # fmt: skip
        self.recorder.head(**told | head)

    def job(self, key: str, workflow: Workflow, *, seq: int = 0) -> None:
        job = Job(key=key, seq=seq, episode="ep", scene="s", take="t1", seed=1, name=f"s/{seq}", template="t")
        self.recorder.job(job, workflow, recipe="r")

    def intend(self, key: str, number: int = 1) -> str:
        prompt_id = f"{key}/{number}"
        attempt = Attempt(run="ep", key=key, number=number, prompt_id=prompt_id, server="a", prefix="p",
                          workflow=stored(graph()))  # fmt: skip
        self.recorder.handle(AttemptIntended(attempt=attempt, seq=0, at=0.0))
        return prompt_id

    def make(self, key: str, number: int = 1, **output: Any) -> None:
        told = {
            "node": "out",
            "index": 0,
            "path": "a.png",
            "sha256": "0",
            "size": 1,
            "kind": "image",
        } | output
        done = AttemptSucceeded(prompt_id=self.intend(key, number), server="a", outputs=(Output(**told),))
        self.recorder.handle(done)

    def fail(self, key: str, number: int = 1, *, final: bool = True) -> None:
        fault = Fault(code="OOM", message="out of memory")
        failed = AttemptFailed(prompt_id=self.intend(key, number), server="a", fault=fault)
        self.recorder.handle(failed, final=final)

    def read(self) -> Record:
        self.journal.commit()
        return read(self.folder)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while Past.journals:
        Past.journals.pop().close()


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path / "ep-1")


def keys(record: Record) -> Sequence[str]:
    return [each.job.key for each in record.jobs()]


def test_outputs_that_may_be_missing_are_recorded(past: Past) -> None:
    """A later job that has an output more declares it, and a replay knows which of them are optional."""
    more = graph(2) | {"extra": {"class_type": "Show", "inputs": {"filename_prefix": {"$prefix": True}}}}
    digest = workflow_digest(node_digests(more, ["out", "extra"]), ["out", "extra"])
    both = Workflow(
        nodes=more, outputs={"out": "image", "extra": "text"}, optional=frozenset({"extra"}), digest=digest
    )
    past.job("a", stored(graph(1)))
    past.job("b", both, seq=1)
    past.job("c", both, seq=2)
    found = {each.job.key: each.workflow for each in past.read().jobs()}

    assert {key: each and (dict(each.outputs), set(each.optional)) for key, each in found.items()} == {
        "a": ({"out": "image"}, set()),
        "b": ({"out": "image", "extra": "text"}, {"extra"}),
        "c": ({"out": "image", "extra": "text"}, {"extra"}),
    }
    assert sum(line["t"] == "declared" for line in Reading(past.folder / "journal.jsonl")) == 2


def test_a_workflow_comes_back_byte_for_byte(past: Past) -> None:
    """Shapes, changed leaves and long texts make the graph that was recorded, with its digest."""
    graphs = [graph(1, text="a" * 300), graph(2, text="a" * 300), graph(2, text="b", more=1.0)]
    for n, nodes in enumerate(graphs):
        past.job(f"k{n}", stored(nodes), seq=n)
    found = [each.workflow for each in past.read().jobs()]

    assert [json.dumps(each.nodes) for each in found if each] == [json.dumps(nodes) for nodes in graphs]
    assert [each.digest for each in found if each] == [stored(nodes).digest for nodes in graphs]


def test_listing_order_is_not_starting_order(past: Past) -> None:
    """The scheduler starts jobs as it likes; a comparison lists them as the spec did."""
    for key, seq in (("c", 2), ("a", 0), ("b", 1)):
        past.job(key, stored(graph(seq)), seq=seq)
    record = past.read()

    assert keys(record) == ["c", "a", "b"]
    assert Replay(record).keys == ["a", "b", "c"]


def test_a_job_told_twice_is_one_job(past: Past) -> None:
    """A resumed run may tell a job again; it is made once."""
    past.job("k", stored(graph()))
    again = Recorder(past.journal, clock=lambda: 0.0)
    past.recorder = again
    past.job("k", stored(graph()))

    assert keys(past.read()) == ["k"]


def test_the_last_word_on_a_job_counts(past: Past) -> None:
    """A failure followed by another attempt is none; one that was made after all has not failed."""
    for n, key in enumerate(("retried", "rescued", "lost")):
        past.job(key, stored(graph(n)), seq=n)
    past.fail("retried", final=False)
    past.fail("rescued")
    past.make("rescued", 2)
    past.fail("lost")
    record = past.read()

    assert record.failed == {"lost"}
    assert set(record.made) == {"rescued"}


def test_a_resumed_run_has_not_ended(past: Past) -> None:
    """An end counts only when nothing came behind it."""
    assert not past.read().ended
    past.recorder.end(code=130, reason="stopped")
    assert past.read().ended
    past.recorder.resume([])
    assert not past.read().ended


@pytest.mark.parametrize("word", ["server", "outputs", "message", "301657", "previz", "abcdef"])
def test_a_credential_may_be_a_word_of_the_record(tmp_path: Path, word: str) -> None:
    """Nothing that readers need is rewritten for it: not kinds of lines, members, sizes or hashes."""
    journal = Journal.create(tmp_path / "journal.jsonl", run="r")
    recorder = Recorder(journal, clock=lambda: 301657.0, secrets=Secrets([word]))
    output = Output(
        node="out", index=0, path="a.png", sha256="abcdef" * 10 + "0000", size=301657, kind="image",
        server_name=f"x/{word}.png",
    )  # fmt: skip
    attempt = Attempt(
        run="r",
        key="k",
        number=1,
        prompt_id="abcdef-1",
        server="http://a",
        workflow=stored(graph()),
        prefix="p",
    )
    recorder.handle(
        ServerUp(server="http://a", facts=ServerFacts(url="http://a", realm="previz", version=f"a {word}"))
    )
    recorder.handle(AttemptIntended(attempt=attempt, seq=0, at=0.0))
    recorder.handle(AttemptSucceeded(prompt_id="abcdef-1", server="http://a", outputs=(output,)))
    recorder.handle(ServerNotice(server="http://a", message=f"it said {word}"))
    recorder.commit()
    journal.close()
    _, up, intent, done, notice = Reading(tmp_path / "journal.jsonl")

    assert [up["t"], intent["t"], done["t"], notice["t"]] == ["server", "intent", "done", "notice"]
    assert (up["realm"], up["version"], notice["message"]) == ("previz", "a ***", "it said ***")
    assert (intent["id"], done["id"], done["at"]) == ("abcdef-1", "abcdef-1", 301657.0)
    assert done["outputs"] == [asdict(output) | {"server_name": "x/***.png"}]


def test_outputs_are_known_without_files(past: Past) -> None:
    """What a failed job should have saved is told by its template's line; it is written once."""
    past.job("a", stored(graph(1), "video"))
    past.job("b", stored(graph(2), "video"), seq=1)
    past.fail("a")
    found = [each.workflow.outputs for each in past.read().jobs() if each.workflow]
    later = Recorder(past.journal, clock=lambda: 0.0)
    later.resume(list(Reading(past.folder / "journal.jsonl")))
    past.recorder = later
    past.job("c", stored(graph(3), "video"), seq=2)
    past.journal.commit()

    assert found == [{"out": "video"}] * 2
    assert sum(line["t"] == "declared" for line in Reading(past.folder / "journal.jsonl")) == 1


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (graph(picture={"$input": "../../secrets.png"}), "no name of an input file"),
        (graph(model=["absent", 0]), "not in the graph"),
        (graph(model=["out", 0]), "need each other"),
        (
            {"out": {"class_type": "Save", "inputs": {"filename_prefix": {"$prefix": True}}, "x": 1}},
            "key `x`",
        ),
    ],
)
def test_a_strange_graph_is_refused_by_name(past: Past, nodes: Nodes, said: str) -> None:
    """Paths, dangling links and rings are told with the job's key before anything is asked of a server."""
    past.job("ep/s/seed=1", stored(nodes, digest="0" * 64))

    with pytest.raises(RecordDamaged, match=r"job ep/s/seed=1: .*" + said):
        Replay(past.read())


def test_links_in_a_foreign_plan_are_not_followed(past: Past, tmp_path: Path) -> None:
    """What lies under `plan/` is copied along; what it links to is not."""
    (tmp_path / "secret").write_text("secret")
    plan = past.folder / "plan"
    (plan / "files").mkdir(parents=True)
    (plan / "files" / "ep.yaml").write_text("animerun: 1\n")
    (plan / "files" / "link.yaml").symlink_to(tmp_path / "secret")
    past.job("k", stored(graph()))

    assert dict(Replay(past.read()).frozen()) == {"files/ep.yaml": b"animerun: 1\n"}


def test_equal_bytes_need_no_pixels(past: Past, tmp_path: Path) -> None:
    """Files without pixels are identical by their hash, and never because neither has pixels."""
    for n in range(2):
        past.job(f"k{n}", stored(graph(n)), seq=n)
    now = Past(tmp_path / "ep-2")
    for n, sha256 in enumerate(("same", "other")):
        past.make(f"k{n}", sha256="same")
        now.make(f"k{n}", sha256=sha256)
    now.journal.commit()
    outcome = judge(Replay(past.read()), now.folder)

    assert [each.verdict for each in outcome.compared] == ["identical", "different"]


def test_what_had_failed_and_is_made_now_is_counted(past: Past, tmp_path: Path) -> None:
    """Jobs without a picture then are told apart: how many there were, how many were made this time."""
    now = Past(tmp_path / "ep-2")
    for n in range(3):
        past.job(f"k{n}", stored(graph(n)), seq=n)
        past.fail(f"k{n}")
    now.make("k1")
    now.fail("k0")
    now.journal.commit()
    outcome = judge(Replay(past.read()), now.folder)

    assert (outcome.compared, outcome.failed_then, outcome.made_now) == ((), 3, 1)


def test_a_stopped_replay_is_no_unfinished_run_of_its_spec(tmp_path: Path) -> None:
    """`animerun SPEC` settles runs of the spec that never ended; a replay is none of them."""
    for name, replay_of in (("ep-1", ""), ("ep-2", "ep-1")):
        run = Past(tmp_path / "runs" / name, replay_of=replay_of)
        run.intend("k")
        run.journal.commit()

    assert History(tmp_path / "runs").unfinished("ep.yaml") == [("ep-1", "a")]
