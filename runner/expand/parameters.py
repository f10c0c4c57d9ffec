"""Values of a template's parameters: the word, else the preset, else the template's default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.domain import Parameter, Plain, Template
from runner.errors import SpecError
from runner.expand.heads import FILLED_NAMES, FILLED_TYPES
from runner.expand.pictures import Pictures
from runner.expand.speech import Head, Spoken
from runner.expand.standing import At, Standing
from runner.faults import Faults
from runner.story import CutPlans, Model, Upstream
from runner.text.tree import Mapping as MapNode
from runner.text.tree import Node, Scalar
from runner.values import brought_choice, counts_own_frames, parse_value, refusal

_MISSING = object()


@dataclass(slots=True)
class Parameters:
    """Parses values, each node once per parameter."""

    faults: Faults
    pictures: Pictures
    _parsed: dict[tuple[str, str, int, str | None], Plain] = field(default_factory=dict)

    def composed(self, head: Head, spoken: Spoken) -> dict[str, Plain]:
        """Return the parameters that the words fill: composed texts, negative, LoRAs, cast."""
        values: dict[str, Plain] = dict(spoken.texts)
        for name, parameter in head.template.parameters.items():
            if name == "negative" and parameter.type == "text":
                values[name] = spoken.negative
            elif parameter.type == "loras":
                values[name] = _chain(spoken, parameter)
            elif parameter.type == "cast":
                values[name] = self._cast(spoken)
        return values

    def sources(self, template: Template, plans: CutPlans) -> Mapping[str, Upstream]:
        """Return the picture parameters that are filled from earlier cuts."""
        found: dict[str, Upstream] = {}
        for word, upstream in plans.upstream.items():
            name = word or first_picture(template)
            parameter = template.parameters.get(name)
            if not name:
                self.faults.at(
                    upstream.mark,
                    f"template `{template.name}` takes no picture or video to fill `from` a cut",
                )
            elif parameter is not None and parameter.type not in ("image", "video"):
                self.faults.at(upstream.mark, f"`{name}` is no picture or video; it cannot come from a cut")
            elif parameter is not None:
                found[name] = upstream
        return found

    def value(self, standing: Standing, at: At, head: Head, parameter: Parameter) -> Plain:
        """Return the value of *parameter* at the point *at*; None after noting a mistake."""
        told = standing.told(parameter.name, at)
        fps = _fps(standing)
        if told:
            return self._parse(head.template, parameter, told.node, fps)
        preset = _preset(head.model, parameter.name)
        if preset is not None:
            return self._parse(head.template, parameter, preset, fps, own=True)
        if parameter.required:
            self.faults.at(standing.cut.mark, _missing(parameter, head))
            return None
        return parameter.default

    def _parse(
        self, template: Template, parameter: Parameter, node: Node, fps: str | None, *, own: bool = False
    ) -> Plain:
        known = (template.name, parameter.name, id(node), fps)
        found = self._parsed.get(known, _MISSING)
        if found is _MISSING:
            found = self._parsed[known] = self._fresh(parameter, node, fps, own=own)
        return found

    def _fresh(self, parameter: Parameter, node: Node, fps: str | None, *, own: bool) -> Plain:
        if (
            parameter.type in ("image", "video")
            and isinstance(node, MapNode)
            and node.get("from") is not None
        ):
            return None  # validated with the cut; here a preset or an axis value
        if parameter.type == "choice" and not parameter.choices and isinstance(node, Scalar):
            self._warn_of_brought(parameter.name, node)
        try:
            value = parse_value(parameter, node, fps=fps, own=own)
            if parameter.type == "length" and isinstance(node, Scalar) and not own and fps is None:
                self._warn_of_frames(parameter, node, value)
            return self.pictures.found(value, parameter, node.mark)
        except SpecError as refused:
            self.faults.add(refused.problems)
            return None

    def _warn_of_brought(self, name: str, node: Scalar) -> None:
        """Warn of a sampler by the name that another tool gives it; the server has the last word."""
        if meant := brought_choice(name, node.text):
            self.faults.warn([node.mark.problem(refusal(name, node.text, meant))])

    def _warn_of_frames(self, parameter: Parameter, node: Scalar, value: Plain) -> None:
        """Warn of a number of frames at 24 a second where the model makes another, and nobody said which."""
        if not isinstance(value, dict) or not counts_own_frames(parameter, node.text):
            return
        told = (
            f"`{parameter.name}: {node.text}` is counted at 24 frames a second and makes {value['frames']} "
            f"frames at the model's {parameter.fps}; for frames of the model write `fps: {parameter.fps}` too"
        )
        self.faults.warn([node.mark.problem(told)])

    def _cast(self, spoken: Spoken) -> Plain:
        members = []
        for member, refs in zip(spoken.members, spoken.refs, strict=True):
            files = [file for node in refs for file in self.pictures.glob(node)]
            members.append(
                {
                    "name": member.name,
                    "prompt": member.prompt,
                    "outfit": member.outfit,
                    "expression": member.expression,
                    "refs": files,
                }
            )
        return {"members": members}


def is_told(parameter: Parameter) -> bool:
    """Return whether a spec or preset gives *parameter* its value, rather than the wording or the runner."""
    return (
        parameter.type not in FILLED_TYPES
        and parameter.name not in FILLED_NAMES
        and parameter.wording is None
    )


def first_picture(template: Template) -> str:
    """Return the parameter that `from` fills: the first image or video; empty when there is none."""
    return next((p.name for p in template.parameters.values() if p.type in ("image", "video")), "")


def _chain(spoken: Spoken, parameter: Parameter) -> Plain:
    return [
        {"file": lora.file, "weight": lora.weight, "clip": lora.clip}
        for lora in spoken.loras
        if lora.part == parameter.part
    ]


def _missing(parameter: Parameter, head: Head) -> str:
    where = f" or on model `{head.model.name}`" if head.model else ""
    return (
        f"`{parameter.name}` has no value, and template `{head.template.name}` needs one;"
        f" write `{parameter.name}: …` here{where}"
    )


def _preset(model: Model | None, word: str) -> Node | None:
    setting = model.settings.get(word) if model else None
    if setting is None or (isinstance(setting.value, Scalar) and setting.value.is_null):
        return None
    return setting.value


def _fps(standing: Standing) -> str | None:
    told = standing.fixed.get("fps")
    node = told[0].node if told else None
    return node.text if isinstance(node, Scalar) else None
