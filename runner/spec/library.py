"""The merged trees of models, characters and prompts → nouns, with `extends` followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field

from runner.errors import SpecError
from runner.faults import Faults
from runner.naming import is_name
from runner.story import MEMBER_WORDS, SLOTS, Character, Fragment, Model, Setting
from runner.text.nearest import did_you_mean
from runner.text.tree import Entry, Mapping, Mark, Node, Scalar, Sequence
from runner.values import parse_lora

ELSE = "else"
_BY_MODEL = "; a mapping here chooses by model"
_ONE_LORA = "; one LoRA for all of them is written `lora: FILE.safetensors@0.8`"
_NOT_WORDS = frozenset({"extends", "title", "note"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Everything the libraries define."""

    models: Map[str, Model]
    characters: Map[str, Character]
    prompts: Map[str, Map[str, Fragment]]
    slots: tuple[str, ...]


@dataclass(slots=True)
class Librarian:
    """Reads the three sections of merged libraries."""

    faults: Faults
    models: dict[str, Model] = field(default_factory=dict)

    def read(self, sections: Map[str, Mapping]) -> Vocabulary:
        """Return the nouns of *sections* (`models`, `characters`, `prompts`)."""
        self.models = dict(self._models(sections["models"]))
        prompts = self._prompts(sections["prompts"])
        characters = dict(self._characters(sections["characters"]))
        slots = (*SLOTS, *(slot for slot in prompts if slot not in (*SLOTS, *MEMBER_WORDS)))
        self._check_names(sections["characters"], slots)
        self._check_worn(characters.values(), prompts)
        return Vocabulary(models=self.models, characters=characters, prompts=prompts, slots=slots)

    def fragment(self, node: Node, *, owner: str, name: str = "", mark: Mark | None = None) -> Fragment:
        """Return the entry that *node* writes: a text, or a map of prompt, negative, lora, refs."""
        mark = mark or node.mark
        if not isinstance(node, Mapping):
            return Fragment(name=name, owner=owner, mark=mark, prompt=node)
        entry = Fragment(
            name=name,
            owner=owner,
            mark=mark,
            prompt=node.get("prompt"),
            negative=node.get("negative"),
            lora=node.get("lora"),
            refs=node.get("refs"),
        )
        self.check_fragment(entry)
        return entry

    def check_fragment(self, entry: Fragment) -> None:
        """Note models that *entry* chooses by and nobody defines, and LoRAs that cannot be read."""
        for node in (entry.prompt, entry.negative, entry.lora):
            for choice in node if isinstance(node, Mapping) else ():
                name = choice.key.text
                if name != ELSE and name not in self.models:
                    advice = _BY_MODEL + (_ONE_LORA if node is entry.lora else "")
                    near = did_you_mean(name, self.models) or advice
                    self.faults.at(choice.key.mark, f"no model is called `{name}`{near}")
        for lora in _lora_scalars(entry.lora):
            read_lora(lora, self.faults)

    def _models(self, section: Mapping) -> Iterator[tuple[str, Model]]:
        entries = _maps(section)
        for name, entry in entries.items():
            line = self._lineage(entry, entries, "model")
            settings: dict[str, Setting] = {}
            for ancestor in reversed(line):
                for key in _map_of(entries[ancestor]):
                    if key.key.text not in _NOT_WORDS:
                        settings[key.key.text] = Setting(
                            word=key.key.text, value=key.value, mark=key.key.mark
                        )
            for lora in _lora_scalars(settings["lora"].value if "lora" in settings else None):
                read_lora(lora, self.faults)
            yield name, Model(name=name, lineage=line, settings=settings, mark=entry.key.mark)

    def _characters(self, section: Mapping) -> Iterator[tuple[str, Character]]:
        entries = _maps(section)
        for name, entry in entries.items():
            keys: dict[str, Entry] = {}
            for ancestor in reversed(self._lineage(entry, entries, "character")):
                keys |= {key.key.text: key for key in _character_map(entries[ancestor])}
            root = Mapping(tuple(keys.values()), entry.key.mark)
            kind = root.get("kind")
            yield (
                name,
                Character(
                    name=name,
                    fragment=self.fragment(root, owner=f"character {name}", name=name),
                    kind=kind.text if isinstance(kind, Scalar) and not kind.is_null else "",
                    outfits=self._entries(root.get("outfits"), f"outfit {{}} of {name}"),
                    expressions=self._entries(root.get("expressions"), f"expression {{}} of {name}"),
                    worn={
                        word: node
                        for word in MEMBER_WORDS
                        if (node := root.get(word)) is not None and not _is_null(node)
                    },
                ),
            )

    def _prompts(self, section: Mapping) -> dict[str, Map[str, Fragment]]:
        return {
            slot.key.text: self._entries(slot.value, f"{slot.key.text} {{}}")
            for slot in section
            if not _is_null(slot.value)
        }

    def _entries(self, node: Node | None, owner: str) -> dict[str, Fragment]:
        if not isinstance(node, Mapping):
            return {}
        return {
            entry.key.text: self.fragment(
                entry.value,
                owner=owner.format(entry.key.text),
                name=entry.key.text,
                mark=entry.key.mark,
            )
            for entry in node
            if not _is_null(entry.value)
        }

    def _lineage(self, entry: Entry, entries: Map[str, Entry], noun: str) -> tuple[str, ...]:
        """Return *entry*'s name and those it extends, nearest first; notes unknown names and circles."""
        line = [entry.key.text]
        parent = _map_of(entry).get("extends")
        while isinstance(parent, Scalar) and not parent.is_null:
            if parent.name in line:
                if parent.name != line[0] or line[0] != min(line):
                    break  # told where the circle's first name begins it
                circle = " → ".join((*line, parent.text))
                self.faults.at(parent.mark, f"`extends` goes round in a circle: {circle}")
                break
            if parent.name not in entries:
                hint = did_you_mean(parent.name, entries)
                self.faults.at(parent.mark, f"no {noun} is called `{parent.text}`{hint}")
                break
            line.append(parent.name)
            parent = _map_of(entries[parent.name]).get("extends")
        return tuple(line)

    def _check_names(self, section: Mapping, slots: tuple[str, ...]) -> None:
        for entry in section:
            name = entry.key.text
            if name in (*slots, *MEMBER_WORDS):
                self.faults.at(
                    entry.key.mark, f"`{name}` is a slot; call the character something else, so that "
                    f"`{name}.weight` means one thing",
                )  # fmt: skip

    def _check_worn(self, characters: Iterable[Character], prompts: Map[str, Map[str, Fragment]]) -> None:
        for character in characters:
            for word, node in character.worn.items():
                own = character.outfits if word == "outfit" else character.expressions
                known = {**prompts.get(word, {}), **own}
                if isinstance(node, Scalar) and node.plain and is_name(node.name) and known:
                    if node.name not in known:
                        hint = did_you_mean(node.name, known)
                        self.faults.at(node.mark, f"{character.name} has no {word} `{node.text}`{hint}")
                elif isinstance(node, Mapping):
                    self.fragment(node, owner=f"{word} of {character.name}")


def read_lora(node: Scalar, faults: Faults) -> None:
    """Note what is wrong with the LORA that *node* writes, if anything."""
    if node.is_null or not node.text:
        return
    try:
        parse_lora(node.text, node.mark)
    except SpecError as refused:
        faults.add(refused.problems)


def _lora_scalars(node: Node | None) -> Iterator[Scalar]:
    """Yield every LORA in *node*, through lists and maps by model."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Sequence):
        for item in node:
            yield from _lora_scalars(item)
    elif isinstance(node, Mapping):
        for entry in node:
            yield from _lora_scalars(entry.value)


def _maps(section: Mapping) -> dict[str, Entry]:
    return {entry.key.text: entry for entry in section if not _is_null(entry.value)}


def _map_of(entry: Entry) -> Mapping:
    return entry.value if isinstance(entry.value, Mapping) else Mapping((), entry.key.mark)


def _character_map(entry: Entry) -> Mapping:
    """Return the keys of a character; a character written as a text is that text."""
    if isinstance(entry.value, Scalar):
        prompt = Scalar("prompt", entry.value.mark)
        return Mapping((Entry(prompt, entry.value),), entry.key.mark)
    return _map_of(entry)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.is_null
