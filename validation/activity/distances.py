"""Distances between two samples of a statistic: pure functions.

Examples
--------
>>> import numpy as np
>>> a, b = np.arange(100.0), np.arange(100.0) + 10
>>> round(ks(a, b), 3)
0.1
>>> wasserstein(a, b)
10.0
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def ks(a: FloatArray, b: FloatArray) -> float:
    """Kolmogorov-Smirnov distance: largest difference between the two distribution functions."""
    a, b = np.sort(a), np.sort(b)
    points = np.concatenate([a, b])
    below_a = np.searchsorted(a, points, side="right") / a.size
    below_b = np.searchsorted(b, points, side="right") / b.size
    return float(np.abs(below_a - below_b).max())


def wasserstein(a: FloatArray, b: FloatArray) -> float:
    """Earth mover's distance, in the units of the samples."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(a, b))


def kl(sample: FloatArray, reference: FloatArray) -> float:
    """Kullback-Leibler divergence of `sample` from `reference`, as van Albada et al. (2018).

    Histograms with bins of the Freedman-Diaconis width of the reference over the range of both;
    bins that are empty in either are left out (doi:10.3389/fnins.2018.00291, section 2.5).
    """
    q75, q25 = np.percentile(reference, [75, 25])
    low, high = min(sample.min(), reference.min()), max(sample.max(), reference.max())
    width = 2.0 * (q75 - q25) / reference.size ** (1 / 3)
    if not width > 0 or not high > low:
        return 0.0
    n_bins = int(min(10_000, np.ceil((high - low) / width)))
    p, edges = np.histogram(sample, bins=n_bins, range=(low, high))
    q, _ = np.histogram(reference, bins=edges)
    both = (p > 0) & (q > 0)
    p_, q_ = p[both] / sample.size, q[both] / reference.size
    return float(np.sum(p_ * np.log(p_ / q_)))


def effect_size(a: FloatArray, b: FloatArray) -> float:
    """Cohen's d: difference of the means over the pooled standard deviation.

    Not a number for a single value, which has no standard deviation.
    """
    if min(a.size, b.size) < 2:
        return float("nan")
    variance = ((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / (a.size + b.size - 2)
    return float((a.mean() - b.mean()) / np.sqrt(variance)) if variance > 0 else 0.0


def sketch(sample: FloatArray, size: int) -> FloatArray:
    """Up to `size` order statistics at equal steps of probability: the distribution, in small."""
    ordered = np.sort(sample)
    if ordered.size <= size:
        return ordered
    ranks = ((np.arange(size) + 0.5) / size * ordered.size).astype(int)
    return np.asarray(ordered[ranks])
