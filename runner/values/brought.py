"""Words and names that people bring from other tools, and what they are called here."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

_WORDS: Final = {
    "cfg": ("cfg_scale", "cfgscale", "guidance", "guidance_scale", "scale"),
    "steps": ("num_inference_steps", "sampling_steps", "num_steps", "step"),
    "negative": ("negative_prompt", "negativeprompt", "neg_prompt", "neg", "uc", "undesired_content"),
    "prompt": ("positive_prompt", "positive", "text"),
    "sampler": ("sampler_name", "sampler_index", "sampling_method", "sampler_type"),
    "scheduler": ("scheduler_name", "schedule_type", "schedule"),
    "size": ("width", "height", "w", "h", "resolution", "aspect_ratio"),
    "checkpoint": ("ckpt", "ckpt_name", "model_name", "sd_model", "sd_model_checkpoint", "sd_checkpoint"),
    "vae": ("vae_name", "sd_vae"),
    "denoise": ("denoising_strength", "denoising", "strength"),
    "takes": ("batch_size", "batch_count", "n_iter", "num_images", "count"),
    "lora": ("loras", "lora_name"),
    "image": ("init_image", "init_images", "input_image"),
    "clip_skip": ("clipskip", "clip_stop_at_last_layers", "CLIP_stop_at_last_layers"),
    "length": ("frames", "num_frames", "duration", "video_frames"),
    "cast": ("character", "characters"),
}
_BROUGHT: Final = {other: word for word, others in _WORDS.items() for other in others}

_SAMPLERS: Final = {
    "euler": "euler", "euler a": "euler_ancestral", "lms": "lms", "heun": "heun", "dpm2": "dpm_2",
    "dpm2 a": "dpm_2_ancestral", "dpm++ 2s a": "dpmpp_2s_ancestral", "dpm++ 2m": "dpmpp_2m",
    "dpm++ sde": "dpmpp_sde", "dpm++ 2m sde": "dpmpp_2m_sde", "dpm++ 2m sde heun": "dpmpp_2m_sde_heun",
    "dpm++ 3m sde": "dpmpp_3m_sde", "dpm fast": "dpm_fast", "dpm adaptive": "dpm_adaptive", "ddim": "ddim",
    "ddpm": "ddpm", "unipc": "uni_pc", "lcm": "lcm", "euler ancestral": "euler_ancestral",
}  # fmt: skip
# ComfyUI 0.33 comfy/samplers.py KSAMPLER_NAMES, SAMPLER_NAMES, SCHEDULER_HANDLERS
_SCHEDULERS: Final = {
    "normal": "normal", "karras": "karras", "exponential": "exponential", "sgm uniform": "sgm_uniform",
    "simple": "simple", "beta": "beta", "uniform": "normal", "kl optimal": "kl_optimal",
}  # fmt: skip


def brought_word(word: str, known: Collection[str]) -> str:
    """Return what *word* of another tool is called here, if that is one of *known*; else an empty text."""
    meant = _BROUGHT.get(word) or _BROUGHT.get(re.sub(r"[ -]", "_", word).lower(), "")
    return meant if meant in known else ""


def brought_choice(parameter: str, text: str) -> str:
    """Return the sentence for a sampler or scheduler called as A1111 calls it; else an empty text."""
    if parameter not in ("sampler", "scheduler", "sampler_name"):
        return ""
    named = " ".join(text.replace("_", " ").split()).lower()
    if parameter == "scheduler":
        scheduler = _SCHEDULERS.get(named, "")
        return f"ComfyUI calls it `{scheduler}`" if scheduler and scheduler != text else ""
    if named in _SAMPLERS:
        return f"ComfyUI calls it `{_SAMPLERS[named]}`" if _SAMPLERS[named] != text else ""
    for name, scheduler in _SCHEDULERS.items():
        sampler = _SAMPLERS.get(named.removesuffix(f" {name}"), "") if named.endswith(f" {name}") else ""
        if sampler:
            return f"ComfyUI calls it `{sampler}`, with `scheduler: {scheduler}`"
    return ""
