"""Values of slots, outfits and expressions → entries; texts, negatives and LoRAs chosen by model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.domain import Lora
from runner.errors import SpecError
from runner.faults import Faults
from runner.naming import is_name
from runner.story import Fragment, Model, Spec
from runner.text.nearest import did_you_mean
from runner.text.tree import Mapping as MapNode
from runner.text.tree import Node, Scalar
from runner.text.tree import Sequence as ListNode
from runner.values import parse_lora, project_path

ELSE = "else"
_FILE = re.compile(r"[^\n*?\[]{1,200}\.[A-Za-z][A-Za-z0-9]{0,11}")
"""What may be the name of a file."""


@dataclass(slots=True)
class Fragments:
    """Looks entries up, each node once, and chooses their parts for a model.

    Fragments are told apart by identity: they must live as long as this.
    """

    spec: Spec
    faults: Faults
    _slots: dict[tuple[str, int], Fragment | None] = field(default_factory=dict)
    _texts: dict[tuple[int, str, str], str] = field(default_factory=dict)
    _chosen: dict[tuple[int, str], tuple[Lora, ...] | None] = field(default_factory=dict)
    _loras: dict[int, tuple[Lora, ...]] = field(default_factory=dict)

    def slot(self, word: str, node: Node) -> Fragment | None:
        """Return the entry that *node* names or writes for slot *word*; None after noting a mistake."""
        known = (word, id(node))
        if known not in self._slots:
            self._slots[known] = self._entry(word, node, self.spec.prompts.get(word, {}))
        return self._slots[known]

    def _entry(self, word: str, node: Node, entries: Mapping[str, Fragment]) -> Fragment | None:
        if isinstance(node, ListNode):
            self.faults.at(node.mark, f"`{word}` takes one text; a list varies only under `vary:`")
            return None
        if isinstance(node, MapNode):
            return inline(node, owner=f"`{word}` written here")
        if node.name in entries:
            return entries[node.name]
        if node.plain and entries and is_name(node.name):
            hint = did_you_mean(node.name, entries)
            self.faults.at(
                node.mark,
                f"no {word} is called `{node.text}`{hint} (for plain text write {{prompt: {node.text}}})",
            )
            return None
        return Fragment(owner=f"`{word}` written here", mark=node.mark, prompt=node)

    def text(self, fragment: Fragment, part: str, model: Model | None) -> str:
        """Return the text of *part* (`prompt` or `negative`) for *model*; empty when there is none."""
        known = (id(fragment), part, model.name if model else "")
        if known not in self._texts:
            self._texts[known] = self._text(fragment, part, model)
        return self._texts[known]

    def _text(self, fragment: Fragment, part: str, model: Model | None) -> str:
        node = self.choose(fragment, part, model)
        if node is None:
            return ""
        if isinstance(node, Scalar):
            self._warn_of_file(node)
            return node.text
        self.faults.at(
            node.mark, f"`{part}` takes one text or a map by model; a list varies only under `vary:`"
        )
        return ""

    def _warn_of_file(self, node: Scalar) -> None:
        """Warn of a text that is the name of a file of the project: no prompt is read from a file."""
        if not _FILE.fullmatch(node.text.strip()):
            return
        try:
            there = (self.spec.root / project_path(node.text.strip())).is_file()
        except (ValueError, OSError):  # no path, or one that no file can have
            return
        if there:
            what = f"`{node.text.strip()}` is drawn as a text, though it is a file of the project"
            hint = "a spec reads no texts from files; write them as a list under `vary:`"
            self.faults.warn([node.mark.problem(f"{what}: {hint}")])

    def loras(self, fragment: Fragment, model: Model | None) -> tuple[Lora, ...] | None:
        """Return the LoRAs of *fragment* for *model*; None when it says nothing about any."""
        if fragment.lora is None:
            return None
        known = (id(fragment), model.name if model else "")
        if known not in self._chosen:
            node = self.choose(fragment, "lora", model)
            self._chosen[known] = () if node is None else self.lora_list(node)
        return self._chosen[known]

    def lora_list(self, node: Node) -> tuple[Lora, ...]:
        """Return the LoRAs that *node*, one or a list, writes."""
        known = id(node)
        if known not in self._loras:
            items = node.items if isinstance(node, ListNode) else (node,)
            self._loras[known] = tuple(found for item in items if (found := self._lora(item)) is not None)
        return self._loras[known]

    def _lora(self, node: Node) -> Lora | None:
        if not isinstance(node, Scalar):
            self.faults.at(node.mark, "a LoRA is written [PART:]FILE[@WEIGHT[:CLIP]]")
            return None
        if node.is_null or not node.text:
            return None
        try:
            return parse_lora(node.text, node.mark)
        except SpecError as refused:
            self.faults.add(refused.problems)
            return None

    def choose(self, fragment: Fragment, part: str, model: Model | None) -> Node | None:
        """Return *part* of *fragment* for *model*, its own name first, then what it extends, then `else`."""
        node: Node | None = getattr(fragment, part)
        if isinstance(node, MapNode):
            node = self._by_model(node, fragment, part, model)
        if node is None or (isinstance(node, Scalar) and node.is_null):
            return None
        return node

    def _by_model(self, node: MapNode, fragment: Fragment, part: str, model: Model | None) -> Node | None:
        for name in (*(model.lineage if model else ()), ELSE):
            found = node.get(name)
            if found is not None:
                return found
        has = ", ".join(entry.key.text for entry in node)
        name = model.name if model else ELSE
        message = (
            f"`{part}` of {fragment.owner} has nothing for model `{name}` (it has {has});"
            f" add `{name}: …`, or `{name}: null` for none"
        )
        self.faults.at(node.mark, message)
        return None


def inline(node: MapNode, *, owner: str) -> Fragment:
    """Return the entry that the map *node* writes in place."""
    return Fragment(
        owner=owner,
        mark=node.mark,
        prompt=node.get("prompt"),
        negative=node.get("negative"),
        lora=node.get("lora"),
        refs=node.get("refs"),
    )
