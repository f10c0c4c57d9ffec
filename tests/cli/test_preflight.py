"""What servers lack, before the first job: where, what, who is left out, what is only noted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import Project
from tests.cli.served import NODES, SPEC, Scripted, served

LORA = "anime/ink.safetensors"
TEMPLATE = """---
parameters:
  prompt: {type: text}
  seed: {type: seed}
outputs: {out: image}
---
{
  "lora": {"class_type": "Loader", "inputs": {"file": "anime/ink.safetensors"}},
  {% if prompt %}
  "out": {"class_type": "SaveImage",
          "inputs": {"text": {{ prompt }}, "seed": {{ seed }}, "model": ["lora", 0]}}
  {% endif %}
}
"""


def nodes(*files: str, **more: Any) -> dict[str, Any]:
    """Return an `/object_info` whose loader has *files*."""
    save = {**NODES["SaveImage"], "output_node": True}
    save["input"] = {"required": {**save["input"]["required"], "model": ["MODEL"]}}
    loader = {"input": {"required": {"file": [list(files), {}]}}, "output": ["MODEL"], "output_node": False}
    return {"SaveImage": save, "Loader": {**loader, "python_module": "nodes", **more}}


@pytest.fixture(scope="module")
def one() -> Iterator[Scripted]:
    """A server for all tests."""
    with served() as fake:
        yield fake


@pytest.fixture(scope="module")
def two() -> Iterator[Scripted]:
    """Another one."""
    with served() as fake:
        yield fake


@pytest.fixture
def ready(project: Project, one: Scripted, two: Scripted) -> Project:
    """A project with one job, and two servers that have what it needs."""
    for fake in (one, two):
        fake.clear()
        fake.previz = False
        fake.said["GET /object_info"] = nodes(LORA)
    project.write("templates/one.json.j2", TEMPLATE)
    project.write("spec.yaml", SPEC.replace("%s", "x, takes: 4"))
    return project


def both(*fakes: Scripted) -> list[str]:
    return ["--no-socket", *(word for fake in fakes for word in ("--server", fake.url))]


def test_a_finding_says_where_it_is(ready: Project, one: Scripted) -> None:
    """File and line of the template, node, what is missing, what is near, the job: exit 3."""
    one.said["GET /object_info"] = nodes("anime/inks.safetensors")
    said = ready.animerun("spec.yaml", *both(one))

    assert (said.code, one.posts) == (3, [])
    assert "templates/one.json.j2:8, node `lora`: " in said.err
    assert f"has no `{LORA}` for Loader.file; did you mean anime/inks.safetensors?" in said.err
    assert "(for demo/s01/c001/take=1)" in said.err


def test_a_server_that_lacks_something_is_left_out_by_name(
    ready: Project, one: Scripted, two: Scripted
) -> None:
    """The run goes on with the other one, from the first job on."""
    one.said["GET /object_info"] = nodes("other.safetensors")
    said = ready.animerun("spec.yaml", *both(one, two))

    assert (said.code, len(one.posts), len(two.posts)) == (0, 0, 4)
    assert f"{one.url} is left out: templates/one.json.j2:8, node `lora`: " in said.err


@pytest.mark.parametrize("how", ["flag", "setting"])
def test_all_servers_may_be_required(ready: Project, one: Scripted, two: Scripted, how: str) -> None:
    """With --require-all one that lacks something ends the run before it begins: exit 3."""
    one.said["GET /object_info"] = nodes("other.safetensors")
    if how == "setting":
        ready.write("animerun.toml", "require_all = true\n")
    said = ready.animerun("spec.yaml", *both(one, two), *(("--require-all",) if how == "flag" else ()))

    assert (said.code, one.posts, two.posts, ready.runs()) == (3, [], [], [])
    assert "without --require-all" in said.err


def test_check_names_who_can_and_who_cannot(ready: Project, one: Scripted, two: Scripted) -> None:
    """With all that is missing; exit 0 while one of them can run it, 3 when none can."""
    one.said["GET /object_info"] = nodes("other.safetensors")
    servers = both(one, two)[1:]
    said = ready.animerun("check", "spec.yaml", *servers)
    strict = ready.animerun("check", "spec.yaml", *servers, "--require-all")

    assert (said.code, strict.code) == (0, 3)
    assert f"{one.url} cannot run it and would be left out:" in said.err
    assert f"{two.url} can run it." in said.err


@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--strict",), 3)])
def test_an_input_that_is_not_listed_is_noted(
    ready: Project, one: Scripted, two: Scripted, flags: tuple[str, ...], code: int
) -> None:
    """The servers ignore it, so it is said once, with its place; --strict refuses it, for CI."""
    ready.write("templates/one.json.j2", TEMPLATE.replace('"file":', '"flie": "x", "file":'))
    said = ready.animerun("spec.yaml", *both(one, two), *flags)

    assert said.code == code
    assert said.err.count("has no input `flie`") == (1 if code == 0 else 2)
    assert "templates/one.json.j2:8, node `lora`: Loader on" in said.err
    assert "(and on 1 more)" in said.err or code


def test_a_shape_that_only_some_job_has_is_looked_at(ready: Project, one: Scripted) -> None:
    """What depends on how inputs come together is seen in every job, not only in the first."""
    keys = [
        {
            "key": each,
            "inputs": {"required": {"codec": ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": each}]}]}},
        }
        for each in ("a", "b")
    ]
    film = {
        "input": {"required": {"form": ["COMFY_DYNAMICCOMBO_V3", {"options": keys}]}},
        "output": ["MODEL"],
    }
    one.said["GET /object_info"] = nodes(LORA) | {"Film": film}
    form = '{% if seed == 8 %}"b"{% else %}"a"{% endif %}'
    codec = '{% if seed == 7 %}"a"{% else %}"b"{% endif %}'
    body = f'{{"film": {{"class_type": "Film", "inputs": {{"form": {form}, "form.codec": {codec}}}}},'
    template = TEMPLATE.replace('["lora", 0]', '["film", 0]').replace('{\n  "lora"', body + '\n  "lora"')
    ready.write("templates/one.json.j2", template)
    ready.write("spec.yaml", SPEC.replace("%s", "x, seeds: [7, 8, 9]"))
    said = ready.animerun("spec.yaml", *both(one))

    assert (said.code, one.posts) == (3, [])
    assert "has no `b` for Film.form.codec" in said.err
    assert "(for demo/s01/c001/seed=9)" in said.err


def test_a_class_the_server_replaces_is_used(ready: Project, one: Scripted) -> None:
    """It is a note; the node is sent with a `_meta`, without which a ComfyUI of today answers 500."""
    one.said["GET /object_info"] = {
        "NewLoader" if name == "Loader" else name: said for name, said in nodes(LORA).items()
    }
    one.said["GET /node_replacements"] = {
        "Loader": [{"new_node_id": "NewLoader", "input_mapping": [{"new_id": "file", "old_id": "file"}]}]
    }
    said = ready.animerun("spec.yaml", *both(one))

    assert said.code == 0
    assert "has no node class `Loader` any more and runs `NewLoader` in its place" in said.err
    assert one.posts[0]["prompt"]["lora"]["_meta"] == {"title": "Loader"}


def test_each_server_is_sent_the_name_it_lists(ready: Project, one: Scripted, two: Scripted) -> None:
    r"""A server on Windows lists `anime\ink`: it is the same file, and the same digest is recorded."""
    one.said["GET /object_info"] = nodes(LORA.replace("/", "\\"))
    said = ready.animerun("spec.yaml", *both(one, two), "--depth", "1")

    assert (said.code, len(one.posts) + len(two.posts)) == (0, 4)
    assert {post["prompt"]["lora"]["inputs"]["file"] for post in one.posts} == {"anime\\ink.safetensors"}
    assert {post["prompt"]["lora"]["inputs"]["file"] for post in two.posts} <= {LORA}
    again = ready.animerun("spec.yaml", *both(two))
    assert "Nothing to do" in again.err
    shown = ready.animerun("show", "--workflow", "demo/s01/c001/take=1")
    assert LORA in shown.out


@pytest.mark.parametrize("written", [LORA, LORA.replace("/", "\\")])
def test_a_model_file_is_known_however_its_name_is_written(
    ready: Project, one: Scripted, written: str
) -> None:
    r"""A change of `anime/ink` is noticed on a server that lists `anime\ink`, and the other way round."""
    template = TEMPLATE.replace("parameters:", "parameters:\n  file: {type: file, folder: loras}")
    ready.write("templates/one.json.j2", template.replace(f'"{LORA}"', "{{ file }}"))
    ready.write("spec.yaml", SPEC.replace("%s", f"x, file: '{LORA}'"))
    one.said["GET /object_info"] = nodes(written)
    one.said["GET /experiment/models/loras"] = [{"name": written, "size": 7}]
    assert ready.animerun("spec.yaml", *both(one)).code == 0
    one.said["GET /experiment/models/loras"] = [{"name": written, "size": 8}]
    said = ready.animerun("spec.yaml", *both(one), "--json")

    assert said.code == 0
    assert len(one.posts) == 2


# ---------------------------------------------------------------- API nodes

KEY = "comfyui-0123456789abcdef-key"


@pytest.fixture
def paid(ready: Project, one: Scripted, two: Scripted) -> Project:
    """A project whose loader calls a paid service."""
    for fake in (one, two):
        fake.said["GET /object_info"] = nodes(LORA, api_node=True)
    return ready


def test_without_a_key_preflight_says_so(paid: Project, one: Scripted) -> None:
    """Before the first job, with what to set: exit 3; `check` says the same."""
    said = paid.animerun("spec.yaml", *both(one))
    checked = paid.animerun("check", "spec.yaml", "--server", one.url)

    assert (said.code, checked.code, one.posts) == (3, 3, [])
    for err in (said.err, checked.err):
        assert f"API nodes need a key of comfy.org on {one.url}: set ANIMERUN_COMFY_API_KEY" in err


def test_the_key_goes_with_the_submission_and_nowhere_else(
    paid: Project, one: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `extra_data.api_key_comfy_org`; neither files nor output hold it, though the server repeats it."""
    monkeypatch.setenv("ANIMERUN_COMFY_API_KEY", KEY)
    one.said["GET /system_stats"] = {"system": {"comfyui_version": "0.33.0", "os": KEY, "argv": [KEY]}}
    calls = [paid.animerun("spec.yaml", *both(one), "--json")]
    name = paid.runs()[0].name
    calls += [paid.animerun("replay", name, *both(one)[1:]), paid.animerun("show", "--json")]
    printed = "".join(each.out + each.err for each in calls)
    files = [path for path in paid.folder.rglob("*") if path.is_file()]

    assert [each.code for each in calls] == [0, 0, 0]
    assert [post["extra_data"].get("api_key_comfy_org") for post in one.posts] == [KEY] * 8
    assert KEY not in printed
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert not any(KEY in value for headers in one.headers for value in headers.values())


def test_a_replay_without_a_key_is_refused(
    paid: Project, one: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored workflows need it as new ones do."""
    monkeypatch.setenv("ANIMERUN_COMFY_API_KEY", KEY)
    assert paid.animerun("spec.yaml", *both(one)).code == 0
    monkeypatch.delenv("ANIMERUN_COMFY_API_KEY")
    said = paid.animerun("replay", paid.runs()[0].name, *both(one)[1:])

    assert said.code == 3
    assert "set ANIMERUN_COMFY_API_KEY" in said.err


def test_jobs_without_api_nodes_travel_without_the_key(
    ready: Project, one: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent where it is needed only, and never to a server that draws storyboard cards."""
    monkeypatch.setenv("ANIMERUN_COMFY_API_KEY", KEY)
    assert ready.animerun("spec.yaml", *both(one)).code == 0
    one.said["GET /object_info"] = nodes(LORA, api_node=True)
    one.previz = True
    assert ready.animerun("spec.yaml", *both(one), "--force").code == 0

    assert len(one.posts) == 8
    assert not any("api_key_comfy_org" in post["extra_data"] for post in one.posts)


def test_the_key_may_be_named_for_one_server(
    paid: Project, one: Scripted, two: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server does not get it, and is left out where it would need it."""
    monkeypatch.setenv(f"ANIMERUN_COMFY_API_KEY_127_0_0_1_{one.port}", KEY)
    said = paid.animerun("spec.yaml", *both(one, two))

    assert (said.code, len(one.posts), len(two.posts)) == (0, 4, 0)
    assert f"{two.url} is left out: " in said.err


def test_a_spec_that_holds_the_key_is_refused(ready: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be recorded: exit 2, before anything is asked."""
    monkeypatch.setenv("ANIMERUN_COMFY_API_KEY", KEY)
    ready.write("spec.yaml", SPEC % json.dumps(f"use {KEY}"))
    said = ready.animerun("spec.yaml", "--server", "http://127.0.0.1:9")

    assert said.code == 2
    assert KEY not in said.err
