"""YAML text → Spec: shape, libraries, scopes."""
