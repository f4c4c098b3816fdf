"""The layouts in which a recording may lie on a disk, one module each.

Each layout is two functions: ``holds(path) -> bool`` tells whether a file or folder has that
layout by the files that are there, and ``load(path) -> Recording`` reads it or raises an
`OutputError` that names file and place, and says what was expected. A reader converts or refuses;
it never leaves out what it does not understand. `FORMATS` lists them, in the order in which a
folder is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from portable_cortex import Recording
from portable_cortex.recording import RUN, UNFINISHED
from portable_cortex.recording.archive import is_archive

from . import described, inm6, neo_block


class Format(NamedTuple):
    """A layout of recordings.

    Attributes
    ----------
    name : str
    holds : callable
        Whether a file or folder has this layout.
    load : callable
        Reads it; raises `OutputError`.
    """

    name: str
    holds: Callable[[Path], bool]
    load: Callable[[Path], Recording]


def _holds_ours(path: Path) -> bool:
    """Whether a folder has a run, or one that is not over."""
    return (path / RUN).is_file() or (path / UNFINISHED).is_dir()


FORMATS = (
    Format("portable-cortex", _holds_ours, Recording.load),
    Format("archive of a job", is_archive, Recording.load),
    Format("described files", described.holds, described.load),
    Format("INM-6 PyNEST package", inm6.holds, inm6.load),
    Format("Neo blocks", neo_block.holds, neo_block.load),
)


def format_of(path: Path) -> Format | None:
    """The layout of a file or folder; None if it holds no recording that is known.

    Examples
    --------
    >>> format_of(Path("nowhere")) is None
    True
    """
    return next((layout for layout in FORMATS if layout.holds(path)), None)
