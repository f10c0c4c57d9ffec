"""Prompt, negative and LoRA chain of one point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from runner.domain import Lora, Member, Template
from runner.errors import SpecError
from runner.expand.cast import Casts
from runner.expand.fragments import Fragments
from runner.expand.standing import At, Standing, Told
from runner.expand.wardrobe import Wardrobe, Wearing
from runner.faults import Faults
from runner.naming import DECIMAL
from runner.story import Fragment, Model, Spec
from runner.text.tree import Mapping as MapNode
from runner.text.tree import Mark, Node, Scalar
from runner.text.tree import Sequence as ListNode
from runner.wording import Wording, cast_text, count_of, hole, joined

PLAIN_WORDING = "{{ prompt }}"
"""The wording of a template that gives none."""
MAX_WEIGHT = 100
UNSURE = "*"
"""Among the words used: a mistake keeps others from being known."""
CAST_HOLES = frozenset({"cast", "count", "members"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a point is rendered with."""

    template: Template
    model: Model | None
    wordings: Mapping[str, Wording]
    """Text parameter → the wording that composes it."""

    @property
    def holes(self) -> frozenset[str]:
        """Every hole of every wording."""
        return frozenset().union(*(wording.holes for wording in self.wordings.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """Everything the words say at one point."""

    texts: Mapping[str, str]
    """Text parameter → composed text."""
    negative: str
    slots: Mapping[str, str]
    members: tuple[Member, ...]
    refs: tuple[tuple[Node, ...], ...]
    """Reference pictures of each member, as written."""
    loras: tuple[Lora, ...]
    used: frozenset[str]
    """Words that had a say."""


@dataclass(slots=True)
class Speaker:
    """Composes points of any cut; keeps what was looked up."""

    spec: Spec
    casts: Casts
    fragments: Fragments
    wardrobe: Wardrobe
    faults: Faults
    holes: dict[str, str] = field(default_factory=dict)
    """Slot → name of its hole."""
    _weights: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.holes = {slot: hole(slot) for slot in self.spec.slots}

    def speak(self, standing: Standing, at: At, head: Head) -> Spoken:
        """Return what the words of *standing* say at the point *at*."""
        return _Turn(self, standing, at, head).spoken()

    def weight(self, told: Told) -> float:
        """Return the number that *told* gives as a weight; 1 after noting that it is none."""
        known = id(told.node)
        if known not in self._weights:
            text = told.node.text if isinstance(told.node, Scalar) else ""
            number = DECIMAL.fullmatch(text)
            if not number or abs(float(text)) > MAX_WEIGHT:
                self.faults.at(
                    told.node.mark, f"`{told.word}` takes a number from -{MAX_WEIGHT} to {MAX_WEIGHT}"
                )
            self._weights[known] = float(text) if number else 1.0
        return self._weights[known]


@dataclass(slots=True)
class _Turn:
    """One composition under way."""

    speaker: Speaker
    standing: Standing
    at: At
    head: Head
    used: set[str] = field(default_factory=set)
    negatives: list[str] = field(default_factory=list)
    chain: dict[tuple[str, str], Lora] = field(default_factory=dict)

    def spoken(self) -> Spoken:
        self._model()
        slots = self._slots()
        wearing = self._cast()
        members = tuple(self._member(one) for one in wearing)
        self._last_words()
        return Spoken(
            texts=self._texts(slots, members, [one.kind for one in wearing]),
            negative=joined(self.negatives) if self._has_negative else "",
            slots={slot: text for slot, text in slots.items() if text},
            members=members,
            refs=tuple(_refs(one) for one in wearing),
            loras=tuple(self.chain.values()),
            used=frozenset(self.used | ({"wording"} if "prompt" in self.head.wordings else set())),
        )

    def _told(self, word: str) -> Told | None:
        return self.standing.told(word, self.at)

    @property
    def _fragments(self) -> Fragments:
        return self.speaker.fragments

    # ------------------------------------------------------------ model, slots, the words lora and negative

    def _model(self) -> None:
        parameter = self.head.template.parameters.get("negative")
        base = parameter.default if parameter and isinstance(parameter.default, str) else ""
        model = self.head.model
        negative = model.settings.get("negative") if model else None
        if negative and isinstance(negative.value, Scalar) and not negative.value.is_null:
            base = negative.value.text
        self.negatives.append(base)
        lora = model.settings.get("lora") if model else None
        if lora and not (isinstance(lora.value, Scalar) and lora.value.is_null):
            self._add(self._fragments.lora_list(lora.value), lora.mark)

    def _slots(self) -> dict[str, str]:
        """Return the text of every slot that the wordings have a hole for."""
        texts: dict[str, str] = {}
        holes = self.head.holes
        for slot in self.speaker.spec.slots:
            told = self._told(slot)
            entry = self._fragments.slot(slot, told.node) if told else None
            spoken = self.speaker.holes[slot] in holes
            if spoken and told:
                self.used.add(slot)
            texts[slot] = self._fragments.text(entry, "prompt", self.head.model) if spoken and entry else ""
            if entry and self._enter(entry, f"{slot}.weight"):
                self.used.add(slot)
        return texts

    def _last_words(self) -> None:
        negative = self._told("negative")
        if negative and self._has_negative:
            self.used.add("negative")
            self.negatives.append(self._text(negative))
        lora = self._told("lora")
        if lora:
            self.used.add("lora")
            self._add(self._fragments.lora_list(lora.node), lora.mark)

    def _text(self, told: Told) -> str:
        if isinstance(told.node, Scalar):
            return told.node.text
        self.speaker.faults.at(
            told.node.mark, f"`{told.word}` takes one text; a list varies only under `vary:`"
        )
        return ""

    def _add(self, loras: Iterable[Lora], mark: Mark) -> None:
        """Append to the chain; a file named again keeps its place and takes the later weight."""
        for lora in loras:
            if self._takes(lora.part, mark):
                self.chain[lora.part, lora.file] = lora

    def _takes(self, part: str, mark: Mark) -> bool:
        parts = {p.part for p in self.head.template.parameters.values() if p.type == "loras"}
        if part in parts:
            return True
        name = self.head.template.name
        if not parts:
            message = f"template `{name}` takes no LoRAs"
        elif part:
            message = f"template `{name}` takes no LoRAs for part `{part}`"
        else:
            written = " or ".join(f"{name}:FILE" for name in sorted(parts) if name)
            message = f"template `{name}` takes LoRAs by part only; write {written}"
        self.speaker.faults.at(mark, message)
        return False

    def _weighted(self, loras: tuple[Lora, ...], word: str, owner: str) -> tuple[Lora, ...]:
        """Return *loras* with the weight that *word* tells, if it tells one and there is one per part."""
        told = self._told(word) if word else None
        if told is None or not loras:
            return loras
        self.used.add(word)
        if len({lora.part for lora in loras}) < len(loras):
            self.speaker.faults.at(
                told.mark, f"`{word}` sets one weight, but {owner} has several LoRAs; write them under `lora`"
            )
            return loras
        weight = self.speaker.weight(told)
        return tuple(
            replace(lora, weight=weight, clip=weight if lora.clip == lora.weight else lora.clip)
            for lora in loras
        )

    def _enter(self, entry: Fragment, weight: str = "") -> bool:
        """Let negative and LoRAs of *entry* in; whether there were any."""
        loras = self._weighted(self._fragments.loras(entry, self.head.model) or (), weight, entry.owner)
        self._add(loras, entry.mark)
        return self._negative(entry) or bool(loras)

    def _negative(self, entry: Fragment) -> bool:
        negative = self._fragments.text(entry, "negative", self.head.model)
        self.negatives.append(negative)
        return bool(negative) and self._has_negative

    @property
    def _has_negative(self) -> bool:
        return "negative" in self.head.template.parameters

    # ------------------------------------------------------------ cast

    def _cast(self) -> list[Wearing]:
        told = self._told("cast")
        parts = self.speaker.casts.read(told.node) if told else ()
        if parts is None:
            self.used.add(UNSURE)
        if told is not None and parts == ():
            self.used.add("cast")  # nobody, on purpose
        if told is None or not parts:
            return []
        wearing = [self.speaker.wardrobe.dress(part, told, self.standing, self.at) for part in parts]
        if self.head.holes & CAST_HOLES or self._has_cast:
            self.used |= {"cast"}.union(*(one.words for one in wearing))
        return wearing

    @property
    def _has_cast(self) -> bool:
        return any(parameter.type == "cast" for parameter in self.head.template.parameters.values())

    def _member(self, one: Wearing) -> Member:
        weight = f"{one.name}.weight" if one.name else ""
        entered = self._member_loras(one, weight)
        for entry in (one.own, one.outfit, one.expression):
            entered |= entry is not None and self._negative(entry)
        if entered:
            self.used |= {"cast", *one.words}
        spoken = bool(self.head.holes & {"cast", "members"}) or self._has_cast
        return Member(
            name=one.name,
            prompt=self._member_text(one.own, spoken=spoken),
            outfit=self._member_text(one.outfit, spoken=spoken),
            expression=self._member_text(one.expression, spoken=spoken),
        )

    def _member_loras(self, one: Wearing, weight: str) -> bool:
        """Let a member's LoRAs in: an outfit's replaces the character's, an expression's adds."""
        source = one.outfit if one.outfit is not None and one.outfit.lora is not None else one.own
        loras = self._weighted(self._fragments.loras(source, self.head.model) or (), weight, source.owner)
        self._add(loras, source.mark)
        more = self._fragments.loras(one.expression, self.head.model) if one.expression else None
        if one.expression and more:
            self._add(more, one.expression.mark)
        return bool(loras or more)

    def _member_text(self, entry: Fragment | None, *, spoken: bool) -> str:
        """Return the text of *entry*; where no wording speaks it, only if it is the same for all models."""
        if entry is None or (not spoken and isinstance(entry.prompt, MapNode)):
            return ""
        return self._fragments.text(entry, "prompt", self.head.model)

    # ------------------------------------------------------------ wordings

    def _texts(
        self, slots: Mapping[str, str], members: tuple[Member, ...], kinds: Iterable[str]
    ) -> dict[str, str]:
        filled = {self.speaker.holes[slot]: text for slot, text in slots.items()}
        cast, count = cast_text(members), count_of(kinds)
        texts: dict[str, str] = {}
        for name, wording in self.head.wordings.items():
            try:
                texts[name] = wording.render(filled, cast=cast, count=count, members=members)
            except SpecError as refused:
                self.speaker.faults.add(refused.problems)
                texts[name] = ""
        return texts


def _refs(one: Wearing) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for entry in (one.own, one.outfit, one.expression):
        refs = entry.refs if entry is not None else None
        if isinstance(refs, ListNode):
            nodes += refs.items
        elif isinstance(refs, Scalar) and not refs.is_null:
            nodes.append(refs)
    return tuple(nodes)
