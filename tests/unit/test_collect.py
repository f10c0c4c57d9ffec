"""Files that a server names become verified files of ours, or a fault."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from runner import door, pictures
from runner.collect import Bounds, collect, part_of
from runner.comfy.protocol import FileRef
from runner.comfy.verdict import Uncollected
from runner.domain import Output
from runner.errors import Ambiguous, Refused, StorageError
from runner.resume import sweep


def picture(
    color: tuple[int, ...] = (9, 8, 7), *, size: tuple[int, int] = (6, 4), mode: str = "RGB"
) -> Image.Image:
    return Image.new(mode, size, color if mode != "L" else color[0])


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


PNG = encoded(picture())


def ref(node: str = "9", index: int = 0, name: str = "p_00001_.png") -> FileRef:
    return FileRef(node=node, index=index, filename=name, subfolder="animerun/x")


class Served:
    """A fetch that answers with contents in turn; an exception among them is raised half-way."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _ref: FileRef, sink: Any, limit: int) -> int:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            sink(PNG[:20])
            raise answer
        if len(answer) > limit:
            raise Refused("too large", status=413)
        for start in range(0, len(answer), 7):
            sink(answer[start : start + 7])
        return len(answer)


async def taken(
    folder: Path, served: Served, refs: Sequence[FileRef] = (ref(),), **options: Any
) -> tuple[Output, ...]:
    outputs = options.pop("outputs", {"9": "image"})
    options.setdefault("bounds", Bounds(pause_s=0))
    name = options.pop("name", "s01/a_t01")
    return await collect(refs, fetch=served, folder=folder, name=name, outputs=outputs, **options)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


async def refused(folder: Path, served: Served, **options: Any) -> str:
    with pytest.raises(Uncollected) as caught:
        await taken(folder, served, **options)
    assert files(folder) == []
    assert caught.value.fault.message.isprintable()
    return caught.value.fault.code


async def test_a_picture_is_stored_verified_and_described(tmp_path: Path) -> None:
    """Path, hash, size, samples and measures are those of the bytes; beside it lies only its second name."""
    (output,) = await taken(tmp_path, Served(PNG))

    assert output.path == "s01/a_t01.png"
    assert output.sha256 == hashlib.sha256(PNG).hexdigest()
    assert (output.size, output.width, output.height, output.frames) == (len(PNG), 6, 4, 1)
    assert (output.media, output.server_name) == ("image/png", "animerun/x/p_00001_.png")
    assert output.pixels == hashlib.sha256(b"RGB 6 4 1\n" + bytes((9, 8, 7)) * 24).hexdigest()
    path = tmp_path / output.path
    assert {*files(tmp_path)} == {path, part_of(path, path.stat().st_mtime_ns)}


class Noting(door.Disk):
    """The real disk, with a note of what was done last to the file and its names."""

    def __init__(self) -> None:
        self.acts: list[str] = []

    def write(self, fd: int, block: Any) -> int:
        self.acts.append("write")
        return super().write(fd, block)

    def sync(self, fd: int) -> None:
        self.acts.append("sync")
        super().sync(fd)

    def link(self, old: Path, new: Path) -> None:
        self.acts.append("link")
        super().link(old, new)

    def sync_folder(self, folder: Path) -> None:
        self.acts.append("sync folder")
        super().sync_folder(folder)


async def test_a_file_is_durable_before_it_has_its_name(tmp_path: Path) -> None:
    """All bytes are synced before the file is named, and the name is before it is reported."""
    disk = Noting()
    with door.entered(door.World(disk=disk)):
        await taken(tmp_path, Served(PNG))

    assert disk.acts[disk.acts.index("write") :][-3:] == ["sync", "link", "sync folder"]


async def test_metadata_does_not_change_the_pixels(tmp_path: Path) -> None:
    """Two files of the same picture differ in their hash and agree in their pixels."""
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("prompt", "{}")
    (one,) = await taken(tmp_path, Served(PNG), name="one")
    (two,) = await taken(tmp_path, Served(encoded(picture(), pnginfo=text)), name="two")

    assert one.sha256 != two.sha256
    assert one.pixels == two.pixels


async def test_a_palette_counts_by_its_colours(tmp_path: Path) -> None:
    """The same colours stored through a palette are the same pixels."""
    (one,) = await taken(tmp_path, Served(PNG), name="one")
    (two,) = await taken(tmp_path, Served(encoded(picture().quantize(4))), name="two")

    assert one.pixels == two.pixels


@pytest.mark.parametrize(
    ("content", "kind", "extension"),
    [
        (encoded(picture(), "JPEG"), "image", "jpg"),
        (encoded(picture(), "WEBP", lossless=True), "image", "webp"),
        (encoded(picture(), "GIF"), "image", "gif"),
        (encoded(picture(mode="L")), "image", "png"),
        (b"RIFF" + struct.pack("<I", 8) + b"WAVEdata", "audio", "wav"),
        (b"fLaC" + bytes(40), "audio", "flac"),
        (b"OggS" + bytes(24) + b"OpusHead", "audio", "opus"),
        (b"ID3" + bytes(40), "audio", "mp3"),
        (b"\x1aE\xdf\xa3" + bytes(40), "video", "webm"),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08moov", "video", "mp4"),
        (b"\0\0\0\x10ftypqt  \0\0\0\0" + b"\0\0\0\x08moov", "video", "mov"),
        ("a plain text, größer".encode(), "text", "txt"),
        (b'{"a": 1}', "text", "json"),
        (struct.pack("<Q", 2) + b"{}", "latent", "latent"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_extension_is_that_of_the_bytes(
    tmp_path: Path, content: bytes, kind: str, extension: str
) -> None:
    """Whatever the server called the file, its bytes name its type."""
    (output,) = await taken(tmp_path, Served(content), refs=[ref(name="x.exe")], outputs={"9": kind})

    assert output.path == f"s01/a_t01.{extension}"
    assert (tmp_path / output.path).read_bytes() == content


async def test_an_animation_counts_its_frames(tmp_path: Path) -> None:
    """An animated picture serves as a video, with every frame decoded."""
    frames = [picture((number * 40, 0, 0)) for number in range(3)]
    content = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    (output,) = await taken(tmp_path, Served(content), outputs={"9": "video"})

    assert (output.frames, output.media, output.kind) == (3, "image/webp", "video")


def box(name: bytes, *content: bytes) -> bytes:
    inside = b"".join(content)
    return struct.pack(">I", 8 + len(inside)) + name + inside


def track(kind: bytes, width: int, height: int, frames: int) -> bytes:
    head = box(b"tkhd", bytes(76), struct.pack(">HHHH", width, 0, height, 0))
    table = box(b"stbl", box(b"stsz", bytes(8), struct.pack(">I", frames)))
    return box(b"trak", head, box(b"mdia", box(b"hdlr", bytes(8), kind, bytes(12)), box(b"minf", table)))


async def test_a_film_tells_its_size_and_length(tmp_path: Path) -> None:
    """Width, height and frames come from the picture track, sound tracks being passed over."""
    index = box(b"moov", track(b"soun", 0, 0, 900), track(b"vide", 832, 480, 81))
    content = box(b"ftyp", b"isom", bytes(4)) + index + box(b"mdat", bytes(10))
    (output,) = await taken(tmp_path, Served(content), outputs={"9": "video"})

    assert (output.width, output.height, output.frames) == (832, 480, 81)
    assert (output.media, output.pixels) == ("video/mp4", "")


async def test_a_film_that_claims_too_many_frames_has_the_most_that_are_recorded(tmp_path: Path) -> None:
    """A length of 2³²-1 frames becomes one that an INTEGER of the index holds."""
    content = box(b"ftyp", b"isom", bytes(4)) + box(b"moov", track(b"vide", 64, 64, 2**32 - 1))
    (output,) = await taken(tmp_path, Served(content), outputs={"9": "video"})

    assert output.frames == 2**31 - 1


async def test_a_film_without_a_picture_track_is_taken_as_it_is(tmp_path: Path) -> None:
    """What the index does not say stays zero, and one frame."""
    content = box(b"ftyp", b"isom", bytes(4)) + box(b"moov", track(b"soun", 0, 0, 9), box(b"trak"))
    (output,) = await taken(tmp_path, Served(content), outputs={"9": "video"})

    assert (output.width, output.height, output.frames) == (0, 0, 1)


async def test_names_tell_nodes_and_positions_apart(tmp_path: Path) -> None:
    """`_NODE` where several nodes save, `.0001` where one node saved several files; else neither."""
    refs = [ref("9"), ref("12", 0), ref("12", 1), ref("../x", 0)]
    outputs = {"9": "image", "12": "image", "../x": "image"}
    paths = [output.path for output in await taken(tmp_path, Served(PNG), refs=refs, outputs=outputs)]

    assert paths[:3] == ["s01/a_t01_9.png", "s01/a_t01_12.0001.png", "s01/a_t01_12.0002.png"]
    assert paths[3].startswith("s01/a_t01_---x-")


async def test_undeclared_nodes_are_not_fetched(tmp_path: Path) -> None:
    """What a preview node shows is left where it is."""
    served = Served(PNG)
    outputs = await taken(tmp_path, served, refs=[ref("9"), ref("77")])

    assert (len(outputs), served.asked) == (1, 1)


async def test_another_file_of_that_name_is_kept(tmp_path: Path) -> None:
    """Nothing is ever replaced: ours becomes `~2`, then `~3`."""
    (tmp_path / "s01").mkdir()
    (tmp_path / "s01/a_t01.png").write_bytes(b"somebody's")
    paths = [(await taken(tmp_path, Served(encoded(picture((shade, 0, 0))))))[0].path for shade in (1, 2)]

    assert paths == ["s01/a_t01~2.png", "s01/a_t01~3.png"]
    assert (tmp_path / "s01/a_t01.png").read_bytes() == b"somebody's"


async def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    """After a crash between storing and recording the file that is there is the file."""
    first = await taken(tmp_path, Served(PNG))
    second = await taken(tmp_path, Served(PNG))

    path = tmp_path / first[0].path
    assert first == second
    assert {*files(tmp_path)} == {path, part_of(path, path.stat().st_mtime_ns)}


async def test_when_one_output_fails_none_remains(tmp_path: Path) -> None:
    """Files that came before the one that is gone are taken away again: no record will tell of them."""
    refs = [ref("9", 0), ref("9", 1)]

    assert await refused(tmp_path, Served(PNG, Refused("gone", status=404)), refs=refs) == "CACHED_OUTPUT"


async def test_of_a_killed_process_only_what_is_ours_and_unrecorded_is_removed(tmp_path: Path) -> None:
    """A file that was named and never recorded goes with its part; what others put beside it stays."""
    theirs = tmp_path / "s01/a_t01.png"
    theirs.parent.mkdir()
    theirs.write_bytes(PNG + b"edited")
    outputs = await taken(tmp_path, Served(PNG), refs=[ref("9", 0), ref("9", 1)])
    (ours,) = await taken(tmp_path, Served(PNG))
    kept, lost = (tmp_path / output.path for output in outputs)
    favourite, copy = tmp_path / "s01/favourite.png", tmp_path / "s01/.copy.png.0123abcd.part"
    favourite.hardlink_to(lost)
    copy.write_bytes(PNG[:9])
    sweep(tmp_path, [{"t": "done", "outputs": [{"path": outputs[0].path}]}])

    assert ours.path == "s01/a_t01~2.png"
    assert {*files(tmp_path)} == {theirs, kept, favourite}


async def test_a_link_under_the_name_of_a_lost_file_is_left_alone(tmp_path: Path) -> None:
    """Somebody replaced the file by a link to its part: what is no file of ours is not removed."""
    (output,) = await taken(tmp_path, Served(PNG))
    path, part = tmp_path / output.path, part_of(tmp_path / output.path, output.mtime_ns)
    part.with_name("another").hardlink_to(path)
    path.unlink()
    path.symlink_to(part)
    os.utime(path, ns=(output.mtime_ns, output.mtime_ns), follow_symlinks=False)
    sweep(tmp_path, [])

    assert path.is_symlink()
    assert not part.exists()


async def test_what_was_retouched_before_the_run_went_on_stays(tmp_path: Path) -> None:
    """A file of a killed process that somebody has written into since, in place, is somebody's work."""
    (output,) = await taken(tmp_path, Served(PNG))
    path = tmp_path / output.path
    with path.open("ab") as file:
        file.write(b"retouched")
    sweep(tmp_path, [])

    assert files(tmp_path) == [path]
    assert path.read_bytes() == PNG + b"retouched"


@pytest.mark.parametrize("content", [None, b"other", PNG], ids=["dangling", "other", "same"])
async def test_a_link_in_the_way_is_not_followed(tmp_path: Path, content: bytes | None) -> None:
    """A symbolic link under the final name is somebody else's, even where it leads to the same bytes."""
    outside = tmp_path / "outside.png"
    if content is not None:
        outside.write_bytes(content)
    (tmp_path / "run/s01").mkdir(parents=True)
    (tmp_path / "run/s01/a_t01.png").symlink_to(outside)
    (output,) = await taken(tmp_path / "run", Served(PNG))

    assert output.path == "s01/a_t01~2.png"
    assert content_of(outside) == content


@pytest.mark.parametrize("seed", range(40))
async def test_a_flipped_bit_or_a_cut_is_noticed(tmp_path: Path, seed: int) -> None:
    """No damaged PNG is ever taken: the next download is, five bad ones are a fault."""
    chance = random.Random(seed)
    content = encoded(picture((1, 2, 3), size=(40, 30)))
    at = chance.randrange(8, len(content))
    flipped = content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :]
    cut = content[: chance.randrange(len(content))]
    served = Served(flipped, cut, content)
    (output,) = await taken(tmp_path, served)

    assert served.asked == 3
    assert output.sha256 == hashlib.sha256(content).hexdigest()


async def test_downloads_are_tried_eight_times(tmp_path: Path) -> None:
    """Then the attempt may be made again."""
    served = Served(*[Ambiguous("cut off"), PNG[:-1], b"", PNG[:-1]] * 2, PNG)

    assert await refused(tmp_path, served) == "DOWNLOAD_CORRUPT"
    assert served.asked == 8


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"RIFF" + struct.pack("<I", 800) + b"WAVEdata", "audio"),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\x10\x08moov", "video"),
        (b"\0\0\0\x10ftypisom\0\0\0\0", "video"),
        (b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x10moov\0\0\0\x99trak", "video"),
        (struct.pack("<Q", 40) + b"{}", "latent"),
        (struct.pack("<Q", 24) + b'{"x":{"data_offsets":[0,4]}}', "latent"),
        (encoded(picture(size=(80, 80)), "JPEG")[:-30], "image"),
    ],
)
async def test_what_is_shorter_than_it_says_is_damaged(tmp_path: Path, content: bytes, kind: str) -> None:
    """Formats without checksums are at least held to the lengths they announce."""
    assert await refused(tmp_path, Served(content), outputs={"9": kind}) == "DOWNLOAD_CORRUPT"


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"<!doctype html><script>", "image"), (PNG, "audio"), (b"fLaC" + bytes(40), "image"), (b"{}", "video")],
)
async def test_another_kind_than_declared_is_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    """A text in place of a picture is no output, however complete it is."""
    assert await refused(tmp_path, Served(content), outputs={"9": kind}) == "BAD_OUTPUT"


async def test_more_bytes_than_allowed_are_refused(tmp_path: Path) -> None:
    """The limit is that of the declared kind."""
    assert await refused(tmp_path, Served(PNG), bounds=Bounds(image=20, pause_s=0)) == "TOO_LARGE"


async def test_more_pixels_than_allowed_are_refused_before_decoding(tmp_path: Path) -> None:
    """A small file that unfolds to a huge picture is not unfolded."""
    content = encoded(picture(size=(2000, 1000)))

    assert await refused(tmp_path, Served(content), bounds=Bounds(pixels=1_000_000)) == "TOO_LARGE"


async def test_frames_that_would_take_for_ever_are_refused_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small animation can unfold to thousands of large frames: all of them together have a limit."""
    monkeypatch.setattr(pictures, "_EVER", 6 * 4 * 2)
    frames = [picture((number * 40, 0, 0)) for number in range(3)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert await refused(tmp_path, Served(content), outputs={"9": "video"}) == "TOO_LARGE"


async def test_texts_in_a_picture_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    """A compressed text of 200 MB in a picture of 200 KB is not unfolded."""
    import resource

    text = PngImagePlugin.PngInfo()
    text.add_text("prompt", "x" * 200_000_000, zip=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    content = encoded(picture(), pnginfo=text)
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert await refused(tmp_path, Served(content)) == "DOWNLOAD_CORRUPT"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - made < 100 * 1024, before


async def test_a_planted_link_to_another_folder_is_not_followed(tmp_path: Path) -> None:
    """A link in the place of a folder of the run: nothing is written where it leads."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/s01").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match="a link on the way leads elsewhere"):
        await taken(tmp_path / "run", Served(PNG))

    assert files(tmp_path / "outside") == []


async def test_an_absurd_size_in_the_header_is_refused(tmp_path: Path) -> None:
    """Dimensions beyond Pillow's own alarm are an error like any other."""
    import zlib

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    head = PNG[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))

    assert await refused(tmp_path, Served(head + PNG[33:])) == "TOO_LARGE"


async def test_a_file_that_is_gone_can_be_made_again(tmp_path: Path) -> None:
    """404 is told apart from other refusals, and a door that is shut from a file that is refused."""
    assert await refused(tmp_path, Served(Refused("gone", status=404))) == "CACHED_OUTPUT"
    assert await refused(tmp_path, Served(Refused("no", status=400))) == "BAD_OUTPUT"
    assert await refused(tmp_path, Served(*[Refused("no", status=403)] * 5)) == "SERVER_REJECTS"


def failing(number: int, *operations: str) -> door.Disk:
    """Return a disk on which *operations* fail with error *number*."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    disk = door.Disk()
    for operation in operations:
        setattr(disk, operation, fail)
    return disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("operations", ["sync", "sync_folder", "link rename", "open", "write"])
async def test_trouble_with_the_disk_is_told_with_path_and_reason(
    tmp_path: Path, operations: str, number: int
) -> None:
    """A full or read-only disk ends as StorageError naming what could not be done."""
    world = door.World(disk=failing(number, *operations.split()))
    with door.entered(world), pytest.raises(StorageError, match=os.strerror(number)) as caught:
        await taken(tmp_path, Served(PNG))

    assert str(tmp_path) in str(caught.value)


async def test_without_hard_links_the_file_is_renamed(tmp_path: Path) -> None:
    """File systems that cannot link get the file all the same."""
    with door.entered(door.World(disk=failing(errno.EPERM, "link"))):
        (output,) = await taken(tmp_path, Served(PNG))

    assert (tmp_path / output.path).read_bytes() == PNG
    assert len(list((tmp_path / "s01").iterdir())) == 1


@given(content=st.binary(max_size=200))
async def test_no_bytes_pass_as_a_picture_by_chance(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Arbitrary bytes, with and without the signature of a PNG, are refused and leave nothing."""
    folder = tmp_path_factory.mktemp("any")
    for attempt in (content, PNG[:8] + content):
        assert await refused(folder, Served(attempt)) in ("DOWNLOAD_CORRUPT", "BAD_OUTPUT", "TOO_LARGE")


async def test_a_link_planted_in_the_output_tree_is_not_followed(tmp_path: Path) -> None:
    """A folder that is a link to elsewhere is named, and nothing is written through it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = tmp_path / "run"
    run.mkdir()
    (run / "s01").symlink_to(elsewhere)
    with pytest.raises(StorageError, match="a link on the way leads elsewhere"):
        await taken(run, Served(PNG))

    assert list(elsewhere.iterdir()) == []
