"""Whether NEST may draw values that nobody will look at: how probable a wrong one is."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyNN import errors

from portable_cortex.pynn.bounds import HOPELESS, TOLERATED, expected_outside
from portable_cortex.pynn.synapses import required_sign

from ._simulator import state


def is_safe(name: str, value: Any, n: float, projection: Any) -> bool:
    """Whether about `n` values of a distribution may be taken without a look at each.

    Raises
    ------
    pyNN.errors.ConnectionError
        If it is certain, or nearly, that some of them would be wrong.
    """
    distribution = value.base_value
    if name == "weight":
        sign = required_sign(projection)
        if not sign:
            return True
        low, high = (0.0, np.inf) if sign > 0 else (-np.inf, 0.0)
    else:
        low = state.least_delay - 0.5 * state.dt
        high = state.max_delay + 0.5 * state.dt
    expected = expected_outside(distribution, n, low, high)
    if expected > HOPELESS:
        raise errors.ConnectionError(
            f"projection {projection.label}: {name}s must be from {low:g} to {high:g}, and some of "
            f"{distribution} are not. Bound the distribution, e.g. normal_clipped"
        )
    return bool(expected < TOLERATED)
