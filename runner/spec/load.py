"""A spec file and its libraries → `Spec`, with every mistake of all files at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.faults import Faults
from runner.naming import is_name
from runner.spec.files import Shelf, project_root
from runner.spec.layers import merge_libraries
from runner.spec.library import Librarian
from runner.spec.plans import notes_for_later, read_deliver, read_plans
from runner.spec.scopes import read_scenes
from runner.spec.sets import Change, change_tree, check_names, command_scope, read_sets
from runner.spec.shape import check_shape
from runner.spec.suspect import suspicious_texts
from runner.story import Spec
from runner.text.letters import composed
from runner.text.shown import shown
from runner.text.tree import Mapping, Scalar


def load(path: Path, *, root: Path | None = None, sets: Sequence[str] = ()) -> Spec:
    """Return the spec at *path*, its libraries merged and *sets* laid over it.

    Args:
        path: The spec; also how messages call it.
        root: Project folder, where every path of the spec starts; default: `project_root`.
        sets: `WORD=VALUE` in YAML, as behind `--set`; a path into models, characters, prompts, scenes,
            deliver or checks changes the tree, any other word is the nearest scope of every cut.

    Raises:
        SpecError: Every mistake of the spec, its libraries and *sets*: file by file, in file order.

    """
    path = Path(path)
    faults = Faults()
    shelf = Shelf(folder=(root or project_root(path)).resolve(), faults=faults)
    changes = read_sets(tuple(sets), faults)
    tree = shelf.open(path, shown=str(path))
    if tree is not None:
        written, tree = tree, change_tree(tree, changes, faults)
        shelf.include(tree)
        check_names(changes, (written, *(library.root for library in shelf.libraries)), faults)
        faults.add(check_shape(tree, kind="spec"))
        for library in shelf.libraries:
            faults.add(check_shape(library.root, kind="library"))
    faults.settle(shelf.shown)
    assert tree is not None
    spec = _read(tree, path, shelf, changes)
    faults.settle(shelf.shown)
    return spec


def _read(tree: Mapping, path: Path, shelf: Shelf, changes: tuple[Change, ...]) -> Spec:
    faults = shelf.faults
    librarian = Librarian(faults)
    words = librarian.read(merge_libraries(shelf.libraries, tree, faults))
    episode = _episode(tree, path, faults)
    command = command_scope(changes, faults)
    scenes = read_scenes(tree, episode=episode, command=command, faults=faults)
    plans = read_plans(scenes.cuts, faults)
    deliver = read_deliver(tree.get("deliver"), faults)
    for root in (tree, *(library.root for library in shelf.libraries)):
        faults.warn(suspicious_texts(root))
    return Spec(
        path=str(path),
        root=shelf.folder,
        episode=episode,
        title=scenes.scopes[0].title,
        models=words.models,
        characters=words.characters,
        prompts=words.prompts,
        slots=words.slots,
        scopes=scenes.scopes,
        cuts=scenes.cuts,
        plans=plans,
        deliver=deliver,
        files=tuple(shelf.files),
        warnings=tuple(faults.warnings),
        later=notes_for_later(tree, scenes.scopes),
    )


def _episode(tree: Mapping, path: Path, faults: Faults) -> str:
    """Return the episode's name; the file's where none is written."""
    node = tree.get("episode")
    if isinstance(node, Scalar) and not node.is_null:
        if not is_name(node.name):
            faults.at(node.mark, f"`{shown(node.name)}` is no name for an episode: letters, digits, _ and -")
        return node.name
    name = composed(path.name.split(".")[0])
    if not is_name(name):
        faults.at(tree.mark, f"the file's name `{name}` is no name for an episode; write `episode: NAME`")
    return name
