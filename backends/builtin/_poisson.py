"""Tables from which numbers of Poisson events are drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyNN import errors

from ._kernel import GUIDE, UNSURE

LARGEST_MEAN = 150.0  # events in a step; more do not fit into the guide's bytes


def tables(means: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """For each mean, the distribution function, and a guide to it.

    Parameters
    ----------
    means : array of float64
        Events in a time step.

    Returns
    -------
    limits : array, shape (means, counts)
        Probability of `k` events or fewer; infinite where that is beyond float64's resolution.
    guides : array of uint8, shape (means, GUIDE)
        Number of events where the first bits of a uniform number decide it, `UNSURE` elsewhere.

    Raises
    ------
    InvalidParameterValueError
        For a mean that the guide cannot hold.
    """
    largest = float(means.max(initial=0.0))
    if largest > LARGEST_MEAN:
        raise errors.InvalidParameterValueError(
            f"a Poisson source may fire at most {LARGEST_MEAN:g} times in a time step on average, "
            f"not {largest:g} times: use several sources, or a smaller time step"
        )
    n = int(largest + 12 * np.sqrt(largest) + 30)
    from scipy.special import pdtr  # slow to import, and not for networks without such sources

    limits = pdtr(np.arange(n), means[:, np.newaxis])
    limits[limits >= 1.0 - 2.0**-53] = np.inf
    limits = limits[:, : np.isfinite(limits).any(axis=0).sum() + 1]
    limits[:, -1] = np.inf
    edges = np.arange(GUIDE + 1) / GUIDE
    guides = np.empty((means.size, GUIDE), np.uint8)
    for mean in range(means.size):
        counts = np.searchsorted(limits[mean], edges, side="right")
        # the last number of a part is just below the next part's first
        sure = counts[:-1] == np.searchsorted(limits[mean], edges[1:], side="left")
        guides[mean] = np.where(sure, counts[:-1], UNSURE)
    return limits, guides
