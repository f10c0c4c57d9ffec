"""Conditioning: text goes in, text comes out; what a card cannot show passes through."""

from __future__ import annotations

from typing import Any

from runner.previz.nodes.definition import Call, NodeClass, choice, integer, link, number, string
from runner.previz.picture import Conditioning, Images

LARGEST = 16384


def encode(call: Call, *, text: str, clip: Any) -> tuple[Any, ...]:
    """Return the text itself."""
    return (Conditioning(text=text),)


def same(call: Call, *, conditioning: Conditioning, **_: Any) -> tuple[Any, ...]:
    """Return the conditioning unchanged."""
    return (conditioning,)


def emptied(call: Call, *, conditioning: Conditioning) -> tuple[Any, ...]:
    """Return conditioning without text."""
    return (Conditioning(text=""),)


def combined(call: Call, *, conditioning_1: Conditioning, conditioning_2: Conditioning) -> tuple[Any, ...]:
    """Return both texts, the first one first."""
    texts = [text for text in (conditioning_1.text, conditioning_2.text) if text]
    return (Conditioning(text=" | ".join(texts)),)


def controlled(
    call: Call, *, positive: Conditioning, negative: Conditioning, image: Images, **_: Any
) -> tuple[Any, ...]:
    """Return both conditionings; the control picture must be one."""
    if not isinstance(image, Images):
        raise AttributeError(f"'{type(image).__name__}' object has no attribute 'movedim'")
    return positive, negative


def seen(call: Call, **_: Any) -> tuple[Any, ...]:
    """Return a token for an encoded picture."""
    return (Conditioning(text=""),)


PAIR = {"positive": link("CONDITIONING"), "negative": link("CONDITIONING")}
SHARE = {
    "start_percent": number(0.0, 0.0, 1.0, 0.001),
    "end_percent": number(1.0, 0.0, 1.0, 0.001),
}

CLASSES = (
    NodeClass(
        name="CLIPTextEncode",
        run=encode,
        category="conditioning",
        display="CLIP Text Encode (Prompt)",
        required={"text": string(multiline=True, dynamicPrompts=True), "clip": link("CLIP")},
        returns=("CONDITIONING",),
    ),
    NodeClass(
        name="ConditioningZeroOut",
        run=emptied,
        category="advanced/conditioning",
        required={"conditioning": link("CONDITIONING")},
        returns=("CONDITIONING",),
    ),
    NodeClass(
        name="ConditioningCombine",
        run=combined,
        category="conditioning",
        display="Conditioning (Combine)",
        required={"conditioning_1": link("CONDITIONING"), "conditioning_2": link("CONDITIONING")},
        returns=("CONDITIONING",),
    ),
    NodeClass(
        name="ConditioningSetArea",
        run=same,
        category="conditioning",
        display="Conditioning (Set Area)",
        required={
            "conditioning": link("CONDITIONING"),
            "width": integer(64, 64, LARGEST, 8),
            "height": integer(64, 64, LARGEST, 8),
            "x": integer(0, 0, LARGEST, 8),
            "y": integer(0, 0, LARGEST, 8),
            "strength": number(1.0, 0.0, 10.0),
        },
        returns=("CONDITIONING",),
    ),
    NodeClass(
        name="ConditioningSetMask",
        run=same,
        category="conditioning",
        display="Conditioning (Set Mask)",
        required={
            "conditioning": link("CONDITIONING"),
            "mask": link("MASK"),
            "strength": number(1.0, 0.0, 10.0),
            "set_cond_area": choice("default", "mask bounds"),
        },
        returns=("CONDITIONING",),
    ),
    NodeClass(
        name="FluxGuidance",
        run=same,
        category="advanced/conditioning/flux",
        module="comfy_extras.nodes_flux",
        newer=True,
        required={"conditioning": link("CONDITIONING"), "guidance": number(3.5, 0.0, 100.0, 0.1)},
        returns=("CONDITIONING",),
    ),
    NodeClass(
        name="ControlNetApplyAdvanced",
        run=controlled,
        category="conditioning/controlnet",
        display="Apply ControlNet",
        required={
            **PAIR,
            "control_net": link("CONTROL_NET"),
            "image": link("IMAGE"),
            "strength": number(1.0, 0.0, 10.0),
            **SHARE,
        },
        optional={"vae": link("VAE")},
        returns=("CONDITIONING", "CONDITIONING"),
        return_names=("positive", "negative"),
    ),
    NodeClass(
        name="CLIPVisionEncode",
        run=seen,
        category="conditioning",
        display="CLIP Vision Encode",
        required={
            "clip_vision": link("CLIP_VISION"),
            "image": link("IMAGE"),
            "crop": choice("center", "none"),
        },
        returns=("CLIP_VISION_OUTPUT",),
    ),
)
