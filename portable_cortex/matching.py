"""Give another neuron model the rates of the network's own in the network itself: state-matched.

Where neurons are connected, a current into one population changes the rates of all. The currents of
`calibration`, found outside of the network, are where this begins; then the network runs with its
own neurons and with the others, and the logarithms of the ratios of rates tell the next currents,
by the Jacobian of mean-field theory: :math:`(1 - DW)^{-1} G`, with the effective connectivity
:math:`W` of the network's own neurons, the gains :math:`G` of the others, and :math:`D` the ratio
of both neurons' gains. While far away, the Jacobian learns from what was seen (Broyden 1965,
doi:10.1090/S0025-5718-1965-0198670-6); then steps become smaller, so that chance averages out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .calibration import LEAST, OF_THE_OTHER, Calibration
from .errors import InvalidValueError, SimulationError
from .experiment import Experiment
from .models.loader import load_model
from .pynn.description import describe

if TYPE_CHECKING:
    from .theory import Network

F64 = NDArray[np.float64]

FAR = 0.1  # difference of a rate's logarithm: the Jacobian learns from the step that follows
AVERAGED = 4  # rounds nearer than that, one after another
MOST = 12  # rounds
LARGEST = 0.05  # nA, by which a current changes at once
DURATION = 20_000.0  # ms
WARMUP = 500.0


@dataclass(frozen=True)
class Matched:
    """One population.

    Attributes
    ----------
    current : float
        nA, as the network's own neurons would get it.
    wanted, rate : float
        Of the network with its own neurons and with the others, spikes/s, in a run that the
        currents were not fitted to.
    """

    current: float
    wanted: float
    rate: float

    @property
    def error(self) -> float:
        """Of the rate, relative."""
        return self.rate / self.wanted - 1


@dataclass(frozen=True)
class Match:
    """A neuron model in a network that fires as it did.

    Attributes
    ----------
    model, neuron : str
    seed : int
        The first; each round has another.
    duration : float
        ms, of each run.
    rounds : int
    populations : dict of str to Matched
    """

    model: str
    neuron: str
    seed: int
    duration: float
    rounds: int
    populations: dict[str, Matched]

    @property
    def currents(self) -> dict[str, float]:
        """By population, nA: the model's parameter ``currents``."""
        return {label: found.current for label, found in self.populations.items()}

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**asdict(self), "currents": self.currents}


def match(
    isolated: Calibration,
    *,
    seed: int = 1,
    duration: float = DURATION,
    threads: int = 2,
    on_progress: Callable[[str], None] = lambda what: None,
    **parameters: Any,
) -> Match:
    """Find the constant currents with which a network of other neurons fires as it did.

    Parameters
    ----------
    isolated : Calibration
        Of the neuron, for the same model: where to begin, and the gains.
    seed : int
        Of the first round; each has another.
    duration : float
        Model time of each run, ms. How well rates are known depends on it.
    threads : int
    on_progress : callable
        Told what is being done.
    **parameters
        Of the model: ``scale``, and what was given to `calibration.calibrate`.

    Raises
    ------
    UnsupportedError
        If theory does not know the model, whose neurons have to be leaky integrate-and-fire.
    SimulationError
        If a population of the model does not fire, or rates stay far away.
    InvalidValueError
        For a duration or a seed that cannot be.

    Examples
    --------
    >>> from portable_cortex.calibration import calibrate
    >>> found = match(calibrate("lif_cond_exp", conductance=0.05),
    ...               scale=0.1, conductance=0.05)  # doctest: +SKIP
    >>> found.currents["L23E"]  # doctest: +SKIP
    0.00463
    """
    check(isolated.model, seed=seed, duration=duration, **parameters)
    labels = tuple(isolated.populations)
    network = _Network(isolated, parameters, duration, threads)
    jacobian = network.jacobian(labels)
    currents = np.array([isolated.currents[label] for label in labels])
    near, before = 0, None
    for number in range(MOST):
        on_progress(f"round {number + 1}, {near} of {AVERAGED} near")
        wanted, rates = network.rates(labels, currents, seed + number)
        error = np.log(np.maximum(rates, LEAST)) - np.log(wanted)
        is_near = np.abs(error).max() < FAR
        if near == AVERAGED and is_near:
            found = zip(currents.round(5).tolist(), wanted.tolist(), rates.tolist(), strict=True)
            populations = {n: Matched(*own) for n, own in zip(labels, found, strict=True)}
            return Match(isolated.model, isolated.neuron, seed, duration, number + 1, populations)
        if before is not None and np.abs(before[1]).max() > FAR:
            jacobian = _learnt(jacobian, currents - before[0], error - before[1])
        before = currents, error
        near = near + 1 if is_near and near < AVERAGED else 0
        step = -np.linalg.lstsq(jacobian, error, rcond=None)[0] / max(near, 1)  # it may be singular
        currents = currents + np.clip(step, -LARGEST, LARGEST)
    worst = int(np.abs(error).argmax())
    raise SimulationError(
        f"after {MOST} rounds {labels[worst]} still fires at {rates[worst]:.3g} spikes/s instead "
        f"of {wanted[worst]:.3g}: constant currents do not bring {isolated.neuron} into the state "
        f"of {isolated.model}"
    )


def check(model: str, *, seed: int, duration: float, **parameters: Any) -> None:
    """Raise the errors of `match` that need no simulation."""
    if not (isinstance(duration, int | float) and np.isfinite(duration) and duration >= 1000):
        raise InvalidValueError(f"duration must be 1000 ms or more, not {duration!r}")
    if "currents" in parameters:
        raise InvalidValueError("currents are what is found: leave the parameter out")
    if not isinstance(seed, int) or seed < 1:
        raise InvalidValueError(f"seed must be a whole number from 1, not {seed!r}")
    _in_theory(model, parameters)


def _own(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without those of the other neuron."""
    return {k: v for k, v in parameters.items() if k not in OF_THE_OTHER}


def _in_theory(model: str, parameters: Mapping[str, Any]) -> Network:
    """The network with its own neurons."""
    from .theory import read

    return read(describe(load_model(model), _own(parameters)))


@dataclass(frozen=True)
class _Network:
    """The network with its own neurons, and with the others."""

    isolated: Calibration
    parameters: dict[str, Any]
    duration: float
    threads: int

    def rates(self, labels: tuple[str, ...], currents: F64, seed: int) -> tuple[F64, F64]:
        """Of both, spikes/s."""
        given = dict(zip(labels, currents.tolist(), strict=True))
        other = {**self.parameters, "neuron": self.isolated.neuron, "currents": given}
        model, own = self.isolated.model, json.dumps(_own(self.parameters), sort_keys=True)
        wanted = _wanted(model, load_model(model).sha256, own, seed, self.duration, self.threads)
        found = _rates(model, other, seed, self.duration, self.threads)
        silent = [label for label in labels if wanted[label] < LEAST]
        if silent:
            raise SimulationError(
                f"{', '.join(silent)} of {self.isolated.model} does not fire: there is no rate to "
                "fit another neuron to"
            )
        return np.array([wanted[n] for n in labels]), np.array([found[n] for n in labels])

    def jacobian(self, labels: tuple[str, ...]) -> F64:
        """Of the logarithms of the rates with respect to the currents, 1/nA."""
        from .theory import Spectra, working_point

        network = _in_theory(self.isolated.model, self.parameters)
        connectivity = Spectra(working_point(network), np.array([0.1])).connectivity[0].real
        order = [network.populations.index(label) for label in labels]
        connectivity = connectivity[np.ix_(order, order)]
        fits = [self.isolated.populations[label] for label in labels]
        gains = np.array([fit.gain for fit in fits])
        ratios = gains / np.array([fit.wanted_gain for fit in fits])
        response = np.linalg.inv(np.eye(len(labels)) - ratios[:, np.newaxis] * connectivity)
        rates = np.array([fit.wanted for fit in fits])
        return np.asarray(response * gains / rates[:, np.newaxis])


@cache  # other neurons are compared with the same runs
def _wanted(
    model: str, _sha256: str | None, parameters: str, seed: int, duration: float, threads: int
) -> dict[str, float]:
    """Of the network with its own neurons; the model's text decides, too."""
    return _rates(model, json.loads(parameters), seed, duration, threads)


def _rates(
    model: str, parameters: dict[str, Any], seed: int, duration: float, threads: int
) -> dict[str, float]:
    """Of a run, spikes/s."""
    run = Experiment(
        model=model,
        parameters=parameters,
        backend="builtin",
        options={"threads": str(threads)},
        seed=seed,
        warmup=WARMUP,
        duration=duration,
    )
    return run.run().rates()


def _learnt(jacobian: F64, change: F64, effect: F64) -> F64:
    """The nearest matrix that has this effect."""
    if not change.any():
        return jacobian
    missed = effect - jacobian @ change
    return np.asarray(jacobian + np.outer(missed, change) / (change @ change))
