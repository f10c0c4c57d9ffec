"""Where templates come from: the project's folder first, then the ones that ship with animerun."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple

import runner
from runner.domain import Template
from runner.errors import Problem, SpecError, TemplateError
from runner.naming import is_name
from runner.render.front import cut, read_front
from runner.render.program import CLIENT, Program, TextProgram, problem_at
from runner.render.series import Series
from runner.sandbox.client import Facts
from runner.sandbox.wire import BODY, Refused, Source
from runner.text.decode import decode
from runner.text.letters import composed
from runner.values.links import resolved

SUFFIX: Final = ".json.j2"
MACROS: Final = "nodes.j2"
LARGEST_FILE: Final = 2**20
"""Bytes of one template or macro file."""

Origin = Literal["project", "shipped"]
_LAYERS: Final[tuple[Origin, ...]] = ("shipped", "project")


class TemplateSource(NamedTuple):
    """One template that can be loaded."""

    name: str
    path: Path
    origin: Origin


class File(NamedTuple):
    """A template or macro file as it was read."""

    path: str
    """As messages show it."""
    text: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines, without their ends."""
        return tuple(self.text.split("\n"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedTemplate(Template):
    """A template with what renders it."""

    program: Program = field(repr=False, compare=False)
    series: Series = field(repr=False, compare=False)


class Catalog:
    """Every template of a project; `PROJECT/templates/NAME.json.j2` hides a shipped one of that name.

    The macros of the shipped `nodes.j2`, and those of the project's own laid over them by name, can be called
    from every template. Files are read once, at the first `load`; rendering touches no disk.

    Args:
        project: The project folder, or None for the shipped templates alone.

    """

    def __init__(self, project: Path | None = None) -> None:
        self._astray = "" if project is None else _astray(project / "templates", project)
        """Why the project's folder is not looked into; empty where it may be."""
        own = project if not self._astray else None
        self._folders: dict[Origin, Path] = {} if own is None else {"project": own / "templates"}
        self._folders["shipped"] = shipped_folder()
        self._macros: tuple[File, ...] | None = None
        self._loaded: dict[str, Template] = {}
        self._texts: dict[TemplateSource, str] = {}

    def sources(self) -> tuple[TemplateSource, ...]:
        """Return every template that can be loaded, sorted by name."""
        found: dict[str, TemplateSource] = {}
        for origin, folder in self._folders.items():
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                name = composed(path.name.removesuffix(SUFFIX))
                if is_name(name):
                    found.setdefault(name, TemplateSource(name, path, origin))
        return tuple(found[name] for name in sorted(found))

    def names(self) -> tuple[str, ...]:
        """Return every name that can be loaded, sorted."""
        return tuple(source.name for source in self.sources())

    def load(self, name: str) -> Template:
        """Return the template called *name*; the same object each time.

        Raises:
            KeyError: There is none.
            TemplateError: It, or a macro file, is broken; all problems at once. Or the project's folder of
                templates is a link that leads out of the project: then none is loaded, shipped or not.

        """
        if self._astray:
            raise TemplateError([Problem(message=self._astray, path="templates")])
        if name not in self._loaded:
            source = next((source for source in self.sources() if source.name == name), None)
            if source is None:
                raise KeyError(name)
            self._loaded[name] = self._read(source)
        return self._loaded[name]

    def changed(self) -> tuple[str, ...]:
        """Return the files read so far that are not what they were, as messages show them."""
        return tuple(_shown(source) for source, text in self._texts.items() if self._now(source) != text)

    def _now(self, source: TemplateSource) -> str:
        try:
            return _text_of(source.path, root=self._folders[source.origin], shown=_shown(source))
        except TemplateError:
            return ""

    def _text(self, source: TemplateSource) -> str:
        text = _text_of(source.path, root=self._folders[source.origin], shown=_shown(source))
        self._texts[source] = text
        return text

    def _read(self, source: TemplateSource) -> LoadedTemplate:
        file = File(_shown(source), self._text(source))
        return load_text(file, name=source.name, macros=self._macro_files())

    def _macro_files(self) -> tuple[File, ...]:
        """Return the macro files there are: the shipped one, then the project's own."""
        if self._macros is None:
            found = [
                TemplateSource(MACROS, folder / MACROS, origin)
                for origin in _LAYERS
                if (folder := self._folders.get(origin)) is not None and (folder / MACROS).is_file()
            ]
            self._macros = tuple(File(_shown(source), self._text(source)) for source in found)
        return self._macros


def shipped_folder() -> Path:
    """Return the folder of the shipped templates: in an installed package, else beside it in a checkout."""
    package = Path(runner.__file__).parent
    installed = package / "shipped" / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


def load_text(file: File, *, name: str, macros: Sequence[File]) -> LoadedTemplate:
    """Return the template that a *file* (front matter and body) is, called *name* in specs.

    Args:
        file: The template.
        name: What specs call it.
        macros: The macro files; those of a later one hide those of an earlier one.

    Raises:
        TemplateError: With every problem of the front matter, or else of a macro file, or else of the body.

    """
    matter, first = cut(file.text, path=file.path)
    front = read_front(matter, path=file.path)
    parameters = front.parameters.values()
    seeds = [parameter.name for parameter in parameters if parameter.type == "seed"]
    source = Source(
        macros=tuple(each.text for each in macros),
        body="\n".join(file.lines[first - 1 :]),
        first=first,
        parameters=tuple(front.parameters),
        texts=tuple(parameter.name for parameter in parameters if parameter.type == "text"),
        seed=seeds[0] if len(seeds) == 1 else "",
    )
    try:
        facts = CLIENT.load(source)
    except Refused as fault:
        raise _told(fault, file, macros) from fault
    return LoadedTemplate(
        name=name,
        path=file.path,
        title=front.title,
        parameters=front.parameters,
        outputs=front.outputs,
        optional=front.optional,
        comfyui=front.comfyui,
        packs=front.packs,
        body=source.body,
        body_line=first,
        digest=_digest(file, macros, facts),
        series=Series(source.seed if facts.written else ""),
        program=TextProgram(source, lines=file.lines, path=file.path),
    )


def _told(fault: Refused, file: File, macros: Sequence[File]) -> TemplateError:
    problems = []
    for number, line, message in fault.mistakes:
        place = file if number == BODY or number >= len(macros) else macros[number]
        problems.append(problem_at(place.path, place.lines, line, message))
    return TemplateError(problems)


def _digest(file: File, macros: Sequence[File], facts: Facts) -> str:
    """Return the hash of the text and of those macro files whose macros it calls.

    Of a macro that is defined twice the later file counts, and with it all before, which it may call.
    """
    by_name: dict[str, bytes] = {}
    for each, names in zip(macros, facts.macros, strict=True):
        so_far = b"".join(sorted(set(by_name.values())))
        by_name.update(dict.fromkeys(names, sha256(so_far + each.text.encode()).digest()))
    used = sorted({by_name[name] for name in facts.called if name in by_name})
    return sha256(b"".join([sha256(file.text.encode()).digest(), *used])).hexdigest()


def _astray(folder: Path, project: Path) -> str:
    """Return why the templates in *folder* are none of *project*'s; empty where they are."""
    try:
        if resolved(folder).is_relative_to(resolved(project)):
            return ""
    except OSError as fault:
        return f"cannot be read: {fault.strerror}"
    return f"it leads out of the project folder {project}; copy the templates into the project"


def _text_of(path: Path, *, root: Path, shown: str) -> str:
    """Return the text of a template file; its line ends are LF."""
    try:
        if not resolved(path).is_relative_to(resolved(root)):
            raise TemplateError([Problem(message=f"it leads out of {root.name}/", path=shown)])
        # Asked before opening: to open a pipe is to wait for its writer.
        if not path.is_file():
            raise TemplateError([Problem(message="it is not a regular file", path=shown)])
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as fault:
        raise TemplateError([Problem(message=f"cannot be read: {fault.strerror}", path=shown)]) from fault
    if len(content) > LARGEST_FILE:
        raise TemplateError([Problem(message="a template has at most 1 MiB", path=shown)])
    try:
        text, _ = decode(content, path=shown)
    except SpecError as fault:
        raise TemplateError(fault.problems) from fault
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _shown(source: TemplateSource) -> str:
    if source.origin == "shipped":
        return f"shipped/templates/{source.path.name}"
    full, near = str(source.path), os.path.relpath(source.path)
    return near if len(near) < len(full) else full
