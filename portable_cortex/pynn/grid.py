"""Times on the time grid: the same rules on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-6  # of a step: what floats add to a multiple of it
_HALF = 0.5 + 1e-10  # so that 0.15 ms at steps of 0.1 ms is a half, whatever floats make of it


def whole_steps(duration: Any, step: float) -> NDArray[np.float64]:
    """Steps that a duration takes: those begun are counted, as NEST and SpiNNaker count them.

    It is the rule for refractory times and for the times of array sources, which are never early.

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


def nearest_steps(time: Any, step: float) -> NDArray[np.float64]:
    """The nearest point of the grid, in steps; a half goes up.

    It is the rule for delays, for the length of a run and for the times of currents.

    Parameters
    ----------
    time : float or array
    step : float
        In the same unit.

    Examples
    --------
    >>> nearest_steps([0.04, 0.15, 0.25, 10.0], 0.1).tolist()
    [0.0, 2.0, 3.0, 100.0]
    """
    return np.floor(np.asarray(time, dtype=float) / step + _HALF)


def delay_steps(delays: Any, step: float) -> NDArray[np.int32]:
    """Delays, ms, in steps.

    Raises
    ------
    pyNN.errors.ConnectionError
        For a delay of less than half a step.

    Examples
    --------
    >>> delay_steps([0.11, 0.25], 0.1).tolist()
    [1, 3]
    """
    steps = nearest_steps(delays, step)
    if np.size(steps) and not np.min(steps) >= 1:
        from pyNN.errors import ConnectionError as Refused  # slow to import

        raise Refused(
            f"a delay must be one time step ({step:g} ms) or more, not {float(np.min(delays)):g} ms"
        )
    return np.asarray(steps, np.int32)
