"""Samplers: they write down what was asked for and report progress; the card is drawn later."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from runner.previz.nodes.definition import LARGEST_SEED, Call, NodeClass, choice, integer, link, number
from runner.previz.picture import Conditioning, Latent, Model, Sample, decoded

SAMPLERS = choice(
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
)
SCHEDULERS = choice(
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
)
SHOWN_STEPS = 8


def walk(call: Call, steps: int) -> None:
    """Report progress like a sampler: every step when steps take time, else about SHOWN_STEPS of them."""
    if call.step_s > 0:
        for step in range(1, steps + 1):
            time.sleep(call.step_s)
            call.report(step, steps)
        return
    stride = -(-steps // SHOWN_STEPS)
    for step in range(1, steps + 1):
        if step % stride == 0 or step == steps:
            call.report(step, steps)


def sampled(latent: Latent, sample: Sample) -> Latent:
    """Return the latent after sampling; what it held before becomes the source of the new picture.

    A second pass over the same picture (same text and seed) is the same picture, only larger.
    """
    before = latent.sample
    if before is None:
        return replace(latent, sample=sample)
    if (before.positive, before.seed) != (sample.positive, sample.seed):
        return replace(latent, sample=sample, source=decoded(latent))
    denoise = sample.denoise if latent.source is None else before.denoise
    return replace(latent, sample=replace(sample, denoise=denoise))


def sample(
    call: Call,
    *,
    model: Model,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: float = 1.0,
) -> tuple[Any, ...]:
    """Return the latent that stands for this sampler run."""
    asked = Sample(
        model=model.file,
        loras=model.loras,
        positive=positive.text,
        negative=negative.text,
        seed=seed,
        steps=steps,
        cfg=cfg,
        sampler=f"{sampler_name}/{scheduler}",
        denoise=denoise,
    )
    result = sampled(latent_image, asked)
    walk(call, steps)
    return (result,)


def sample_part(
    call: Call,
    *,
    model: Model,
    add_noise: str,
    noise_seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: int,
    end_at_step: int,
    return_with_leftover_noise: str,
) -> tuple[Any, ...]:
    """Return the latent of a run over part of the steps; a later part keeps the look of the first."""
    last = min(end_at_step, steps)
    count = max(0, last - start_at_step)
    if latent_image.sample is not None and add_noise == "disable":
        before = latent_image.sample
        result = replace(latent_image, sample=replace(before, steps=before.steps + count))
    else:
        asked = Sample(
            model=model.file,
            loras=model.loras,
            positive=positive.text,
            negative=negative.text,
            seed=noise_seed,
            steps=count,
            cfg=cfg,
            sampler=f"{sampler_name}/{scheduler}",
            denoise=1.0 if start_at_step == 0 else 1 - start_at_step / max(steps, 1),
        )
        result = sampled(latent_image, asked)
    walk(call, count)
    return (result,)


GUIDES = {"positive": link("CONDITIONING"), "negative": link("CONDITIONING"), "latent_image": link("LATENT")}
SEED = integer(0, 0, LARGEST_SEED, None, control_after_generate=True)
HOW = {
    "steps": integer(20, 1, 10000, None),
    "cfg": number(8.0, 0.0, 100.0, 0.1, round=0.01),
    "sampler_name": SAMPLERS,
    "scheduler": SCHEDULERS,
}

CLASSES = (
    NodeClass(
        name="KSampler",
        run=sample,
        category="sampling",
        required={"model": link("MODEL"), "seed": SEED, **HOW, **GUIDES, "denoise": number(1.0, 0.0, 1.0)},
        returns=("LATENT",),
    ),
    NodeClass(
        name="KSamplerAdvanced",
        run=sample_part,
        category="sampling",
        display="KSampler (Advanced)",
        required={
            "model": link("MODEL"),
            "add_noise": choice("enable", "disable"),
            "noise_seed": SEED,
            **HOW,
            **GUIDES,
            "start_at_step": integer(0, 0, 10000, None),
            "end_at_step": integer(10000, 0, 10000, None),
            "return_with_leftover_noise": choice("disable", "enable"),
        },
        returns=("LATENT",),
    ),
)
