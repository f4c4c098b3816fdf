"""The geometry of pictures: axes, round numbers, and where labels stand. It draws nothing."""

from .axis import Axis, Tick, round_numbers
from .labels import Box, Place, place

__all__ = [
    "Axis",
    "Box",
    "Place",
    "Tick",
    "place",
    "round_numbers",
]
