"""Small prompts for the tests of previz."""

from __future__ import annotations

from typing import Any

Prompt = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Return one node."""
    return {"class_type": class_type, "inputs": inputs}


def plain(color: int = 255, prefix: str = "t/x", **more: Any) -> Prompt:
    """Return a plain picture (node 1) that is saved (node 2)."""
    return {
        "1": node("EmptyImage", width=16, height=8, batch_size=1, color=color),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix, **more),
    }


def txt2img(seed: int = 1, prefix: str = "t/card", **size: int) -> Prompt:
    """Return the usual graph: checkpoint, LoRA, two texts, latent, sampler, decode, save (node 9)."""
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="ink.safetensors"),
        "2": node(
            "LoraLoader",
            model=["1", 0],
            clip=["1", 1],
            lora_name="aki.safetensors",
            strength_model=0.8,
            strength_clip=0.8,
        ),
        "3": node("CLIPTextEncode", text="a lighthouse", clip=["2", 1]),
        "4": node("CLIPTextEncode", text="blurry", clip=["2", 1]),
        "5": node("EmptyLatentImage", **({"width": 96, "height": 64, "batch_size": 1} | size)),
        "6": node(
            "KSampler",
            model=["2", 0],
            seed=seed,
            steps=4,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            positive=["3", 0],
            negative=["4", 0],
            latent_image=["5", 0],
            denoise=1.0,
        ),
        "7": node("VAEDecode", samples=["6", 0], vae=["1", 2]),
        "9": node("SaveImage", images=["7", 0], filename_prefix=prefix),
    }
