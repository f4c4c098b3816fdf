"""What can be read from a population at one moment: filtered spikes, and a linear readout."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Spikes
from portable_cortex.errors import BackendUnavailableError

F64 = NDArray[np.float64]
PENALTIES = np.logspace(-3, 5, 17)


def filtered(spikes: Spikes, n: int, at: float, tau: float) -> F64:
    """Spikes of each neuron before a moment, filtered by an exponential function.

    Parameters
    ----------
    spikes : Spikes
    n : int
        Neurons.
    at, tau : float
        The moment, and the time constant, ms.

    Returns
    -------
    array, shape (n,)

    Examples
    --------
    >>> filtered(Spikes(np.array([5.0, 10.0, 20.0]), np.array([1, 1, 0])), 2, 10.0, 5.0).round(3)
    array([0.   , 1.368])
    """
    past = spikes.times <= at
    weights = np.exp((spikes.times[past] - at) / tau)
    found: F64 = np.bincount(spikes.neurons[past], weights, minlength=n)[:n].astype(float)
    return found


def require() -> None:
    """Raise `BackendUnavailableError` unless scikit-learn is installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise BackendUnavailableError(
            "the readout needs scikit-learn, which is not installed: run pip install "
            "'portable-cortex[tasks]'"
        )


def kappa(features: F64, labels: NDArray[Any], n_train: int) -> float:
    """Cohen's kappa of a linear readout on trials that it was not fitted to.

    A ridge regression whose penalty is chosen by leaving out one training trial at a time.

    Parameters
    ----------
    features : array, shape (trials, neurons)
    labels : array of bool, shape (trials,)
    n_train : int
        The first so many trials are for fitting.

    Returns
    -------
    float
        1 for no mistake, 0 for what guessing reaches.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> labels = rng.random(300) < 0.5
    >>> features = rng.normal(size=(300, 5)) + 3 * labels[:, np.newaxis]
    >>> kappa(features, labels, 200) > 0.9, abs(kappa(features[::-1], labels, 200)) < 0.3
    (True, True)
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.metrics import cohen_kappa_score

    train, test = labels[:n_train], labels[n_train:]
    if len(set(train)) < 2 or len(set(test)) < 2:
        return float("nan")
    spread = features[:n_train].std(axis=0)
    scaled = features[:, spread > 0] / spread[spread > 0]
    if not scaled.shape[1]:
        return 0.0
    fitted = RidgeClassifierCV(alphas=PENALTIES).fit(scaled[:n_train], train)
    return float(cohen_kappa_score(test, fitted.predict(scaled[n_train:])))
