"""Give another neuron model the rates of the network's own, at the input that the network has.

Each population's input is that of a neuron with the mean in-degrees while all populations fire at
the model's published rates. Isolated neurons get it as Poisson spikes, the network's own neurons
and the others; of the others one number is fitted, a constant current, until they fire as fast.
All else follows: the gain, how irregular they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidValueError, SimulationError, UnsupportedError
from .experiment import simulator
from .models.loader import Model, load_model
from .pynn.description import Description, describe
from .pynn.population import is_modelled

F64 = NDArray[np.float64]

OF_THE_OTHER = ("neuron_parameters", "conductance")  # parameters of a model
SCALES = ("scale", "n_scale", "k_scale")  # calibration takes the full network's input
CURRENTS: F64 = np.linspace(-0.4, 0.8, 25)  # nA, that are tried first
WIDER = 4.0  # times as far, where none of them will do
STEP = 0.0125  # nA, between those that are tried then, and for the slope
EXACT = 0.05  # largest difference of the logarithm of a rate
WARMUP = 300.0  # ms
LEAST = 0.02  # spikes/s: of lower rates, a logarithm says nothing
TRIAL_NEURONS, TRIAL_MS = 40, 2000.0
DURATION = 5000.0  # ms
SPIKES = 6000  # of which a rate is known to 1.3 %
FEWEST = 50  # neurons
ROUNDS = 3  # in which a current is improved, at most


@dataclass(frozen=True)
class Fit:
    """One population.

    Attributes
    ----------
    current : float
        The constant current that was fitted, nA, as the network's own neurons would get it.
    wanted, rate : float
        Rates of the network's own neuron, and of the other one with this current, spikes/s.
    wanted_gain, gain : float
        Their slopes, spikes/s per nA.
    wanted_cv, cv : float
        Coefficient of variation of intervals.
    """

    current: float
    wanted: float
    rate: float
    wanted_gain: float
    gain: float
    wanted_cv: float
    cv: float

    @property
    def error(self) -> float:
        """Of the rate, relative."""
        return self.rate / self.wanted - 1


@dataclass(frozen=True)
class Calibration:
    """A neuron model for a network.

    Attributes
    ----------
    model, neuron : str
    seed : int
    populations : dict of str to Fit
    """

    model: str
    neuron: str
    seed: int
    populations: Mapping[str, Fit]

    @property
    def currents(self) -> dict[str, float]:
        """By population, nA: the model's parameter ``currents``."""
        return {label: fit.current for label, fit in self.populations.items()}

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {**asdict(self), "currents": self.currents}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """From what `to_dict` gave; raises KeyError and TypeError for anything else."""
        fits = {label: Fit(**fit) for label, fit in values["populations"].items()}
        return cls(values["model"], values["neuron"], values["seed"], fits)


def calibrate(
    neuron: str | Path,
    model: str | Path = "pd14",
    *,
    seed: int = 1,
    threads: int = 2,
    on_progress: Callable[[str], None] = lambda what: None,
    **parameters: Any,
) -> Calibration:
    """Find the constant currents with which another neuron fires as a network's own.

    Parameters
    ----------
    neuron : str or Path
        A name of the catalogue, or a file in NESTML: the model's parameter ``neuron``.
    model : str or Path
        With parameters ``neuron`` and ``currents``, and published rates.
    seed : int
    threads : int
    on_progress : callable
        Told what is being done.
    **parameters
        Of the model, e.g. ``neuron_parameters``; ``scale`` is 1 unless given.

    Raises
    ------
    UnsupportedError
        For a model without these parameters or rates.
    SimulationError
        If no current brings the neuron to a rate, or the network's own does not fire.
    ModelError, UnknownNameError, InvalidValueError
        For a model, parameters, or a seed that cannot be.
    """
    loaded = load_model(model)
    missing = {"neuron", "currents"} - set(loaded.parameters)
    if missing:
        raise UnsupportedError(
            f"model {loaded.name!r} has no parameter {' or '.join(sorted(missing))}: calibration "
            "needs one for the neuron model, and one for constant currents by population"
        )
    if not isinstance(seed, int) or seed < 1:
        raise InvalidValueError(f"seed must be a whole number from 1, not {seed!r}")
    if "currents" in parameters:
        raise InvalidValueError("currents are what calibration finds: leave the parameter out")
    loaded.check({**parameters, "neuron": str(neuron)})
    own = {k: v for k, v in parameters.items() if k not in OF_THE_OTHER}
    own = {**({"scale": 1.0} if "scale" in loaded.parameters else {}), **own}
    rates, _ = loaded.expected_rates(own)
    if not rates:
        raise UnsupportedError(
            f"model {loaded.name!r} publishes no rates for these parameters, and the input of its "
            "neurons is not known without them"
        )
    other = {**own, **parameters, "neuron": str(neuron)}
    describe(loaded, other).check_stationary()  # before minutes are spent
    names = tuple(rates)
    trial = _Trial(loaded, rates, seed, threads)
    on_progress("the network's own neurons")
    numbers = {label: _enough(rate) for label, rate in rates.items()}
    base = trial.run(own, _around(dict.fromkeys(names, 0.0)), numbers, DURATION)
    wanted = {label: found[1] for label, found in base.items()}
    silent = [label for label, found in wanted.items() if found.rate < LEAST]
    if silent:
        raise SimulationError(
            f"{', '.join(silent)} of {loaded.name} does not fire at the network's input: there is "
            "no rate to fit another neuron to"
        )
    on_progress(f"{neuron} with currents from {CURRENTS[0]:g} to {CURRENTS[-1]:g} nA")
    few = dict.fromkeys(names, TRIAL_NEURONS)
    goals = {label: found.rate for label, found in wanted.items()}
    currents = {}
    tried = trial.run(other, dict.fromkeys(names, CURRENTS), few, TRIAL_MS)
    between = {}
    for label, found in tried.items():
        if _first_above(_rates(found), goals[label]):
            currents[label] = _crossing(CURRENTS, _rates(found), goals[label])
        else:
            between[label] = WIDER * CURRENTS
    if between:
        on_progress(f"{neuron} with currents {WIDER:g} times as far away, for {', '.join(between)}")
        for label, found in trial.run(other, between, few, TRIAL_MS).items():
            k = _first_above(_rates(found), goals[label])
            if not k:
                raise _none(label, between[label], _rates(found), goals[label])
            low, high = between[label][[k - 1, k]].tolist()
            between[label] = np.linspace(low, high, CURRENTS.size)
        for label, found in trial.run(other, between, few, TRIAL_MS).items():
            currents[label] = _crossing(between[label], _rates(found), goals[label])
    numbers = {label: _enough(found.rate) for label, found in wanted.items()}
    for number in range(ROUNDS):
        on_progress(f"{neuron} with the currents that were found, {number + 1} of {ROUNDS}")
        last = trial.run(other, _around(currents), numbers, DURATION)
        errors = {n: np.log(max(last[n][1].rate, LEAST) / wanted[n].rate) for n in names}
        if number == ROUNDS - 1 or max(map(abs, errors.values())) < EXACT / 2:
            break
        currents = {n: currents[n] + _correction(last[n], wanted[n].rate) for n in names}
    return Calibration(
        str(model),
        str(neuron),
        seed,
        {
            label: Fit(
                round(currents[label], 5),
                wanted[label].rate,
                last[label][1].rate,
                _slope(base[label]),
                _slope(last[label]),
                wanted[label].cv,
                last[label][1].cv,
            )
            for label in names
        },
    )


@dataclass(frozen=True)
class _Response:
    """What isolated neurons did: mean rate, spikes/s, and coefficient of variation."""

    rate: float
    cv: float


@dataclass
class _Trial:
    """Isolated neurons with the input of a network's."""

    model: Model
    rates: Mapping[str, float]
    seed: int
    threads: int

    def run(
        self,
        parameters: Mapping[str, Any],
        currents: Mapping[str, F64],
        numbers: Mapping[str, int],
        duration: float,
    ) -> dict[str, list[_Response]]:
        """Rates with each of some currents, by population."""
        none, one = (
            describe(self.model, {**parameters, "currents": dict.fromkeys(self.rates, amount)})
            for amount in (0.0, 1.0)
        )
        sim = simulator("builtin", options={"threads": str(self.threads)})
        self.seed += 1  # another one for each trial
        sim.setup(timestep=0.1, rng_seed=self.seed)
        made = {}
        for label, amounts in currents.items():
            place = none.labels[label]
            values = _constants(none, one, place, np.repeat(amounts, numbers[label]))
            kind = none.populations[place].celltype
            if is_modelled(kind):
                cells = sim.nestml_cell_type("Isolated", str(parameters["neuron"]))(**values)
            else:
                cells = getattr(sim, type(kind).__name__)(**values)
            made[label] = sim.Population(numbers[label] * amounts.size, cells, label=label)
            for receptor, weight, rate in _inputs(none, place, self.rates):
                sources = sim.Population(made[label].size, sim.SpikeSourcePoisson(rate=rate))
                synapse = sim.StaticSynapse(weight=weight, delay=0.1)
                sim.Projection(
                    sources, made[label], sim.OneToOneConnector(), synapse, receptor_type=receptor
                )
            made[label].record("spikes")
        sim.run(WARMUP + duration)
        found = {
            label: [
                _response(trains, duration)
                for trains in np.split(_trains(population), currents[label].size)
            ]
            for label, population in made.items()
        }
        sim.end()
        return found


def _constants(none: Description, one: Description, place: int, amounts: F64) -> dict[str, Any]:
    """Parameters of cells with some currents: those that a current changes, by so much."""
    without, with_one = (d.populations[place].parameters for d in (none, one))
    values = {}
    for name, value in without.items():
        if np.any(value != value[0]):
            raise UnsupportedError(
                f"calibration takes the neurons of a population as equal, and {name} of "
                f"{none.populations[place].label} differs from neuron to neuron"
            )
        change = float(with_one[name][0] - value[0])
        values[name] = float(value[0]) + change * amounts if change else float(value[0])
    return values


def _inputs(
    description: Description, place: int, rates: Mapping[str, float]
) -> list[tuple[str, float, float]]:
    """Receptor, weight and rate (spikes/s) of what a population gets, equal weights together.

    Of each projection: one weight that has the mean and the mean square of its weights.
    """
    names = {k: label for label, k in description.labels.items()}
    sums: dict[tuple[str, float], float] = {}
    for synapses in description.synapses:
        if synapses.target != place:
            continue
        source = description.populations[synapses.source]
        label = names.get(synapses.source, source.label)
        if not source.is_source and label not in rates:
            raise UnsupportedError(
                f"{label} sends spikes, and the model publishes no rate of it, which calibration "
                "needs"
            )
        one = synapses.arriving
        if not one.mean:
            continue
        # the train of equal spikes with this mean and fluctuation; of a source, with its rate
        weight = one.square / one.mean
        rate = one.mean / weight * (1.0 if source.is_source else rates[label])
        key = synapses.receptor, float(f"{weight:.6g}")
        sums[key] = sums.get(key, 0.0) + rate
    return [(*key, rate) for key, rate in sums.items()]


def _trains(population: Any) -> NDArray[np.object_]:
    """Spike times after the warm-up, ms, a train for each neuron."""
    segment = population.get_data("spikes").segments[0]
    trains = np.empty(population.size, dtype=object)
    for k, train in enumerate(segment.spiketrains):
        times = np.asarray(train.magnitude)
        trains[k] = times[times > WARMUP]
    return trains


def _response(trains: NDArray[np.object_], duration: float) -> _Response:
    rate = float(np.mean([t.size for t in trains])) / (duration * 1e-3)
    intervals = [np.diff(t) for t in trains if t.size > 2]
    cvs = [i.std() / i.mean() for i in intervals]
    return _Response(rate, float(np.mean(cvs)) if cvs else float("nan"))


def _rates(found: Sequence[_Response]) -> F64:
    return np.array([response.rate for response in found])


def _around(currents: Mapping[str, float]) -> dict[str, F64]:
    """Each current, and those that are a step below and above."""
    return {label: c + STEP * np.array([-1.0, 0.0, 1.0]) for label, c in currents.items()}


def _slope(found: Sequence[_Response]) -> float:
    return (found[2].rate - found[0].rate) / (2 * STEP)


def _first_above(rates: F64, wanted: float) -> int:
    """Number of the first rate that reaches the one that is wanted; 0 where none comes to it."""
    above = np.flatnonzero(rates >= wanted)
    return int(above[0]) if above.size else 0


def _none(label: str, currents: F64, rates: F64, wanted: float) -> SimulationError:
    return SimulationError(
        f"no current from {currents[0]:g} to {currents[-1]:g} nA lets {label} fire at "
        f"{wanted:.3g} spikes/s: its rates are from {rates.min():.3g} to {rates.max():.3g}"
    )


def _crossing(currents: F64, rates: F64, wanted: float) -> float:
    """The current at which rates pass the one that is wanted, between those that were tried."""
    k = _first_above(rates, wanted)
    if not k:  # by chance, at one of the ends
        return float(currents[0] if rates[0] >= wanted else currents[-1])
    low, high = np.log(np.maximum(rates[[k - 1, k]], LEAST))
    share = (np.log(wanted) - low) / (high - low) if high > low else 1.0
    return float(currents[k - 1] + share * (currents[k] - currents[k - 1]))


def _correction(found: Sequence[_Response], wanted: float) -> float:
    """By how much a current is to change, by the logarithms of rates around it."""
    logarithms = np.log(np.maximum(_rates(found), LEAST)) - np.log(wanted)
    slope = max((logarithms[2] - logarithms[0]) / (2 * STEP), 1.0)
    return float(np.clip(-logarithms.mean() / slope, -4 * STEP, 4 * STEP))


def _enough(rate: float) -> int:
    """Neurons that send `SPIKES` at a rate, spikes/s."""
    return max(FEWEST, round(SPIKES / (max(rate, LEAST) * DURATION * 1e-3)))
