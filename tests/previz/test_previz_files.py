"""Names of saved files, references to stored ones, byte ranges and the Origin rule."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.previz.files import Folders, claim, fill, next_counter, split_annotation
from runner.previz.view import span
from runner.previz.web import foreign, is_ours


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], 1),
        (["x_00001_.png"], 2),
        (["x_00001_.png", "x_00009_.webp", "x_3_.txt"], 10),
        (["x_100000_.png"], 100001),
        (["y_00007_.png", "x_y_00007_.png", "xx_00007_.png", "x.png", "x_abc_.png"], 1),
    ],
)
def test_counters(names: list[str], expected: int) -> None:
    """The next number follows the highest of the same stem, whatever the suffix."""
    assert next_counter(names, "x") == expected


def test_a_place_is_below_its_folder(folders: Folders) -> None:
    """A prefix names sub-folders and a stem; the folder is made."""
    place = claim(folders, prefix="a/b/c", kind="output", width=1, height=1)

    assert (place.stem, place.subfolder, place.counter) == ("c", "a/b", 1)
    assert (folders.root / "output/a/b").is_dir()


@pytest.mark.parametrize("prefix", ["../x", "a/../../x", "/etc/x"])
def test_a_prefix_cannot_leave_the_folder(folders: Folders, prefix: str) -> None:
    """Saving elsewhere is refused and nothing is made."""
    with pytest.raises(Exception, match="outside the output folder"):
        claim(folders, prefix=prefix, kind="output", width=1, height=1)


def test_placeholders() -> None:
    """Size and time are filled in, anything else stays as it is."""
    now = time.struct_time((2026, 1, 2, 3, 4, 5, 0, 1, 0))

    assert fill("%width%x%height% %year%-%month%-%day% %date:yy% %seed%", width=8, height=9, now=now) == (
        "8x9 2026-01-02 %date:yy% %seed%"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", ("a.png", None)),
        ("s/a.png [output]", ("s/a.png", "output")),
        ("a [temp]", ("a", "temp")),
        ("a [other]", ("a [other]", None)),
    ],
)
def test_annotations(name: str, expected: tuple[str, str | None]) -> None:
    """A folder in brackets at the end is split off."""
    assert split_annotation(name) == expected


def test_a_reference_stays_in_the_server_folder(folders: Folders) -> None:
    """A name may climb into a sibling folder, not out of the root."""
    (folders.root / "input/a.png").touch()
    (folders.root.parent / "secret.png").touch()

    assert folders.find("../input/a.png") == folders.root / "input/a.png"
    assert folders.find("../../secret.png") is None
    assert folders.find(str(folders.root.parent / "secret.png")) is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, (0, 100)),
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-5", (95, 100)),
        ("bytes=-500", (0, 100)),
    ],
)
def test_ranges(wanted: str | None, expected: tuple[int, int]) -> None:
    """A range is clipped to the file."""
    assert span(wanted, 100) == expected


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=5-3", "bytes=1-2,4-5", "items=0-1", "bytes=", "x"])
def test_ranges_that_cannot_be_served(wanted: str) -> None:
    """Past the end, backwards, several at once and nonsense are refused."""
    with pytest.raises(ValueError, match=r"."):
        span(wanted, 100)


@given(st.text(max_size=30), st.integers(min_value=1, max_value=1000))
def test_no_range_reaches_outside(wanted: str, size: int) -> None:
    """Whatever is asked, the answer lies within the file."""
    try:
        first, last = span("bytes=" + wanted, size)
    except ValueError:
        return
    assert 0 <= first < last <= size


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("127.0.0.1:8188", None, False),
        ("127.0.0.1:8188", "http://127.0.0.1:8188", False),
        ("127.0.0.1:8188", "http://127.0.0.1:9", True),
        ("127.0.0.1:8188", "http://localhost:8188", True),
        ("localhost:8188", "http://example.com", True),
        ("127.0.0.1:8188", "null", True),
        ("127.0.0.1:8188", "", True),
        ("127.0.0.1:8188", "https://127.0.0.1:8188", True),
        ("127.0.0.1:8188", "file://127.0.0.1:8188", True),
        ("127.0.0.1:8188", "http://127.0.0.1", True),
        ("127.0.0.1:8188", "http://127.0.0.1:x", True),
        ("127.0.0.1", "http://127.0.0.1:80", False),
        ("LocalHost:8188", "http://localhost:8188", False),
        ("[::1]:8188", "http://[::1]:8188", False),
    ],
)
def test_pages_of_other_sites_are_foreign(host: str, origin: str | None, expected: bool) -> None:
    """The origin must name the same host and port; the word null is a page of anybody."""
    assert foreign(host, origin) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, True),
        ("127.0.0.1:8188", True),
        ("127.8.9.1", True),
        ("localhost:9000", True),
        ("[::1]:8188", True),
        ("evil.example:8188", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8188", False),
        ("127.0.0.1@evil.example:8188", False),
        ("192.168.1.5:8188", False),
        ("0.0.0.0:8188", False),
        ("[", False),
        ("", False),
    ],
)
def test_only_names_of_this_machine_are_answered(host: str | None, expected: bool) -> None:
    """A page whose name leads to 127.0.0.1 by now still sends that name; a forwarded port is a port."""
    assert is_ours(host) is expected
