"""PyNN's current sources as waveforms: an amplitude for each step of the grid.

The current of a step flows from its beginning to its end. Times of sources are brought to the
nearest point of the grid; the current flows in the steps from start (included) to stop (excluded).
"""

from __future__ import annotations

from typing import Any

import neo
import numpy as np
import quantities as pq
from numpy.typing import NDArray
from pyNN import errors
from pyNN.common import IDMixin
from pyNN.parameters import ParameterSpace, Sequence
from pyNN.standardmodels import electrodes

from ..errors import InvalidValueError, ModelError, UnsupportedError
from .draws import Stream
from .grid import nearest_steps
from .population import is_modelled, same_names

F64 = NDArray[np.float64]
NOT_NEGATIVE = {"stdev", "dt"}
NOISE = 15  # the quantity that is drawn, after those of `draws` and of the built-in engine


def check_injectable(celltype: Any) -> None:
    """Raise an error for a neuron model that has no input for a current.

    Parameters
    ----------
    celltype : class

    Raises
    ------
    UnsupportedError
    """
    if not is_modelled(celltype):
        return
    currents = celltype.neuron.currents
    if not currents or not currents[0].unit.endswith("A"):
        has = f"{currents[0].name} in {currents[0].unit or 'no unit'}" if currents else "none"
        raise UnsupportedError(
            f"{celltype.neuron.name} cannot take an injected current: it needs a continuous input "
            f"in ampere, and has {has}; add one to the model (input: i_inject pA <- continuous)"
        )


def cells_of(cells: Any) -> list[Any]:
    """Cells of a population, view, assembly or list, or the one that is given."""
    return [cells] if isinstance(cells, IDMixin) else list(cells)


class CurrentSource:
    """What all sources have in common.

    Attributes
    ----------
    state : State
        A class attribute of the subclasses that `classes` makes.
    cells : list of int
        Cells that it is injected into, in order.
    """

    state: Any
    parameter_space: Any
    translations: Any

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.cells: list[int] = []
        self._recorded: list[F64] | None = None
        self._values: dict[str, Any] = {}
        space = ParameterSpace(
            self.default_parameters,  # type: ignore[attr-defined]
            self.get_schema(),  # type: ignore[attr-defined]
            shape=(1,),
        )
        space.update(**parameters)
        self._take(self.translate(space))  # type: ignore[attr-defined]
        self._network = self.state.network
        self.number = self.state.add_current_source(self)

    def set_native_parameters(self, parameters: Any) -> None:
        """Take new values, which hold from now on."""
        self._check_alive()
        self._take(parameters)

    def _check_alive(self) -> None:
        if self._network != self.state.network:
            raise ModelError(
                f"this {type(self).__name__} belongs to a network that setup() has ended: make it "
                "anew"
            )

    def _take(self, parameters: Any) -> None:
        parameters.evaluate(simplify=True)
        values = {
            name: np.asarray(value.value if isinstance(value, Sequence) else value, float)
            for name, value in parameters.items()
        }
        for name, value in values.items():
            kind = type(self).__name__
            if np.any(np.isnan(value)):
                raise errors.InvalidParameterValueError(f"{name} of a {kind} must be a number")
            if name in NOT_NEGATIVE and np.any(value < 0):
                raise errors.InvalidParameterValueError(
                    f"{name} of a {kind} must be 0 or more, not {np.min(value):g}"
                )
        self._values = self.checked({**self._values, **values})

    def checked(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values, after a look at them."""
        return values

    def get_native_parameters(self) -> Any:
        """Values, as they were set."""
        return ParameterSpace(self.get_parameters(), shape=(1,))

    def get_parameters(self) -> dict[str, Any]:
        """Values by name: numbers, or arrays."""
        return {name: v if v.ndim else float(v) for name, v in self._values.items()}

    def inject_into(self, cells: Any) -> None:
        """Inject into cells of a population, view or assembly; also ``cells.inject(source)``."""
        self._check_alive()
        cells = cells_of(cells)
        if not all(cell.celltype.injectable for cell in cells):
            raise TypeError("Can't inject current into a spike source.")
        for kind in {type(cell.celltype) for cell in cells}:
            check_injectable(kind)
        self.state.check_alive(*{id(c.parent): c.parent for c in cells}.values())
        self.state.touch("a current source")
        self.cells = sorted({*self.cells, *map(int, cells)})

    def waveform(self, first: int, last: int) -> F64:
        """Amplitude, nA, in the steps that begin at the points `first` to ``last - 1``."""
        raise NotImplementedError

    def _window(self, first: int, last: int, values: Any) -> F64:
        """The values in the steps between start and stop, zero in others."""
        steps = np.arange(first, last)
        start, stop = (nearest_steps(self._values[n], self.state.dt) for n in ("start", "stop"))
        return np.where((steps >= start) & (steps < stop), values, 0.0)

    # --- recording --------------------------------------------------------------------------------

    def record(self) -> None:
        """Record the current from now on."""
        self._recorded, self._recorded_from = [], self.state.t
        self._interval = self.state.dt

    def restart(self) -> None:
        """The network has gone back to its beginning."""
        if self._recorded is not None:
            self.record()

    def take(self, amplitudes: F64) -> None:
        """Take over what was injected in the steps that have been run."""
        if self._recorded is not None:
            self._recorded.append(amplitudes)

    def get_data(self) -> Any:
        """The recorded current, a sample a step, as a Neo ``AnalogSignal``."""
        if self._recorded is None:
            raise InvalidValueError(
                f"this {type(self).__name__} is not recorded: call its record() before the run"
            )
        amplitudes = np.concatenate([*self._recorded, np.empty(0)])
        end = round((self._recorded_from + self._interval * amplitudes.size) / self._interval)
        return neo.AnalogSignal(
            np.append(amplitudes, self.waveform(end, end + 1)),
            units="nA",
            t_start=self._recorded_from * pq.ms,
            sampling_period=self._interval * pq.ms,
        )


class DCSource(CurrentSource, electrodes.DCSource):  # type: ignore[misc]  # PyNN is untyped
    """A constant current from start to stop."""

    translations = same_names(electrodes.DCSource)

    def waveform(self, first: int, last: int) -> F64:
        """Constant from start to stop."""
        return self._window(first, last, float(self._values["amplitude"]))


class StepCurrentSource(CurrentSource, electrodes.StepCurrentSource):  # type: ignore[misc]
    """A current that changes at given times."""

    translations = same_names(electrodes.StepCurrentSource)

    def checked(self, values: dict[str, Any]) -> dict[str, Any]:
        """Times in order and amplitudes for them.

        Raises
        ------
        pyNN.errors.InvalidParameterValueError
            For times that do not ascend from 0, or not as many amplitudes.
        """
        times, amplitudes = (np.atleast_1d(values[name]) for name in ("times", "amplitudes"))
        if np.any(np.diff(times) < 0) or np.any(times < 0):
            raise errors.InvalidParameterValueError(f"times must ascend from 0, not {times}")
        if times.size != amplitudes.size:
            raise errors.InvalidParameterValueError(
                f"StepCurrentSource needs as many amplitudes as times: {amplitudes.size} and "
                f"{times.size} were given"
            )
        return {"times": times, "amplitudes": amplitudes}

    def steps(self) -> tuple[NDArray[np.int64], F64]:
        """Points of the grid where the amplitude changes, and to what; of equal ones the last."""
        points = nearest_steps(self._values["times"], self.state.dt).astype(np.int64)
        last = np.append(np.diff(points) > 0, np.ones(min(points.size, 1), bool))
        return points[last], self._values["amplitudes"][last]

    def get_parameters(self) -> dict[str, Any]:
        """Times, ms, as they are on the grid, and the amplitudes from then on."""
        points, amplitudes = self.steps()
        return {"times": np.round(points * self.state.dt, 9), "amplitudes": amplitudes}

    def waveform(self, first: int, last: int) -> F64:
        """The amplitude of the last time that has come."""
        points, amplitudes = self.steps()
        levels: F64 = np.concatenate([[0.0], amplitudes])
        return levels[np.searchsorted(points, np.arange(first, last), side="right")]


class ACSource(CurrentSource, electrodes.ACSource):  # type: ignore[misc]
    """A sine from start to stop."""

    translations = same_names(electrodes.ACSource)

    def waveform(self, first: int, last: int) -> F64:
        """Offset + amplitude sin(2 pi frequency (t - start) + phase)."""
        values, times = self._values, np.arange(first, last) * self.state.dt
        start = nearest_steps(values["start"], self.state.dt) * self.state.dt
        angle = 2e-3 * np.pi * values["frequency"] * (times - start)
        wave = values["offset"] + values["amplitude"] * np.sin(angle + np.deg2rad(values["phase"]))
        return self._window(first, last, wave)


class NoisyCurrentSource(CurrentSource, electrodes.NoisyCurrentSource):  # type: ignore[misc]
    """A normal number for each interval, the same in all its cells."""

    translations = same_names(electrodes.NoisyCurrentSource)

    @property
    def interval(self) -> int:
        """Steps between new values."""
        return max(1, int(nearest_steps(self._values["dt"], self.state.dt)))

    def waveform(self, first: int, last: int) -> F64:
        """One normal number for each interval ``dt``: a function of seed, source and interval."""
        from scipy.special import ndtri  # slow to import

        if last <= first:
            return np.empty(0)
        numbers = np.arange(first, last) // self.interval
        stream = Stream(self.state.drive_seed, self.number, NOISE)
        draws = stream.uniform(int(numbers[-1] - numbers[0]) + 1, int(numbers[0]))
        noise = self._values["mean"] + self._values["stdev"] * ndtri(draws)[numbers - numbers[0]]
        return self._window(first, last, noise)


SOURCES = DCSource, StepCurrentSource, ACSource, NoisyCurrentSource


def classes(state: Any) -> dict[str, Any]:
    """Current sources of a backend, by name.

    Parameters
    ----------
    state : State
        The backend's.
    """
    return {
        s.__name__: type(s.__name__, (s,), {"state": state, "__doc__": s.__doc__}) for s in SOURCES
    }
