"""The recipe of a job among its takes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runner.domain import Template
from runner.render import recipe, recipe_by_seed

VALUES = {"b": 1.0, "prompt": 'é "x" {{ y }}', "z": [1, {"b": 2.5}], "image": {"$file": "p.png"}}


SEEDS = [(), ("seed",), ("zz",), ("aa",), ("seed", "noise_seed")]


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda names: "+".join(names) or "none")
@pytest.mark.parametrize("others", [VALUES, {}], ids=["more", "alone"])
def test_a_recipe_by_seed_is_the_recipe(
    load: Callable[..., Template], seeds: tuple[str, ...], others: dict[str, object]
) -> None:
    """Whatever stands before and behind the seed: hashed once for all takes or for each, it is the same."""
    front = "".join(f"  {name}: {{type: seed}}\n" for name in seeds) or "  n: {type: int}\n"
    inputs = ", ".join(f'"x{number}": {{{{ {name} }}}}' for number, name in enumerate(seeds or ("n",)))
    body = f'{{"a": {{"class_type": "A", "inputs": {{{inputs}}}}}}}'
    template = load(f"---\ntitle: a\nparameters:\n{front}outputs: {{a: image}}\n---\n{body}")
    of = recipe_by_seed(template, {**others, **dict.fromkeys(seeds, 7)}, {"p.png": "b.png"})

    for seed in (0, 1, 2**64 - 1):
        assert of(seed) == recipe(template, {**others, **dict.fromkeys(seeds, seed)}, {"p.png": "b.png"})
