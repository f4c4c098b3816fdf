r"""How a difference of one spike grows: twin networks with the same input, after Keup et al. 2021.

Spiking networks are chaotic: a single additional spike changes the spikes of others, and after
some time two networks that were the same are as far from each other as any two [1]_. The distance
of two twins is :math:`d = \sum_i (a_i - b_i)^2`, with the numbers of spikes of each neuron in a
bin, in units of what it is between trials whose input is independent. An engine that gives the same
spikes again and again makes the experiment exact.

References
----------
.. [1] Keup C, Kühn T, Dahmen D, Helias M (2021). Transient chaotic dimensionality expansion by
   recurrent networks. Phys Rev X 11:021064. doi:10.1103/PhysRevX.11.021064
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex import Experiment, Recording
from portable_cortex.errors import InvalidValueError, UnsupportedError
from portable_cortex.experiment import Reporter, execute_trials
from portable_cortex.models.loader import Model
from portable_cortex.sweep.trials import OfTrials

from ._trials import adapted

F64 = NDArray[np.float64]

BIN = 5.0  # ms
EXTRA = "extra"
KICK = 20.0  # mV by which the extra spike lifts its target's potential, at once


@dataclass(frozen=True)
class Twins:
    """The distance of networks that differed in one spike.

    Attributes
    ----------
    times : tuple of float
        Ends of the bins after the extra spike, ms.
    distance : tuple of float
        Mean over pairs, in units of what it is between independent trials.
    deviating : tuple of float
        Spikes of one twin and not of the other, of a pair in a bin.
    half : float
        When the distance is half of that of independent trials, ms; not a number if it never is.
    same_again : int
        Pairs of which both had the same spikes in the last bin.
    pairs : int
    target : str
        The population in which a neuron was given the spike.
    settings : dict
        Of the experiment.
    """

    times: tuple[float, ...]
    distance: tuple[float, ...]
    deviating: tuple[float, ...]
    half: float
    same_again: int
    pairs: int
    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def compare_twins(
    experiment: Experiment,
    pairs: int = 20,
    *,
    target: str = "L4E",
    duration: float = 300.0,
    reporter: Reporter | None = None,
) -> Twins:
    """Run pairs of trials that differ in one spike at the end of the warm-up.

    Parameters
    ----------
    experiment : Experiment
    pairs : int
        Each has a drive of its own, and another neuron that is given the spike.
    target : str
        Population of these neurons.
    duration : float
        How long the twins are followed, ms.
    reporter : Reporter, optional

    Raises
    ------
    InvalidValueError
        For fewer than two pairs.
    UnsupportedError
        For a network without the population, or with other neurons in it than IF_curr_exp; for a
        backend without trials.

    Examples
    --------
    >>> quick = Experiment(parameters={"scale": 0.02}, warmup=50.0)
    >>> found = compare_twins(quick, 2, duration=50.0)
    >>> len(found.times), found.pairs
    (10, 2)
    """
    if isinstance(pairs, bool) or not isinstance(pairs, int) or pairs < 2:
        raise InvalidValueError(f"twins need 2 pairs or more, not {pairs!r}")
    experiment, resolved = adapted(experiment, duration, lambda model: _with_kicks(model, target))
    numbers = np.repeat(np.arange(1, pairs + 1), 2).tolist()
    rng = np.random.default_rng([experiment.seed, 0x79])
    begun = 0

    def change(number: int, populations: Mapping[str, Any]) -> None:
        """Every second trial has the spike."""
        nonlocal begun
        times: list[list[float]] = [[] for _ in range(populations[EXTRA].size)]
        if begun % 2:
            times[int(rng.integers(len(times)))] = [experiment.warmup + experiment.timestep]
        populations[EXTRA].set(spike_times=times)
        begun += 1

    progress = OfTrials(reporter, len(numbers))
    before: NDArray[np.int64] | None = None
    first = np.empty(0, np.int64)
    apart, independent, deviating = [], [], []
    n_bins = int(np.ceil(duration / BIN))
    for place, trial in enumerate(execute_trials(resolved, numbers, progress, change)):
        cells = _spikes(trial, experiment.timestep)
        if place % 2:
            apart.append(_distances(first, cells, experiment.timestep, n_bins))
            deviating.append(_deviating(first, cells, experiment.timestep, n_bins))
        else:
            if before is not None:
                independent.append(_distances(before, cells, experiment.timestep, n_bins))
            before = first = cells
        progress.ended()
    usual = np.mean(independent, axis=0)
    distance = np.mean(apart, axis=0) / np.where(usual > 0, usual, np.nan)
    times = BIN * np.arange(1, n_bins + 1)
    reached = np.flatnonzero(distance >= 0.5)
    return Twins(
        tuple(times.tolist()),
        tuple(distance.tolist()),
        tuple(np.mean(deviating, axis=0).tolist()),
        float(times[reached[0]]) if reached.size else float("nan"),
        sum(int(d[-1] == 0) for d in apart),
        pairs,
        target,
        resolved.settings(),
    )


def _with_kicks(model: Model, target: str) -> Model:
    """A model with a source for each neuron of a population that can make it fire."""

    def build(sim: Any, **parameters: Any) -> dict[str, Any]:
        populations = dict(model.build(sim, **parameters))
        if target not in populations:
            raise UnsupportedError(
                f"the extra spike goes to {target}, and the network has {', '.join(populations)}"
            )
        cells = populations[target]
        if type(cells.celltype).__name__ != "IF_curr_exp":
            raise UnsupportedError(
                f"the extra spike is for IF_curr_exp neurons, and those of {target} are "
                f"{type(cells.celltype).__name__}"
            )
        cm, tau_syn = (float(np.mean(cells.get(name))) for name in ("cm", "tau_syn_E"))
        source = sim.Population(cells.size, sim.SpikeSourceArray(), label=EXTRA)
        sim.Projection(
            source,
            cells,
            sim.OneToOneConnector(),
            sim.StaticSynapse(weight=KICK * cm / tau_syn, delay=sim.get_time_step()),
            receptor_type="excitatory",
            label=f"{EXTRA}→{target}",
        )
        return {**populations, EXTRA: source}

    return replace(model, build=build)


def _spikes(trial: Recording, step: float) -> NDArray[np.int64]:
    """Spikes of all neurons, each as one number: neuron and time step."""
    steps = round((trial.t_stop - trial.t_start) / step) + 1
    found, first = [np.empty(0, np.int64)], 0
    for label in trial.populations:
        if label != EXTRA:
            spikes = trial.spikes(label)
            when = np.rint((spikes.times - trial.t_start) / step).astype(np.int64)
            found.append((spikes.neurons + first) * steps + when)
            first += trial.n_neurons[label]
    return np.append(np.sort(np.concatenate(found)), steps)  # the last says how to read them


def _binned(spikes: NDArray[np.int64], step: float, n_bins: int) -> NDArray[np.int64]:
    """Neuron and bin of each spike as one number."""
    neurons, steps = np.divmod(spikes[:-1], spikes[-1])
    bins = np.minimum(((steps - 0.5) * step / BIN).astype(np.int64), n_bins - 1)
    found: NDArray[np.int64] = neurons * n_bins + bins
    return found


def _distances(a: NDArray[np.int64], b: NDArray[np.int64], step: float, n_bins: int) -> F64:
    """Sum over neurons of the squared difference of their spikes, by bin."""
    first, second = _binned(a, step, n_bins), _binned(b, step, n_bins)
    places, which = np.unique(np.concatenate([first, second]), return_inverse=True)
    counts = np.bincount(which[: first.size], minlength=places.size) - np.bincount(
        which[first.size :], minlength=places.size
    )
    squares = counts.astype(float) ** 2
    found: F64 = np.bincount(places % n_bins, squares, minlength=n_bins).astype(float)
    return found


def _deviating(a: NDArray[np.int64], b: NDArray[np.int64], step: float, n_bins: int) -> F64:
    """Number of spikes of one and not of the other, by bin."""
    others = np.append(np.setxor1d(a[:-1], b[:-1]), a[-1])
    found: F64 = np.bincount(_binned(others, step, n_bins) % n_bins, minlength=n_bins).astype(float)
    return found
