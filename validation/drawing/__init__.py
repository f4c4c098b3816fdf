"""The geometry of pictures: axes, round numbers, and where labels stand. It draws nothing."""

from .axis import Axis, Tick, round_numbers
from .labels import Box, Position, place_labels

__all__ = [
    "Axis",
    "Box",
    "Position",
    "Tick",
    "place_labels",
    "round_numbers",
]
