"""What a reader gets of a validation: the page, the terminal, and files for other programs.

``templates/`` holds the pages: that of a validation, and those of `impact_page` and
`scoreboard_page`, with the pictures and the style that they share.
"""

from .cost_section import Account, account
from .export import to_json, to_junit, to_markdown
from .filling import write_text
from .panels import Panel, Raster, distributions, raster, spectra
from .report import render, write_report
from .terminal import show

__all__ = [
    "Account",
    "Panel",
    "Raster",
    "account",
    "distributions",
    "raster",
    "render",
    "show",
    "spectra",
    "to_json",
    "to_junit",
    "to_markdown",
    "write_report",
    "write_text",
]
