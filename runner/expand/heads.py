"""Model, template and wordings of a point; keys of a preset that its template lacks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product

from runner.domain import Template, Templates
from runner.errors import SpecError, TemplateError
from runner.expand.speech import PLAIN_WORDING, Head
from runner.expand.standing import At, Standing, Told
from runner.faults import Faults
from runner.story import Model, Setting, Spec
from runner.system import is_file
from runner.text.nearest import did_you_mean
from runner.text.tree import Mark, Node, Scalar
from runner.values import brought_word
from runner.wording import Wording, hole, unknown_hole

DEFAULT_TEMPLATE = "txt2img"
_BESIDE = frozenset({"template", "wording", "negative", "lora", "extends", "title", "note"})
FILLED_TYPES = frozenset({"seed", "loras", "cast"})
FILLED_NAMES = frozenset({"prompt", "negative"})


@dataclass(slots=True)
class Heads:
    """Finds model and template of points; keeps templates and wordings."""

    spec: Spec
    templates: Templates
    faults: Faults
    _loaded: dict[str, Template | None] = field(default_factory=dict)
    _wordings: dict[tuple[str, str], Wording | None] = field(default_factory=dict)
    _checked: set[tuple[str, str]] = field(default_factory=set)

    def head(self, standing: Standing, at: At) -> Head | None:
        """Return what the point *at* is rendered with; None after noting why nothing."""
        known, model = self._model(standing, at)
        if not known:
            return None
        template = self._template(standing, at, model)
        if template is None:
            return None
        if model:
            self._check_preset(model, template)
        wordings = self._wordings_of(standing, at, model, template)
        return Head(template=template, model=model, wordings=wordings) if wordings is not None else None

    def templates_of(self, standing: Standing) -> tuple[Template, ...]:
        """Return every template that points of the cut may be rendered with, mistakes noted."""
        axes = standing.axes_of(("model", "template"))
        found: dict[str, Template] = {}
        for part in product(*(range(len(standing.axes[index])) for index in axes)):
            at = [0] * len(standing.axes)
            for index, value in zip(axes, part, strict=True):
                at[index] = value
            known, model = self._model(standing, tuple(at))
            template = self._template(standing, tuple(at), model) if known else None
            if template is not None:
                found[template.name] = template
        return tuple(found.values())

    def load(self, name: str, mark: Mark) -> Template | None:
        """Return template *name*; None after noting at *mark* that there is none."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name, mark)
        return self._loaded[name]

    @property
    def lacks_some(self) -> bool:
        """Whether a template that the spec asks for could not be loaded."""
        return None in self._loaded.values()

    def any_takes(self, word: str) -> bool:
        """Return whether any template that can be loaded has a parameter called *word*."""
        for name in self.templates.names():
            if name not in self._loaded:
                try:
                    self._loaded[name] = self.templates.load(name)
                except (TemplateError, KeyError):
                    continue  # nobody uses it: not this spec's mistake
            template = self._loaded[name]
            if template is not None and word in template.parameters:
                return True
        return False

    def _load(self, name: str, mark: Mark) -> Template | None:
        try:
            return self.templates.load(name)
        except TemplateError as refused:
            self.faults.add(refused.problems)
        except KeyError:
            self.faults.at(mark, f"no template is called `{name}`{self._hint(name)}")
        return None

    def _hint(self, name: str) -> str:
        """Return what to write where no template is called *name*, which may be that of a file."""
        names = self.templates.names()
        stem = re.sub(r"^.*/|(?:\.json)?(?:\.j2)?$", "", name)
        if stem != name and stem in names:
            return f"; write `template: {stem}`"
        folder = self.spec.root
        for path in (name, f"templates/{name}", f"templates/{stem}.json", f"{stem}.json"):
            if path.endswith(".json") and stem and ".." not in path and is_file(folder / path):
                return (
                    f"; `{path}` is no template: make templates/{stem}.json.j2 of it, see templates/README.md"
                )
        return did_you_mean(name, names)

    def _model(self, standing: Standing, at: At) -> tuple[bool, Model | None]:
        """Return whether the question is settled, and the model."""
        models = self.spec.models
        told = standing.told("model", at)
        if told:
            name = _name(told)
            if name in models:
                return True, models[name]
            self.faults.at(told.node.mark, f"no model is called `{name}`{did_you_mean(name, models)}")
            return False, None
        if len(models) > 1:
            self.faults.at(
                standing.cut.mark,
                f"which model? one of {', '.join(models)}; write `model:` at the top, on the scene"
                " or on the cut",
            )
            return False, None
        return True, next(iter(models.values()), None)

    def _template(self, standing: Standing, at: At, model: Model | None) -> Template | None:
        told = standing.told("template", at)
        if told:
            return self.load(_name(told), told.node.mark)
        preset = _preset(model, "template")
        if preset is not None:
            return self.load(preset.value.name if isinstance(preset.value, Scalar) else "", preset.value.mark)
        return self.load(DEFAULT_TEMPLATE, standing.cut.mark)

    def _check_preset(self, model: Model, template: Template) -> None:
        """Note keys of *model* that *template* lacks."""
        known = (model.name, template.name)
        if known in self._checked:
            return
        self._checked.add(known)
        types = {parameter.type for parameter in template.parameters.values()}
        for word, setting in model.settings.items():
            if isinstance(setting.value, Scalar) and setting.value.is_null:
                continue
            parameter = template.parameters.get(word)
            lacks = parameter is None and word not in _BESIDE
            lacks |= word == "lora" and "loras" not in types
            lacks |= word == "negative" and parameter is None
            lacks |= word == "wording" and "prompt" not in template.parameters
            filled = parameter is not None and (parameter.type in FILLED_TYPES or word == "prompt")
            if lacks:
                self.faults.at(
                    setting.mark,
                    f"model `{model.name}` sets `{word}`, which template `{template.name}` does not have"
                    + _called(word, settable(template)),
                )
            elif filled:
                self.faults.at(
                    setting.mark, f"model `{model.name}` sets `{word}`, which is filled for each job"
                )

    def _wordings_of(
        self, standing: Standing, at: At, model: Model | None, template: Template
    ) -> dict[str, Wording] | None:
        """Return the wording of every text that is composed; None after noting one that cannot be read."""
        found: dict[str, Wording] = {}
        for name, parameter in template.parameters.items():
            if parameter.type != "text" or name == "negative":
                continue
            node: Node | None = None
            if name == "prompt":
                told, preset = standing.told("wording", at), _preset(model, "wording")
                node = told.node if told else preset.value if preset else None
            elif parameter.wording is None or standing.told(name, at) or _preset(model, name):
                continue
            text = node.text if isinstance(node, Scalar) else parameter.wording or PLAIN_WORDING
            wording = self._wording(text, node.mark if node else None, template)
            if wording is None:
                return None
            found[name] = wording
        return found

    def _wording(self, text: str, mark: Mark | None, template: Template) -> Wording | None:
        known = (text, mark.problem("").place if mark else template.name)
        if known not in self._wordings:
            self._wordings[known] = self._parse(text, mark)
        return self._wordings[known]

    def _parse(self, text: str, mark: Mark | None) -> Wording | None:
        try:
            wording = Wording.parse(text, mark=mark)
        except SpecError as refused:
            self.faults.add(refused.problems)
            return None
        unknown = wording.unknown_holes([hole(slot) for slot in self.spec.slots])
        if unknown and mark:
            for name, suggestion in unknown:
                self.faults.at(mark, unknown_hole(name, suggestion))
            return None
        return wording


def settable(template: Template) -> list[str]:
    """Return the parameters of *template* that a spec may set."""
    return [
        name
        for name, parameter in template.parameters.items()
        if parameter.type not in FILLED_TYPES and name not in FILLED_NAMES
    ]


def _called(word: str, names: list[str]) -> str:
    meant = brought_word(word, names)
    return f"; it is called `{meant}` here" if meant else did_you_mean(word, names)


def _preset(model: Model | None, word: str) -> Setting | None:
    setting = model.settings.get(word) if model else None
    if setting is None or (isinstance(setting.value, Scalar) and setting.value.is_null):
        return None
    return setting


def _name(told: Told) -> str:
    return told.node.name if isinstance(told.node, Scalar) else ""
