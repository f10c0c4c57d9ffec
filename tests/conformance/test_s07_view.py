"""Protocol section 7.1: downloading through /view."""

from __future__ import annotations

import uuid
from io import BytesIO

import pytest
from PIL import Image

from .graphs import picture
from .server import Server, files


def png(mode: str = "RGB", color: object = (10, 20, 30), size: tuple[int, int] = (8, 8)) -> bytes:
    """Return a PNG file of one colour."""
    out = BytesIO()
    Image.new(mode, size, color).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def saved(server: Server, prefix: str) -> dict[str, str]:
    """Return the entry of one saved picture."""
    return files(server.render(picture(prefix)))[0]


@pytest.fixture
def own_name() -> str:
    """Return a name without suffix that no other upload has."""
    return f"conformance-{uuid.uuid4().hex}"


def test_s07_1_view_gives_the_stored_bytes(server: Server, saved: dict[str, str]) -> None:
    """A reported entry's three fields, passed as they are, give the PNG with type, name and length."""
    answer = server.view(saved)

    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG\r\n\x1a\n")
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"] == f'filename="{saved["filename"]}"'
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert {"Etag", "Last-Modified"} <= {name.title() for name in answer.headers}


def test_s07_1_output_is_the_default_type(server: Server, saved: dict[str, str]) -> None:
    """Without type the output folder is meant."""
    fields = {"filename": saved["filename"], "subfolder": saved["subfolder"]}

    assert server.view(fields).content == server.view(saved).content


def test_s07_1_annotated_names(server: Server, saved: dict[str, str]) -> None:
    """A folder in brackets behind the name overrides the type."""
    name = saved["filename"]

    assert server.view(saved, filename=f"{name} [output]", type="temp").status_code == 200
    assert server.view(saved, filename=f"{name} [temp]").status_code == 404


def test_s07_1_head(server: Server, saved: dict[str, str]) -> None:
    """HEAD gives the size without the bytes."""
    answer = server.http.head("/view", params=saved)

    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(server.view(saved).content)


def test_s07_1_range(server: Server, saved: dict[str, str]) -> None:
    """A range gives 206 and exactly those bytes."""
    whole = server.view(saved).content
    answer = server.http.get("/view", params=saved, headers={"Range": "bytes=1-3"})
    tail = server.http.get("/view", params=saved, headers={"Range": "bytes=10-"})

    assert (answer.status_code, answer.content) == (206, b"PNG")
    assert answer.headers["Content-Range"] == f"bytes 1-3/{len(whole)}"
    assert (tail.status_code, tail.content) == (206, whole[10:])


def test_s07_1_range_past_the_end(server: Server, saved: dict[str, str]) -> None:
    """A range behind the last byte gives 416."""
    answer = server.http.get("/view", params=saved, headers={"Range": "bytes=99999999-"})

    assert answer.status_code == 416


def test_s07_1_range_from_the_end(server: Server, saved: dict[str, str]) -> None:
    """A negative range gives the last bytes."""
    answer = server.http.get("/view", params=saved, headers={"Range": "bytes=-12"})

    assert answer.status_code == 206
    assert answer.content == server.view(saved).content[-12:]
    assert answer.content[4:8] == b"IEND"


@pytest.mark.parametrize("text", ["bytes=abc", "items=0-1", "bytes=0-1,3-4", "bytes=-"])
def test_s07_1_ranges_that_cannot_be_read(server: Server, saved: dict[str, str], text: str) -> None:
    """Anything but a single range of bytes gives 416."""
    assert server.http.get("/view", params=saved, headers={"Range": text}).status_code == 416


def test_s07_1_modified_since(server: Server, saved: dict[str, str]) -> None:
    """An older date in If-Modified-Since, or another tag, gives the file."""
    old = {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}

    assert server.http.get("/view", params=saved, headers=old).status_code == 200
    assert server.http.get("/view", params=saved, headers={"If-None-Match": '"other"'}).status_code == 200


def test_s07_1_not_modified(server: Server, saved: dict[str, str]) -> None:
    """If-None-Match and If-Modified-Since give 304 for an unchanged file."""
    first = server.view(saved)
    for header in (
        {"If-None-Match": first.headers["Etag"]},
        {"If-Modified-Since": first.headers["Last-Modified"]},
    ):
        answer = server.http.get("/view", params=saved, headers=header)

        assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"filename": "no-such-file.png"}, 404),
        ({"filename": "no-such-file.png", "subfolder": "no/such/folder"}, 404),
        ({"filename": ""}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "../secret.png"}, 400),
        ({"filename": "a..b.png"}, 400),
        ({"filename": "a.png", "type": "models"}, 400),
        ({"filename": "a.png", "subfolder": ".."}, 403),
        ({"filename": "a.png", "subfolder": "/etc"}, 403),
        ({"filename": "passwd", "subfolder": "a/../../../etc"}, 403),
    ],
)
def test_s07_1_refusals(server: Server, query: dict[str, str], status: int) -> None:
    """Missing files give 404, bad names and types 400, escaping sub-folders 403, all with empty bodies."""
    answer = server.http.get("/view", params=query)

    assert (answer.status_code, answer.content) == (status, b"")


def test_s07_1_a_folder_in_the_name_is_dropped(server: Server, saved: dict[str, str]) -> None:
    """Only the last part of filename counts."""
    assert server.view(saved, filename="some/where/" + saved["filename"]).status_code == 200


@pytest.mark.parametrize(
    ("preview", "kind"),
    [("webp", "WEBP"), ("jpeg", "JPEG"), ("webp;50", "WEBP"), ("jpeg;10", "JPEG"), ("tiff", "WEBP")],
)
def test_s07_1_preview_re_encodes(server: Server, saved: dict[str, str], preview: str, kind: str) -> None:
    """preview=webp or jpeg, with an optional quality, re-encodes; anything else is webp."""
    answer = server.view(saved, preview=preview)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == f"image/{kind.lower()}"
    assert Image.open(BytesIO(answer.content)).format == kind


def test_s07_1_previews_carry_no_metadata(server: Server, saved: dict[str, str]) -> None:
    """The embedded prompt is in the file but not in its preview."""
    assert b"class_type" in server.view(saved).content
    assert b"class_type" not in server.view(saved, preview="webp").content


def test_s07_1_channels(server: Server, own_name: str) -> None:
    """channel=rgb drops the alpha, channel=a keeps it alone, anything else gives the file."""
    stored = png("RGBA", (10, 20, 30, 40))
    ref = server.upload(own_name + ".png", stored).json()
    ref = {"filename": ref["name"], "subfolder": ref["subfolder"], "type": ref["type"]}
    rgb = Image.open(BytesIO(server.view(ref, channel="rgb").content))
    alpha = Image.open(BytesIO(server.view(ref, channel="a").content))

    assert (rgb.mode, rgb.getpixel((0, 0))) == ("RGB", (10, 20, 30))
    assert (alpha.mode, alpha.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 40))
    assert server.view(ref, channel="rgba").content == stored


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".html", "application/octet-stream"),
        (".css", "application/octet-stream"),
        (".nosuchtype", "application/octet-stream"),
        (".txt", "text/plain"),
        (".jpg", "image/jpeg"),
    ],
)
def test_s07_1_content_types(server: Server, own_name: str, suffix: str, kind: str) -> None:
    """The type is guessed from the name; HTML, CSS and unknown ones are octet-streams."""
    server.upload(own_name + suffix, b"hello")
    answer = server.view({"filename": own_name + suffix, "type": "input"})

    assert answer.headers["Content-Type"].split(";")[0] == kind
    assert answer.content == b"hello"


def test_s07_1_names_with_odd_letters(server: Server, prefix: str) -> None:
    """Spaces, per cent, plus and letters beyond ASCII work in names when they are URL-encoded."""
    entry = server.render(picture(prefix + " 100%+ 空&x=1"))
    ref = files(entry)[0]

    assert ref["filename"] == "pic 100%+ 空&x=1_00001_.png"
    assert server.view(ref).status_code == 200
