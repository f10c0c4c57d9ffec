"""Spec → jobs: which words stand, the product of the axes, composed texts, keys, names. Lazy."""

from runner.expand.expansion import Expansion, expand

__all__ = ["Expansion", "expand"]
