"""Texts that people write: YAML with positions, and the messages that point into it."""
