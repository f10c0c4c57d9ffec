"""How a character looks: hair, eyes, clothes and expression, read from tags or derived from the name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.previz.brush import Ink, hexed
from runner.previz.colours import CLOTH, EYES, HAIR, SASH, TIE, coloured
from runner.previz.counts import MOST_PEOPLE, boys, counted
from runner.previz.die import die
from runner.previz.words import EXPRESSIONS, Table, first_match, seen

if TYPE_CHECKING:
    from runner.previz.card import Card

OUTFITS: Table = (
    ("gakuran", r"gakuran|学ラン"),
    ("sailor", r"serafuku|sailor|seifuku|セーラー"),
    ("uniform", r"school uniform|制服"),
    ("jinbei", r"jinbei|happi|甚平"),
    ("kimono", r"kimono|yukata|hakama|miko|着物|浴衣|袴"),
    ("hoodie", r"hoodie|sweatshirt|parka|パーカー"),
    ("pajamas", r"pajamas|pyjamas|nightgown|パジャマ"),
    ("suit", r"suit|blazer|tuxedo|jacket|スーツ"),
    ("coat", r"coat|raincoat|cloak|cape|robe|コート"),
    ("dress", r"dress|maid|apron|gown|sundress|ワンピース"),
    ("cardigan", r"cardigan|shawl|カーディガン"),
    ("sweater", r"sweater|turtleneck|セーター"),
    ("shirt", r"t-?shirt|shirt|シャツ"),
)
MOTIFS: tuple[tuple[str, str, str], ...] = (
    (r"morning glor(?:y|ies)|asagao|朝顔", "eceaf4", "5561bd"),
    (r"hydrangeas?|紫陽花", "e6e8f2", "7b86cf"),
    (r"goldfish|金魚", "eef2f4", "dd5a48"),
    (r"camellias?|椿", "3a3a5c", "d8505c"),
    (r"cherry blossoms?|sakura|桜", "f0d3dc", "d9788f"),
)
ELDER = (
    r"(?:old|elderly|aged) (?:[a-z]+ )?(?:woman|man|lady|person)|elderly|grandmother|grandma|granny|"
    r"grandfather|grandpa|obaa-?san|ojii-?san|お婆|お爺|おばあ|おじい|祖母|祖父|老[婆人女]"
)
HAIRS: Table = (
    ("twintails", r"twin ?tails?|pigtails?|ツインテ\w*"),
    ("ponytail", r"ponytail|high ponytail|ポニーテ\w*"),
    ("bun", r"bun|updo|お団子"),
    ("braid", r"braid(?:s|ed)?|三つ編み"),
    ("long", r"(?:very )?long (?:[a-z]+ ){0,2}hair|hime cut|ロングヘア|長い髪"),
    ("bob", r"bob(?: cut)?|medium (?:[a-z]+ ){0,1}hair|shoulder-length|ボブ"),
    ("short", r"short (?:[a-z]+ ){0,2}hair|pixie|短い髪|ショート"),
)
_DEFAULT_CLOTH = {
    "sailor": "2f3c64",
    "gakuran": "2b2d3a",
    "kimono": "6a5a9c",
    "hoodie": "c9b59a",
    "pajamas": "a9c3e2",
    "suit": "3c4254",
    "coat": "8a6f5c",
    "dress": "f4f1ea",
    "sweater": "d9b48f",
    "cardigan": "8c6a58",
    "jinbei": "3d4a78",
    "shirt": "f3f2ee",
}

_UNIFORMS = frozenset({"sailor", "gakuran", "suit", "jinbei"})
_CLOTH_INKS = ("c56a5b", "5f8f8a", "d9a94f", "6b78b0", "e8e2d6", "8f6f9f")
_BOYS_HAIR_INKS = ("33323e", "6d4838", "4a3a36", "8a5a3c", "3a4666", "2f2c34")
_HAIR_INKS = ("33323e", "6d4838", "d9b36a", "4a3a36", "8a5a3c", "3a4666", "a5566a", "c9cede")
_EYE_INKS = ("5584cf", "6d4838", "5fa66c", "8b6bb5", "b3563f", "3f8f9c")
_GIRLS_HAIR = ("long", "bob", "ponytail", "short", "twintails", "long", "braid")
_BOYS_HAIR = ("short",)
_GREY_INKS = ("b9b7bd", "d9d7da", "a3a1aa")
_GIRLS_WEAR = ("sailor", "sweater", "dress", "hoodie")
_BOYS_WEAR = ("shirt", "hoodie", "gakuran", "sweater")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """A drawable character.

    Colours are untinted; *hair_style* and *outfit* are keys of HAIRS and OUTFITS; *tie* is the colour of
    tie, ribbon or sash, *motif* that of the flowers printed on the cloth.
    """

    name: str
    boy: bool
    elder: bool
    hair: Ink
    hair_style: str
    fringe: int
    eyes: Ink
    skin: Ink
    outfit: str
    cloth: Ink
    tie: Ink
    motif: Ink | None
    glasses: bool
    hat: bool
    scarf: bool
    expression: str


def read_people(card: Card, prompt: str, told: str) -> tuple[Looks, ...]:
    """Return the characters of *card*, left to right; *prompt* and *told* are its words in lower case."""
    cast = [name[:60].split(".")[0].strip() for name in card.cast[:MOST_PEOPLE] if name.strip(" .")]
    if not cast:
        people = counted(prompt)
        return tuple(
            read_looks("", boy=boy, words=prompt, told=told, order=at) for at, boy in enumerate(people)
        )
    parts = _parts(cast, prompt)
    general = "" if len(cast) > 1 else told
    return tuple(
        read_looks(name, boy=boy, words=words, told=general, order=0)
        for name, words, boy in zip(cast, parts, boys(cast, parts, prompt), strict=True)
    )


def read_looks(name: str, *, boy: bool, words: str, told: str, order: int) -> Looks:
    """Return the looks that *words* give, the rest derived from *name*, or for the unnamed from *order*."""
    dice = die("looks", name.lower() or ",".join(words.split(",")[:3]))
    first = order == 0
    elder = first and seen(ELDER, words)
    hair, style, eyes = (
        table[(dice.randrange(len(table)) + 3 * order) % len(table)]
        for table in (
            _GREY_INKS if elder else _BOYS_HAIR_INKS if boy else _HAIR_INKS,
            _BOYS_HAIR if boy else _GIRLS_HAIR,
            _EYE_INKS,
        )
    )
    worn = _worn(words, boy=boy) or ("cardigan" if elder else dice.choice(_BOYS_WEAR if boy else _GIRLS_WEAR))
    pattern, ground, motif = next((row for row in MOTIFS if seen(row[0], words)), ("", "", ""))
    own = ground or dice.choice((*_CLOTH_INKS, _DEFAULT_CLOTH[worn]))
    cloth = hexed(_DEFAULT_CLOTH[worn] if worn in _UNIFORMS or (boy and worn == "kimono") else own)
    fringe = (dice.randrange(4) + order) % 4
    tie = hexed(dice.choice(("c8423d", "3f6fb0", "e0a53c")))
    return Looks(
        name=name,
        boy=boy,
        elder=elder,
        hair=(coloured(HAIR, words) if first else None) or hexed(hair),
        hair_style=(first_match(HAIRS, words) if first else "") or ("bun" if elder and not boy else style),
        fringe=fringe,
        eyes=(coloured(EYES, words) if first else None) or hexed(eyes),
        skin=hexed(dice.choice(("fde3d2", "fbdcc8", "fde6d8", "f3cfb4"))),
        outfit=worn,
        cloth=(coloured(CLOTH, words) if first else None) or cloth,
        tie=(coloured(SASH, words) if worn == "kimono" else None) or coloured(TIE, words) or tie,
        motif=hexed(motif) if pattern else None,
        glasses=first and seen(r"glasses|spectacles|眼鏡|メガネ", words),
        hat=seen(r"hat|beret|cap|帽子", words),
        scarf=seen(r"scarf|muffler|マフラー", words),
        expression=first_match(EXPRESSIONS, words)
        or first_match(EXPRESSIONS, told)
        or ("smile" if elder else "neutral"),
    )


def _worn(words: str, *, boy: bool) -> str:
    """Return the key of the outfit *words* tell, empty where they tell none."""
    outfit = first_match(OUTFITS, words)
    if outfit == "uniform":
        return "gakuran" if boy else "sailor"
    return outfit


def _parts(cast: list[str], prompt: str) -> list[str]:
    """Return for each of *cast* the stretch of *prompt* from its name to the next one's."""
    if len(cast) == 1:
        return [prompt]
    places: list[int] = []
    for name in cast:
        word = re.escape(name.lower())
        found = re.search(rf"(?<!\w){word}(?!\w)" if name.isascii() else word, prompt)
        places.append(found.start() if found else -1)
    ends = [*sorted(place for place in places if place >= 0), len(prompt)]
    return [
        prompt[place : next((end for end in ends if end > place), len(prompt))] if place >= 0 else ""
        for place in places
    ]
