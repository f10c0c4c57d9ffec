"""The shipped templates render to exactly these graphs and digests.

`ANIMERUN_UPDATE_GOLDEN=1 pytest tests/render` writes them anew; the change is then reviewed as a diff. A
digest that changes here makes every earlier picture of that graph look new: change it knowingly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.domain import Workflow
from runner.render import Catalog

FOLDER = Path(__file__).parent.parent / "golden" / "render"
LORAS = [
    {"file": "aki_v3.safetensors", "weight": 0.8, "clip": 0.5, "part": ""},
    {"file": "cel_90s.safetensors", "weight": 1.0, "clip": 1.0, "part": ""},
]
WIDE = {"width": 1216, "height": 832}
ODD = {"width": 520, "height": 328}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "txt2img": ("txt2img", {}),
    "txt2img-sdxl": (
        "txt2img",
        {"loras": LORAS, "clip_skip": 2, "vae": "sdxl_vae.safetensors", "size": WIDE},
    ),
    "txt2img-vpred": ("txt2img", {"loras": LORAS[:1], "prediction": "v_prediction", "rescale_cfg": 0.7}),
    "img2img": ("img2img", {"loras": LORAS[:1], "denoise": 0.4}),
    "hires-latent": ("hires", {"scale": 1.25, "loras": LORAS[1:]}),
    "hires-model": ("hires", {"upscaler": "4x.safetensors", "steps2": 12, "size": ODD}),
    "dit-flux": (
        "txt2img-dit",
        {
            "unet": "flux1-dev.safetensors", "clips": ["clip_l.safetensors", "t5xxl_fp16.safetensors"],
            "clip_type": "flux", "vae": "ae.safetensors", "cfg": 1, "guidance": 3.5, "loras": LORAS[:1],
        },
    ),
    "dit-qwen": (
        "txt2img-dit",
        {"clips": ["qwen_2.5_vl.safetensors"], "clip_type": "qwen_image", "shift": 3.1, "negative": "blurry"},
    ),
    "dit-anima": (
        "txt2img-dit",
        {"clip_type": "stable_diffusion", "latent_node": "EmptyLatentImage", "cfg": 4.0, "steps": 30},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_shipped_template_renders_to_its_golden_graph(case: str, rendered: Callable[..., Workflow]) -> None:
    """Graph, node hashes and digest are byte for byte those on file."""
    name, given = CASES[case]
    workflow = rendered(name, **given)
    told = json.dumps(
        {
            "digest": workflow.digest,
            "inputs": list(workflow.inputs),
            "node_digests": workflow.node_digests,
            "nodes": workflow.nodes,
        },
        indent=1,
    )
    golden = FOLDER / f"{case}.json"
    if os.environ.get("ANIMERUN_UPDATE_GOLDEN"):
        golden.write_text(told + "\n", encoding="utf-8")

    assert told + "\n" == golden.read_text(encoding="utf-8")


def test_every_shipped_template_has_a_golden_case(shipped: Catalog) -> None:
    """A template that ships without a golden graph would change unseen."""
    assert {name for name, _ in CASES.values()} == set(shipped.names())


def test_no_golden_graph_lacks_its_case() -> None:
    """A golden file whose case is gone guards nothing."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(CASES)
