"""Which backends run, what they run, and which are left out, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from portable_cortex import Backend, Experiment, backend_names, load_backend
from portable_cortex.errors import (
    BackendUnavailableError,
    InvalidValueError,
    PortableCortexError,
    UnsupportedError,
)
from portable_cortex.machine import Machine, load_machine
from portable_cortex.registry import check_backend

EVERY = "all"
NOT_INSTALLED, LEFT_OUT, FAILED = "not installed", "left out", "failed"


@dataclass(frozen=True)
class Absent:
    """A backend without a verdict.

    Attributes
    ----------
    name : str
    state : {"not installed", "left out", "failed"}
    reason : str
        Why, or what would install it.
    is_fault : bool
        Whether a verdict was to be expected.
    """

    name: str
    state: str
    reason: str
    is_fault: bool


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes
    ----------
    experiments : tuple of Experiment
        In turn: every backend with the first seed, with the second ..., then, on the same network,
        every backend with the first seed again.
    absent : tuple of Absent
        Backends that run nothing.
    """

    experiments: tuple[Experiment, ...]
    absent: tuple[Absent, ...]


def plan(
    backends: Sequence[str], settings: Experiment, seeds: Sequence[int], *, shared: bool = True
) -> Plan:
    """Runs of several backends that differ in nothing but the backend and the seed.

    Parameters
    ----------
    backends : sequence of str
        Names, or ``["all"]``: those that are installed and simulate.
    settings : Experiment
        Of all runs, but for backend, seed and realisation.
    seeds : sequence of int
    shared : bool
        Whether backends that draw their networks by themselves also run one that is the same for
        all, neuron by neuron.

    Raises
    ------
    UnknownNameError, InvalidValueError
        For names that are none, or twice the same.
    PortableCortexError
        For settings that no backend takes: what the first one says.

    Examples
    --------
    >>> made = plan(["builtin", "mock"], Experiment(parameters={"scale": 0.02}), [1, 2])
    >>> [(run.backend, run.seed, run.realisation) for run in made.experiments][-3:]
    [('mock', 2, 'native'), ('builtin', 1, 'shared'), ('mock', 1, 'shared')]
    """
    names = [name.strip() for name in backends if name.strip()]
    every = names == [EVERY]
    if not names or len(set(names)) < len(names) or (EVERY in names and not every):
        raise InvalidValueError(
            "backends must be all, or different names separated by commas, not "
            f"{','.join(backends)!r}"
        )
    for name in () if every else names:
        check_backend(name)
    looked_at = {
        name: _absent(name, settings, not every) for name in (backend_names() if every else names)
    }
    absent = tuple(why for why in looked_at.values() if why is not None)
    running = [name for name, why in looked_at.items() if why is None]
    if not running:
        _refuse(absent, settings)
    able = {name: load_backend(name) for name in running}
    native = [
        replace(settings, backend=name, seed=seed)
        for seed in seeds
        for name in running
        if able[name].spiking or seed == seeds[0]  # rates are the same for any seed
    ]
    pairable = [
        n for n in running if able[n].spiking and "shared" in able[n].capabilities.realisations
    ]
    same = [
        replace(settings, backend=name, seed=seeds[0], realisation="shared")
        for name in pairable
        if shared and len(pairable) > 1
    ]
    return Plan((*native, *same), absent)


def _absent(name: str, settings: Experiment, by_name: bool) -> Absent | None:
    """Why a backend runs nothing; None if it runs."""
    try:
        backend = load_backend(name)
    except BackendUnavailableError as error:
        return Absent(name, NOT_INSTALLED, str(error), by_name)
    machine = load_machine(settings.machine)
    if not by_name and machine.backends is not None and name not in machine.backends:
        runs = ", ".join(machine.backends)
        return Absent(name, LEFT_OUT, f"the machine {machine.name} runs {runs}", False)
    reason = "" if by_name else _not_for_all(backend, machine)
    if reason:
        return Absent(name, LEFT_OUT, f"{reason}: --backends {name} runs it", False)
    availability = backend.availability()
    if not availability.available:
        return Absent(name, NOT_INSTALLED, availability.install, by_name)
    try:
        replace(settings, backend=name).settings()
    except PortableCortexError as error:
        return Absent(name, FAILED, str(error), True)
    return None


def _not_for_all(backend: Backend, machine: Machine) -> str:
    """Why a backend that is not named is left out; empty if it is not."""
    if not backend.spiking:
        return "it computes mean rates, without spikes"
    if not backend.capabilities.dynamics:
        return "it simulates nothing: its spikes are made up"
    target = getattr(machine.options_for(backend), "target", None)
    if target == "emulated":
        return "an emulated board takes hours for a tenth of the microcircuit"
    if target == "virtual":
        return "a virtual machine simulates nothing"
    return ""


def _refuse(absent: Sequence[Absent], settings: Experiment) -> None:
    """Raise what keeps every backend from running."""
    failed = [why.name for why in absent if why.state == FAILED]
    if failed:
        replace(settings, backend=failed[0]).settings()
    why = "; ".join(f"{a.name}: {a.state}, {a.reason}" for a in absent)
    raise UnsupportedError(f"no backend runs here: {why}")
