"""What mean-field theory says of the network of a run; it stands beside, and decides nothing."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Mapping

from portable_cortex import Recording
from portable_cortex.errors import PortableCortexError
from portable_cortex.models.loader import MODELS
from portable_cortex.theory import Prediction, predict

LARGEST = 10.0  # scale of a network that is looked at: what a damaged file says can be anything


def predicted(recording: Recording | None) -> Prediction | None:
    """The prediction for a run of one of the package's models; None where theory has none.

    Parameters
    ----------
    recording : Recording or None

    Examples
    --------
    >>> from portable_cortex import run
    >>> found = predicted(run(backend="mock", scale=0.02, duration=10.0))
    >>> sorted(found.rates)[:2]
    ['L23E', 'L23I']
    """
    about = recording.metadata if recording is not None else {}
    parameters = about.get("parameters")
    name = about.get("model")
    if not isinstance(name, str) or name not in MODELS or not isinstance(parameters, Mapping):
        return None
    given = {str(k): v for k, v in parameters.items() if k != "seed" and v is not None}
    scales = [v for k, v in given.items() if k in ("scale", "n_scale")]
    if not all(isinstance(scale, int | float) and 0 < scale <= LARGEST for scale in scales):
        return None
    return _of(name, json.dumps(given, sort_keys=True))


@functools.lru_cache(8)
def _of(name: str, parameters: str) -> Prediction | None:
    """Several runs are of one network."""
    try:
        with warnings.catch_warnings():  # the run has told them
            warnings.simplefilter("ignore")
            return predict(name, **json.loads(parameters))
    except (PortableCortexError, TypeError, ValueError, ArithmeticError):
        return None  # as for other neurons, or parameters that are none
