"""Protocol sections 3.5 and 8: inputs whose shape depends on other inputs, and what is checked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from .graphs import Graph, canvas, node, picture, preview
from .server import Server, files, message, ran

COMBO, GROWING, MATCH = "COMFY_DYNAMICCOMBO_V3", "COMFY_AUTOGROW_V3", "COMFY_MATCHTYPE_V3"
Classes = Mapping[str, Mapping[str, Any]]


def inputs_of(groups: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield (name, spec) of every visible input, those behind the options of dynamic combos included."""
    for group in ("required", "optional"):
        for name, spec in groups.get(group, {}).items():
            yield name, spec
            if spec[0] == COMBO:
                for option in spec[1]["options"]:
                    yield from inputs_of(option["inputs"])


def of_kind(classes: Classes, kind: str) -> list[Mapping[str, Any]]:
    """Return the options of every input of one kind; skip where there is none."""
    every = (spec for info in classes.values() for _, spec in inputs_of(info["input"]))
    found = [spec[1] for spec in every if spec[0] == kind]
    if not found:
        pytest.skip(f"the server has no {kind}")
    return found


def film(prefix: str, **options: Any) -> Graph:
    """Return a workflow that saves a film of two frames; node 3 is the saver."""
    return {
        "1": canvas(width=32, height=32, batch=2),
        "2": node("CreateVideo", images=["1", 0], fps=8.0),
        "3": node("SaveVideo", video=["2", 0], filename_prefix=prefix, **options),
    }


@pytest.fixture
def dynamic(classes: Classes, need: Callable[..., None]) -> None:
    """Skip unless SaveVideo's format is a dynamic combo."""
    need("SaveVideo", "CreateVideo")
    if classes["SaveVideo"]["input"]["required"]["format"][0] != COMBO:
        pytest.skip("SaveVideo.format is a plain choice there")


def errors(server: Server, graph: Graph) -> dict[str, tuple[str, Any]]:
    """Return input → (type of the error, details) of node 3 of a refused workflow."""
    answer = server.post_prompt(graph)
    assert answer.status_code == 400, answer.text
    found = answer.json()["node_errors"]["3"]["errors"]
    return {error["extra_info"]["input_name"]: (error["type"], error["details"]) for error in found}


def test_s08_dynamic_combos(classes: Classes) -> None:
    """A dynamic combo lists options, each with a key and the inputs that it brings, as a class has them."""
    for combo in of_kind(classes, COMBO):
        for option in combo["options"]:
            assert set(option) == {"key", "inputs"}
            assert isinstance(option["key"], str)
            assert set(option["inputs"]) <= {"required", "optional"}


def test_s08_growing_inputs(classes: Classes) -> None:
    """A growing input has a template: one input, a least number, and a prefix with a most or the names."""
    for grown in of_kind(classes, GROWING):
        template = grown["template"]

        assert sum(len(group) for group in template["input"].values()) == 1
        assert type(template["min"]) is int
        assert ("prefix" in template and type(template["max"]) is int) or isinstance(template["names"], list)


def test_s08_match_types(classes: Classes) -> None:
    """An input that takes what its fellows take names its group and the types allowed, `*` for all."""
    for matched in of_kind(classes, MATCH):
        assert isinstance(matched["template"]["template_id"], str)
        assert isinstance(matched["template"]["allowed_types"], str)


@pytest.mark.usefixtures("dynamic")
@pytest.mark.parametrize(
    "options",
    [
        {"format": "mp4", "format.codec": "h264"},
        {"format": "mp4", "codec": "h264"},
        {"format": "mp4"},
        {"format": "auto", "format.codec": "auto"},
        {"format": "mp4", "format.codec": "h264", "format.codec.encoding": "auto"},
    ],
    ids=["dotted", "older form", "nothing behind it", "auto", "nested"],
)
def test_s08_a_dynamic_combo_is_chosen_by_its_key(
    server: Server, prefix: str, options: dict[str, str]
) -> None:
    """The key stands under the combo's name, what it brings under name.child; nested ones may be left out."""
    entry = server.render(film(prefix, **options))

    assert entry["status"]["status_str"] == "success"
    assert files(entry, "3")[0]["filename"] == "pic_00001_.mp4"


def test_s08_the_older_form_of_save_video(server: Server, prefix: str, need: Callable[..., None]) -> None:
    """Format and codec beside each other are taken by every server that saves films."""
    need("SaveVideo", "CreateVideo")

    assert server.render(film(prefix, format="mp4", codec="h264"))["status"]["status_str"] == "success"


@pytest.mark.usefixtures("dynamic")
@pytest.mark.parametrize("options", [{"format": "no such"}, {}], ids=["unknown", "missing"])
def test_s08_the_key_is_checked_only_at_run_time(
    server: Server, prefix: str, options: dict[str, str]
) -> None:
    """An unknown or missing key is accepted, and the node dies of it."""
    entry = server.render(film(prefix, **options))

    assert entry["status"]["status_str"] == "error"
    assert message(entry, "execution_error")["node_id"] == "3"


@pytest.mark.usefixtures("dynamic")
def test_s08_what_the_chosen_option_brings_is_required(server: Server, prefix: str) -> None:
    """A missing input of the chosen option is named in full in extra_info, by its last part in details."""
    chosen = {"format": "mp4", "format.codec": "h264", "format.codec.encoding": "re-encode"}
    found = errors(server, film(prefix, **chosen))

    assert found == {
        "format.codec.encoding.crf": ("required_input_missing", "crf"),
        "format.codec.encoding.color_space": ("required_input_missing", "color_space"),
    }


@pytest.mark.usefixtures("dynamic")
def test_s08_what_the_chosen_option_brings_is_checked(server: Server, prefix: str) -> None:
    """Ranges and choices hold behind the chosen option."""
    chosen = {"format": "mp4", "format.codec": "h264", "format.codec.encoding": "re-encode"}
    values = {"format.codec.encoding.crf": 1000, "format.codec.encoding.color_space": "no such"}
    found = errors(server, film(prefix, **chosen, **values))

    assert {name: kind for name, (kind, _) in found.items()} == {
        "format.codec.encoding.crf": "value_bigger_than_max",
        "format.codec.encoding.color_space": "value_not_in_list",
    }


@pytest.mark.usefixtures("dynamic")
def test_s08_what_another_option_brings_is_ignored(server: Server, prefix: str) -> None:
    """Values behind an option that is not chosen are as good as unknown inputs."""
    graph = film(prefix, format="mp4", **{"format.codec": "auto", "format.codec.encoding.crf": 1000})

    assert server.render(graph)["status"]["status_str"] == "success"


def test_s08_choices_of_the_newer_form(server: Server, prefix: str, abilities: dict[str, bool]) -> None:
    """A value that is no choice of a COMBO is refused where classes are replaced, else the node dies."""
    graph = picture(prefix) | {
        "3": node("ImageBlend", image1=["1", 0], image2=["1", 0], blend_factor=0.5, blend_mode="no such")
    }
    graph["2"]["inputs"]["images"] = ["3", 0]
    if abilities["replaces_classes"]:
        assert errors(server, graph)["blend_mode"][0] == "value_not_in_list"
    else:
        assert server.render(graph)["status"]["status_str"] == "error"


def switched(prefix: str, *, on: Any) -> Graph:
    """Return a workflow with two pictures (1, 2), a switch (3) and a saver (4)."""
    return {
        "1": canvas(),
        "2": canvas(),
        "3": node("ComfySwitchNode", switch=on, on_false=["1", 0], on_true=["2", 0]),
        "4": node("SaveImage", images=["3", 0], filename_prefix=prefix),
    }


@pytest.mark.parametrize(("on", "used"), [(True, "2"), (False, "1")])
def test_s08_a_switch_runs_one_branch(
    server: Server, prefix: str, need: Callable[..., None], on: bool, used: str
) -> None:
    """Of the two branches of a switch only the chosen one runs; the job succeeds and saves."""
    need("ComfySwitchNode")
    frames, entry = server.follow(switched(prefix, on=on))

    assert set(ran(frames)) == {used, "3", "4"}
    assert entry["status"]["status_str"] == "success"
    assert len(files(entry, "4")) == 1


def test_s08_both_branches_of_a_switch_are_validated(
    server: Server, prefix: str, need: Callable[..., None]
) -> None:
    """A fault in the branch that would not run refuses the workflow all the same."""
    need("ComfySwitchNode")
    graph = switched(prefix, on=True)
    graph["1"]["inputs"]["width"] = 0
    answer = server.post_prompt(graph)

    assert answer.status_code == 400
    assert set(answer.json()["node_errors"]) == {"1"}


def test_s08_growing_inputs_are_named_with_a_dot(server: Server, need: Callable[..., None]) -> None:
    """A growing input takes name.prefix0, name.prefix1 …; those below the least number are required."""
    need("BatchImagesNode")
    graph = preview()
    graph["3"] = node("BatchImagesNode", **{"images.image0": ["1", 0], "images.image1": ["1", 0]})
    graph["2"]["inputs"]["images"] = ["3", 0]
    entry = server.render(graph)
    graph["3"] = node("BatchImagesNode")

    assert len(files(entry)) == 2
    assert errors(server, graph) == {"images.image0": ("required_input_missing", "image0")}
