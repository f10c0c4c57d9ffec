# ruff: noqa: E501 - tables read better in long rows
"""Nodes of packs and inputs that lead out: told once, refused where that was asked for (4.8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.comfy import object_info
from runner.comfy.object_info import own_classes
from runner.foreign import _leads_out
from tests.cli.conftest import Project, Said
from tests.cli.served import NODES, SPEC, TEMPLATE, Scripted, served

PACK = {"SaveImage": {**NODES["SaveImage"], "python_module": "custom_nodes.stranger-pack"}}
FOREIGN = TEMPLATE.replace("---\n", "---\npacks: [stranger-pack]\n", 1).rstrip()[:-1] + (
    ', "in": {"class_type": "Stranger", "inputs": {}}}'
)
TOLD = "nodes that are not ComfyUI's own: stranger-pack (SaveImage)"


@pytest.fixture(scope="module")
def farm() -> Iterator[Scripted]:
    """One server for all tests."""
    with served() as fake:
        yield fake


@pytest.fixture
def ready(project: Project, farm: Scripted) -> Project:
    """A project whose one node comes from a pack there."""
    farm.clear()
    farm.said["GET /object_info"] = PACK
    project.write("templates/one.json.j2", TEMPLATE)
    project.write("spec.yaml", SPEC % "x")
    return project


def test_nodes_of_a_pack_are_told_once_and_used(ready: Project, farm: Scripted) -> None:
    """Without a policy nobody is stopped, and nobody is left in the dark."""
    said = ready.animerun("spec.yaml", "--server", farm.url, "--no-socket")

    assert said.code == 0
    assert said.err.count(TOLD) == 1


def test_nodes_of_comfyui_are_no_news(ready: Project, farm: Scripted) -> None:
    """Core classes are not spoken of, with a policy or without."""
    farm.said["GET /object_info"] = NODES
    said = ready.animerun("spec.yaml", "--server", farm.url, "--no-socket", "--allow-nodes", "core")

    assert said.code == 0
    assert "own" not in said.err


@pytest.mark.parametrize("names", ["stranger-pack", "SaveImage", "other, stranger-pack"])
def test_what_is_allowed_is_used(ready: Project, farm: Scripted, names: str) -> None:
    """A class is allowed by its own name or by its pack's."""
    assert ready.animerun("spec.yaml", "--server", farm.url, "--no-socket", "--allow-nodes", names).code == 0


@pytest.mark.parametrize("names", ["core", "other", ""])
def test_what_is_not_allowed_is_refused(ready: Project, farm: Scripted, names: str) -> None:
    """Exit 3 with class, pack and what to write; nothing is submitted."""
    said = ready.animerun("spec.yaml", "--server", farm.url, "--no-socket", "--allow-nodes", names)

    assert said.code == 3
    assert "node class `SaveImage` of the pack stranger-pack is not among the nodes allowed" in said.err
    assert farm.posts == []


def test_the_project_may_set_the_policy(ready: Project, farm: Scripted) -> None:
    """`allow_nodes` in animerun.toml holds for run and check."""
    ready.write("animerun.toml", 'allow_nodes = ["core"]\n')

    assert ready.animerun("spec.yaml", "--server", farm.url, "--no-socket").code == 3
    assert ready.animerun("check", "spec.yaml", "--server", farm.url).code == 3


@pytest.mark.parametrize("how", ["option", "setting"])
def test_a_replay_keeps_to_the_policy(ready: Project, farm: Scripted, how: str) -> None:
    """Stored workflows of somebody else are workflows too: exit 3, and nothing is submitted."""
    assert ready.animerun("spec.yaml", "--server", farm.url, "--no-socket").code == 0
    farm.posts.clear()
    said = _under_policy(ready, how, "replay", ready.runs()[0].name, "--server", farm.url)

    assert (said.code, farm.posts) == (3, [])
    assert "node class `SaveImage` of the pack stranger-pack is not among the nodes allowed" in said.err
    assert len(ready.runs()) == 1


@pytest.mark.parametrize("how", ["option", "setting"])
def test_a_resume_keeps_to_the_policy(ready: Project, farm: Scripted, how: str) -> None:
    """What is left of a run is checked like a new one: exit 3, and nothing is submitted."""
    farm.plan("POST /prompt", *[(400, "application/json", b'{"error": {"message": "no"}}')] * 9)
    assert ready.animerun("spec.yaml", "--server", farm.url, "--no-socket").code == 1
    farm.clear()
    farm.said["GET /object_info"] = PACK
    said = _under_policy(ready, how, "resume", ready.runs()[0].name, "--retry-failed", "--server", farm.url)

    assert (said.code, farm.posts) == (3, [])
    assert "of the pack stranger-pack is not among the nodes allowed" in said.err


def _under_policy(project: Project, how: str, *args: str) -> Said:
    if how == "setting":
        project.write("animerun.toml", 'allow_nodes = ["core"]\n')
    return project.animerun(*args, *(("--allow-nodes", "core") if how == "option" else ()))


def test_a_class_without_inputs_is_looked_at(ready: Project, farm: Scripted) -> None:
    """A node that only some job has, and that asks for nothing, is still under the policy."""
    farm.said["GET /object_info"] = {
        **NODES,
        "Reboot": {"input": {}, "output": [], "python_module": "custom_nodes.x"},
    }
    more = """{% if seed == 8 %}, "in": {"class_type": "Reboot", "inputs": {}}{% endif %}}"""
    ready.write("templates/one.json.j2", TEMPLATE.rstrip()[:-1] + more)
    ready.write("spec.yaml", SPEC.replace("prompt: %s", "prompt: x, seeds: [7, 8]"))
    said = ready.animerun("spec.yaml", "--server", farm.url, "--no-socket", "--allow-nodes", "core")

    assert (said.code, farm.posts) == (3, [])
    assert "node class `Reboot` of the pack x is not among the nodes allowed" in said.err


def test_plan_names_what_is_not_comfyuis_own(project: Project) -> None:
    """Without a server: the class, the packs its template names and the first job, and by which list it was told."""
    project.write("templates/one.json.j2", FOREIGN)
    project.write("spec.yaml", SPEC.replace("prompt: %s", "prompt: x, seeds: [7, 8]"))
    said = project.animerun("plan", "spec.yaml")
    lines = [json.loads(line) for line in project.animerun("plan", "spec.yaml", "--json").out.splitlines()]

    assert (said.code, said.err.count("Stranger")) == (0, 1)
    assert (
        "note: not among the nodes ComfyUI 0.33.0 comes with: "
        "Stranger (template one needs stranger-pack; for demo/s01/c001/seed=7)"
    ) in said.err
    assert [line["event"] for line in lines] == ["job", "job", "beyond"]
    assert lines[-1]["comfyui"] == "0.33.0"
    assert lines[-1]["classes"] == [
        {
            "node_class": "Stranger",
            "template": "one",
            "packs": ["stranger-pack"],
            "key": "demo/s01/c001/seed=7",
        }
    ]


def test_plan_says_nothing_of_comfyuis_own(project: Project) -> None:
    """A spec that stays within ComfyUI is planned without a word about nodes, for programs too."""
    project.write("templates/one.json.j2", TEMPLATE)
    project.write("spec.yaml", SPEC % "x")
    said, told = (project.animerun("plan", "spec.yaml", *more) for more in ((), ("--json",)))

    assert "not among" not in said.err
    assert [json.loads(line)["event"] for line in told.out.splitlines()] == ["job"]


def test_the_list_of_comfyuis_own_nodes() -> None:
    """It says of which version it is, and has core, extra and API nodes, gone ones too, once and in order."""
    version, own = own_classes()

    assert version == "0.33.0"
    assert own >= {
        "KSampler",
        "SaveImage",
        "SaveAnimatedWEBP",
        "OpenAIDalle3",
        "ComfySwitchNode",
        "Load3DAnimation",
    }
    assert (
        sorted(own)
        == (Path(object_info.__file__).parent / "own_nodes.txt").read_text("utf-8").splitlines()[1:]
    )


def test_check_names_the_packs(ready: Project, farm: Scripted) -> None:
    """Before anything is rendered one can look."""
    said = ready.animerun("check", "spec.yaml", "--server", farm.url)

    assert (said.code, TOLD in said.err) == (0, True)


def test_the_storyboard_server_is_core(project: Project) -> None:
    """previz has no packs."""
    project.write("spec.yaml", "animerun: 1\nepisode: demo\nscenes: {s01: {prompt: x}}\n")

    assert project.animerun("spec.yaml", "--allow-nodes", "core").code == 0


def test_inputs_that_lead_out_are_told(project: Project) -> None:
    """Plan names node, input, job and value; nothing is refused for it."""
    body = (
        '"text": {{ prompt }}, "seed": {{ seed }}, "path": {{ prompt }}, "up": "a/../b", "at": "https://h/x"'
    )
    project.write("templates/one.json.j2", TEMPLATE.replace('"text": {{ prompt }}, "seed": {{ seed }}', body))
    project.write("spec.yaml", SPEC % json.dumps("/etc/passwd"))
    said = project.animerun("plan", "spec.yaml")

    assert said.code == 0
    assert "SaveImage.path of demo/s01/c001/take=1 is /etc/passwd: the server may" in said.err
    assert "SaveImage.up of demo/s01/c001/take=1 is a/../b" in said.err
    assert "SaveImage.at of demo/s01/c001/take=1 is https://h/x" in said.err


@pytest.mark.parametrize(
    ("value", "out"),
    [("/etc/passwd", True), ("~/x", True), ("C:\\x", True), ("d:/x", True), ("\\\\server\\x", True), ("..", True),
     ("a/../b", True), ("..\\x", True), ("file:///x", True), ("http://h", True), ("a cat, 1girl", False),
     ("animerun/x", False), ("a...b", False), ("1/2", False), ("/ slash", False), ("// x", False), ("re: a/b", False),
     ("sd/model.safetensors", False), ("a\n/etc", False)],
)  # fmt: skip
def test_what_leads_out(value: str, out: bool) -> None:
    """Absolute paths of any system, addresses and `..`; prompts and names of models do not."""
    assert _leads_out(value) == out
