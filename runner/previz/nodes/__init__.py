"""The node classes that previz offers, as one catalogue."""

from __future__ import annotations

from runner.previz.nodes import conditioning, image, latent, loaders, logic, sampling, save, testing, video
from runner.previz.nodes.definition import Catalogue

SUBJECTS = (loaders, conditioning, sampling, latent, image, logic, save, video)


def catalogue(*, test_nodes: bool = False) -> Catalogue:
    """Return every class by name; *test_nodes* adds those that misbehave on purpose."""
    subjects = (*SUBJECTS, testing) if test_nodes else SUBJECTS
    return {node.name: node for subject in subjects for node in subject.CLASSES}
