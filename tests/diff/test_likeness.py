from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from runner import pictures
from runner.likeness import dhash64, grade, ssim_256


def scene(width: int = 480, height: int = 320, *, x: int = 200, sky: int = 230) -> Image.Image:
    """A picture with flat parts, edges and some texture, always the same."""
    grain = np.random.default_rng(7).integers(-6, 7, (height, width, 3))
    image = Image.new("RGB", (width, height), (90, 130, sky))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 2 // 3, width, height), fill=(60, 110, 70))
    draw.ellipse((x, height // 4, x + 130, height // 4 + 130), fill=(240, 210, 190))
    draw.line((30, 300, 150, 40), fill=(40, 20, 30), width=9)
    return Image.fromarray(np.clip(np.asarray(image, dtype=int) + grain, 0, 255).astype(np.uint8))


def noisy(image: Image.Image, size: int) -> Image.Image:
    noise = np.random.default_rng(1).integers(-size, size + 1, (*reversed(image.size), 3))
    return Image.fromarray(np.clip(np.asarray(image, dtype=int) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    count = iter(range(99))

    def save(image: Image.Image, suffix: str = "png", **options: object) -> Path:
        path = tmp_path / f"{next(count)}.{suffix}"
        image.save(path, **options)
        return path

    return save


def test_metadata_does_not_count(saved: Callable[..., Path]) -> None:
    """Two files of the same samples are the same, whatever is written into them."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text("prompt", "something else")
    found = grade(saved(scene()), saved(scene(), pnginfo=notes, compress_level=1))

    assert (found.kind, found.dhash_bits, found.ssim) == ("same", 0, 1.0)


@pytest.mark.parametrize("size", [1, 2])
def test_last_bits_are_near(saved: Callable[..., Path], size: int) -> None:
    """What another driver does to the last bits is no change."""
    found = grade(saved(scene()), saved(noisy(scene(), size)))

    assert found.kind == "near"
    assert found.ssim > 0.95


def test_jpeg_of_a_picture_is_near(saved: Callable[..., Path]) -> None:
    """A lossy copy is near, not the same."""
    assert grade(saved(scene()), saved(scene(), "jpg", quality=100, subsampling=0)).kind == "near"


@pytest.mark.parametrize(
    "other",
    [
        scene(x=60),
        scene(sky=60),
        noisy(scene(), 90),
        scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        scene(481),
        Image.new("RGB", (480, 320)),
    ],
    ids=["moved", "hue", "noise", "mirrored", "size", "blank"],
)
def test_what_a_person_sees_is_changed(saved: Callable[..., Path], other: Image.Image) -> None:
    """Another place, colour, side, size or grain is a change."""
    assert grade(saved(scene()), saved(other)).kind == "changed"


def test_a_dhash_names_the_slopes() -> None:
    """A ramp that rises to the right sets every bit, one that falls sets none."""
    ramp = Image.fromarray(np.tile(np.arange(90, dtype=np.uint8), (80, 1)))

    assert dhash64(ramp) == 2**64 - 1
    assert dhash64(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 0


def test_ssim_is_one_for_equals_and_falls() -> None:
    """Equal pictures have 1, more noise has less; different sizes are refused."""
    marks = [ssim_256(scene(), noisy(scene(), size)) for size in (0, 8, 40, 120)]

    assert marks[0] == pytest.approx(1.0)
    assert marks == sorted(marks, reverse=True)
    with pytest.raises(ValueError, match="cannot be compared"):
        ssim_256(scene(), scene(100))


def test_the_worst_frame_of_an_animation_counts(saved: Callable[..., Path]) -> None:
    """One frame that changed changes the animation; another number of frames does too."""
    frames = [scene(96, 64, x=n * 9) for n in range(4)]
    strip = {"save_all": True, "duration": 80, "lossless": True}
    film = saved(frames[0], "webp", append_images=frames[1:], **strip)
    again = saved(frames[0], "webp", append_images=frames[1:], **strip)
    other = saved(frames[0], "webp", append_images=[*frames[1:3], frames[0]], **strip)
    short = saved(frames[0], "webp", append_images=frames[1:3], **strip)

    assert grade(film, again).kind == "same"
    assert grade(film, other).kind == "changed"
    assert "frames" in grade(film, short).note


def test_transparency_counts(saved: Callable[..., Path]) -> None:
    """A picture that became transparent is not the one it was."""
    clear = scene().convert("RGBA")
    clear.putalpha(20)

    assert grade(saved(scene()), saved(clear)).kind == "changed"


def box(name: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + name + content


def test_a_film_is_known_by_its_samples(tmp_path: Path) -> None:
    """Films with other tags and the same encoded samples are the same."""
    head, tags = box(b"ftyp", b"isom\0\0\0\0"), box(b"udta", b"prompt")
    files = {
        "a.mp4": head + box(b"mdat", b"frames") + tags,
        "b.mp4": head + box(b"udta", b"else") + box(b"mdat", b"frames"),
        "c.mp4": head + box(b"mdat", b"other!") + tags,
        "d.mp4": head + b"\0\0\0\2mdat",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    kinds = [grade(tmp_path / "a.mp4", tmp_path / name).kind for name in files]

    assert kinds == ["same", "same", "changed", "changed"]


@pytest.mark.parametrize("content", [b"", b"nothing known", b"\x89PNG\r\n\x1a\n cut short"])
def test_what_cannot_be_read_is_changed_and_says_so(
    tmp_path: Path, saved: Callable[..., Path], content: bytes
) -> None:
    """A file that cannot be decoded is never taken for the same."""
    (tmp_path / "x.png").write_bytes(content)
    found = grade(saved(scene()), tmp_path / "x.png")

    assert found.kind == "changed"
    assert found.note


def test_pictures_beyond_all_size_are_not_decoded(
    saved: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their size is asked first; they are never taken for the same."""
    large = saved(Image.new("1", (8_000, 8_001)))
    found = grade(large, large)
    monkeypatch.setattr(pictures, "_EVER", 480 * 320 - 1)
    other = grade(saved(scene()), saved(scene()))

    assert (found.kind, "more pixels than" in found.note) == ("changed", True)
    assert (other.kind, "may hold" in other.note) == ("changed", True)
