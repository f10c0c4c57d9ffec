"""What a night's record says the morning after: model files that changed, addresses, flags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import Project
from tests.cli.served import NODES, SPEC, TEMPLATE, Scripted, served

LORA = TEMPLATE.replace("  seed:", "  style: {type: file, folder: loras}\n  seed:").replace(
    '"seed": {{ seed }}', '"seed": {{ seed }}, "lora_name": {{ style }}'
)
FILE = {"name": "aki.safetensors", "size": 1000, "modified": 1_700_000_000.25, "pathIndex": 0}
CHANGED = "model file aki.safetensors on the server was changed since"


@pytest.fixture(scope="module")
def farm() -> Iterator[Scripted]:
    """One server for all tests."""
    with served() as fake:
        yield fake


@pytest.fixture
def trained(project: Project, farm: Scripted) -> Project:
    """A project with one picture made with a LoRA whose time of change the server says."""
    farm.clear()
    node = json.loads(json.dumps(NODES))
    node["SaveImage"]["input"]["required"]["lora_name"] = [["aki.safetensors"]]
    farm.said["GET /object_info"] = node
    tell(farm)
    project.write("templates/one.json.j2", LORA)
    project.write("spec.yaml", SPEC.replace("scenes:", "style: aki.safetensors\nscenes:") % "x")
    assert night(project, farm) == (0, 1)
    return project


def tell(farm: Scripted, **more: Any) -> None:
    farm.said["GET /experiment/models/loras"] = [FILE | more]


def night(project: Project, farm: Scripted, *args: str) -> tuple[int, int]:
    """Return the exit code of one run and how many jobs the server got."""
    before = len(farm.posts)
    said = project.animerun("spec.yaml", "--server", farm.url, "--no-socket", *args)
    assert said.code == 0, said.err
    return said.code, len(farm.posts) - before


def test_a_retrained_lora_is_rendered_again_and_said_everywhere(trained: Project, farm: Scripted) -> None:
    """Same name and size, another time: stale in plan, drift in diff, the reason in explain; once."""
    tell(farm, modified=1_700_000_777.5)
    plan = trained.animerun("plan", "spec.yaml", "--server", farm.url)
    first, then = night(trained, farm), night(trained, farm)
    diff = trained.animerun("diff", "-2", "-1")
    explained = trained.animerun("explain", "c001")

    assert (first, then) == ((0, 1), (0, 0))
    assert f"1 because: {CHANGED}" in plan.err
    assert CHANGED in explained.out
    assert "loras/aki.safetensors, last changed" in diff.out
    assert "2023-11-14 22:13:20 UTC → 2023-11-14 22:26:17 UTC" in diff.out


@pytest.mark.parametrize("more", [{}, {"modified": 1_700_000_000}, {"modified": None}, {"modified": "x"}])
def test_what_a_server_does_not_say_is_no_change(
    trained: Project, farm: Scripted, more: dict[str, Any]
) -> None:
    """The same second, or no time at all: up to date as before."""
    tell(farm, **more)

    assert night(trained, farm) == (0, 0)
    assert "1 up to date" in trained.animerun("plan", "spec.yaml", "--server", farm.url).err


def test_a_copy_on_another_server_is_no_change(trained: Project, farm: Scripted) -> None:
    """Times are compared server by server: the same file on a new server has a time of its own."""
    with served() as other:
        other.said = {**farm.said}
        tell(other, modified=5)

        assert night(trained, other) == (0, 0)


def test_a_known_sum_outranks_the_time(trained: Project, farm: Scripted) -> None:
    """Where the user gave the same sha256 for both runs, a file that was only touched is up to date."""
    trained.write("models.sha256", f"{'a' * 64}  loras/aki.safetensors\n")
    trained.write("animerun.toml", 'model_sums = "models.sha256"\n')
    assert night(trained, farm, "--force") == (0, 1)
    tell(farm, modified=1_700_000_777)

    assert night(trained, farm) == (0, 0)


def test_plan_goes_on_without_a_server_that_is_away(trained: Project) -> None:
    """`plan` asks about model files in passing; a server that does not answer costs one note."""
    said = trained.animerun("plan", "spec.yaml", "--server", "http://127.0.0.1:9")

    assert said.code == 0
    assert "note: whether model files have changed is not known" in said.err


FLAGS = [
    ("resume", "--yes"),
    ("resume", "--retry-faild"),
    ("accept", "--note-x"),
    ("diff", "-1", "--pixel"),
    ("verify", "--quik"),
    ("repair", "--yes"),
    ("export", "--zip"),
    ("replay", "--yess"),
    ("list", "--yes"),
    ("show", "--yes"),
    ("explain", "--yes"),
    ("plan", "--yes"),
    ("--yes",),
]


@pytest.mark.parametrize("args", FLAGS, ids=" ".join)
def test_an_unknown_flag_is_never_taken_for_a_run(project: Project, args: tuple[str, ...]) -> None:
    """It is a usage error that names the flag, whatever the command takes."""
    said = project.animerun(*args)

    assert (said.code, "No such option" in said.err, args[-1] in said.err) == (2, True, True)
    assert "no run" not in said.err


def test_a_run_counted_from_the_end_is_no_flag(project: Project) -> None:
    """`-2` is a run, and behind `--` anything is."""
    assert "there are no runs" in project.animerun("resume", "-2").err
    assert "No such option" not in project.animerun("accept", "--", "--odd").err


def test_a_name_that_dns_does_not_know_is_exit_4(project: Project) -> None:
    """An unknown host is as a refused connection: no server."""
    project.write("spec.yaml", "animerun: 1\nepisode: demo\nscenes: {s01: {prompt: x}}\n")
    codes = [
        project.animerun("spec.yaml", "--server", url).code
        for url in ("http://no-such-host.invalid:8188", "http://127.0.0.1:9")
    ]

    assert codes == [4, 4]
