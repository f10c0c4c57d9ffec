"""What differs between the surroundings of two runs, told from journal lines alone."""

from __future__ import annotations

from typing import Any

import pytest

from runner.drift import drift, environment


def lines(**changes: Any) -> list[dict[str, Any]]:
    """A journal's lines about its environment; *changes* goes into the server's."""
    server = {
        "t": "server", "url": "http://a:8188", "realm": "comfyui", "version": "0.3.64", "torch": "2.8.0",
        "python": "3.12.3", "device": "cuda:0 NVIDIA H100", "os": "posix", "previz": "", "packs": ["pack-a"],
    }  # fmt: skip
    return [
        {"t": "run", "animerun": "0.1.0", "realm": "comfyui"},
        {"t": "template", "name": "txt2img", "digest": "0" * 64},
        {"t": "model_file", "server": "http://a:8188", "folder": "loras", "name": "aki.st", "size": 1000},
        server | changes,
    ]


def changed(then: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(each.what, each.then, each.now) for each in drift(environment(then), environment(now))]


def test_the_same_surroundings_have_no_drift() -> None:
    """Equal facts are no drift, whatever the server's address is."""
    assert changed(lines(), lines()) == []
    assert changed(lines(), lines(url="http://b:8188")) == []


def test_every_version_is_looked_at() -> None:
    """ComfyUI, torch, Python, device and system are told by name with both values."""
    now = lines(version="0.4.0", torch="2.9.0", python="3.13.1", device="cpu", os="nt")

    assert changed(lines(), now) == [
        ("ComfyUI", "0.3.64", "0.4.0"),
        ("torch", "2.8.0", "2.9.0"),
        ("Python", "3.12.3", "3.13.1"),
        ("device", "cuda:0 NVIDIA H100", "cpu"),
        ("system", "posix", "nt"),
    ]


def test_animerun_and_the_realm_count() -> None:
    """A run by another animerun, or cards beside pictures, is drift."""
    now = [{"t": "run", "animerun": "0.2.0", "realm": "previz"}, *lines()[1:]]

    assert changed(lines(), now) == [("animerun", "0.1.0", "0.2.0"), ("pictures", "real", "cards")]


def test_what_one_run_was_never_told_is_no_drift() -> None:
    """A server without a device, an older journal without packs, sizes or templates: nothing is claimed."""
    silent = lines(device="")
    del silent[3]["packs"]

    assert changed(lines(), silent) == []
    assert changed(silent, lines()) == []
    assert changed(lines(), [lines()[0], lines()[3]]) == []


def test_node_packs_come_and_go() -> None:
    """A pack more or less is drift even where none is left."""
    assert changed(lines(), lines(packs=[])) == [("node pack pack-a", "there", "gone")]
    assert changed(lines(packs=[]), lines()) == [("node pack pack-a", "not there", "there")]


def test_a_model_file_of_another_size_is_drift() -> None:
    """The file is named with its folder and both sizes."""
    now = lines()
    now[2] = now[2] | {"size": 2000}

    assert changed(lines(), now) == [("model file loras/aki.st", "1,000 bytes", "2,000 bytes")]


def test_a_model_file_of_another_content_is_drift() -> None:
    """What the user gave for both runs differs; given for one alone, nothing is claimed."""
    told = {"t": "model_file", "server": "", "folder": "loras", "name": "aki.st"}
    then, now = ([*lines(), told | {"sha256": digit * 64}] for digit in "ab")

    assert changed(then, now) == [("sha256 of model file loras/aki.st", "a" * 16, "b" * 16)]
    assert changed(lines(), now) == []


def test_templates_count_by_their_digest() -> None:
    """A template of another content is drift."""
    now = lines()
    now[1] = now[1] | {"digest": "1" * 64}

    assert changed(lines(), now) == [("template txt2img", "0" * 16, "1" * 16)]


def test_servers_are_counted_once() -> None:
    """A server that came back is one server; another address is one more, with its versions beside."""
    back = [*lines(), lines()[3]]
    two = [*lines(), lines(url="http://b:8188", torch="2.9.0")[3]]

    assert changed(lines(), back) == []
    assert changed(lines(), two) == [("torch", "2.8.0", "2.8.0, 2.9.0"), ("servers", "1", "2")]


def test_other_lines_are_not_read() -> None:
    """Jobs and attempts say nothing of the surroundings."""
    assert environment([*lines(), {"t": "job"}, {"t": "done"}]) == environment(lines())
    assert drift(environment([]), environment(lines())) == ()


@pytest.mark.parametrize(
    ("then", "now", "drifts"),
    [
        ({"a": 5}, {"a": 6}, True),
        ({"a": 5}, {"b": 6}, False),
        ({"a": 5, "b": 5}, {"a": 6, "b": 5}, False),
        ({"a": 5}, {}, False),
    ],
)
def test_a_model_file_changed_under_the_same_size_is_drift(
    then: dict[str, int], now: dict[str, int], drifts: bool
) -> None:
    """Another time of change on every server both runs used is drift, unless the sha256 is known."""

    def told(times: dict[str, int], sums: str = "") -> list[dict[str, Any]]:
        file = {"t": "model_file", "folder": "loras", "name": "aki.st"}
        more = [file | {"server": "", "sha256": sums}] if sums else []
        return [
            *lines(),
            *(file | {"server": s, "size": 1000, "modified": at} for s, at in times.items()),
            *more,
        ]

    found = changed(told(then), told(now))
    times = ("1970-01-01 00:00:05 UTC", "1970-01-01 00:00:06 UTC")

    assert found == ([("model file loras/aki.st, last changed", *times)] if drifts else [])
    assert changed(told(then, "a" * 64), told(now, "a" * 64)) == []


@pytest.mark.parametrize(
    ("then", "now", "drifts"),
    [
        ("posix", "linux", False),
        ("darwin", "posix", False),
        ("nt", "win32", False),
        ("posix", "win32", True),
        ("linux", "darwin", True),
    ],
)
def test_one_system_under_two_names_is_no_drift(then: str, now: str, drifts: bool) -> None:
    """ComfyUI said `os.name` once and says `sys.platform` now: what both words cannot tell apart is equal."""
    assert bool(changed(lines(os=then), lines(os=now))) == drifts
