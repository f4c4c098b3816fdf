"""Recordings of any program: the layouts in which they lie on a disk, and the runs in a folder."""

from .layouts import FORMATS, Format, format_of
from .runs import find_runs, is_run, load_sound

__all__ = [
    "FORMATS",
    "Format",
    "find_runs",
    "format_of",
    "is_run",
    "load_sound",
]
