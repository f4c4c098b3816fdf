"""PyNN's recorder in NEURON: spikes in two vectors, samples in one for each cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import quantities as pq
from numpy.typing import NDArray
from pyNN import recording

from portable_cortex.pynn import recorder
from portable_cortex.pynn.grid import nearest_steps
from portable_cortex.support import refusal

from . import _state
from ._cells import MECHANISMS, GridCell
from ._pynn import h, pynn_recording, simulator
from ._state import state

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class Probe:
    """A variable of some cells, recorded from the same point of time on.

    NEURON writes a value a step into `vectors`; `collect` takes those that are samples.

    Attributes
    ----------
    cells : list of ID
    interval : int
        Steps between samples.
    first : int
        Step of the first sample.
    next : int
        Step of the value with which the vectors begin.
    references : list
        Where NEURON has the present values, or None.
    latest : array
        The last values that the vectors had, samples or not.
    """

    cells: list[Any]
    interval: int
    first: int
    vectors: list[Any]
    next: int
    references: list[Any]
    latest: Floats = field(default_factory=lambda: np.empty(0))
    pieces: list[Floats] = field(default_factory=list)

    def collect(self) -> None:
        """Take the samples out of the vectors."""
        n = int(self.vectors[0].size()) if self.vectors else 0
        if n:
            begin = (self.first - self.next) % self.interval
            columns = [vector.as_numpy()[begin :: self.interval] for vector in self.vectors]
            self.pieces.append(np.column_stack(columns))
            self.latest = np.array([vector[n - 1] for vector in self.vectors])
            self.empty(self.next + n)

    def empty(self, following: int) -> None:
        """Empty the vectors; the value of step `following` will be their first."""
        for vector in self.vectors:
            vector.resize(0)
        self.next = following

    def samples(self) -> Floats:
        """All samples, shape (samples, cells)."""
        self.collect()
        self.pieces = [np.concatenate([np.empty((0, len(self.cells))), *self.pieces])]
        return self.pieces[0]

    def forget(self, step: int) -> None:
        """Begin again at the present, with the present sample."""
        self.collect()
        self.pieces, self.first = [], step
        if self.latest.size:
            values = zip(self.references, self.latest.tolist(), strict=True)
            present = [last if there is None else there[0] for there, last in values]
            self.pieces.append(np.array([present]))

    def keep(self) -> None:
        """Take everything from NEURON, which ends."""
        self.collect()
        self.vectors, self.references = [], [None] * len(self.cells)


class Recorder(recorder.Recorder):
    """PyNN's recorder of one population."""

    _simulator = _state

    def __init__(self, population: Any, file: Any = None) -> None:
        super().__init__(population, file)
        self._spikes: list[tuple[Any, Any]] = []  # times and cells, vectors of NEURON's or arrays
        self._probes: dict[Any, list[Probe]] = {}

    # --- recording ----------------------------------------------------------------------------

    def record(self, variables: Any, ids: Any, *args: Any, **kwargs: Any) -> None:
        """See PyNN; also at locations on a cell."""
        self.population.build_sources()
        if not self.recorded:
            self._recording_start_time = state.t * pq.ms
        locations = args[1] if len(args) > 1 else kwargs.get("locations")
        if locations is None:
            super().record(variables, ids, *args, **kwargs)
        else:
            pynn_recording.Recorder.record(self, variables, ids, *args, **kwargs)

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        super()._record(variable, new_ids, sampling_interval)
        cells = sorted(new_ids)
        if not cells:
            return
        if variable.name == recorder.SPIKES:
            vectors = h.Vector(), h.Vector()
            numbers = h.Vector([int(cell) for cell in cells])
            simulator.state.parallel_context.spike_record(numbers, *vectors)
            self._spikes.append(vectors)
            return
        probes = self._probes.setdefault(variable, [])
        references = [self._reference(cell._cell, variable) for cell in cells]
        if simulator.state.running and None in references:
            raise refusal(
                "neuron",
                "sample-times: synapses of a PointNeuron, after a run",
                f"record {variable.name} of {type(self.population.celltype).__name__} from "
                f"{state.t:g} ms on",
                "Call record() before the first run",
            )
        first = state.step + (self.sampling_start - state.step) % self.interval
        probe = Probe(cells, self.interval, first, [], state.step, references)
        for cell, reference in zip(cells, references, strict=True):
            if reference is None:
                probe.vectors.append(self._vector_of_pynn(cell._cell, variable))
            else:
                probe.vectors.append(h.Vector())
                probe.vectors[-1].record(reference)
        if simulator.state.running:
            h.portable_prepare()
            for vector, reference in zip(probe.vectors, references, strict=True):
                vector.resize(0)
                vector.append(reference[0])
        probes.append(probe)

    def _reference(self, cell: Any, variable: Any) -> Any:
        """Where NEURON has a variable of a point neuron; None for what only PyNN knows."""
        if isinstance(cell, GridCell):
            return cell.reference(variable.name)
        name = getattr(self.population.celltype, "variable_map", {}).get(
            variable.name, variable.name
        )
        if variable.location is not None or variable in getattr(cell, "recordable", ()):
            return None
        if name == "v":
            return cell.source_section(0.5)._ref_v
        if name in MECHANISMS:
            return getattr(getattr(cell, MECHANISMS[name]), f"_ref_{name}")
        return None

    def _vector_of_pynn(self, cell: Any, variable: Any) -> Any:
        """A vector that takes the variable of a cell in every step."""
        everywhere = SimpleNamespace(
            population=self.population,
            record_times=True,  # as for irregular samples: all
            sampling_interval=None,
            _simulator=simulator,
            _resolve_variable=partial(pynn_recording.Recorder._resolve_variable, None),
        )
        cell.recording_time = 1  # no times are wanted
        pynn_recording.Recorder._record_state_variable(everywhere, cell, variable)
        (vector,) = cell.traces.pop(variable)
        return vector

    # --- what is there ------------------------------------------------------------------------

    @property
    def is_thinned(self) -> bool:
        """Whether NEURON records more than is wanted."""
        return bool(self._probes) and self.interval > 1

    def collect(self) -> None:
        """Take the samples from NEURON."""
        for probe in self._all_probes():
            probe.collect()

    def begin(self) -> None:
        """NEURON has initialized itself, and begun its records at 0."""
        for probe in self._all_probes():
            probe.pieces, probe.first, probe.next, probe.latest = [], 0, 0, np.empty(0)

    def spikes(self) -> tuple[Ints, Ints]:
        """Steps and indices of the spikes of this process."""
        times, cells = (
            np.concatenate([np.empty(0), *(_array(pair[k]) for pair in self._spikes)])
            for k in range(2)
        )
        steps = nearest_steps(times, state.dt).astype(np.int64)
        return steps, cells.astype(np.int64) - int(self.population.first_id)

    def samples(self, variable: str) -> tuple[int, Floats]:
        """First step, and samples; not-a-number before a cell was recorded."""
        first, values, _ = self._signals(recording.Variable(variable, None, None))
        return first, values

    def _get_all_signals(self, variable: Any, ids: Any, clear: bool = False) -> Any:
        first, values, cells = self._signals(variable)
        self._give_from(first)
        return values[:, np.searchsorted(cells, np.array(ids, np.int64))], None

    def _signals(self, variable: Any) -> tuple[int, Floats, Ints]:
        """First step, samples and cells; not-a-number before a cell was recorded."""
        probes = self._probes.get(variable, [])
        samples = [probe.samples() for probe in probes]
        first = min((probe.first for probe in probes), default=self.start)
        n = max(map(len, samples), default=(state.step - first) // self.interval + 1)
        cells = np.array([int(cell) for probe in probes for cell in probe.cells], np.int64)
        padded = [np.vstack([np.full((n - len(s), s.shape[1]), np.nan), s]) for s in samples]
        factors = getattr(self.population.celltype.model, "factors", {})
        values = np.hstack([np.empty((n, 0)), *padded]) / factors.get(variable.name, 1.0)
        order = np.argsort(cells)
        return first, values[:, order], cells[order]

    # --- what is dropped ----------------------------------------------------------------------

    def forget(self) -> None:
        """Drop what is before the present."""
        self._spikes = [pair for pair in self._spikes if not isinstance(pair[0], np.ndarray)]
        for pair in self._spikes:
            for vector in pair:
                vector.resize(0)
        for probe in self._all_probes():
            probe.forget(state.step)

    def restart(self) -> None:
        """The network has gone back to its beginning."""
        super().restart()
        self.begin()

    def _reset(self) -> None:
        super()._reset()
        self._spikes, self._probes = [], {}

    def keep(self) -> None:
        """Take everything from NEURON, which ends."""
        self._spikes = [(_array(t).copy(), _array(c).copy()) for t, c in self._spikes]
        for probe in self._all_probes():
            probe.keep()

    def _all_probes(self) -> list[Probe]:
        return [probe for probes in self._probes.values() for probe in probes]


def _array(values: Any) -> Floats:
    """An array of a vector of NEURON's, or of an array."""
    return np.asarray(values if isinstance(values, np.ndarray) else values.as_numpy(), float)
