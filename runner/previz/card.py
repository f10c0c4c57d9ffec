"""The storyboard card: an illustration of what a prompt asks for over a strip that says which cut it is.

`draw_card` is pure: equal cards give equal pixels on every machine with the same Pillow. All text of a
card is untrusted; it is bounded before it is read or measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

LARGEST = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card says. *width* x *height* in px; every text may be empty.

    *model* and *loras* are file names, a LoRA with its weight behind "@"; *source* is the picture an
    img2img job starts from, shown through by 1 - *denoise*.
    """

    width: int
    height: int
    prompt: str
    negative: str = ""
    seed: int = 0
    steps: int = 0
    cfg: float = 0.0
    sampler: str = ""
    denoise: float = 1.0
    model: str = ""
    loras: tuple[str, ...] = ()
    template: str = ""
    episode: str = ""
    title: str = ""
    scene: str = ""
    cut: str = ""
    take: str = ""
    cast: tuple[str, ...] = ()
    action: str = ""
    camera: str = ""
    place: str = ""
    light: str = ""
    expression: str = ""
    key: str = ""
    batch_index: int = 0
    source: Image.Image | None = None


def draw_card(card: Card) -> Image.Image:
    """Return the RGB picture of *card*, exactly `card.width` x `card.height` px.

    Cards too small for legible text (under 200 px wide or 160 px high) are picture alone.

    Raises:
        ValueError: A side is below 1 px or above 16384 px.

    """
    from runner.previz.illustration import draw_picture
    from runner.previz.strip import draw_strip, measure

    if not (1 <= card.width <= LARGEST and 1 <= card.height <= LARGEST):
        raise ValueError(f"card of {card.width}x{card.height} px: each side must be 1..{LARGEST} px")
    sizes = measure(card)
    if sizes is None:
        return draw_picture(card, card.width, card.height)[0]
    picture, accent = draw_picture(card, card.width, card.height - sizes.height)
    whole = Image.new("RGB", (card.width, card.height))
    whole.paste(picture, (0, 0))
    draw_strip(whole, card, sizes, accent)
    return whole
