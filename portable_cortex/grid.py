"""Durations on the time grid: the same rule on every backend that computes its own steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-6  # of a step: what floats add to a multiple of it


def whole_steps(duration: Any, step: float) -> NDArray[np.float64]:
    """Steps that a duration takes: those begun are counted, as NEST and SpiNNaker count them.

    Parameters
    ----------
    duration : float or array
    step : float
        In the same unit.

    Examples
    --------
    >>> whole_steps([0.0, 0.1, 0.3, 2.4], 0.1).tolist(), float(whole_steps(1.5, 1.0))
    ([0.0, 1.0, 3.0, 24.0], 2.0)
    """
    return np.ceil(np.asarray(duration, dtype=float) / step - _ROUNDING) + 0.0  # no -0.0
