"""Answers to thalamic pulses: when each population responds, how strongly, and in which order.

One run with many pulses, 100 ms apart; what is measured is defined in `validation.impact.measures`
(a response begins where the mean rate is above that before the pulse by three standard deviations,
twice in a row).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Experiment
from portable_cortex.errors import InvalidValueError, UnsupportedError
from portable_cortex.experiment import Reporter
from portable_cortex.models.loader import load_model

from ..impact import BIN, EVERY, FIRST, around_pulses, of_response, whole
from ._trials import check_backend

F64 = NDArray[np.float64]
PARAMETER = "thalamic_pulses"
SOURCE = "TC"  # the thalamus itself
LEAST = 10  # pulses


@dataclass(frozen=True)
class Pulses:
    """Responses of populations.

    Attributes
    ----------
    responses : dict of str to dict of str to float
        By population: ``onset``, ``peak_time``, ``recovery`` (ms after the pulse; not a number
        where nothing responds), ``peak``, ``baseline`` (spikes/s), ``spikes`` (of a neuron within
        20 ms, above the baseline), ``undershoot`` (the lowest rate of 2 ms after the peak, of the
        baseline).
    rates : dict of str to tuple of float
        Rate around a pulse by population, spikes/s, in bins of 0.5 ms from 20 ms before it.
    order : tuple of str
        Populations by the onset of their response.
    pulses : int
    settings : dict
        Of the experiment.
    """

    responses: Mapping[str, Mapping[str, float]]
    rates: Mapping[str, tuple[float, ...]]
    order: tuple[str, ...]
    pulses: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def respond_to_pulses(
    experiment: Experiment, pulses: int = 100, *, reporter: Reporter | None = None
) -> Pulses:
    """Run a model with pulses and measure the responses.

    Parameters
    ----------
    experiment : Experiment
        Of a model that takes ``thalamic_pulses``; its duration is that of the pulses.
    pulses : int
    reporter : Reporter, optional

    Raises
    ------
    InvalidValueError
        For fewer than 10 pulses.
    UnsupportedError
        For a model without thalamic pulses.

    Examples
    --------
    >>> found = respond_to_pulses(Experiment(parameters={"scale": 0.05}, warmup=100.0), 20)
    >>> found.responses["L4E"]["onset"] < 10
    True
    """
    if isinstance(pulses, bool) or not isinstance(pulses, int) or pulses < LEAST:
        raise InvalidValueError(f"responses need {LEAST} pulses or more, not {pulses!r}")
    check_backend(experiment)
    model = load_model(experiment.model)
    if PARAMETER not in model.parameters:
        raise UnsupportedError(
            f"model {model.name!r} takes no {PARAMETER} (onsets, ms), which this task sets"
        )
    onsets = [experiment.warmup + FIRST + EVERY * k for k in range(pulses)]
    run = replace(
        experiment,
        parameters={**experiment.parameters, PARAMETER: onsets},
        duration=EVERY * pulses,
    )
    recording = run.run(reporter)
    rates, responses = {}, {}
    for label in recording.populations:
        if label == SOURCE:
            continue
        times, n = whole(recording, label).times, recording.n_neurons[label]
        rate = around_pulses(times, n, recording.t_start, recording.t_stop)
        rates[label] = tuple(rate.tolist())
        responses[label] = {**of_response(rate), **_beside(rate)}
    onset = {label: found["onset"] for label, found in responses.items()}
    order = sorted((label for label in onset if np.isfinite(onset[label])), key=onset.__getitem__)
    return Pulses(responses, rates, tuple(order), pulses, run.settings())


def _beside(rate: F64) -> dict[str, float]:
    """The rate before the pulse, and how far it falls below that after the peak."""
    start = round(FIRST / BIN)
    base, after = float(rate[:start].mean()), rate[start:]
    width = round(2.0 / BIN)
    smooth = np.convolve(after[int(np.argmax(after)) :], np.full(width, 1 / width), "valid")
    lowest = float(smooth.min()) if smooth.size else float("nan")
    return {"baseline": base, "undershoot": lowest / base if base else float("nan")}
