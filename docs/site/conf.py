"""The documentation as a site: what ``make docs`` builds.

Its pages are the Markdown files of the repository as they are. The table of contents is what
``docs/index.md`` links to, under its headings; a page that is not there is an error, as is a link
that leads nowhere and a public name without a docstring.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from types import FunctionType
from typing import Any

from docutils import nodes
from pygments.lexers.shell import BashLexer
from sphinx.application import Sphinx
from sphinx.util import logging

import portable_cortex

project = "portable-cortex"
author = "The portable-cortex developers"
copyright = author  # noqa: A001  # Sphinx calls it so
release = metadata.version(project)

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**",
    "benchmarks/README.md",
]
exclude_patterns = ["docs/site"]
templates_path = [str(Path(__file__).parent)]

myst_heading_anchors = 4  # as GitHub makes them
nb_execution_mode = "off"  # notebooks are shown with the outputs that they hold
suppress_warnings = ["misc.highlighting_failure"]  # cells have commands of the shell among Python
smartquotes_action = "q"  # two hyphens begin an option, three dots stay as they were written
default_role = "py:obj"  # names between backticks in docstrings
add_module_names = False  # the page of a module begins with it
autodoc_typehints = "none"  # the docstrings have them, with shapes and units
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = f"{project} {release}"
html_show_sphinx = False
html_copy_source = False

SHORT, LONG = 16, 60  # characters of a cell of a table
log = logging.getLogger(__name__)


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """The links of the index, under its headings, as table of contents.

    Pages of other folders are called what the index calls them.
    """
    if page != root_doc:
        return
    contents, listed = [], set()
    for heading, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", source[0], flags=re.MULTILINE):
        contents += [f"```{{toctree}}\n:hidden:\n:caption: {heading}\n"]
        for name, link in re.findall(r"\[([^]]+)\]\(([\w./-]+)\.(?:md|ipynb)\)", text):
            if link not in listed:
                contents.append(f"{name} <{link}>" if link.startswith("..") else link)
            listed.add(link)
        contents.append("```\n")
    source[0] += "\n" + "\n".join(contents)


def name_pages(app: Sphinx, page: str, source: list[str]) -> None:
    """Links that have the name of a file, which is for GitHub, get the title of its page."""
    source[0] = re.sub(r"\[[\w./-]+\.md\]\(([\w./-]+\.md(?:#[\w-]+)?)\)", r"[](\1)", source[0])


def measure_cells(app: Sphinx, document: nodes.document) -> None:
    """Short cells of tables are not broken, and long ones get room; ``site.css`` says how."""
    for cell in document.findall(nodes.entry):
        length = len(cell.astext())
        cell["classes"] += ["short"] * (length <= SHORT) + ["long"] * (length >= LONG)


def is_left_out(
    app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Whether a member has no place on the page of a module.

    What the package itself gives is described there alone. Members without a docstring are left
    out: constants, fields, which the docstring of their class has, and mistakes, which are told.
    """
    at_top = app.env.docname == "docs/api/portable_cortex"
    if what == "module" and not at_top and getattr(portable_cortex, name, None) is thing:
        return True
    of_package = getattr(thing, "__module__", "").startswith("portable_cortex")
    if skip and of_package and isinstance(thing, type | FunctionType) and not name.startswith("_"):
        log.warning("%s.%s is public and has no docstring", thing.__module__, thing.__qualname__)
    return None


def lead_to_index(app: Sphinx, error: Exception | None) -> None:
    """Whoever opens the site's folder gets to the index."""
    if not error:
        target = app.builder.get_target_uri(root_doc)
        page = f'<!doctype html><meta http-equiv="refresh" content="0; url={target}">\n'
        (Path(app.outdir) / "index.html").write_text(page, "utf-8")


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.add_lexer("console", BashLexer)  # blocks of commands without prompt and output
    app.connect("source-read", add_contents)
    app.connect("source-read", name_pages)
    app.connect("doctree-read", measure_cells)
    app.connect("autodoc-skip-member", is_left_out)
    app.connect("build-finished", lead_to_index)
