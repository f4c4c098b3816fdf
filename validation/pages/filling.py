"""Templates filled with text that is escaped, whatever it holds, and files written whole."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from portable_cortex.errors import OutputError
from portable_cortex.host.output import whole

from ..verdict import clean, describe, number, percent


def fill(template: str, content: Mapping[str, Any]) -> str:
    """A page from one of the ``templates`` and everything that it shows."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            clean(value) if isinstance(value, str) and not _safe(value) else value
        ),
    )
    environment.filters |= {"number": number, "percent": percent, "describe": describe}
    return environment.get_template(template).render(content)


def _text(name: str) -> str:
    return (resources.files(__package__) / "templates" / name).read_text("utf-8")


def _safe(value: str) -> bool:
    return hasattr(value, "__html__")


def write_text(path: Path, text: str, what: str) -> Path:
    """Write a file, its folder too.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            part.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise OutputError(f"the {what} could not be written to {path}: {error}") from error
    return path
