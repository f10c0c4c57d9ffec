"""Files of every kind: named by what they are, whole, and refused by their true name."""

from __future__ import annotations

import io
import json
import random
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, features

from runner import door
from runner.collect import Bounds, collect
from runner.comfy.protocol import FileRef, files_of
from runner.comfy.sniff import Unwanted, examine
from runner.comfy.verdict import Uncollected
from runner.domain import Fault, Output
from runner.errors import Refused, StorageError
from runner.likeness import grade
from runner.pictures import NotWhole


def encoded(form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), (9, 8, 7)).save(file, form, **options)
    return file.getvalue()


def box(name: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I", 8 + len(inside)) + name + inside


def avif(width: int = 640, height: int = 480) -> bytes:
    """Return the boxes of an AVIF without a picture in them."""
    sizes = box(b"ispe", bytes(4), struct.pack(">II", width, height))
    index = box(b"meta", bytes(4), box(b"iprp", box(b"ipco", sizes)))
    return box(b"ftyp", b"avif", bytes(4), b"avifmif1") + index + box(b"mdat", bytes(30))


def exr(note: bytes = b"{}") -> bytes:
    """Return an uncompressed EXR of 2 by 2 with *note* in its head, as ComfyUI writes its workflow there."""

    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<I", len(value)) + value

    channels = b"Y\0" + struct.pack("<iiii", 2, 0, 1, 1) + b"\0"
    head = (
        b"\x76\x2f\x31\x01\x02\0\0\0"
        + attribute(b"channels", b"chlist", channels)
        + attribute(b"compression", b"compression", b"\0")
        + attribute(b"dataWindow", b"box2i", struct.pack("<4i", 0, 0, 1, 1))
        + attribute(b"prompt", b"string", note)
        + b"\0"
    )
    rows = [struct.pack("<iI2f", row, 8, 0.5, 0.25) for row in range(2)]
    begin = len(head) + 16
    return head + struct.pack("<2Q", begin, begin + len(rows[0])) + b"".join(rows)


def glb(extras: str = "") -> bytes:
    text = json.dumps({"asset": {"version": "2.0", "extras": extras}}).encode()
    text += b" " * (-len(text) % 4)
    parts = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", 8, b"BIN\0") + b"vertices"
    return struct.pack("<4sII", b"glTF", 2, 12 + len(parts)) + parts


def stl() -> bytes:
    return bytes(80) + struct.pack("<I", 1) + bytes(50)


SVG = (
    b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>\n'
)
WAV = b"RIFF" + struct.pack("<I", 8) + b"WAVEdata"
PIPED = b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEdata" + bytes(9)
LATENT = struct.pack("<Q", 2) + b"{}"
BLOB = b"\0\1\2\3" * 20


class Served:
    """A fetch that answers with contents in turn; *announces* says whether it tells their length."""

    def __init__(self, *answers: bytes, announces: bool = True) -> None:
        self.answers = list(answers)
        self.announces = announces
        self.asked = 0

    async def __call__(self, _ref: FileRef, sink: Any, limit: int) -> int:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if len(answer) > limit:
            raise Refused(f"the answer is larger than {limit} bytes", status=413)
        sink(answer)
        return len(answer) if self.announces else -1


async def taken(
    folder: Path, served: Served, kind: Any, *names: str, bounds: Bounds | None = None
) -> tuple[Output, ...]:
    refs = [FileRef(node="9", index=at, filename=name) for at, name in enumerate(names or ("x.bin",))]
    limits = bounds or Bounds(pause_s=0)
    return await collect(refs, fetch=served, folder=folder, name="s01/a", outputs={"9": kind}, bounds=limits)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def refused(folder: Path, served: Served, kind: Any, *names: str, **options: Any) -> Fault:
    with pytest.raises(Uncollected) as caught:
        await taken(folder, served, kind, *names, **options)
    assert files(folder) == []
    return caught.value.fault


@pytest.mark.parametrize(
    ("content", "kind", "name", "path", "media"),
    [
        (avif(), "image", "x.png", "s01/a.avif", "image/avif"),
        (box(b"ftyp", b"avif", bytes(4), b"avif") + bytes(60), "image", "x", "s01/a.avif", "image/avif"),
        (exr(), "image", "x", "s01/a.exr", "image/x-exr"),
        (encoded("TIFF"), "image", "x.tif", "s01/a.tif", "image/tiff"),
        (encoded("BMP"), "image", "x", "s01/a.bmp", "image/bmp"),
        (SVG, "image", "x.png", "s01/a.svg", "image/svg+xml"),
        (SVG, "text", "x.svg", "s01/a.svg", "image/svg+xml"),
        (glb(), "model3d", "x.bin", "s01/a.glb", "model/gltf-binary"),
        (glb(), "model3d", "x.vrm", "s01/a.vrm", "model/gltf-binary"),
        (b"ply\nformat ascii 1.0\nend_header\n", "model3d", "x", "s01/a.ply", "model/ply"),
        (b"v 0 0 0\nf 1 1 1\n", "model3d", "mesh.obj", "s01/a.obj", "model/obj"),
        (stl(), "model3d", "mesh.STL", "s01/a.stl", "model/stl"),
        (b"Kaydara FBX Binary  \0\x1a\0" + bytes(9), "model3d", "x", "s01/a.fbx", "model/fbx"),
        (BLOB, "model3d", "scene.splat", "s01/a.splat", "model/splat"),
        (b'{"asset": {"version": "2.0"}}', "model3d", "x.gltf", "s01/a.gltf", "model/gltf+json"),
        (WAV, "audio", "x.mp3", "s01/a.wav", "audio/wav"),
        (PIPED, "audio", "x.wav", "s01/a.wav", "audio/wav"),
        (b"\xff\xfb\x90\x00" + bytes(60), "audio", "x", "s01/a.mp3", "audio/mpeg"),
        ("größer".encode("utf-16"), "text", "x.txt", "s01/a.txt", "text/plain"),
        ("größer".encode("utf-16-be"), "file", "x.txt", "s01/a.txt", "application/octet-stream"),
        ("größer".encode("latin-1"), "text", "x", "s01/a.txt", "text/plain"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nhello\n", "text", "x.srt", "s01/a.srt", "text/plain"),
        (b"", "text", "x.txt", "s01/a.txt", "text/plain"),
        (b"", "file", "x.done", "s01/a.done", "text/plain"),
        (BLOB, "file", "data.weights", "s01/a.weights", "application/octet-stream"),
        (BLOB, "file", "run.exe", "s01/a.bin", "application/octet-stream"),
        (BLOB, "file", "../../x/..", "s01/a.bin", "application/octet-stream"),
        (b"PK\x03\x04" + bytes(30), "file", "points.npz", "s01/a.npz", "application/zip"),
        (b"a plain text", "file", "x.png", "s01/a.txt", "text/plain"),
        (LATENT, "file", "lora.safetensors", "s01/a.safetensors", "application/x-safetensors"),
    ],
)  # fmt: skip
async def test_a_file_is_called_what_it_is(
    tmp_path: Path, content: bytes, kind: str, name: str, path: str, media: str
) -> None:
    """Known bytes name the type; where they say too little, the extension of the server's name does."""
    (output,) = await taken(tmp_path, Served(content), kind, name)

    assert (output.path, output.media, output.kind) == (path, media, kind)
    assert (tmp_path / output.path).read_bytes() == content


async def test_pictures_that_are_not_decoded_have_a_size_and_no_pixels(tmp_path: Path) -> None:
    """AVIF, EXR and TIFF tell how large they are; their bytes are all that is compared."""
    found = [(await taken(tmp_path, Served(each), "image"))[0] for each in (avif(), exr(), encoded("TIFF"))]

    assert [(each.width, each.height, each.pixels) for each in found] == [
        (640, 480, ""),
        (2, 2, ""),
        (6, 4, ""),
    ]


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
async def test_a_real_avif_is_taken(tmp_path: Path) -> None:
    """What an encoder writes is recognised, still and moving."""
    still, moving = encoded("AVIF"), encoded("AVIF", save_all=True, append_images=[Image.new("RGB", (6, 4))])
    (one,) = await taken(tmp_path, Served(still), "image")
    (two,) = await taken(tmp_path, Served(moving), "video")

    assert (one.media, one.width, one.height) == ("image/avif", 6, 4)
    assert two.media == "image/avif"


@pytest.mark.parametrize(
    ("whole", "kind"),
    [(avif(), "image"), (exr(), "image"), (glb(), "model3d"), (SVG, "image"), (WAV, "audio")],
)  # fmt: skip
async def test_a_known_type_that_is_cut_short_is_fetched_again(
    tmp_path: Path, whole: bytes, kind: str
) -> None:
    """Structure tells that the end is missing, though the length is the one announced."""
    served = Served(whole[:-3], whole)
    (output,) = await taken(tmp_path, served, kind)

    assert (served.asked, output.size) == (2, len(whole))


async def test_an_unknown_type_is_whole_when_the_announced_length_fits(tmp_path: Path) -> None:
    """One download is enough then."""
    served = Served(BLOB)
    await taken(tmp_path, served, "file")

    assert served.asked == 1


async def test_an_unknown_type_of_no_announced_length_is_whole_when_it_comes_twice(tmp_path: Path) -> None:
    """The first two equal downloads are the file; one that differs proves nothing."""
    served = Served(BLOB[:-9], BLOB, BLOB, announces=False)
    (output,) = await taken(tmp_path, served, "file")

    assert (served.asked, output.size) == (3, len(BLOB))


@pytest.mark.parametrize(
    ("content", "asked", "told"),
    [
        (glb(), 1, "declared as image, but it is model/gltf-binary (a GLB); that is kind `model3d`"),
        (WAV, 1, "declared as image, but it is audio/wav; that is kind `audio`"),
        (b"a text", 1, "declared as image, but it is text/plain; that is kind `text`"),
        (BLOB, 2, "declared as image, but it is of no type that is known here (.glb by its name)"),
    ],
)
async def test_another_kind_is_refused_by_its_true_name(
    tmp_path: Path, content: bytes, asked: int, told: str
) -> None:
    """One failed job that is not rendered again; unknown bytes are fetched twice, for they may be damage."""
    served = Served(content)
    fault = await refused(tmp_path, served, "image", "mesh.glb")

    assert (fault.code, fault.retry, served.asked) == ("BAD_OUTPUT", "never", asked)
    assert told in fault.message


async def test_an_odd_picture_is_a_file_all_the_same(tmp_path: Path) -> None:
    """Declared as `file`, what no decoder reads is kept once the server has sent it twice."""
    odd = encoded("PNG")[:-4]
    served = Served(odd)
    (output,) = await taken(tmp_path, served, "file")

    assert (output.path, output.pixels, served.asked) == ("s01/a.png", "", 2)


async def test_a_picture_declared_as_file_has_its_pixels(tmp_path: Path) -> None:
    """What can be compared by its pixels is, whatever it was declared as."""
    (output,) = await taken(tmp_path, Served(encoded("PNG")), "file")

    assert (output.width, output.height, len(output.pixels)) == (6, 4, 64)


SAMPLES = [
    avif(),
    exr(),
    encoded("TIFF"),
    encoded("TIFF", big_tiff=True),
    encoded("BMP"),
    glb(),
    SVG,
    WAV,
    stl(),
]


@pytest.mark.parametrize("seed", range(60))
def test_any_damage_is_a_verdict(tmp_path: Path, seed: int) -> None:
    """Whatever is flipped or cut: a file is known, damaged or unwanted, and its size can be recorded."""
    chance = random.Random(seed)
    path = tmp_path / "x"
    for sample in SAMPLES:
        content = bytearray(sample)
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(len(content))] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
        path.write_bytes(content[: chance.choice((len(content), chance.randrange(len(content))))])
        for kind, again in (("image", False), ("model3d", True), ("file", True)):
            with suppress(NotWhole, Unwanted):
                found = examine(path, kind=kind, pixels=10_000, name="x.stl", again=again)
                assert max(found.width, found.height) < 2**31


def test_a_file_that_is_listed_ten_thousand_times_is_one() -> None:
    """Doubles are taken out, and the others are numbered without a gap."""
    one, two = {"filename": "a.png"}, {"filename": "b.png", "subfolder": "", "type": "output"}
    found = files_of("9", {"images": [one] * 10_000 + [two], "again": [one]})

    assert [(ref.filename, ref.index) for ref in found] == [("a.png", 0), ("b.png", 1)]


async def test_more_files_than_a_job_may_have_are_refused_before_the_first_download(tmp_path: Path) -> None:
    """The message names the node and the setting."""
    served = Served(BLOB)
    fault = await refused(tmp_path, served, "file", *"abcd", bounds=Bounds(files=3, pause_s=0))

    assert (fault.code, fault.retry, served.asked) == ("TOO_LARGE", "never", 0)
    assert "4 files" in fault.message
    assert "max_job_files" in fault.message


async def test_more_bytes_than_a_job_may_have_are_refused(tmp_path: Path) -> None:
    """All files of a job share one limit; what came before is taken away again."""
    bounds = Bounds(together=2 * len(BLOB) + 5, pause_s=0)
    fault = await refused(tmp_path, Served(BLOB), "file", *"abc", bounds=bounds)

    assert (fault.code, fault.retry) == ("TOO_LARGE", "never")
    assert "max_job_size" in fault.message


class Small(door.World):
    """A disk with so much free."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.free = free

    def free_bytes(self, folder: Path) -> int:
        return self.free


async def test_a_reserve_stays_free_on_the_disk(tmp_path: Path) -> None:
    """Below it nothing is fetched, and the run stops with what to do; 0 asks nobody."""
    served = Served(BLOB)
    with door.entered(Small(999)):
        with pytest.raises(StorageError, match=r"999 bytes are free .* 1,000 are to stay free") as caught:
            await taken(tmp_path, served, "file", bounds=Bounds(reserve=1000, pause_s=0))
        await taken(tmp_path, Served(BLOB), "file", bounds=Bounds(reserve=0, pause_s=0))

    assert served.asked == 0
    assert "disk_reserve" in caught.value.hint


async def test_a_long_name_in_another_script_stays_a_name(tmp_path: Path) -> None:
    """File systems count bytes: what is too long is cut, and told apart by a checksum."""
    refs = [FileRef(node="9", index=0, filename="x")]
    names = [f"s01/{'屋上' * 80}{end}" for end in "ab"]
    paths = [
        (await collect(refs, fetch=Served(BLOB), folder=tmp_path, name=name, outputs={"9": "file"}))[0].path
        for name in names
    ]

    assert len(set(paths)) == 2
    assert all(len(path.split("/")[1].encode()) <= 210 for path in paths)


def flac(note: bytes, frames: bytes) -> bytes:
    blocks = b"\0\0\0\x22" + bytes(34) + b"\x84" + len(note).to_bytes(3, "big") + note
    return b"fLaC" + blocks + frames


def mp3(note: bytes, frames: bytes) -> bytes:
    return b"ID3\4\0\0\0\0" + bytes((len(note) >> 7, len(note) & 127)) + note + frames


@pytest.mark.parametrize(
    ("one", "noted", "other"),
    [
        (glb("a"), glb("another prompt"), glb("a").replace(b"vertices", b"Vertices")),
        (exr(b"a"), exr(b"another prompt"), exr(b"a")[:-1] + b"\1"),
        (exr(b"a"), exr(b"b"), exr(b"a").replace(b"chlist\0", b"chlisT\0").replace(b"Y\0", b"Z\0")),
        (flac(b"a", b"frames"), flac(b"another", b"frames"), flac(b"a", b"frameZ")),
        (mp3(b"a" * 300, b"frames"), mp3(b"b", b"frames"), mp3(b"b", b"frameZ")),
        (BLOB, BLOB, BLOB + b"\0"),
        (SVG, SVG, SVG + b" "),
    ],
    ids=["GLB", "EXR", "EXR, channels", "FLAC", "MP3", "unknown", "SVG"],
)
def test_what_a_server_notes_in_a_file_is_no_difference(
    tmp_path: Path, one: bytes, noted: bytes, other: bytes
) -> None:
    """ComfyUI writes the prompt, prefix and all, into what it saves; a replay does not see that."""
    paths = [tmp_path / name for name in "abc"]
    for path, content in zip(paths, (one, noted, other), strict=True):
        path.write_bytes(content)
    same, different = grade(paths[0], paths[1]), grade(paths[0], paths[2])

    assert (same.kind, different.kind) == ("same", "changed")
    assert "only pictures are graded further" in different.note
