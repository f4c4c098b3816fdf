"""What theory says of a model: rates, irregularity and oscillations, without a simulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidValueError, SimulationError
from ..models.loader import load_model
from ..pynn.description import describe
from .network import Network
from .neuron import F64, METHODS
from .reading import read
from .spectra import Spectra
from .stationary import WorkingPoint, working_point

HIGHEST = 500.0  # Hz
RESOLUTION = 1.0  # Hz
FAST = 0.1  # of the membrane's time constant: what theory takes synapses to be faster than
SMALL = 0.2  # of the input's deviation: what theory takes jumps to be smaller than
TINY = 0.01  # of what the potential rises by from reset to threshold
BUSY = 300.0  # spikes/s from which a second stationary state is looked for
SAME = 1e-3  # relative difference of rates


@dataclass(frozen=True)
class Prediction:
    """The stationary state of a network, and how it oscillates around that.

    Attributes
    ----------
    model : str
    parameters : dict
        Of the model.
    state : WorkingPoint
    frequencies : array
        Hz.
    published : dict of str to float
        Rates that the model publishes, spikes/s.
    """

    model: str
    parameters: Mapping[str, Any]
    state: WorkingPoint
    frequencies: F64
    published: Mapping[str, float]

    @property
    def network(self) -> Network:
        """What theory took from the model."""
        return self.state.network

    @property
    def populations(self) -> tuple[str, ...]:
        """Labels."""
        return self.network.populations

    @property
    def rates(self) -> dict[str, float]:
        """Mean rate of each population, spikes/s."""
        return dict(zip(self.populations, self.state.rates.tolist(), strict=True))

    @cached_property
    def cv(self) -> dict[str, float]:
        """Coefficient of variation of the intervals, averaged over neurons as spikes are."""
        return dict(zip(self.populations, self.state.cv.tolist(), strict=True))

    @cached_property
    def spectra(self) -> Spectra:
        """Response to small fluctuations."""
        return Spectra(self.state, self.frequencies)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Where theory is not to be believed, in sentences."""
        return (
            *_slow(self.network),
            *_grainy(self.state),
            *_elsewhere(self.state),
            *_unstable(self.spectra),
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers but the spectra's, as JSON takes them."""
        given = self.state.input
        columns = {
            "rate": self.state.rates,
            "cv": self.state.cv,
            "mean_input_mV": given.mean,
            "sd_input_mV": given.deviation,
            "spread_mV": self.state.spread,
            "gain": self.state.gains,
        }
        return {
            "model": self.model,
            "parameters": dict(self.parameters),
            "method": self.state.method,
            "populations": {
                label: {name: float(values[i]) for name, values in columns.items()}
                for i, label in enumerate(self.populations)
            },
            "peaks": [
                {
                    "frequency_Hz": peak.frequency,
                    "distance": peak.distance,
                    "connections": {
                        f"{self.populations[j]}→{self.populations[i]}": float(peak.amplitude[i, j])
                        for i, j in peak.strongest()
                    },
                }
                for peak in self.spectra.peaks()
            ],
            "notes": list(self.notes),
        }


def predict(
    model: str | Path = "pd14",
    *,
    method: str = "shift",
    equal: bool = False,
    highest: float = HIGHEST,
    on_progress: Callable[[str], None] = lambda label: None,
    **parameters: Any,
) -> Prediction:
    """Predict what a network of leaky integrate-and-fire neurons does.

    Parameters
    ----------
    model : str or Path
        Name of a model, or a Python file with ``build(sim, ...)``.
    method : {"shift", "taylor"}
        How synaptic time constants enter the rate; see `neuron.rate`.
    equal : bool
        Take the neurons of a population as equal. Unless given, their in-degrees, weights and
        presynaptic rates differ as the network's do.
    highest : float
        Highest frequency of the spectra, Hz.
    on_progress : callable
        Told the label of each population and projection of the model.
    **parameters
        Of the model, e.g. ``scale=0.1``.

    Raises
    ------
    UnsupportedError
        For a network that theory does not know: other neurons, plastic synapses, input that is not
        stationary.
    InvalidValueError, UnknownNameError, ModelError
        For a method, a frequency or parameters that cannot be, and a model that fails.
    SimulationError
        If no stationary state is found.

    Examples
    --------
    >>> found = predict("pd14", scale=1.0)
    >>> {label: round(rate, 1) for label, rate in found.rates.items()}["L4E"]
    4.4
    >>> [peak.frequency for peak in found.spectra.peaks()[:3]]
    [322.0, 322.0, 81.0]
    """
    if method not in METHODS:
        raise InvalidValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if not (np.isfinite(highest) and 10 * RESOLUTION <= highest <= 5000):
        raise InvalidValueError(
            f"the highest frequency must be from {10 * RESOLUTION:g} to 5000 Hz, not {highest:g}"
        )
    loaded = load_model(model)
    loaded.check(parameters)
    network = read(describe(loaded, parameters, on_progress=on_progress))
    return Prediction(
        str(model),
        parameters,
        working_point(network, method=method, equal=equal),
        np.arange(RESOLUTION, highest + RESOLUTION / 2, RESOLUTION, dtype=np.float64),
        loaded.expected_rates(parameters)[0],
    )


def _slow(network: Network) -> Sequence[str]:
    """Synapses that are not fast."""
    ratios = [c.tau_syn / network.cells.tau_m[c.target] for c in network.inputs]
    worst = max(ratios, default=0.0)
    if worst <= FAST:
        return ()
    return (
        f"synaptic time constants reach {worst:.2g} of the membrane's, and theory is of the first "
        f"order in the root of that: rates are less certain than for {FAST:g} and below",
    )


def _grainy(state: WorkingPoint) -> Sequence[str]:
    """Spikes that are not small."""
    jumps, deviation = state.network.jumps(state.rates), state.input.deviation
    cells = state.network.cells
    matters = jumps > TINY * (cells.threshold - cells.reset)
    ratios = np.divide(jumps, deviation, out=np.zeros_like(jumps), where=matters)
    worst = int(ratios.argmax())
    if ratios[worst] <= SMALL:
        return ()
    return (
        f"a spike moves the potential of {state.network.populations[worst]} by "
        f"{jumps[worst]:.2g} mV, {ratios[worst]:.2g} of the standard deviation of its input: "
        "theory takes input for noise of small spikes, and rates are less certain than for "
        f"{SMALL:g} and below",
    )


def _elsewhere(state: WorkingPoint) -> Sequence[str]:
    """Another stationary state."""
    try:
        other = working_point(
            state.network, method=state.method, equal=not state.spread.any(), start=BUSY
        )
    except SimulationError:
        return (f"from {BUSY:g} spikes/s no stationary state was found",)
    if np.allclose(other.rates, state.rates, rtol=SAME, atol=SAME):
        return ()
    rates = zip(state.network.populations, other.rates, strict=True)
    return (
        f"from {BUSY:g} spikes/s the network goes to another stationary state: "
        + ", ".join(f"{label} {rate:.3g}" for label, rate in rates),
    )


def _unstable(spectra: Spectra) -> Sequence[str]:
    """Modes that grow."""
    if not spectra.growing:
        return ()
    frequencies = ", ".join(f"{f:.0f}" for f in spectra.growing)
    return (
        f"fluctuations of {frequencies} Hz grow in linear theory: how large they become it cannot "
        "say, and where they are large, rates are others",
    )
