"""Current sources: PyNN's, written for sPyNNaker's programs before each run.

The times of sPyNNaker's own are cut off to steps, and in `set_parameters` taken for steps; no stop
means a stop at 0; a sine counts steps for milliseconds; steps at times that have passed, or that
share a point of the grid, are taken up one by one, a neuron each; noise begins anew with the same
numbers in each run; and what is set between runs does not arrive. So the core's sources
(`portable_cortex.pynn.currents`) keep what was asked for, and say what of it is still to come
whenever sPyNNaker writes a core's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import spynnaker.pyNN as spynnaker  # noqa: N813
from spinn_front_end_common.interface.ds import DataType
from spynnaker.pyNN.models.current_sources.abstract_current_source import (
    AbstractCurrentSource,
    CurrentSourceIDs,
)
from spynnaker.pyNN.models.neuron import PopulationVertex
from spynnaker.pyNN.utilities.utility_calls import create_mars_kiss_seeds

from portable_cortex.pynn import currents as floor
from portable_cortex.pynn.grid import nearest_steps
from portable_cortex.support import refusal

LAST = 0xFFFFFFFF  # the latest step that a core can name
FIXED = 2.0**-15
COARSE = 0.01  # what is rounded by more than this fraction is told
WORD = 4  # bytes
CREST = (
    "on spinnaker the sine of sPyNNaker's programs is -1 in place of 1 in steps that meet its "
    "crest to 3e-5"
)


class _Written(AbstractCurrentSource):  # type: ignore[misc]  # untyped
    """A source as sPyNNaker sees it, in some cells of a population."""

    __slots__ = ("_source",)

    def __init__(self, source: Any) -> None:
        super().__init__()
        self._source = source

    def set_parameters(self, **parameters: Any) -> None:
        """Set those of the core's source."""
        self._source.set_parameters(**parameters)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """From the step that comes next."""
        native: Mapping[str, Any] = self._source.native(
            int(spynnaker.SpynnakerDataView.get_first_machine_time_step())
        )
        return native

    @property
    def parameter_types(self) -> Mapping[str, Any]:
        """How each is written."""
        return {
            name: DataType.UINT32 if name in ("start", "stop", "times", "seed") else DataType.S1615
            for name in self.parameters
        }

    @property
    def current_source_id(self) -> int:
        """Which program reads it."""
        return int(self._source.kind.value)

    def get_sdram_usage_in_bytes(self) -> int:
        """Of the most that it will be."""
        return int(self._source.words * WORD)


class OnBoard(floor.CurrentSource):
    """What all sources have in common."""

    kind: ClassVar[Any]
    words = 16  # of memory, at most
    follows_runs = False  # whether it has to be written before each run

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.vertices: dict[Any, set[int]] = {}
        self.is_changed = False

    def set_native_parameters(self, parameters: Any) -> None:
        """See the floor; the next run begins with them."""
        before = self._values
        super().set_native_parameters(parameters)
        try:
            self.check(self.vertices)
        except Exception:
            self._values = before
            raise
        self.is_changed = True

    def inject_into(self, cells: Any) -> None:
        """See the floor; before the first run."""
        self._check_alive()
        parts: dict[Any, list[int]] = {}
        for part in [cells] if hasattr(cells, "_vertex") else list(cells):
            if not isinstance(part._vertex, PopulationVertex):
                raise TypeError("Can't inject current into a spike source.")
            first = getattr(part, "_indexes", None)
            index = range(part.size) if first is None else first
            parts.setdefault(part._vertex, []).extend(int(i) for i in index)
        if self.state.prepared:
            raise refusal(
                "spinnaker",
                "current-pieces: injected after a run",
                "inject a current into a network that has run",
                "Inject it before the first run, and set its start, stop or amplitude later",
            )
        more = {v: sorted(set(i) - self.vertices.get(v, set())) for v, i in parts.items()}
        self.check(
            {
                v: self.vertices.get(v, set()) | set(parts.get(v, ()))
                for v in {**self.vertices, **parts}
            }
        )
        for vertex, index in more.items():
            if index:
                vertex.inject(_Written(self), index)
                self.vertices.setdefault(vertex, set()).update(index)

    def check(self, vertices: Mapping[Any, set[int]]) -> None:
        """Raise an error for what a board cannot do with it."""

    def native(self, first: int) -> dict[str, Any]:
        """Parameters of the program, from a step on."""
        raise NotImplementedError

    def _steps(self, *names: str) -> list[int]:
        """Times by name as steps that a core can name."""
        steps = (float(nearest_steps(self._values[name], self.state.dt)) for name in names)
        return [int(min(max(step, 0.0), LAST)) for step in steps]


class DCSource(OnBoard, floor.DCSource):
    """See the floor."""

    kind = CurrentSourceIDs.DC_SOURCE

    def native(self, first: int) -> dict[str, Any]:
        """See `OnBoard`."""
        start, stop = self._steps("start", "stop")
        return {"amplitude": float(self._values["amplitude"]), "start": start, "stop": stop}


class StepCurrentSource(OnBoard, floor.StepCurrentSource):
    """See the floor."""

    kind = CurrentSourceIDs.STEP_CURRENT_SOURCE
    follows_runs = True

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._room = self._values["times"].size

    @property
    def words(self) -> int:  # type: ignore[override]  # of the class it is a number
        """Of memory: times, amplitudes, the number of each, and what a core keeps."""
        return int(2 * (self._room + 2) + 2)

    def check(self, vertices: Mapping[Any, set[int]]) -> None:
        """Raise an error for more times than there is room for on a board."""
        if not self.state.prepared:
            self._room = self._values["times"].size
        elif self._values["times"].size > self._room:
            raise refusal(
                "spinnaker",
                "current-pieces: more times",
                f"give a StepCurrentSource {self._values['times'].size} times after a run, of "
                f"which it had {self._room} before",
                "Give it all before the first run",
            )

    def native(self, first: int) -> dict[str, Any]:
        """See `OnBoard`. Of the times that have passed the last, and one that never comes."""
        points, amplitudes = self.steps()
        passed = int(np.searchsorted(points, first, side="right"))
        begin = max(passed - 1, 0)
        times = np.minimum(points[begin:], LAST).tolist()
        return {"times": [*times, LAST], "amplitudes": [*amplitudes[begin:].tolist(), 0.0]}


class ACSource(OnBoard, floor.ACSource):
    """See the floor."""

    kind = CurrentSourceIDs.AC_SOURCE
    follows_runs = True

    def check(self, vertices: Mapping[Any, set[int]]) -> None:
        """Tell what the board's sine is not, as far as it matters."""
        if not vertices or not float(self._values["amplitude"]):
            return
        self.state.differs(f"ACSource: {CREST}")
        step = 2e-3 * np.pi * abs(float(self._values["frequency"])) * self.state.dt
        held = np.round(step / FIXED) * FIXED
        if step and abs(held - step) > COARSE * step:
            asked = float(self._values["frequency"])
            self.state.differs(
                f"ACSource: {asked:g} Hz are {asked * held / step:.3g} Hz on spinnaker, where the "
                f"angle of a step is a multiple of {FIXED:.2g}"
            )

    def native(self, first: int) -> dict[str, Any]:
        """See `OnBoard`. The phase is that of the step that comes first."""
        start, stop = self._steps("start", "stop")
        values = {name: float(self._values[name]) for name in ("amplitude", "offset", "phase")}
        angle = 2e-3 * np.pi * float(self._values["frequency"]) * self.state.dt  # a step
        passed = max(first - start, 0)
        phase = np.deg2rad(values["phase"]) + angle * passed
        return {
            "start": start + passed,
            "stop": stop,
            "amplitude": values["amplitude"],
            "offset": values["offset"],
            "frequency": angle,
            "phase": float(np.remainder(phase, 2 * np.pi)),
        }


class NoisyCurrentSource(OnBoard, floor.NoisyCurrentSource):
    """See the floor."""

    kind = CurrentSourceIDs.NOISY_CURRENT_SOURCE
    follows_runs = True

    def check(self, vertices: Mapping[Any, set[int]]) -> None:
        """Raise an error for what the board's numbers cannot be."""
        if not float(self._values["stdev"]):
            return
        n = sum(len(index) for index in vertices.values())
        if n > 1:
            raise refusal(
                "spinnaker", "noise-shared", f"give {n} cells the noise of one source",
                "Give each cell a NoisyCurrentSource, if noise of its own is meant",
            )  # fmt: skip
        if self.interval > 1:
            raise refusal(
                "spinnaker", "noise-interval",
                f"keep the noise of a source for {float(self._values['dt']):g} ms",
                f"Give it dt={self.state.dt:g}, and a stdev that allows for it",
            )  # fmt: skip

    def record(self) -> None:
        """Refuse: the board draws it.

        Raises
        ------
        UnsupportedError
        """
        raise refusal("spinnaker", "current-pieces: noise", "record noise")

    def native(self, first: int) -> dict[str, Any]:
        """See `OnBoard`. Each run has numbers of its own."""
        start, stop = self._steps("start", "stop")
        key = np.random.SeedSequence([self.state.drive_seed, self.number, floor.NOISE, first])
        seed = create_mars_kiss_seeds(np.random.RandomState(key.generate_state(1)))
        return {
            "mean": float(self._values["mean"]),
            "stdev": float(self._values["stdev"]),
            "start": start,
            "stop": stop,
            "dt": 1.0,
            "seed": list(seed),
        }


def classes(state: Any) -> dict[str, Any]:
    """Current sources by name.

    Parameters
    ----------
    state : State
        The backend's.
    """
    sources = DCSource, StepCurrentSource, ACSource, NoisyCurrentSource
    return {
        s.__name__: type(s.__name__, (s,), {"state": state, "__doc__": s.__doc__}) for s in sources
    }


def write_again(sources: Any, *, has_run: bool) -> None:
    """Have what is still to come of currents written, before the next run.

    Parameters
    ----------
    sources : list of OnBoard
    has_run : bool
        Whether cores have run since they were loaded or reset.
    """
    vertices = {v for s in sources if s.is_changed or s.follows_runs for v in s.vertices}
    for source in sources:
        source.is_changed = False
    if has_run:
        for vertex in vertices:
            # sPyNNaker's way: the state is read, and all is written with what is set
            (present,) = vertex.get_parameter_values("i_offset", [0])
            vertex.set_parameter_values("i_offset", float(present), [0])
