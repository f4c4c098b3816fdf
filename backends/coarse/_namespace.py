"""The PyNN namespace of the ``coarse`` backend: expected numbers, and their solution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.errors import ModelError, SimulationError, UnsupportedError
from portable_cortex.pynn import namespace, recorder, undrawn
from portable_cortex.pynn.description import taken
from portable_cortex.registry import load_backend
from portable_cortex.support import refusal

from ._approach import approached
from ._columns import Columns
from ._inputs import Inputs, inputs_of
from ._library import Populations, Tables, Theory, Told
from ._neurons import Neurons
from ._solver import Solution, solved

F64 = NDArray[np.float64]
SOME = 5.0  # spikes/s: where nothing better is known, rates are looked for from here
ROUGH = 1e-2  # difference to which theory says where to begin
OTHERS = 2  # states from where it is looked for again, with each rate up to
AWAY = 1.25  # times as high or as low: tables are known there


Circuit = Populations | Columns | Neurons


@dataclass(frozen=True)
class Found:
    """What was computed of a network.

    Attributes
    ----------
    inputs : Inputs
    solution : Solution
    again : tuple of float
        For each of the other states from which it was looked for, the largest difference, relative
        to 1 spike/s and the rate, of what was found; not a number where nothing was.
    circuit : Populations or Columns or Neurons
    """

    inputs: Inputs
    solution: Solution
    again: tuple[float, ...]
    circuit: Circuit


class Recorder(recorder.Recorder):
    """There is nothing that depends on time."""

    def record(self, variables: Any, ids: Any, *args: Any, **kwargs: Any) -> None:
        """Refused."""
        shown = variables if isinstance(variables, str) else ", ".join(variables)
        raise refusal(
            "coarse",
            "spikes",
            f"record {shown} of {self.population.label}",
            "After run(), sim.rates() gives the rates of all populations",
        )


class State(undrawn.State):
    """One network, and what was found of it."""

    backend = "coarse"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        super().__init__()

    def begin(self, *arguments: Any, **named: Any) -> None:
        """Forget the network."""
        super().begin(*arguments, **named)
        self.inputs: Inputs | None = None
        self.found: Found | None = None
        self.before: F64 | None = None

    def touch(self, what: str, *, structure: bool = False) -> None:
        """What was found is of another network: the next is looked for from there."""
        if self.found is not None:
            self.before = self.found.solution.rates
        self.inputs = self.found = None

    def prepare(self) -> None:
        """Look at the network."""
        if self.inputs is None:
            labelled = {str(p.label): p for p in self.populations}
            self.inputs = inputs_of(taken(self, labelled))

    def advance(self, steps: int) -> None:
        """Time goes on, in which nothing changes."""
        if steps:
            self.solve(lambda fraction, detail: None)
        self.step += steps

    def restore(self) -> None:
        """Nothing has moved."""

    def solve(self, told: Told) -> Found:
        """Find the stationary state, unless it is known."""
        if self.found is None:
            self.prepare()
            assert self.inputs is not None
            self.found = self._solved(self.inputs, told)
        return self.found

    def _solved(self, inputs: Inputs, told: Told) -> Found:
        library, before = self.options["library"], self.before
        if before is not None and before.size != len(inputs.populations):
            before = None
        guess = theoretical(inputs)
        if guess is None:
            guess = self._approached(inputs, told) if before is None else before
        circuit: Circuit
        if library == "theory":
            circuit = Populations(inputs, Theory.of(inputs))
        elif library == "simulated":
            circuit = self._isolated(inputs, guess, told)
        elif library == "neurons":
            seconds, threads = self.options["point_seconds"], self.options["threads"]
            circuit = Neurons(inputs, self.dt, seconds, threads, told)
        else:
            circuit = self._columns(inputs, guess, told)
        return found(inputs, circuit, guess if before is None else before, told)

    def _approached(self, inputs: Inputs, told: Told) -> F64:
        """Where to begin, of neurons that theory does not know."""
        if self.options["library"] == "theory":
            return np.full(len(inputs.populations), SOME)  # it says itself why not
        return approached(inputs, timestep=self.dt, workers=self.options["threads"], told=told)

    def _isolated(self, inputs: Inputs, start: F64, told: Told) -> Populations:
        guess = np.maximum(start, 0.1)
        tables = Tables.of(
            inputs,
            inputs.received(guess, guess**2),
            timestep=self.dt,
            spacing=self.options["spacing"],
            point_seconds=self.options["point_seconds"],
            workers=self.options["threads"],
            told=told,
        )
        return Populations(inputs, tables)

    def _columns(self, inputs: Inputs, start: F64, told: Told) -> Columns:
        return Columns.of(
            inputs,
            self.projections,
            start,
            timestep=self.dt,
            duration=1e3 * self.options["column_seconds"],
            workers=self.options["threads"],
            told=told,
        )


def theoretical(inputs: Inputs) -> F64 | None:
    """Roughly where theory has the rates; None where it does not know the neurons."""
    some = np.full(len(inputs.populations), SOME)
    try:
        theory = Populations(inputs, Theory.of(inputs), nodes=1)
        return solved(theory, some, tolerance=ROUGH).rates
    except (UnsupportedError, SimulationError):
        return None


def found(inputs: Inputs, circuit: Circuit, start: F64, told: Told) -> Found:
    """The stationary state of a network."""

    def of_updates(number: int, size: float) -> None:
        told(None, f"update {number}: the two sides differ by {size:.1g}")

    def solution_from(state: F64, *, briefly: bool = False) -> Solution:
        if isinstance(circuit, Neurons):
            return circuit.settled(state, briefly=briefly)
        return solved(circuit, state, told=of_updates)

    solution = solution_from(start)
    circuit.inputs.check_moments(solution.rates)
    rng = np.random.default_rng(1)
    again = []
    for _ in range(OTHERS):
        other = solution.rates * AWAY ** rng.uniform(-1, 1, start.size)
        try:
            rates = solution_from(other, briefly=True).rates
        except SimulationError:
            rates = np.full(start.size, np.nan)
        again.append(float(np.max(np.abs(rates - solution.rates) / (1.0 + solution.rates))))
    return Found(inputs, solution, tuple(again), circuit)


def namespace_with(options: Mapping[str, Any]) -> Any:
    """A namespace whose ``setup()`` starts from these options.

    Parameters
    ----------
    options : mapping
        ``library``, ``spacing``, ``point_seconds``, ``column_seconds``, ``threads``.
    """
    state = State(options)
    sim = undrawn.namespace_of(state, 0.1, 1, recording=Recorder)

    def setup(timestep: float = 0.1, min_delay: Any = "auto", **extra: Any) -> int:
        """Start a new network; see PyNN's ``setup``.

        Parameters
        ----------
        timestep : float
            ms: of the neurons that are simulated for tables.
        min_delay : float or "auto"
            ms.
        **extra
            ``max_delay`` (ms); ``rng_seed``, an integer from 0, of what is drawn after all;
            ``library``, ``spacing``, ``point_seconds``, ``column_seconds`` and ``threads``, as the
            backend's options.

        Returns
        -------
        int
            0, the rank of the only process.

        Raises
        ------
        InvalidValueError
            For a seed or an option that cannot be.
        """
        namespace.check_setup("coarse", timestep, min_delay, extra)
        own = {name: extra[name] for name in options if name in extra}
        state.options = vars(load_backend("coarse").Options.of({**options, **own}))
        state.begin(timestep, min_delay, extra.get("max_delay", "auto"), extra.get("rng_seed", 1))
        return 0

    def rates() -> dict[str, float]:
        """Stationary rates of all populations, by label, spikes/s: after ``run()``.

        Raises
        ------
        ModelError
            Before, and where two populations have one label.
        """
        if state.found is None:
            raise ModelError("there are no rates yet: call run() first")
        labels = state.found.inputs.labels
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ModelError(
                f"several populations are called {', '.join(twice)}: give each a label of its own"
            )
        return dict(zip(labels, state.found.solution.rates.tolist(), strict=True))

    sim.setup, sim.rates = setup, rates
    return sim
