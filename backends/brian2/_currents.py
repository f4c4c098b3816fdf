"""PyNN's current sources: each gives its amplitude in every step."""

from __future__ import annotations

from typing import Any

import neo
import numpy as np
import quantities as pq
from numpy.typing import NDArray
from pyNN import errors
from pyNN.parameters import ParameterSpace, Sequence
from pyNN.standardmodels import build_translations, electrodes
from scipy.special import ndtri

from portable_cortex.realisation import Stream

from . import _simulator

NOISE = 15

F64 = NDArray[np.float64]


class _CurrentSource:
    """What all sources have in common."""

    parameter_space: Any
    translations: Any

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.cells: list[Any] = []
        self._recorded: list[F64] | None = None
        space = ParameterSpace(
            self.default_parameters,  # type: ignore[attr-defined]
            self.get_schema(),  # type: ignore[attr-defined]
            shape=(1,),
        )
        space.update(**parameters)
        self.set_native_parameters(self.translate(space))  # type: ignore[attr-defined]
        self._number = len(_simulator.state.currents)
        _simulator.state.currents.append(self)

    def set_native_parameters(self, parameters: Any) -> None:
        """Take new values from now on."""
        parameters.evaluate(simplify=True)
        for name, value in parameters.items():
            number = value.value if isinstance(value, Sequence) else value
            self.__dict__[f"_{name}"] = np.asarray(number, float)

    def get_native_parameters(self) -> Any:
        """Values, as they were set."""
        return ParameterSpace(self.get_parameters(), shape=(1,))

    def get_parameters(self) -> dict[str, Any]:
        """Values by name: numbers, or arrays."""
        values = {name: self.__dict__[f"_{name}"] for name in self.translations}
        return {name: v if v.ndim else float(v) for name, v in values.items()}

    def inject_into(self, cells: Any) -> None:
        """Inject into cells of a population, view or assembly; also ``cells.inject(source)``."""
        for cell in cells:
            if not cell.celltype.injectable:
                raise TypeError("Can't inject current into a spike source.")
        _simulator.state.change("a current")
        already = {int(cell) for cell in self.cells}
        self.cells += [cell for cell in cells if int(cell) not in already]

    def waveform(self, times: F64) -> F64:
        """Amplitude (nA) in the steps that begin at `times` (ms)."""
        raise NotImplementedError

    def record(self) -> None:
        """Record the current from now on."""
        self._recorded, self._recorded_from = [], _simulator.state.t
        self._interval = _simulator.state.dt

    def take(self, amplitudes: F64) -> None:
        """Take over what was injected."""
        if self._recorded is not None:
            self._recorded.append(amplitudes)

    def get_data(self) -> Any:
        """The recorded current, a sample a step, as a Neo ``AnalogSignal``."""
        if self._recorded is None:
            raise errors.RecordingError("i", type(self).__name__)
        amplitudes = np.concatenate([*self._recorded, np.empty(0)])
        end = self._recorded_from + self._interval * amplitudes.size
        return neo.AnalogSignal(
            np.append(amplitudes, self.waveform(np.array([end]))),
            units="nA",
            t_start=self._recorded_from * pq.ms,
            sampling_period=self._interval * pq.ms,
        )

    def _between(self, times: F64, values: Any) -> F64:
        half = 0.5 * _simulator.state.dt
        start, stop = self.__dict__["_start"], self.__dict__["_stop"]
        return np.where((times > start - half) & (times < stop - half), values, 0.0)


class DCSource(_CurrentSource, electrodes.DCSource):  # type: ignore[misc]
    __doc__ = electrodes.DCSource.__doc__
    translations = build_translations(*((n, n) for n in electrodes.DCSource.default_parameters))

    def waveform(self, times: F64) -> F64:
        """Constant from start to stop."""
        return self._between(times, self.__dict__["_amplitude"])


class StepCurrentSource(_CurrentSource, electrodes.StepCurrentSource):  # type: ignore[misc]
    __doc__ = electrodes.StepCurrentSource.__doc__
    translations = build_translations(
        *((n, n) for n in electrodes.StepCurrentSource.default_parameters)
    )

    def set_native_parameters(self, parameters: Any) -> None:
        """Take new values from now on; times are rounded to steps, of equal ones the last counts.

        Raises
        ------
        ValueError
            For times that do not ascend from 0, or not as many amplitudes.
        """
        super().set_native_parameters(parameters)
        changes, amplitudes = self.__dict__["_times"], self.__dict__["_amplitudes"]
        if np.any(np.diff(changes) < 0) or np.any(changes < 0):
            raise ValueError(f"times must ascend from 0, not {changes}")
        if changes.size != amplitudes.size:
            raise ValueError(
                f"StepCurrentSource needs as many amplitudes as times: {amplitudes.size} and "
                f"{changes.size} were given"
            )
        dt = _simulator.state.dt
        steps = np.ceil(changes / dt - 0.5)
        last = np.append(np.diff(steps) > 0, np.ones(min(steps.size, 1), bool))
        self.__dict__["_times"] = np.round(steps[last] * dt, 9)
        self.__dict__["_amplitudes"] = amplitudes[last]

    def waveform(self, times: F64) -> F64:
        """The amplitude of the last time that has come."""
        changes, amplitudes = self.__dict__["_times"], self.__dict__["_amplitudes"]
        last = np.searchsorted(changes, times + 0.5 * _simulator.state.dt, side="right")
        levels: F64 = np.concatenate([[0.0], amplitudes])
        return levels[last]


class ACSource(_CurrentSource, electrodes.ACSource):  # type: ignore[misc]
    __doc__ = electrodes.ACSource.__doc__
    translations = build_translations(*((n, n) for n in electrodes.ACSource.default_parameters))

    def waveform(self, times: F64) -> F64:
        """Offset + amplitude sin(2 pi frequency (t - start) + phase)."""
        own = self.__dict__
        angle = 2e-3 * np.pi * own["_frequency"] * (times - own["_start"])
        wave = own["_offset"] + own["_amplitude"] * np.sin(angle + np.deg2rad(own["_phase"]))
        return self._between(times, wave)


class NoisyCurrentSource(_CurrentSource, electrodes.NoisyCurrentSource):  # type: ignore[misc]
    __doc__ = electrodes.NoisyCurrentSource.__doc__
    translations = build_translations(
        *((n, n) for n in electrodes.NoisyCurrentSource.default_parameters)
    )

    def waveform(self, times: F64) -> F64:
        """One normal number for each interval ``dt``: a function of seed, source and interval."""
        own, state = self.__dict__, _simulator.state
        if not times.size:
            return times
        interval = max(1, round(float(own["_dt"]) / state.dt))
        numbers = np.rint(times / state.dt).astype(np.int64) // interval
        stream = Stream(state.seed, self._number, NOISE)
        draws = ndtri(stream.uniform(int(numbers[-1] - numbers[0]) + 1, int(numbers[0])))
        noise = own["_mean"] + own["_stdev"] * draws[numbers - numbers[0]]
        return self._between(times, noise)
