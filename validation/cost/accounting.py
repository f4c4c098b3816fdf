r"""What a run cost: time and energy to solution, each figure with its label and scope.

* Real-time factor of a phase: its wall-clock seconds over the seconds of model time.
* Core-seconds for a second of model time: processor time of the simulate phase (used), and its
  wall-clock time times the threads (held), as publications can be compared.
* Energy per synaptic event: energy of the simulate phase over the number of recurrent synaptic
  events in it, spikes times out-degree. Events of the background drive do not count
  (van Albada et al. 2018, 10.3389/fnins.2018.00291).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from portable_cortex import Energy, Recording
from portable_cortex.errors import InvalidValueError, OutputError
from portable_cortex.recording import model_of

Run = Recording | Mapping[str, Any]
"""A recording, or the contents of its ``run.json``."""

SHARED = 1.2  # cores held over cores used, above which the wall clock says little
SAME = ("model", "parameters", "timestep_ms", "warmup_ms", "duration_ms", "n_synapses")


@dataclass(frozen=True)
class Figure:
    """One number for a table, with what is needed to judge it.

    Attributes
    ----------
    name : str
    value : float or None
        None where it is unknown; the note says why.
    unit : str
    kind : {"measured", "modelled", "assumed"}
    scope : str
        What it covers.
    note : str
    """

    name: str
    value: float | None
    unit: str
    kind: str
    scope: str
    note: str = ""


@dataclass(frozen=True)
class Cost:
    """Time and energy of one run.

    Attributes
    ----------
    real_time_factors : dict of str to float
        By phase. The warm-up is divided by its own model time, all else by the recorded one.
    peak_memory_bytes : int
    energies : tuple of Energy
        Of the simulate phase; empty where nothing measured it.
    synaptic_events : int or None
        Recurrent ones, during the simulate phase.
    events_from : str
        Where the number of events comes from, or why it is unknown.
    charge : Figure or None
        What a job portal has counted for the whole job, e.g. core-hours.
    core_seconds : float or None
        Processor time of the simulate phase for a second of model time; None where the run does not
        say, as of older versions.
    threads : int or None
        That simulated, those of all processes together; None where the backend has no such option.

    Examples
    --------
    >>> from portable_cortex import run
    >>> cost = cost_of(run(backend="mock", scale=0.02, duration=100.0))
    >>> cost.real_time_factor == cost.real_time_factors["simulate"]
    True
    """

    real_time_factors: Mapping[str, float]
    peak_memory_bytes: int
    energies: tuple[Energy, ...]
    synaptic_events: int | None
    events_from: str
    charge: Figure | None = None
    core_seconds: float | None = None
    threads: int | None = None

    @property
    def real_time_factor(self) -> float:
        """That of the simulate phase: above 1 is slower than real time."""
        return self.real_time_factors["simulate"]

    @property
    def core_seconds_held(self) -> float | None:
        """Threads times real-time factor: cores that were held, busy or not."""
        return None if self.threads is None else self.threads * self.real_time_factor

    @property
    def doubt(self) -> str:
        """Why wall-clock time says little; empty where nothing speaks against it."""
        used, held = self.core_seconds, self.core_seconds_held
        if used is None or held is None or held <= SHARED * used:
            return ""
        busy = used / self.real_time_factor
        return (
            f"on average {busy:.2g} of {self.threads} threads had a core and work: the "
            "cores were shared, or threads waited; wall-clock time says little"
        )

    def energy_per_event(self, energy: Energy) -> float | None:
        """Energy per recurrent synaptic event, uJ; None if the events are unknown or none."""
        if not self.synaptic_events:
            return None
        return 1e6 * energy.joules / self.synaptic_events

    def figures(self) -> tuple[Figure, ...]:
        """Everything, labelled, for tables and reports."""
        figures = [
            Figure(f"real-time factor, {phase}", value, "", "measured", "wall-clock time")
            for phase, value in self.real_time_factors.items()
        ]
        figures += self._core_seconds()
        memory = self.peak_memory_bytes * 1e-9
        figures.append(Figure("peak memory", memory, "GB", "measured", "process"))
        for energy in self.energies:
            label = f"{energy.source}: {energy.note}" if energy.note else energy.source
            per_event = self.energy_per_event(energy)
            figures += [
                Figure("energy", energy.joules, "J", energy.kind, energy.scope, label),
                Figure(
                    "energy per synaptic event",
                    per_event,
                    "uJ",
                    energy.kind,
                    energy.scope,
                    f"{label}; events {self.events_from}",
                ),
            ]
        if self.charge is not None:
            figures.append(self.charge)
        return tuple(figures)

    def _core_seconds(self) -> list[Figure]:
        """Of cores, used and held, with a remark where these differ."""
        figures, unit = [], "per s of model time"
        used, held = self.core_seconds, self.core_seconds_held
        if used is not None:
            figures.append(Figure("core-seconds used", used, unit, "measured", "processor time"))
        if held is not None:
            scope, note = f"wall-clock time × {self.threads} threads", self.doubt
            figures.append(Figure("core-seconds held", held, unit, "measured", scope, note))
        return figures


def cost_of(run: Run, *, events_from: Run | None = None, energies: Iterable[Energy] = ()) -> Cost:
    """What a run cost.

    Parameters
    ----------
    run : Recording or dict
        The run, or the contents of its ``run.json``.
    events_from : Recording or dict, optional
        Another run of the same settings, whose spikes were recorded: it gives the number of
        synaptic events if `run` has none. Its seed and backend may differ.
    energies : iterable of Energy
        Figures that came after the run, e.g. from the log of an external meter.

    Raises
    ------
    OutputError
        If the run's metadata is incomplete.
    InvalidValueError
        If `events_from` has other settings, or no spikes either.

    Examples
    --------
    >>> from portable_cortex import run
    >>> fast = run(backend="mock", scale=0.02, duration=100.0, record_spikes=False)
    >>> cost_of(fast).synaptic_events is None
    True
    >>> cost = cost_of(fast, events_from=run(backend="mock", scale=0.02, duration=100.0, seed=2))
    >>> cost.events_from
    'of another run of the same settings (mock, seed 2)'
    """
    metadata = metadata_of(run)
    if metadata.get("real_time_factor", 0.0) is None:
        raise OutputError(
            "the run has no cost by model time: stationary rates were computed"
            if "rate_errors" in metadata
            else "the run has no cost: its machine is virtual, nothing was simulated"
        )
    try:
        model_seconds = metadata["duration_ms"] * 1e-3
        seconds = dict.fromkeys(metadata["phases_s"], model_seconds)
        if metadata["warmup_ms"]:
            seconds["warmup"] = metadata["warmup_ms"] * 1e-3
        factors = {
            phase: _finite(wall / seconds[phase]) for phase, wall in metadata["phases_s"].items()
        }
        _finite(factors["simulate"])  # the one that counts is there
        memory = int(_finite(metadata["peak_memory_bytes"]))
        events = metadata["synaptic_events"]
        if events is not None:
            events = int(_finite(events))
        measured = tuple(
            Energy(**{**figure, "joules": _finite(figure["joules"])})
            for figure in metadata["energy"]
        )
        charge = _charge(metadata)
        core_seconds = _core_seconds(metadata, model_seconds)
        threads = _threads(metadata)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise OutputError(f"the run has no complete account of its cost: {error!r}") from None
    if events is not None:
        origin = "of this run"
    elif events_from is not None:
        events, origin = _events_of(metadata, metadata_of(events_from))
    else:
        origin = "unknown: spikes were not recorded"
    energies = (*measured, *energies)
    return Cost(factors, memory, energies, events, origin, charge, core_seconds, threads)


def _core_seconds(metadata: Mapping[str, Any], model_seconds: float) -> float | None:
    """Processor time of the simulate phase for a second of model time, where the run says it."""
    if "cpu_s" not in metadata:
        return None
    return _finite(metadata["cpu_s"]["simulate"] / model_seconds)


def _threads(metadata: Mapping[str, Any]) -> int | None:
    """Of all processes together."""
    options = metadata.get("options")
    if not isinstance(options, Mapping) or "threads" not in options:
        return None
    if options.get("device", "cpu") != "cpu":  # they have built the network
        return None
    return int(_finite(options["threads"])) * int(_finite(metadata.get("processes", 1)))


def _charge(metadata: Mapping[str, Any]) -> Figure | None:
    """What the portal has counted for a job, in the unit that it gives."""
    portal = metadata.get("portal")
    usage = portal.get("resource_usage") if isinstance(portal, Mapping) else None
    if not isinstance(usage, Mapping):
        return None
    note = "as the portal has counted it against the quota"
    return Figure(
        "resource usage",
        _finite(usage["value"]),
        str(usage["units"]),
        "measured",
        "whole job",
        note,
    )


def _finite(value: Any) -> float:
    if not isinstance(value, float | int) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return value


def metadata_of(run: Run) -> Mapping[str, Any]:
    """The contents of a run's ``run.json``, however the run is given.

    Examples
    --------
    >>> metadata_of({"backend": "mock"})
    {'backend': 'mock'}
    """
    return run.metadata if isinstance(run, Recording) else run


def _events_of(metadata: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[int, str]:
    """Number of events of another run, after making sure that it is the same experiment."""
    require_events(metadata, other)
    name = f"{other['backend']}, seed {other['seed']}"
    return int(other["synaptic_events"]), f"of another run of the same settings ({name})"


def require_events(
    metadata: Mapping[str, Any], other: Mapping[str, Any], keys: Iterable[str] = SAME
) -> None:
    """Raise `InvalidValueError` unless `other` can stand in for the synaptic events of `metadata`.

    Parameters
    ----------
    metadata, other : dict
        Contents of ``run.json``.
    keys : iterable of str
        What must be equal; of the parameters all but the seed.

    Examples
    --------
    >>> require_events({"model": "pd14"}, {"model": "pd14", "synaptic_events": 5}, ["model"])
    """
    different = [key for key in keys if _setting(metadata, key) != _setting(other, key)]
    if different:
        raise InvalidValueError(
            "synaptic events must come from a run of the same settings; different are "
            + "; ".join(
                f"{k} ({_setting(metadata, k)!r}, {_setting(other, k)!r})" for k in different
            )
        )
    if other.get("synaptic_events") is None:
        raise InvalidValueError(
            "synaptic events must come from a run that recorded its spikes (without --no-record)"
        )


def _setting(metadata: Mapping[str, Any], key: str) -> Any:
    value = model_of(metadata) if key == "model" else metadata.get(key)
    if key == "parameters" and isinstance(value, dict):
        return {name: v for name, v in value.items() if name != "seed"}
    return value


def as_dict(cost: Cost) -> dict[str, Any]:
    """A cost for JSON, energies per event included.

    Examples
    --------
    >>> cost = Cost({"simulate": 2.0}, 10, (Energy(3.0, "measured", "outlet"),), 6, "of this run")
    >>> as_dict(cost)["energies"][0]["per_synaptic_event_uJ"]
    500000.0
    """
    energies = [
        {**asdict(energy), "per_synaptic_event_uJ": cost.energy_per_event(energy)}
        for energy in cost.energies
    ]
    return {**asdict(cost), "energies": energies}
