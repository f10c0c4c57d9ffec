"""Loaders and model patches: they only remember names, and accept every name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runner.previz.nodes.definition import Call, NodeClass, any_file, choice, integer, link, number, switch
from runner.previz.picture import Model, Named

EXTRA = "comfy_extras.nodes_model_advanced"


def load_checkpoint(call: Call, *, ckpt_name: str) -> tuple[Any, ...]:
    """Return the three parts of a checkpoint."""
    return Model(file=ckpt_name), Named(file=ckpt_name), Named(file=ckpt_name)


def load_unet(call: Call, *, unet_name: str, **_: Any) -> tuple[Any, ...]:
    """Return a diffusion model without text encoder and VAE."""
    return (Model(file=unet_name),)


def load_clip(call: Call, *, clip_name: str, **_: Any) -> tuple[Any, ...]:
    """Return a text encoder."""
    return (Named(file=clip_name),)


def load_two_clips(call: Call, *, clip_name1: str, clip_name2: str, **_: Any) -> tuple[Any, ...]:
    """Return a pair of text encoders as one."""
    return (Named(file=f"{clip_name1} + {clip_name2}"),)


def load_vae(call: Call, *, vae_name: str) -> tuple[Any, ...]:
    """Return a VAE."""
    return (Named(file=vae_name),)


def load_control_net(call: Call, *, control_net_name: str) -> tuple[Any, ...]:
    """Return a ControlNet."""
    return (Named(file=control_net_name),)


def load_upscaler(call: Call, *, model_name: str) -> tuple[Any, ...]:
    """Return an upscaler."""
    return (Named(file=model_name),)


def load_clip_vision(call: Call, *, clip_name: str) -> tuple[Any, ...]:
    """Return an image encoder."""
    return (Named(file=clip_name),)


def lay_lora(call: Call, *, model: Model, lora_name: str, strength_model: float, **_: Any) -> tuple[Any, ...]:
    """Return the model with one more LoRA."""
    return (replace(model, loras=(*model.loras, f"{lora_name}@{strength_model:g}")),)


def lay_lora_on_both(
    call: Call, *, model: Model, clip: Named, lora_name: str, strength_model: float, **_: Any
) -> tuple[Any, ...]:
    """Return model and text encoder with one more LoRA."""
    return (*lay_lora(call, model=model, lora_name=lora_name, strength_model=strength_model), clip)


def same_model(call: Call, *, model: Model, **_: Any) -> tuple[Any, ...]:
    """Return the model: the patch changes nothing that a card shows."""
    return (model,)


def same_clip(call: Call, *, clip: Named, **_: Any) -> tuple[Any, ...]:
    """Return the text encoder unchanged."""
    return (clip,)


def same_control_net(call: Call, *, control_net: Named, **_: Any) -> tuple[Any, ...]:
    """Return the ControlNet unchanged."""
    return (control_net,)


def _patch(name: str, **inputs: Any) -> NodeClass:
    return NodeClass(
        name=name,
        run=same_model,
        category="advanced/model",
        module=EXTRA,
        returns=("MODEL",),
        required={"model": link("MODEL"), **inputs},
    )


WEIGHT = number(1.0, -100.0, 100.0)
DEVICE = {"device": choice("default", "cpu", advanced=True)}
DTYPES = choice("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2")
CLIP_KINDS = choice(
    "stable_diffusion",
    "stable_cascade",
    "sd3",
    "stable_audio",
    "mochi",
    "ltxv",
    "pixart",
    "cosmos",
    "lumina2",
    "wan",
    "hidream",
    "chroma",
    "ace",
    "omnigen2",
    "qwen_image",
    "hunyuan_image",
)
PAIR_KINDS = choice("sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image")
UNION_KINDS = choice(
    "auto",
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)

CLASSES = (
    NodeClass(
        name="CheckpointLoaderSimple",
        run=load_checkpoint,
        category="loaders",
        display="Load Checkpoint",
        required={"ckpt_name": any_file()},
        returns=("MODEL", "CLIP", "VAE"),
    ),
    NodeClass(
        name="UNETLoader",
        run=load_unet,
        category="advanced/loaders",
        display="Load Diffusion Model",
        required={"unet_name": any_file(), "weight_dtype": DTYPES},
        returns=("MODEL",),
    ),
    NodeClass(
        name="CLIPLoader",
        run=load_clip,
        category="advanced/loaders",
        display="Load CLIP",
        required={"clip_name": any_file(), "type": CLIP_KINDS},
        optional=DEVICE,
        returns=("CLIP",),
    ),
    NodeClass(
        name="DualCLIPLoader",
        run=load_two_clips,
        category="advanced/loaders",
        required={"clip_name1": any_file(), "clip_name2": any_file(), "type": PAIR_KINDS},
        optional=DEVICE,
        returns=("CLIP",),
    ),
    NodeClass(
        name="VAELoader",
        run=load_vae,
        category="loaders",
        display="Load VAE",
        required={"vae_name": any_file()},
        returns=("VAE",),
    ),
    NodeClass(
        name="ControlNetLoader",
        run=load_control_net,
        category="loaders",
        display="Load ControlNet Model",
        required={"control_net_name": any_file()},
        returns=("CONTROL_NET",),
    ),
    NodeClass(
        name="CLIPVisionLoader",
        run=load_clip_vision,
        category="loaders",
        display="Load CLIP Vision",
        required={"clip_name": any_file()},
        returns=("CLIP_VISION",),
    ),
    NodeClass(
        name="UpscaleModelLoader",
        run=load_upscaler,
        category="loaders",
        display="Load Upscale Model",
        module="comfy_extras.nodes_upscale_model",
        newer=True,
        required={"model_name": any_file()},
        returns=("UPSCALE_MODEL",),
    ),
    NodeClass(
        name="LoraLoader",
        run=lay_lora_on_both,
        category="loaders",
        display="Load LoRA",
        required={
            "model": link("MODEL"),
            "clip": link("CLIP"),
            "lora_name": any_file(),
            "strength_model": WEIGHT,
            "strength_clip": WEIGHT,
        },
        returns=("MODEL", "CLIP"),
    ),
    NodeClass(
        name="LoraLoaderModelOnly",
        run=lay_lora,
        category="loaders",
        required={"model": link("MODEL"), "lora_name": any_file(), "strength_model": WEIGHT},
        returns=("MODEL",),
    ),
    NodeClass(
        name="CLIPSetLastLayer",
        run=same_clip,
        category="conditioning",
        display="CLIP Set Last Layer",
        required={"clip": link("CLIP"), "stop_at_clip_layer": integer(-1, -24, -1)},
        returns=("CLIP",),
    ),
    NodeClass(
        name="SetUnionControlNetType",
        run=same_control_net,
        category="conditioning/controlnet",
        module="comfy_extras.nodes_controlnet",
        required={"control_net": link("CONTROL_NET"), "type": UNION_KINDS},
        returns=("CONTROL_NET",),
    ),
    NodeClass(
        name="DifferentialDiffusion",
        run=same_model,
        category="_for_testing",
        display="Differential Diffusion",
        module="comfy_extras.nodes_differential_diffusion",
        trial=True,
        newer=True,
        required={"model": link("MODEL")},
        optional={"strength": number(1.0, 0.0, 1.0)},
        returns=("MODEL",),
    ),
    _patch(
        "ModelSamplingDiscrete",
        sampling=choice("eps", "v_prediction", "lcm", "x0", "img_to_img"),
        zsnr=switch(False),
    ),
    _patch("RescaleCFG", multiplier=number(0.7, 0.0, 1.0)),
    _patch("ModelSamplingAuraFlow", shift=number(1.73, 0.0, 100.0)),
    _patch("ModelSamplingSD3", shift=number(3.0, 0.0, 100.0)),
)
