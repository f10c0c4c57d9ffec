"""YAML text → Spec: shape, libraries, scopes."""

from runner.spec.files import project_root
from runner.spec.load import load

__all__ = ["load", "project_root"]
