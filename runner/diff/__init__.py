"""What differs between two runs: the result and how it is put into words. Pure."""

from runner.diff.model import Change, Counts, Drift, Group, Picture, RunDiff, Side, Slower, Times

__all__ = ["Change", "Counts", "Drift", "Group", "Picture", "RunDiff", "Side", "Slower", "Times"]
