r"""Normally distributed weights that take a few values only.

Bins of equal width :math:`\Delta` beside each other, as many on either side of the mean, get the
weight in their middle and the probability that the normal distribution has there; its tails fall to
the outer bins. The mean stays. Of the unit normal distribution, with bins :math:`k = 1 \ldots N`:

.. math::
   z_k = \left(k - \tfrac{N + 1}{2}\right) \Delta, \qquad
   p_k = \Phi(z_k + \Delta / 2) - \Phi(z_k - \Delta / 2)

*Naive* bins reach from -3 to 3 standard deviations, and a few of them have more variance than the
normal distribution. The others have a width with which :math:`\sum_k p_k z_k^2 = 1`: the smallest,
where there are two (an odd number of bins has another one near 3.46) [1]_.

References
----------
.. [1] Dasbach S, Tetzlaff T, Diesmann M, Senk J (2021). Dynamical characteristics of recurrent
   neuronal networks are robust against low synaptic weight resolution. Front Neurosci 15:757790.
   doi:10.3389/fnins.2021.757790

Examples
--------
>>> three = parse("discrete:3")
>>> [round(value, 3) for value in three.values], round(three.sd, 12)
([-1.471, 0.0, 1.471], 1.0)
>>> round(parse("naive:3").sd, 3)
1.127
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache

from ..errors import InvalidValueError

NORMAL = "normal"
MOST = 256
"""Levels at most: those of 8 bits."""

REACH = 3.0  # of naive bins, standard deviations


@dataclass(frozen=True)
class Levels:
    """The values that weights can have, and how probable they are.

    Attributes
    ----------
    values : tuple of float
        In standard deviations of the normal distribution from its mean, ascending.
    probabilities : tuple of float
    """

    values: tuple[float, ...]
    probabilities: tuple[float, ...]

    @property
    def sd(self) -> float:
        """Standard deviation; the normal distribution's is 1."""
        pairs = zip(self.values, self.probabilities, strict=True)
        return math.sqrt(sum(p * value**2 for value, p in pairs))

    def weights(self, mean: float, sd: float) -> tuple[float, ...]:
        """The values for a normal distribution of this mean and standard deviation.

        Examples
        --------
        >>> parse("discrete:2").weights(mean=10.0, sd=1.0)
        (9.0, 11.0)
        """
        return tuple(mean + value * sd for value in self.values)


def parse(text: str) -> Levels | None:
    """The levels that a text names.

    Parameters
    ----------
    text : str
        ``normal``, ``mean``, ``discrete:N`` (with the variance of the normal distribution) or
        ``naive:N``, with N levels.

    Returns
    -------
    Levels or None
        None for ``normal``.

    Raises
    ------
    InvalidValueError
        For any other text.

    Examples
    --------
    >>> parse("normal"), parse("mean")
    (None, Levels(values=(0.0,), probabilities=(1.0,)))
    """
    if text == NORMAL:
        return None
    if text == "mean":
        return equal_bins(1, 1.0)
    named = re.fullmatch(r"(discrete|naive):([0-9]{1,3})", str(text))
    if not named or not 1 <= int(named[2]) <= MOST:
        raise InvalidValueError(
            "weights must be normal, mean, discrete:N (N levels with the variance of the normal "
            f"distribution) or naive:N (N levels from -3 to 3 standard deviations), N from 1 to "
            f"{MOST}, such as discrete:3, not {text!r}"
        )
    n = int(named[2])
    return equal_bins(n, 2 * REACH / n if named[1] == "naive" else optimal_width(n))


def equal_bins(n: int, width: float) -> Levels:
    """Levels in the middle of `n` bins of the unit normal distribution.

    Parameters
    ----------
    n : int
    width : float
        Of a bin, standard deviations.
    """
    values = tuple((k - (n - 1) / 2) * width for k in range(n))
    ends = (-math.inf, *(value + width / 2 for value in values[:-1]), math.inf)
    return Levels(values, tuple(_between(ends[k], ends[k + 1]) for k in range(n)))


@cache
def optimal_width(n: int) -> float:
    """The smallest width with which `n` bins have the variance of the normal distribution.

    Of one bin, which has none at any width, it is 1.
    """
    if n == 1:
        return 1.0
    low = high = 2.0 / (n - 1)  # all weights in the outer bins would have it; some are nearer
    while equal_bins(n, high).sd < 1:
        low, high = high, 1.02 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if equal_bins(n, middle).sd < 1 else (low, middle)
    return high


def _between(low: float, high: float) -> float:
    """How probable a value between two is, of the unit normal distribution."""
    if low > 0:  # where differences of small numbers are exact
        low, high = -high, -low
    return 0.5 * (math.erfc(-high / math.sqrt(2)) - math.erfc(-low / math.sqrt(2)))
