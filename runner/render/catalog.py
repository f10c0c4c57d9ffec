"""Where templates come from: the project's folder first, then the ones that ship with animerun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple

from jinja2 import TemplateSyntaxError, nodes
from jinja2.runtime import Macro

import runner
from runner.domain import Template
from runner.errors import Problem, SpecError, TemplateError
from runner.render.bounds import excess_of_source, excess_of_tree
from runner.render.environment import JsonEnvironment
from runner.render.front import NAME, Front, cut, read_front
from runner.render.lint import Slip, lint_body, lint_macros, lint_tokens
from runner.render.program import MAX_PROBLEMS, Program, TextProgram, compiled, problem_at
from runner.render.series import Series, written_only
from runner.text.decode import decode

SUFFIX: Final = ".json.j2"
MACROS: Final = "nodes.j2"
LARGEST_FILE: Final = 2**20
"""Bytes of one template or macro file."""

Origin = Literal["project", "shipped"]


class TemplateSource(NamedTuple):
    """One template that can be loaded."""

    name: str
    path: Path
    origin: Origin


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
        self._folders: dict[Origin, Path] = {} if project is None else {"project": project / "templates"}
        self._folders["shipped"] = shipped_folder()
        self._environment: JsonEnvironment | None = None
        self._macro_digests: dict[str, bytes] = {}
        self._loaded: dict[str, Template] = {}
        self._texts: dict[TemplateSource, str] = {}

    def sources(self) -> tuple[TemplateSource, ...]:
        """Return every template that can be loaded, sorted by name."""
        found: dict[str, TemplateSource] = {}
        for origin, folder in self._folders.items():
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                name = path.name.removesuffix(SUFFIX)
                if NAME.fullmatch(name):
                    found.setdefault(name, TemplateSource(name, path, origin))
        return tuple(found[name] for name in sorted(found))

    def names(self) -> tuple[str, ...]:
        """Return every name that can be loaded, sorted."""
        return tuple(source.name for source in self.sources())

    def load(self, name: str) -> Template:
        """Return the template called *name*; the same object each time.

        Raises:
            KeyError: There is none.
            TemplateError: It, or a macro file, is broken; all problems at once.

        """
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
        environment = self._with_macros()
        shown = _shown(source)
        text = self._text(source)
        return load_text(
            text, name=source.name, path=shown, environment=environment, macros=self._macro_digests
        )

    def _with_macros(self) -> JsonEnvironment:
        if self._environment is None:
            environment = JsonEnvironment()
            for origin in ("shipped", "project"):
                folder = self._folders.get(origin)
                if folder is not None and (folder / MACROS).is_file():
                    self._add_macros(environment, TemplateSource(MACROS, folder / MACROS, origin))
            self._environment = environment
        return self._environment

    def _add_macros(self, environment: JsonEnvironment, source: TemplateSource) -> None:
        shown = _shown(source)
        text = self._text(source)
        macros = load_macros(text, path=shown, environment=environment)
        environment.add_macros(macros)
        so_far = b"".join(sorted(set(self._macro_digests.values())))
        digest = sha256(so_far + text.encode()).digest()
        self._macro_digests.update(dict.fromkeys(macros, digest))


def shipped_folder() -> Path:
    """Return the folder of the shipped templates: in an installed package, else beside it in a checkout."""
    package = Path(runner.__file__).parent
    installed = package / "shipped" / "templates"
    return installed if installed.is_dir() else package.parent / "templates"


def load_macros(text: str, *, path: str, environment: JsonEnvironment) -> dict[str, Macro]:
    """Return the macros of a `nodes.j2`, by name; they may call those that *environment* has already."""
    lines = tuple(text.split("\n"))
    tree = _parsed(environment, text, lines, path)
    slips = [*lint_tokens(environment, text), *lint_macros(tree, macros=_macros_of(environment))]
    _refuse(slips, lines, path)
    names = [macro.name for macro in tree.find_all(nodes.Macro)]
    module = compiled(environment, tree, path).module
    return {name: getattr(module, name) for name in names}


def load_text(
    text: str, *, name: str, path: str, environment: JsonEnvironment, macros: Mapping[str, bytes]
) -> LoadedTemplate:
    """Return the template that *text* is.

    Args:
        text: The whole file: front matter and body.
        name: What specs call it.
        path: The file's name for messages.
        environment: Holds the macros.
        macros: Macro name → digest of the macro files that define it.

    Raises:
        TemplateError: With every problem of the front matter, or else of the body.

    """
    lines = tuple(text.split("\n"))
    matter, first = cut(text, path=path)
    front = read_front(matter, path=path)
    body = "\n".join(lines[first - 1 :])
    padded = "\n" * (first - 1) + body
    tree = _parsed(environment, padded, lines, path)
    slips = lint_tokens(environment, padded) + lint_body(
        tree,
        parameters=front.parameters,
        texts={parameter.name for parameter in front.parameters.values() if parameter.type == "text"},
        macros=_macros_of(environment),
    )
    _refuse(slips, lines, path)
    return LoadedTemplate(
        name=name,
        path=path,
        title=front.title,
        parameters=front.parameters,
        outputs=front.outputs,
        comfyui=front.comfyui,
        packs=front.packs,
        body=body,
        body_line=first,
        digest=_digest(text, tree, macros),
        series=Series(_written_seed(front, tree)),
        program=TextProgram(environment, padded, lines=lines, path=path),
    )


def _written_seed(front: Front, tree: nodes.Template) -> str:
    """Return the one parameter of type `seed` that the body only writes, else nothing."""
    seeds = [parameter.name for parameter in front.parameters.values() if parameter.type == "seed"]
    return seeds[0] if len(seeds) == 1 and written_only(tree, seeds[0]) else ""


def _digest(text: str, tree: nodes.Template, macros: Mapping[str, bytes]) -> str:
    called = {call.node.name for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name)}
    used = sorted({macros[name] for name in called if name in macros})
    return sha256(b"".join([sha256(text.encode()).digest(), *used])).hexdigest()


def _macros_of(environment: JsonEnvironment) -> set[str]:
    return {name for name, value in environment.globals.items() if isinstance(value, Macro)}


def _parsed(environment: JsonEnvironment, source: str, lines: tuple[str, ...], path: str) -> nodes.Template:
    if excess := excess_of_source(source):
        raise TemplateError([Problem(message=excess, path=path)])
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as fault:
        raise TemplateError(
            [problem_at(path, lines, fault.lineno, fault.message or "broken Jinja")]
        ) from fault
    except RecursionError as fault:
        raise TemplateError([Problem(message="it is nested too deeply", path=path)]) from fault
    except ValueError as fault:
        raise TemplateError([Problem(message="it holds a number that is far too long", path=path)]) from fault
    line, excess = excess_of_tree(tree)
    if excess:
        raise TemplateError([problem_at(path, lines, line, excess)])
    return tree


def _refuse(slips: list[Slip], lines: tuple[str, ...], path: str) -> None:
    if slips:
        ordered = sorted(set(slips))[:MAX_PROBLEMS]
        raise TemplateError([problem_at(path, lines, slip.line, slip.message) for slip in ordered])


def _text_of(path: Path, *, root: Path, shown: str) -> str:
    """Return the text of a template file; its line ends are LF."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise TemplateError([Problem(message=f"it leads out of {root.name}/", path=shown)])
    try:
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
