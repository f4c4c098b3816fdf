"""The cortical microcircuit of Potjans & Diesmann (2014), described once, in PyNN.

`build` uses PyNN's own vocabulary only and knows nothing of the simulator behind ``sim``. It is
also the pattern for a model of your own: a module with such a ``build(sim, ...)`` runs, validates
and benchmarks like this one (``--model path/to/my_model.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InvalidValueError
from .calibrated import CALIBRATED, CURRENTS
from .discretisation import NORMAL, Levels, parse
from .loader import warn_model
from .parameters import PD14, Microcircuit
from .scaling import ScaledMicrocircuit
from .scaling import scale as scale_circuit
from .substitution import LIF, Substitute, substitute
from .thalamus import pulses
from .wiring import background, clipped

INITIAL_POTENTIALS = ("optimized", "original")
IN_DEGREES = ("random", "fixed")

MEAN_POTENTIALS = (-63.4, -58.9, -59.0, -59.2, -58.8, -57.5, -62.6, -57.3)
"""Of the populations at full scale, mV, measured in a simulation: where synapses are compared."""

REVERSALS = {"e_rev_E": 0.0, "e_rev_I": -80.0}
"""Of synaptic conductances, mV, for neurons that have such; the published network has currents."""

CONDUCTANCE = 1.0

NEURONS: Mapping[str, Mapping[str, float]] = {
    # the rate of LIF neurons at the network's input, measured outside of the network
    "lif_escape_curr_exp": {"v_thresh": -60.0},
    "eif_curr_exp": {"v_thresh": -51.9},
    # Schwalger, Deger & Gerstner 2017, doi:10.1371/journal.pcbi.1005507
    "gif_curr_exp": {"delta_v": 5.0, "lambda0": 10.0},
    "gif_cond_exp": {"delta_v": 5.0, "lambda0": 10.0},
    # its parabola has the leak of the LIF neuron at rest: k = cm / (tau_m (v_thresh - v_rest))
    "izhikevich_2007": {
        "cm": 0.25, "k": 5 / 3, "v_rest": -65.0, "v_thresh": -50.0, "c": -65.0,
    },
}  # fmt: skip
"""Parameters of other neurons in this network, where the LIF neuron's names do not tell them."""


def build(
    sim: Any,
    *,
    scale: float = 0.1,
    n_scale: float | None = None,
    k_scale: float | None = None,
    drive: str = "poisson",
    v0: str = "optimized",
    thalamic_pulses: Sequence[float] = (),
    dc_transients: Sequence[tuple[str, float, float, float]] = (),
    neuron: str = LIF,
    neuron_parameters: Mapping[str, float] | None = None,
    currents: Mapping[str, float] | str | None = None,
    conductance: float = CONDUCTANCE,
    weights: str = NORMAL,
    in_degrees: str = "random",
    seed: int = 1,
) -> dict[str, Any]:
    """Build the microcircuit in the PyNN namespace `sim`.

    Parameters
    ----------
    sim : module
        A PyNN simulator namespace that has been set up.
    scale : float
        Fraction of the published neuron numbers and in-degrees; 1 is the published network. The
        default, a tenth, takes seconds and 1 % of the memory.
    n_scale, k_scale : float, optional
        Scale of the neuron numbers and of the in-degrees, where they should differ.
    drive : {"poisson", "dc"}
        Background input: Poisson spikes, or the constant current of equal mean.
    v0 : {"optimized", "original"}
        Initial membrane potentials: a mean for each population, or -58 +- 10 mV for all.
    thalamic_pulses : sequence of float
        Onsets (ms) of 10 ms pulses of 902 thalamic neurons at 120 spikes/s.
    dc_transients : sequence of (population, onset, duration, amplitude)
        Constant currents (nA) into all neurons of a population from `onset` for `duration` ms.
    neuron : str
        Neuron model, if it is another: of the catalogue, of PyNN, or a file in NESTML. Its synapses
        move the potential as the published ones do (`substitution`).
    neuron_parameters : dict of str to float, optional
        Parameters of the neuron model that are others, in its units.
    currents : dict of str to float, or "calibrated", optional
        Constant currents (nA) into all neurons of a population, beside those of the network, such
        as a calibration finds (`portable_cortex.calibration`); or those that it found for some
        neurons of the catalogue (`calibrated`).
    conductance : float
        Of a neuron with synaptic conductances: 1 as it is; with less, up to 0, its synapses are
        more and more like currents. Reversal potentials are so many times farther from a
        population's mean potential, and conductances so many times smaller.
    weights : str
        Of recurrent and thalamic synapses: "normal" as published, "mean" for one weight in each
        projection, or N levels: "discrete:N" keeps mean and variance, "naive:N" the mean only
        (`discretisation`).
    in_degrees : {"random", "fixed"}
        Total numbers of synapses are given and in-degrees random, as published; or all neurons
        of a population have the same number of synapses from each population, the mean rounded.
        With several levels of weights such synapses are drawn here, as lists of 24 bytes each
        (7 GB at full scale).
    seed : int
        Of the random numbers that are drawn here; a simulator that draws its own is seeded when
        it is set up.

    Returns
    -------
    dict of str to Population
        The cortical populations by label, and ``"TC"`` where there are thalamic pulses.

    Raises
    ------
    InvalidValueError, UnknownNameError
        For values that the model does not have.

    Examples
    --------
    >>> from portable_cortex import run
    >>> recording = run(backend="mock", model="pd14", scale=0.02, duration=10.0)
    >>> recording.n_neurons["L23E"]
    414
    """
    if v0 not in INITIAL_POTENTIALS:
        raise InvalidValueError(f"v0 must be one of {', '.join(INITIAL_POTENTIALS)}, not {v0!r}")
    if not scale > 0:
        raise InvalidValueError(f"scale must be above 0 (1 is the published network), not {scale}")
    if in_degrees not in IN_DEGREES:
        raise InvalidValueError(
            f"in_degrees must be one of {', '.join(IN_DEGREES)}, not {in_degrees!r}"
        )
    levels = parse(weights)
    n_scale = scale if n_scale is None else n_scale
    k_scale = scale if k_scale is None else k_scale
    circuit = PD14
    scaled = scale_circuit(circuit, n_scale, k_scale, drive)
    for label, *_ in dc_transients:
        circuit.index(label)  # before anything is built
    cell = _cell(neuron, neuron_parameters, conductance)
    more = _currents(currents, neuron, neuron_parameters, conductance)
    _warn_if_silent(scaled)
    rng = sim.NumpyRNG(seed=seed)
    draws = Draws(sim, rng, np.random.default_rng([seed, 0x1E]), levels, in_degrees == "fixed")

    populations: dict[str, Any] = {}
    for i, label in enumerate(circuit.populations):
        cells = cell.cells(sim, i, float(scaled.dc[i]) + more.get(label, 0.0))
        populations[label] = sim.Population(scaled.sizes[i], cells, label=label)
        mean, sd = circuit.v0_original_mean, circuit.v0_original_sd
        if v0 == "optimized":
            mean, sd = circuit.v0_optimized_mean[i], circuit.v0_optimized_sd[i]
        populations[label].initialize(
            **{cell.potential: sim.RandomDistribution("normal", mu=mean, sigma=sd, rng=rng)}
        )

    connect(draws, circuit, scaled, cell, populations)
    drive_each(sim, circuit, scaled, cell, populations)

    for label, onset, duration, amplitude in dc_transients:
        own = amplitude * float(cell.currents[circuit.index(label)])
        current = sim.DCSource(amplitude=own, start=onset, stop=onset + duration)
        populations[label].inject(current)

    if len(thalamic_pulses):
        cells = sim.SpikeSourceArray(spike_times=pulses(sim, PD14.thalamus, thalamic_pulses, seed))
        thalamus = sim.Population(circuit.thalamus.size, cells, label="TC")
        for i, label in enumerate(circuit.populations):
            if scaled.thalamic_synapses[i]:
                draws.connect(
                    thalamus,
                    populations[label],
                    int(scaled.thalamic_synapses[i]),
                    weight=cell.weight(scaled.thalamic_weight, i, "excitatory"),
                    delay=circuit.delay_exc,
                    receptor="excitatory",
                )
        populations["TC"] = thalamus
    return populations


def connect(
    draws: Draws,
    circuit: Microcircuit,
    scaled: ScaledMicrocircuit,
    cell: Substitute,
    populations: Mapping[str, Any],
) -> None:
    """Connect the populations of a circuit with each other."""
    for i, target in enumerate(circuit.populations):
        for j, source in enumerate(circuit.populations):
            if scaled.synapses[i, j] == 0:
                continue
            excitatory = circuit.is_excitatory(j)
            receptor = "excitatory" if excitatory else "inhibitory"
            draws.connect(
                populations[source],
                populations[target],
                int(scaled.synapses[i, j]),
                weight=cell.weight(float(scaled.weights[i, j]), i, receptor),
                delay=circuit.delay_exc if excitatory else circuit.delay_inh,
                receptor=receptor,
            )


def drive_each(
    sim: Any,
    circuit: Microcircuit,
    scaled: ScaledMicrocircuit,
    cell: Substitute,
    populations: Mapping[str, Any],
) -> None:
    """Give each neuron of a circuit its Poisson input."""
    for i, label in enumerate(circuit.populations):
        if scaled.k_ext[i]:
            weight = cell.weight(scaled.weight_ext, i, "excitatory")
            rate = circuit.rate_ext * scaled.k_ext[i]
            background(sim, populations[label], rate, weight, circuit.delay_ext)


@dataclass(frozen=True)
class Draws:
    """Synapses whose weights are of the model's distribution.

    Attributes
    ----------
    sim : module
    rng : pyNN.random.NumpyRNG
        Of what the simulator may draw instead.
    numbers : numpy.random.Generator
        Of what is drawn here.
    levels : Levels or None
        None for normally distributed weights.
    in_degrees_are_fixed : bool
    """

    sim: Any
    rng: Any
    numbers: np.random.Generator
    levels: Levels | None
    in_degrees_are_fixed: bool
    _shared: dict[tuple[Any, ...], Any] = field(default_factory=dict)  # that projections share

    def connect(
        self, source: Any, target: Any, n: int, *, weight: float, delay: float, receptor: str
    ) -> None:
        """Connect two populations by `n` synapses, or by as many for each neuron, rounded.

        Parameters
        ----------
        source, target : Population
        n : int
        weight, delay : float
            Means.
        receptor : str
        """
        label = f"{source.label}→{target.label}"
        make = self._in_degrees if self.in_degrees_are_fixed else self._total_number
        for connector, own_weight, name in make(source, target, n, weight):
            self.sim.Projection(
                source,
                target,
                connector,
                self._synapse(own_weight, delay),
                receptor_type=receptor,
                label=label + name,
            )

    def _total_number(
        self, source: Any, target: Any, n: int, weight: float
    ) -> Iterator[tuple[Any, Any, str]]:
        """Connectors, with their weights and what is added to the label: one for each level.

        Levels of synapses are independent, so their numbers are multinomial.
        """
        if self.levels is None or len(self.levels.values) == 1:
            yield self._connector(n), self._weight(weight), ""
            return
        numbers = self.numbers.multinomial(n, self.levels.probabilities)
        values = self.levels.weights(weight, _sd(weight))
        for k, (number, value) in enumerate(zip(numbers, values, strict=True)):
            if number:
                name = f", weight {k + 1} of {len(values)}"
                yield self._connector(int(number)), value, name

    def _in_degrees(
        self, source: Any, target: Any, n: int, weight: float
    ) -> Iterator[tuple[Any, Any, str]]:
        """A connector, with its weights: a list where neurons differ in their numbers by level."""
        own = round(n / target.size)
        if not own:
            return
        if self.levels is None or len(self.levels.values) == 1:
            connector = self.sim.FixedNumberPreConnector(own, with_replacement=True, rng=self.rng)
            yield connector, self._weight(weight), ""
            return
        values = self.levels.weights(weight, _sd(weight))
        size = own * target.size
        columns = (
            self.numbers.integers(source.size, size=size),
            np.repeat(np.arange(target.size), own),
            self.numbers.choice(values, size=size, p=self.levels.probabilities),
        )
        listed = self.sim.FromListConnector(np.column_stack(columns), column_names=["weight"])
        yield listed, weight, ""

    def _connector(self, n: int) -> Any:
        key = "connector", n
        if key not in self._shared:
            self._shared[key] = self.sim.FixedTotalNumberConnector(n, rng=self.rng)
        return self._shared[key]

    def _synapse(self, weight: Any, delay: float) -> Any:
        key = weight, delay
        if key not in self._shared:
            made = self.sim.StaticSynapse(weight=weight, delay=self._delay(delay))
            self._shared[key] = made
        return self._shared[key]

    def _weight(self, mean: float) -> Any:
        """One weight for all, or weights of one sign, redrawn."""
        if self.levels is not None:
            return mean
        if (mean,) not in self._shared:
            self._shared[mean,] = self.sim.RandomDistribution(
                "normal_clipped",
                mu=mean,
                sigma=_sd(mean),
                low=0.0 if mean > 0 else -np.inf,
                high=np.inf if mean > 0 else 0.0,
                rng=self.rng,
            )
        return self._shared[mean,]

    def _delay(self, mean: float) -> Any:
        """Delays no shorter than half a time step, redrawn."""
        half = 0.5 * self.sim.get_time_step()
        return clipped(self.sim, self.rng, mean, mean * PD14.delay_rel_sd, half)


def _sd(weight: float) -> float:
    return abs(weight) * PD14.weight_rel_sd


def _currents(
    given: Mapping[str, float] | str | None,
    neuron: str,
    parameters: Mapping[str, float] | None,
    conductance: float,
) -> Mapping[str, float]:
    if given == CALIBRATED:
        if neuron not in CURRENTS or parameters or conductance != CONDUCTANCE:
            raise InvalidValueError(
                f"currents were calibrated for {', '.join(CURRENTS)}, with their parameters here, "
                f"not for {neuron}{' with others' if neuron in CURRENTS else ''}: "
                f"portable-cortex calibrate --neuron {neuron} finds them"
            )
        return dict(zip(PD14.populations, CURRENTS[neuron], strict=True))
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        raise InvalidValueError(
            f"currents must be nA by population, such as {{'L23E': 0.05}}, or {CALIBRATED!r}, not "
            f"{given!r}"
        )
    for label, value in given.items():
        PD14.index(label)
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise InvalidValueError(f"the current of {label} must be a number of nA, not {value!r}")
    return given


def _cell(neuron: str, given: Mapping[str, float] | None, conductance: float) -> Substitute:
    if not 0 < conductance <= 1:
        raise InvalidValueError(
            f"conductance must be above 0 (as currents) and at most 1, not {conductance!r}"
        )
    reversals: Mapping[str, Any] = REVERSALS
    if conductance != CONDUCTANCE:
        reversals = {
            name: tuple(mean + (value - mean) / conductance for mean in MEAN_POTENTIALS)
            for name, value in REVERSALS.items()
        }
    found = substitute(
        neuron,
        {**PD14.neuron.as_pynn(), **reversals},
        MEAN_POTENTIALS,
        given,
        usual=NEURONS.get(neuron),
    )
    missing = [name for name in REVERSALS if name not in found.parameters]
    if conductance != CONDUCTANCE and missing:
        raise InvalidValueError(
            f"conductance is of neurons with synaptic conductances, and {neuron} has no parameter "
            f"{' and '.join(missing)}: take lif_cond_exp, say, or leave conductance out"
        )
    return found


def statements(
    *,
    neuron: str = LIF,
    neuron_parameters: Mapping[str, float] | None = None,
    scale: float = 0.1,
    k_scale: float | None = None,
    currents: Mapping[str, float] | str | None = None,
    conductance: float = CONDUCTANCE,
    **_others: Any,
) -> Sequence[str]:
    """What is to be said of the network with these parameters."""
    said = _cell(neuron, neuron_parameters, conductance).statement
    if currents and said:
        found = _currents(currents, neuron, neuron_parameters, conductance)
        more = ", ".join(f"{label} {value:g}" for label, value in found.items())
        said += f", beside them (nA, as {LIF} would get them) {more}"
    if not said:
        return ()
    if (scale if k_scale is None else k_scale) != 1:
        said += (
            "; the constant currents that replace the input lost by scaling are those for the "
            f"published rates of {LIF}, which this neuron need not have"
        )
    return (said,)


def published_rates(
    *,
    neuron: str = LIF,
    neuron_parameters: Mapping[str, float] | None = None,
    currents: Mapping[str, float] | str | None = None,
    weights: str = NORMAL,
    in_degrees: str = "random",
    **_others: Any,
) -> Mapping[str, float]:
    """Published stationary rates (spikes/s): full scale, Poisson drive (see `parameters`)."""
    if neuron != LIF or neuron_parameters or currents:
        return {}
    if weights != NORMAL or in_degrees != "random":
        return {}
    return dict(zip(PD14.populations, PD14.full_rates, strict=True))


def _warn_if_silent(scaled: ScaledMicrocircuit) -> None:
    silent = scaled.silent_populations(PD14.neuron)
    if silent:
        names = ", ".join(PD14.populations[i] for i in silent)
        warn_model(
            f"with constant (dc) drive at this scale {names} stay below threshold and may fall "
            "silent: use drive='poisson' or a larger k_scale"
        )
