"""Templates → workflows: job and template in, a checked graph with its digest out.

`Catalog` finds and loads templates; `render`, `recipe`, `bind` and the digests are pure. What a template may
contain is said in `templates/README.md`.
"""

from runner.render.bind import bind, files_of
from runner.render.catalog import Catalog, LoadedTemplate, TemplateSource, shipped_folder
from runner.render.digest import canonical, node_digests, workflow_digest
from runner.render.workflow import RENDER_VERSION, lines_of, recipe, recipe_by_seed, render

__all__ = [
    "RENDER_VERSION",
    "Catalog",
    "LoadedTemplate",
    "TemplateSource",
    "bind",
    "canonical",
    "files_of",
    "lines_of",
    "node_digests",
    "recipe",
    "recipe_by_seed",
    "render",
    "shipped_folder",
    "workflow_digest",
]
