"""YAML text → Spec: shape, libraries, scopes."""

from runner.spec.files import name_in_project, project_root
from runner.spec.load import load

__all__ = ["load", "name_in_project", "project_root"]
