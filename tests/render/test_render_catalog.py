"""Where templates come from, and what tells that one has changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

import runner
from runner.domain import Template, Templates
from runner.errors import TemplateError
from runner.render import Catalog, recipe, render, shipped_folder
from runner.render.front import TYPES
from runner.sandbox.environment import FILTER_NAMES

from .samples import HEAD, USES, values_for

MACRO_ORDER = ("load_sd", "lora_chain", "lora_chain_model_only", "encode", "save_image", "save_video")
BODY = '{"out": {"class_type": "SaveImage", "inputs": {}}}'
SOURCE = HEAD + USES + BODY


def project(folder: Path, **files: str) -> Path:
    """Write templates into a project folder; `nodes` is its macro file."""
    (folder / "templates").mkdir(exist_ok=True)
    for name, text in files.items():
        full = "nodes.j2" if name == "nodes" else f"{name}.json.j2"
        (folder / "templates" / full).write_text(text, encoding="utf-8")
    return folder


def test_the_shipped_templates_all_load(shipped: Templates) -> None:
    """What ships is what the manual promises, and it is whole."""
    assert shipped.names() == ("hires", "img2img", "txt2img", "txt2img-dit")
    assert all(shipped.load(name).title for name in shipped.names())


def test_shared_parameters_are_equal_across_shipped_templates(shipped: Templates) -> None:
    """A preset that fits one template of a family fits the others: same names, types, limits and choices."""
    family = [shipped.load(name).parameters for name in ("txt2img", "img2img", "hires")]
    for name, parameter in family[0].items():
        types = {(other[name].type, other[name].default, other[name].choices) if name != "size" else ()
                 for other in family}  # fmt: skip

        assert len(types) == 1, name
        assert parameter.type == shipped.load("txt2img-dit").parameters.get(name, parameter).type


def test_an_installed_package_brings_its_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a wheel they lie inside the package, and that folder wins over one beside the package."""
    package = tmp_path / "site" / "runner"
    (package / "shipped" / "templates").mkdir(parents=True)
    (tmp_path / "site" / "templates").mkdir()
    monkeypatch.setattr(runner, "__file__", str(package / "__init__.py"))

    assert shipped_folder() == package / "shipped" / "templates"


def test_the_manual_names_every_filter_and_macro() -> None:
    """templates/README.md is the reference; what is missing there does not exist for anybody."""
    manual = (shipped_folder() / "README.md").read_text(encoding="utf-8")
    macros = re.findall(r"macro (\w+\([^)]*\))", (shipped_folder() / "nodes.j2").read_text(encoding="utf-8"))
    listed = re.search(r"^Filters: `([^`]*)`", manual, re.MULTILINE)

    assert listed is not None
    assert listed[1].split() == list(FILTER_NAMES)
    assert re.findall(r"^\| `(\w+\([^`]*\))`", manual, re.MULTILINE) == [
        signature for name in MACRO_ORDER for signature in macros if signature.startswith(name + "(")
    ]


def test_the_manual_names_every_type_of_parameter() -> None:
    """A type that the manual lacks, or that does not exist any more, would mislead an author."""
    manual = (shipped_folder() / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \|", manual.split("| type |")[1].split("Every declared")[0], re.MULTILINE
    )

    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(TYPES)


def test_a_project_without_templates_has_the_shipped_ones(tmp_path: Path, shipped: Templates) -> None:
    """A templates/ folder is optional."""
    assert Catalog(tmp_path).names() == shipped.names()


def test_the_projects_template_hides_the_shipped_one(tmp_path: Path) -> None:
    """The nearer of two templates with one name is loaded."""
    catalog = Catalog(project(tmp_path, txt2img=SOURCE, mine=SOURCE))

    assert [(source.name, source.origin) for source in catalog.sources()] == [
        ("hires", "shipped"), ("img2img", "shipped"), ("mine", "project"), ("txt2img", "project"),
        ("txt2img-dit", "shipped"),
    ]  # fmt: skip
    assert set(catalog.load("txt2img").parameters) == {"prompt", "steps", "size", "loras"}


def test_a_name_that_nobody_has_is_a_key_error(shipped: Templates) -> None:
    """The caller words the message, for it knows the place in the spec."""
    with pytest.raises(KeyError, match="txt2imgg"):
        shipped.load("txt2imgg")


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b", "", ".", "nodes", "txt2img.json.j2", "a b"]
)
def test_only_names_are_looked_up(name: str, tmp_path: Path) -> None:
    """A template's name never becomes a path."""
    (tmp_path / "secret.json.j2").write_text(SOURCE)
    with pytest.raises(KeyError):
        Catalog(project(tmp_path, mine=SOURCE)).load(name)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Templates are read from the template folders and nowhere else."""
    outside = tmp_path / "outside.json.j2"
    outside.write_text(SOURCE)
    inside = project(tmp_path / "p" if (tmp_path / "p").mkdir() is None else tmp_path)
    (inside / "templates" / "mine.json.j2").symlink_to(outside)
    with pytest.raises(TemplateError, match="leads out of templates/"):
        Catalog(inside).load("mine")


def test_a_template_whose_links_lead_round_in_a_circle_is_refused(tmp_path: Path) -> None:
    """It is a mistake in the template folder, not a fault of animerun."""
    catalog = Catalog(project(tmp_path, mine=SOURCE))
    catalog.load("mine")
    (tmp_path / "templates" / "round.json.j2").symlink_to("round.json.j2")
    with pytest.raises(TemplateError, match="cannot be read: its links lead round in a circle"):
        catalog.load("round")


@pytest.mark.parametrize(
    ("target", "told"),
    [("../outside", "leads out of the project folder"), ("templates", "its links lead round in a circle")],
)
def test_a_template_folder_that_is_a_link_out_is_not_looked_into(
    target: str, told: str, tmp_path: Path, shipped: Templates
) -> None:
    """No template of it has a name, and nothing is loaded beside it as if it were not there."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine.json.j2").write_text(SOURCE)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "templates").symlink_to(target)
    catalog = Catalog(tmp_path / "p")

    assert catalog.names() == shipped.names()
    for name in ("mine", "txt2img"):
        with pytest.raises(TemplateError, match=told):
            catalog.load(name)


def test_a_template_folder_may_be_a_link_inside_the_project(tmp_path: Path) -> None:
    """What matters is where it leads."""
    project(tmp_path, mine=SOURCE)
    (tmp_path / "templates").rename(tmp_path / "shared")
    (tmp_path / "templates").symlink_to("shared")

    assert Catalog(tmp_path).load("mine").name == "mine"


def test_a_template_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    """A file that large is no template."""
    with pytest.raises(TemplateError, match="at most 1 MiB"):
        Catalog(project(tmp_path, mine=SOURCE + " " * 2**20)).load("mine")


def test_a_template_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """The bytes are told about, not guessed at."""
    project(tmp_path)
    (tmp_path / "templates" / "mine.json.j2").write_bytes(SOURCE.encode().replace(b"image", b"im\xe4ge"))
    with pytest.raises(TemplateError, match="UTF-8"):
        Catalog(tmp_path).load("mine")


def test_an_unreadable_template_is_told_with_the_reason(tmp_path: Path) -> None:
    """A folder in a template's place is no crash."""
    (project(tmp_path) / "templates" / "mine.json.j2").mkdir()
    with pytest.raises(TemplateError, match="not a regular file"):
        Catalog(tmp_path).load("mine")


def test_rendering_touches_no_disk(tmp_path: Path) -> None:
    """Once loaded, a template renders although its folder is gone."""
    template = Catalog(project(tmp_path, mine=SOURCE)).load("mine")
    (tmp_path / "templates" / "mine.json.j2").unlink()
    (tmp_path / "templates").rmdir()

    assert render(template, values_for(template), files={}).digest


def test_loading_twice_gives_the_same_object(shipped: Templates) -> None:
    """A template is compiled once."""
    assert shipped.load("txt2img") is shipped.load("txt2img")


MACRO = '{% macro extra(x) %}"extra": {"class_type": "X", "inputs": {"x": {{ x }}}},{% endmacro %}'


def test_a_project_may_bring_macros(tmp_path: Path) -> None:
    """Macros of the project's nodes.j2 are there without importing them, beside the shipped ones."""
    body = '{ {{ extra(steps) }} {{ save_image("out", ["extra", 0]) }} }'
    template = Catalog(project(tmp_path, mine=HEAD + USES + body, nodes=MACRO)).load("mine")

    assert render(template, values_for(template), files={}).nodes["extra"]["inputs"] == {"x": 20}


def test_a_projects_macro_hides_the_shipped_one(tmp_path: Path) -> None:
    """A run folder that froze its macros renders alike under a later animerun."""
    macros = (
        '{% macro save_image(node, images) %}{{ node }}: {"class_type": "Mine", "inputs": {}},{% endmacro %}'
    )
    body = '{ {{ save_image("out", 1) }} }'
    template = Catalog(project(tmp_path, mine=HEAD + USES + body, nodes=macros)).load("mine")

    assert render(template, values_for(template), files={}).nodes["out"]["class_type"] == "Mine"


def test_save_video_writes_both_nodes(tmp_path: Path) -> None:
    """A clip is assembled and saved with every input that the server demands."""
    body = '{ {{ save_video("out", ["frames", 0], 16) }} "frames": {"class_type": "X", "inputs": {}} }'
    template = Catalog(project(tmp_path, mine=HEAD + USES + body)).load("mine")
    nodes = render(template, values_for(template), files={}).nodes

    assert nodes["out_frames"] == {
        "class_type": "CreateVideo",
        "inputs": {"images": ["frames", 0], "fps": 16},
    }
    assert nodes["out"]["inputs"] == {
        "video": ["out_frames", 0], "format": "mp4", "codec": "h264", "filename_prefix": {"$prefix": True},
    }  # fmt: skip


def test_a_macro_may_call_those_above_it_and_the_shipped_ones(tmp_path: Path) -> None:
    """Macros build on each other."""
    macros = MACRO + '{% macro both(x) %}{{ extra(x) }}{{ save_image("out", ["extra", 0]) }}{% endmacro %}'
    template = Catalog(project(tmp_path, mine=HEAD + USES + "{ {{ both(1) }} }", nodes=macros)).load("mine")

    assert list(render(template, values_for(template), files={}).nodes) == ["extra", "out"]


def digests(folder: Path, **files: str) -> str:
    """Return the digest of template `mine` among *files*."""
    return Catalog(project(folder, **files)).load("mine").digest


def test_digest_follows_source_and_the_macros_used(tmp_path: Path) -> None:
    """It changes with the source and with macros that are called, and with no others."""
    uses = HEAD + USES + '{ {{ extra(1) }} {{ save_image("out", ["extra", 0]) }} }'
    plain = digests(tmp_path, mine=SOURCE)
    first = digests(tmp_path, mine=uses, nodes=MACRO)

    assert digests(tmp_path, mine=SOURCE, nodes=MACRO) == plain
    assert digests(tmp_path, mine=SOURCE + "\n", nodes=MACRO) != plain
    assert digests(tmp_path, mine=uses, nodes=MACRO.replace("{{ x }}", "{{ [x] }}")) != first
    assert digests(tmp_path, mine=uses, nodes=MACRO) == first


def test_recipe_follows_template_values_and_file_identities(
    load: Callable[..., Template], shipped: Catalog
) -> None:
    """What a job is made of: any part that changes changes it, and order and 1.0 for 1 do not."""
    template = shipped.load("img2img")
    values = values_for(template)
    first = recipe(template, values, {"refs/a.png": "a" * 64 + ".png"})

    assert recipe(template, dict(reversed(values.items())), {"refs/a.png": "a" * 64 + ".png"}) == first
    assert recipe(template, {**values, "steps": 20.0}, {"refs/a.png": "a" * 64 + ".png"}) == first
    assert recipe(template, {**values, "steps": 21}, {"refs/a.png": "a" * 64 + ".png"}) != first
    assert recipe(template, values, {"refs/a.png": "b" * 64 + ".png"}) != first
    assert recipe(template, values, {"refs/a.png": "ep01/s01/cfg=5.5/take=1"}) != recipe(
        template, values, {"refs/a.png": "ep01/s01/cfg=5.0/take=1"}
    )
    assert recipe(load(SOURCE), {}, {}) != recipe(template, {}, {})


def test_digest_and_recipe_have_the_documented_bytes(load: Callable[..., Template]) -> None:
    """Both can be made by hand; every record on disk relies on it."""
    template = load(SOURCE)
    content = f'{{"render":1,"template":"{template.digest}","values":{{"a":{{"$file":"b.png"}},"steps":20}}}}'

    assert template.digest == sha256(sha256(SOURCE.encode()).digest()).hexdigest()
    assert (
        recipe(template, {"steps": 20.0, "a": {"$file": "a.png"}}, {"a.png": "b.png"})
        == sha256(content.encode()).hexdigest()
    )
