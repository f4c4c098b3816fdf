"""Formats of synaptic weights: as a backend holds them, or rounded in the description.

A weight in ``bfloat16`` is a float32 of which only the upper 16 bits are used: its sign, its
exponent and 8 significant bits. All backends can hold such numbers: they can be given the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError


def in_format(weights: Any, weight_format: str) -> Any:
    """Weights as they are (``full``), or those of ``bfloat16`` that are the nearest.

    They are rounded to float32, and that to bfloat16: of two that are as near, the even one.

    Raises
    ------
    InvalidValueError
        For a weight that is too large, or not a number.

    Examples
    --------
    >>> in_format([0.1, -1.0], "bfloat16").tolist()
    [0.10009765625, -1.0]
    """
    if weight_format == "full":
        return weights
    with np.errstate(over="ignore"):
        single = np.array(weights, np.float64).astype(np.float32)
    bits = single.view(np.uint32)
    last = (bits >> np.uint32(16)) & np.uint32(1)
    upper = (bits + np.uint32(0x7FFF) + last) & np.uint32(0xFFFF0000)
    rounded: NDArray[np.float64] = upper.view(np.float32).astype(np.float64)
    wrong = ~(np.isfinite(single) & np.isfinite(rounded))
    if np.any(wrong):
        worst = float(np.asarray(weights, np.float64)[wrong][0])
        raise InvalidValueError(
            f"weights must be from -3.38e38 to 3.38e38 to be rounded to bfloat16, not {worst:g}"
        )
    return rounded
