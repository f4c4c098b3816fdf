"""One run: a model, a backend, a machine, a seed, a warm-up and a duration -> a `Recording`.

What a run is, is here; how it is done, in `running`. A submitted job has this module too, and not
those that read machine files: it brings its options along.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InvalidValueError, OutputError, UnknownNameError, UnsupportedError
from .host import parallel
from .models.loader import load_model
from .models.user_code import shown
from .recording import check_output, to_json
from .registry import DEFAULT_BACKEND, DEFAULT_MACHINE, load_backend
from .running import Change as Change
from .running import Reporter as Reporter
from .running import Resolved as Resolved
from .running import RunWarning, execute, run_into
from .running import execute_trials as execute_trials
from .support import Namespace, check_trials, check_weight_format

if TYPE_CHECKING:
    from .backend import Backend
    from .options import BackendOptions
    from .recording import Recording

__all__ = ["REALISATIONS", "Experiment", "RecordRequest", "RunWarning", "run", "simulator"]

REALISATIONS = ("native", "shared")
DURATION = 2000.0  # ms, unless given: the least that `validate` takes

# Types of what `Experiment.__post_init__` does not look at, as JSON has them.
_KINDS: Mapping[str, type] = {
    "model": str,
    "parameters": dict,
    "backend": str,
    "machine": str,
    "options": dict,
    "realisation": str,
    "record": list,
    "record_spikes": bool,
}


class _Silent:
    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        pass


@dataclass(frozen=True)
class RecordRequest:
    """Record `variable` from the first `count` neurons of `population`."""

    variable: str
    population: str
    count: int

    @classmethod
    def parse(cls, text: str) -> RecordRequest:
        """Read ``variable:population[:count]``; the count is 10 unless given.

        Raises
        ------
        InvalidValueError
            For anything else.

        Examples
        --------
        >>> RecordRequest.parse("v:L4E:5")
        RecordRequest(variable='v', population='L4E', count=5)
        """
        variable, _, rest = text.partition(":")
        population, _, count = rest.partition(":")
        if not variable or not population or not (count or "10").isdecimal() or count == "0":
            raise InvalidValueError(
                f"what to record is written variable:population:count, e.g. v:L4E:10, not {text!r}"
            )
        return cls(variable, population, int(count or 10))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RecordRequest:
        """Read the fields by name.

        Raises
        ------
        InvalidValueError
            For anything else.
        """
        match values:
            case {"variable": str(v), "population": str(p), "count": int(n), **rest} if not rest:
                return cls(v, p, n)
        raise InvalidValueError(
            f"what to record is variable, population and count by name, not {shown(values)}"
        )

    def __str__(self) -> str:
        return f"{self.variable}:{self.population}:{self.count}"


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a model as run.json, sweeps and jobs have them, and models everywhere.

    Arrays and tuples are lists, numpy's numbers Python's.

    Raises
    ------
    InvalidValueError
        For what JSON cannot hold, or holds as something else.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"onsets": np.arange(2.0), "range": (1, 2)})
    {'onsets': [0.0, 1.0], 'range': [1, 2]}
    """

    def check_names(value: Any) -> None:
        if isinstance(value, Mapping):
            for name, child in value.items():
                if not isinstance(name, str):
                    raise InvalidValueError(
                        f"names in a parameter must be text, not {name!r}: run.json, sweeps and "
                        "jobs have them as text"
                    )
                check_names(child)
        elif isinstance(value, list | tuple):
            for child in value:
                check_names(child)

    try:
        text = to_json(parameters)
    except OutputError as error:  # say now what could not be saved later
        raise InvalidValueError(str(error)) from None
    check_names(parameters)
    found: dict[str, Any] = json.loads(text)
    return found


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the outcome of a run.

    Attributes
    ----------
    model : str or Path
        Name of a model, or a Python file that defines ``build(sim, ...)``.
    parameters : dict
        Keyword arguments of the model's ``build``, which gets them as `plain` makes them; `seed`
        is passed along by itself.
    backend, machine : str
        Names, or for the machine a ``.toml`` file.
    options : dict of str to str
        Options of the backend, in place of those of the machine file.
    seed : int
        1 to 2**32 - 1.
    timestep, warmup, duration : float
        ms of model time. Activity during the warm-up is discarded.
    realisation : {"native", "shared"}
        Whether the backend draws the random network, or the core does, identically for all.
    record : sequence of RecordRequest
        Variables to record besides spikes.
    record_spikes : bool
        False for measuring performance.
    trial : int
        From 1: which realisation of Poisson spikes and noise drives the network, which itself
        depends on the seed alone.
    """

    model: str | Path = "pd14"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    backend: str = DEFAULT_BACKEND
    machine: str | Path = DEFAULT_MACHINE
    options: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    timestep: float = 0.1
    warmup: float = 500.0
    duration: float = DURATION
    realisation: str = "native"
    record: Sequence[RecordRequest] = ()
    record_spikes: bool = True
    trial: int = 1

    def __post_init__(self) -> None:
        for name, kinds in (
            ("seed", Integral),
            ("trial", Integral),
            ("timestep", Real),
            ("warmup", Real),
            ("duration", Real),
        ):
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                what = "a whole number from 1" if kinds is Integral else "a number of ms"
                raise InvalidValueError(f"{name} must be {what}, not {value!r}")
        if not 1 <= self.seed < 2**32:
            raise InvalidValueError(
                f"seed must be a whole number from 1 to {2**32 - 1}, not {self.seed!r}"
            )
        if not 1 <= self.trial < 2**32:
            raise InvalidValueError(f"trial must be a whole number from 1, not {self.trial!r}")
        if not (math.isfinite(self.timestep) and self.timestep > 0):
            raise InvalidValueError(f"timestep must be above 0 ms, not {self.timestep!r}")
        for name, value, least in (("warmup", self.warmup, 0), ("duration", self.duration, 1)):
            try:
                steps = value / self.timestep
            except OverflowError:  # a whole number beyond all floats
                steps = math.inf
            if not (math.isfinite(steps) and round(steps) >= least):
                raise InvalidValueError(
                    f"{name} must be {'at least one time step' if least else '0 ms or more'}, "
                    f"not {value!r} ms"
                )
            if abs(steps - round(steps)) > 1e-6:
                raise InvalidValueError(
                    f"{name} must be a multiple of the time step ({self.timestep:g} ms), "
                    f"not {value!r} ms"
                )
        if self.realisation not in REALISATIONS:
            raise UnknownNameError("realisation", self.realisation, REALISATIONS)

    def settings(self) -> dict[str, Any]:
        """All that decides the outcome, as the run's ``run.json`` will hold it.

        Two runs with equal settings (and versions) are repetitions of each other.

        Raises
        ------
        PortableCortexError
            For what can be told to be impossible before anything is built.

        Examples
        --------
        >>> Experiment(backend="mock", seed=3).settings()["parameters"]["seed"]
        3
        """
        return self._resolve().settings()

    def check(self) -> None:
        """Raise an error for what can be told to be impossible, with the simulator or without it.

        Raises
        ------
        PortableCortexError
            For unknown names, wrong parameters and options, and what the backend cannot do.

        Examples
        --------
        >>> Experiment(backend="mock", timestep=0.2).check()
        """
        self._resolve(installed=False)

    def run(
        self,
        reporter: Reporter | None = None,
        output: str | Path | None = None,
        *,
        overwrite: bool = False,
        about: Mapping[str, Any] | None = None,
    ) -> Recording:
        """Run it; under mpirun every process does, and every one gets the whole recording.

        Parameters
        ----------
        reporter : Reporter, optional
        output : str or Path, optional
            Folder for the results. A backend that can writes them while it runs: that needs little
            memory, and an end that nobody foresaw leaves what was simulated.
        overwrite : bool
            Whether to take the place of a run that the folder holds.
        about : mapping, optional
            What else ``run.json`` shall have.

        Raises
        ------
        PortableCortexError
            For whatever keeps it from running; see `portable_cortex.errors`.
        """
        if output is None:
            return execute(self._resolve(), reporter or _Silent())
        from .recording.unfinished import Journal, check_unused

        folder = check_output(output, overwrite=overwrite)
        check_unused(folder)
        journal = Journal(folder, about)
        return run_into(self._resolve(), reporter or _Silent(), journal, overwrite)

    def resolved(self) -> Resolved:
        """What the names stand for, for who runs it otherwise.

        Raises
        ------
        PortableCortexError
            For what can be told to be impossible before anything is built.
        """
        return self._resolve()

    def _resolve(self, *, installed: bool = True) -> Resolved:
        """What the names stand for, checked as far as it can be without building the network."""
        from .machine import load_machine

        backend, machine = load_backend(self.backend), load_machine(self.machine)
        options = machine.options_for(backend, self.options)
        resolved = self.resolve_with(backend, options)
        if installed:
            check_here(backend, options)
        power = machine.power
        return replace(resolved, open_meter=None if power is None else power.open)

    def resolve_with(self, backend: Backend, options: BackendOptions) -> Resolved:
        """What the names stand for on a backend with its options, whatever machine it is.

        Raises
        ------
        PortableCortexError
            For an unknown model, wrong parameters, and what the backend cannot do.
        """
        model = load_model(self.model)
        model.check(self.parameters)
        parameters = plain(self.parameters)
        if "seed" in model.parameters:
            parameters["seed"] = int(self.seed)
        self._check_capabilities(backend, options, parameters)
        resolved = Resolved(self, model, parameters, backend, options)
        try:
            resolved.settings()
        except OutputError as error:  # say now what could not be saved later
            raise InvalidValueError(str(error)) from None
        return resolved

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON can hold them; `from_dict` reads them again.

        Raises
        ------
        OutputError
            For a parameter that JSON cannot hold.

        Examples
        --------
        >>> Experiment(backend="mock").to_dict()["backend"]
        'mock'
        """
        values = {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "record": [asdict(request) for request in self.record],
        }
        plain: dict[str, Any] = json.loads(to_json(values))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Experiment:
        """Read what `to_dict` gave; what is left out has its default.

        Raises
        ------
        UnknownNameError
            For a key that is no field.
        InvalidValueError
            For a value that a field does not take.

        Examples
        --------
        >>> Experiment.from_dict(Experiment(seed=3).to_dict()) == Experiment(seed=3)
        True
        """
        if not isinstance(values, Mapping):
            raise InvalidValueError(
                f"an experiment is a mapping of its fields, not {shown(values)}"
            )
        names = [f.name for f in fields(cls)]
        for name, value in values.items():
            if name not in names:
                raise UnknownNameError("field of an experiment", str(name), names)
            kind = _KINDS.get(name, object)
            if not isinstance(value, kind):
                raise InvalidValueError(
                    f"{name} of an experiment must be a {kind.__name__}, not {shown(value)}"
                )
        record = tuple(map(RecordRequest.from_dict, values.get("record", ())))
        return cls(**{**values, "record": record})

    def lost(self, recording: Recording) -> list[str]:
        """What was to be recorded, and is not in the recording."""
        trains = recording.populations if recording.spike_trains else ()
        return [
            *(f"spikes of {p}" for p in trains if p not in recording.spike_trains),
            *(
                f"{r.variable} of {r.population}"
                for r in self.record
                if (r.population, r.variable) not in recording.signals
            ),
        ]

    def _check_capabilities(
        self, backend: Backend, options: BackendOptions, parameters: Mapping[str, Any]
    ) -> None:
        can = backend.capabilities
        if not can.timesteps[0] <= self.timestep <= can.timesteps[1]:
            raise UnsupportedError(
                f"backend {backend.name!r} needs a time step from {can.timesteps[0]:g} to "
                f"{can.timesteps[1]:g} ms, not {self.timestep:g} ms"
            )
        if self.realisation not in can.realisations:
            raise UnsupportedError(
                f"backend {backend.name!r} has no realisation {self.realisation!r}: "
                f"use {', '.join(can.realisations)}"
            )
        if self.trial > 1:
            check_trials(backend)
        if self.realisation != "shared":
            check_weight_format(backend, options.weights)
        drive = parameters.get("drive")
        if drive in ("poisson", "dc") and drive not in can.drives:
            raise UnsupportedError(
                f"backend {backend.name!r} has no drive {drive!r}: use {', '.join(can.drives)}"
            )


def check_here(backend: Backend, options: BackendOptions) -> None:
    """Raise an error unless a backend can be used from this process, which is made ready for it.

    Raises
    ------
    BackendUnavailableError
        If its simulator is not installed.
    UnsupportedError
        For options with which nothing runs from here, and under mpirun for a backend of which
        every process would simulate a network of its own.
    """
    from .host.cache import find_matplotlib_a_folder

    find_matplotlib_a_folder()  # before a simulator imports it
    backend.require()
    backend.check_options(options)
    if parallel.processes() > 1:
        backend.check_processes()


def run(
    *,
    model: str | Path = "pd14",
    backend: str = DEFAULT_BACKEND,
    machine: str | Path = DEFAULT_MACHINE,
    options: Mapping[str, str] | None = None,
    seed: int = 1,
    timestep: float = 0.1,
    warmup: float = 500.0,
    duration: float = DURATION,
    realisation: str = "native",
    record: Sequence[str] = (),
    record_spikes: bool = True,
    output: str | Path | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
    **parameters: Any,
) -> Recording:
    """Build and run a model on a backend.

    Parameters
    ----------
    record : sequence of str
        ``variable:population:count``, e.g. ``"v:L4E:10"``.
    output : str or Path, optional
        Folder for the results; see `Experiment.run`.
    overwrite : bool
        Whether to take the place of a run that the folder holds.
    **parameters
        Of the model, e.g. ``scale=0.1, drive="dc"`` (see `portable_cortex.models.pd14.build`).

    See `Experiment` for the others.

    Returns
    -------
    Recording

    Raises
    ------
    PortableCortexError
        For whatever keeps it from running; see `portable_cortex.errors`.

    Examples
    --------
    >>> recording = run(backend="mock", scale=0.02, duration=100.0)
    >>> recording.metadata["n_neurons"]
    1544
    """
    return Experiment(
        model=model,
        parameters=parameters,
        backend=backend,
        machine=machine,
        options=options or {},
        seed=seed,
        timestep=timestep,
        warmup=warmup,
        duration=duration,
        realisation=realisation,
        record=[RecordRequest.parse(text) for text in record],
        record_spikes=record_spikes,
    ).run(reporter, output, overwrite=overwrite)


def simulator(
    backend: str = DEFAULT_BACKEND,
    *,
    machine: str | Path = DEFAULT_MACHINE,
    options: Mapping[str, str] | None = None,
) -> Any:
    """The PyNN namespace of a backend, for a script of your own.

    Use it as any PyNN simulator: ``sim.setup()``, ``sim.Population(...)``, ``sim.run()``.

    Parameters
    ----------
    backend, machine : str
        Names, or for the machine a ``.toml`` file.
    options : dict of str to str
        Options of the backend, in place of those of the machine file.

    Raises
    ------
    UnknownNameError, BackendUnavailableError
        For a backend that does not exist, or whose simulator is not installed.
    UnsupportedError
        Under mpirun, for a backend of which every process would simulate a network of its own; for
        a format of weights that it does not have.

    Examples
    --------
    >>> sim = simulator("mock")
    >>> _ = sim.setup(timestep=0.1)
    >>> sim.Population(10, sim.IF_curr_exp()).size
    10
    """
    from .machine import load_machine

    loaded = load_backend(backend)
    loaded.require()
    chosen = load_machine(machine).options_for(loaded, options)
    check_here(loaded, chosen)
    check_weight_format(loaded, chosen.weights)
    return Namespace(loaded.simulator(chosen), loaded)
