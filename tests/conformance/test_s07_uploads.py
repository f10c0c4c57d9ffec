"""Protocol section 7.2: uploads, and how a workflow names an uploaded file."""

from __future__ import annotations

import json
import uuid
from io import BytesIO

import pytest
from PIL import Image

from .graphs import Graph, node, picture
from .server import Server, files, message, uploaded


def png(color: tuple[int, ...], size: tuple[int, int] = (8, 8)) -> bytes:
    """Return a PNG file of one colour; RGBA when there are four numbers."""
    out = BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", size, color).save(out, "PNG")
    return out.getvalue()


def load(name: str, prefix: str) -> Graph:
    """Return a workflow that saves an input file again."""
    return {
        "1": node("LoadImage", image=name),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix),
    }


def pixel(server: Server, ref: dict[str, str]) -> tuple[int, ...]:
    """Return the first pixel of a file on the server."""
    return Image.open(BytesIO(server.view(ref).content)).convert("RGB").getpixel((0, 0))


@pytest.fixture
def stem() -> str:
    """Return a name without suffix that no other upload has."""
    return f"conformance-{uuid.uuid4().hex}"


def test_s07_2_upload_answers_name_folder_and_type(server: Server, stem: str) -> None:
    """An upload without further fields goes to the top of the input folder."""
    answer = server.upload(stem + ".png", png((1, 2, 3)))

    assert answer.status_code == 200
    assert uploaded(answer) == {"name": stem + ".png", "subfolder": "", "type": "input"}


def test_s07_2_any_bytes_are_taken(server: Server, stem: str) -> None:
    """There is no check that the bytes are a picture, and they are stored unchanged."""
    server.upload(stem + ".bin", b"\x00\x01no picture")

    assert server.view({"filename": stem + ".bin", "type": "input"}).content == b"\x00\x01no picture"


def test_s07_2_same_name_same_bytes(server: Server, stem: str) -> None:
    """The same file again keeps its name."""
    first = server.upload(stem + ".png", png((1, 2, 3)))

    assert uploaded(server.upload(stem + ".png", png((1, 2, 3)))) == uploaded(first)


def test_s07_2_same_name_other_bytes(server: Server, stem: str) -> None:
    """Other bytes under a known name get a number; the same bytes again find their number."""
    names = [
        server.upload(stem + ".png", png((1, 2, n))).json()["name"]
        for n in (0, 1, 2, 1)  # the last one is known
    ]

    assert names == [f"{stem}.png", f"{stem} (1).png", f"{stem} (2).png", f"{stem} (1).png"]
    assert pixel(server, {"filename": f"{stem}.png", "type": "input"}) == (1, 2, 0)


@pytest.mark.parametrize(("word", "kept"), [("true", 1), ("1", 1), ("yes", 2), ("True", 2)])
def test_s07_2_overwrite(server: Server, stem: str, word: str, kept: int) -> None:
    """overwrite=true or 1 replaces the file under its name; no other word does."""
    server.upload(stem + ".txt", b"old")
    answer = server.upload(stem + ".txt", b"new", overwrite=word)

    assert answer.json()["name"] == (f"{stem}.txt" if kept == 1 else f"{stem} (1).txt")
    stored = server.view({"filename": stem + ".txt", "type": "input"}).content
    assert stored == (b"new" if kept == 1 else b"old")


def test_s07_2_subfolder_is_made(server: Server, stem: str) -> None:
    """A sub-folder is created and answered as it was sent."""
    answer = server.upload("a.png", png((1, 2, 3)), subfolder=f"{stem}/deep")

    assert uploaded(answer) == {"name": "a.png", "subfolder": f"{stem}/deep", "type": "input"}
    ref = {"filename": "a.png", "subfolder": f"{stem}/deep", "type": "input"}
    assert pixel(server, ref) == (1, 2, 3)


@pytest.mark.parametrize("kind", ["temp", "output"])
def test_s07_2_upload_to_another_folder(server: Server, stem: str, kind: str) -> None:
    """type sends the file to the temp or output folder."""
    answer = server.upload(stem + ".png", png((1, 2, 3)), type=kind)

    assert answer.json()["type"] == kind
    assert server.view({"filename": stem + ".png", "type": kind}).status_code == 200
    assert server.view({"filename": stem + ".png", "type": "input"}).status_code == 404


def test_s07_2_wrong_field(server: Server) -> None:
    """A file in a field other than image is a 400 with an empty body."""
    answer = server.http.post("/upload/image", files={"file": ("a.png", b"x")})

    assert (answer.status_code, answer.content) == (400, b"")


def test_s07_2_escaping_names_are_refused(server: Server, stem: str) -> None:
    """A sub-folder or a file name that leaves the folder is a 400."""
    assert server.upload("a.png", b"x", subfolder="../" + stem).status_code == 400
    assert server.upload("a.png", b"x", subfolder="/tmp").status_code == 400
    assert server.upload(f"../{stem}.png", b"x").status_code == 400


def test_s07_2_letters_beyond_ascii(server: Server, stem: str) -> None:
    """A raw UTF-8 file name is kept, and LoadImage finds it."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{stem}-空.png"\r\n\r\n'
    body = head.encode() + png((1, 2, 3)) + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    answer = server.http.post("/upload/image", content=body, headers={"Content-Type": kind})

    assert answer.json()["name"] == f"{stem}-空.png"
    assert server.view({"filename": f"{stem}-空.png", "type": "input"}).status_code == 200


def test_s07_2_load_an_upload(server: Server, stem: str, prefix: str) -> None:
    """LoadImage reads an uploaded file by its name."""
    server.upload(stem + ".png", png((1, 2, 3)))

    assert pixel(server, files(server.render(load(stem + ".png", prefix)))[0]) == (1, 2, 3)


def test_s07_2_load_from_a_subfolder(server: Server, stem: str, prefix: str) -> None:
    """LoadImage takes sub/name, though its list names only the files at the top."""
    server.upload("a.png", png((4, 5, 6)), subfolder=stem)

    assert pixel(server, files(server.render(load(f"{stem}/a.png", prefix)))[0]) == (4, 5, 6)


def test_s07_2_load_an_earlier_output(server: Server, prefix: str) -> None:
    """LoadImage reads an earlier result by 'sub/name [output]'."""
    ref = files(server.render(picture(prefix, color=0x070809)))[0]
    name = f"{ref['subfolder']}/{ref['filename']} [output]"

    assert pixel(server, files(server.render(load(name, prefix + "-again")))[0]) == (7, 8, 9)


def test_s07_2_load_list_shows_new_files(server: Server, stem: str) -> None:
    """An upload at the top of the input folder is at once in LoadImage's list, one below is not."""
    server.upload(stem + ".png", png((1, 2, 3)))
    server.upload(stem + "-below.png", png((1, 2, 3)), subfolder=stem)
    choices = server.http.get("/object_info/LoadImage").json()["LoadImage"]["input"]["required"]["image"][0]

    assert stem + ".png" in choices
    assert not any("below" in choice for choice in choices if stem in choice)


def test_s07_2_load_something_that_is_no_picture(server: Server, stem: str, prefix: str) -> None:
    """A file that is no picture passes validation and fails when LoadImage runs."""
    server.upload(stem + ".png", b"no picture")
    entry = server.render(load(stem + ".png", prefix))

    assert message(entry, "execution_error")["node_type"] == "LoadImage"


def test_s07_2_mask_upload(server: Server, stem: str, prefix: str) -> None:
    """A mask upload writes the original's colours with the uploaded picture's alpha."""
    server.upload(stem + ".png", png((1, 2, 3)))
    reference = json.dumps({"filename": stem + ".png", "subfolder": "", "type": "input"})
    answer = server.http.post(
        "/upload/mask",
        files={"image": (f"{stem}-mask.png", png((9, 9, 9, 77)))},
        data={"original_ref": reference},
    )
    stored = server.view({"filename": f"{stem}-mask.png", "type": "input"})

    assert uploaded(answer) == {"name": f"{stem}-mask.png", "subfolder": "", "type": "input"}
    assert Image.open(BytesIO(stored.content)).convert("RGBA").getpixel((0, 0)) == (1, 2, 3, 77)


def test_s07_2_mask_upload_without_its_original(server: Server, stem: str) -> None:
    """A mask for a missing original gives 200 but writes nothing; one without a reference gives 500."""
    upload = {"image": (f"{stem}-mask.png", png((9, 9, 9, 77)))}
    lost = server.http.post(
        "/upload/mask", files=upload, data={"original_ref": '{"filename": "no-such.png"}'}
    )
    none = server.http.post("/upload/mask", files=upload)

    assert (lost.status_code, none.status_code) == (200, 500)
    assert server.view({"filename": f"{stem}-mask.png", "type": "input"}).status_code == 404
