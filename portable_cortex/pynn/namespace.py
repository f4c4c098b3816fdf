"""The names of a PyNN namespace, from what a backend has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from numbers import Real
from types import ModuleType
from typing import Any

import numpy as np
from pyNN import common, connectors, core, errors, network, parameters, random, recording, space
from pyNN.connectors import FixedProbabilityConnector
from pyNN.standardmodels import StandardCellType

from ..errors import InvalidValueError
from ..registry import load_backend
from ..support import MissingNameError, check_weight_format, missing_name, refusal
from . import population as populations
from .grid import nearest_steps
from .state import check_seed
from .synapses import static_synapse


def names(simulator: ModuleType, *, classes: Mapping[str, Any]) -> dict[str, Any]:
    """All names of a namespace but ``setup``.

    Parameters
    ----------
    simulator : module
        Has a `State` named ``state``, as PyNN asks for it.
    classes : mapping of str to class
        ``Population``, ``PopulationView``, ``Assembly``, ``Projection``, ``StaticSynapse``, cell
        types and current sources.
    """
    standard = cell_types(classes)

    def list_standard_models() -> list[str]:
        """Names of the cell types."""
        return standard

    return {
        **{n: c for n, c in vars(connectors).items() if n.endswith("Connector")},
        **classes,
        **functions(simulator, classes["Population"], classes["Projection"]),
        "GSLRNG": random.GSLRNG,
        "Network": network.Network,
        "NumpyRNG": random.NumpyRNG,
        "RandomDistribution": random.RandomDistribution,
        "Space": space.Space,
        "errors": errors,
        "initialize": common.initialize,
        "list_standard_models": list_standard_models,
        "random": random,
        "recording": recording,
        "set": common.set,
        "space": space,
    }


def bound(simulator: Any, population: type, projection: type, recorder: type) -> dict[str, Any]:
    """What such classes are in a network of their own, with views, assemblies and static synapses.

    Parameters
    ----------
    simulator : module or namespace
        See `names`.
    population, projection, recorder : type
        Which may derive from those of this folder.
    """
    own = {"_simulator": simulator}
    assembly, view = populations.views(simulator)
    static = static_synapse(simulator.state)
    cells = {
        "_recorder_class": type("Recorder", (recorder,), own),
        "_assembly_class": assembly,
        "_view_class": view,
    }
    return {
        "Assembly": assembly,
        "PopulationView": view,
        "Population": type("Population", (population,), {**own, **cells}),
        "Projection": type("Projection", (projection,), {**own, "_static_synapse_class": static}),
        "StaticSynapse": static,
    }


def functions(simulator: ModuleType, population: Any, projection: Any) -> dict[str, Any]:
    """The functions of a namespace, but ``setup``, and the state that they work on.

    Parameters
    ----------
    simulator : module
        Has a `State` named ``state``, as PyNN asks for it.
    population, projection : class
        ``Population`` and ``Projection``.
    """
    state = simulator.state
    run, run_until = running(state)
    record = common.build_record(simulator)
    synapse = projection._static_synapse_class
    queries = common.build_state_queries(simulator)
    logging.getLogger("PyNN").setLevel(logging.WARNING)

    def end(compatible_output: bool = True) -> None:
        """Write what was to be written to files, and forget the network; data stay."""
        for population, variables, filename in state.write_on_end:
            population.write_data(recording.get_io(filename), variables)
        state.write_on_end = []
        for recorder in state.recorders:
            recorder.keep()
        state.release()

    def record_v(source: Any, filename: str) -> None:
        """Record the membrane potential; see PyNN's ``record``."""
        record(["v"], source, filename)

    def record_gsyn(source: Any, filename: str) -> None:
        """Record the synaptic conductances; see PyNN's ``record``."""
        record(["gsyn_exc", "gsyn_inh"], source, filename)

    query_names = (
        "get_current_time get_time_step get_min_delay get_max_delay num_processes rank".split()
    )
    return {
        **dict(zip(query_names, queries, strict=True)),
        "IndexBasedExpression": core.IndexBasedExpression,
        "Sequence": parameters.Sequence,
        "connect": common.build_connect(projection, FixedProbabilityConnector, synapse),
        "create": common.build_create(population),
        "end": end,
        "record": record,
        "record_gsyn": record_gsyn,
        "record_v": record_v,
        "reset": common.build_reset(simulator),
        "run": run,
        "run_for": run,
        "run_until": run_until,
        "simulator": simulator,
        "state": state,
    }


def cell_types(available: Mapping[str, Any]) -> list[str]:
    """Which of a namespace's names are cell types.

    Examples
    --------
    >>> from pyNN.standardmodels.cells import IF_curr_exp
    >>> cell_types({"IF_curr_exp": IF_curr_exp, "Assembly": common.Assembly, "pi": 3.14})
    ['IF_curr_exp']
    """
    return [
        name
        for name, kind in available.items()
        if isinstance(kind, type) and issubclass(kind, StandardCellType)
    ]


def missing(backend: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a namespace: what it lacks is a sentence."""

    def lookup(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise MissingNameError(missing_name(load_backend(backend), name))

    return lookup


def check_setup(backend: str, timestep: Any, min_delay: Any, extra: Mapping[str, Any]) -> None:
    """Raise an error for a ``setup()`` that no network of this backend can have.

    Raises
    ------
    InvalidValueError
        For times that cannot be, and a format of weights that there is not.
    UnsupportedError
        If spikes are to lie off the time grid; for a format of weights that the backend lacks.
    """
    if not isinstance(timestep, int | float) or not timestep > 0:
        raise InvalidValueError(f"timestep must be a number above 0 (ms), not {timestep!r}")
    for name, value in (("min_delay", min_delay), ("max_delay", extra.get("max_delay", "auto"))):
        if value != "auto" and not isinstance(value, int | float):
            raise InvalidValueError(f"{name} must be a number (ms) or 'auto', not {value!r}")
    check_seed(extra.get("rng_seed", 1))
    if extra.get("spike_precision", "on_grid") != "on_grid":
        raise refusal(
            backend,
            "off-grid",
            f"have spike_precision={extra['spike_precision']!r}",
            "Leave it out, take a shorter step, or use nest",
        )
    check_weight_format(load_backend(backend), extra.get("weights", "full"))
    common.setup(timestep, min_delay, **extra)


def running(state: Any) -> tuple[Callable[..., float], Callable[..., float]]:
    """The functions ``run`` and ``run_until`` of a namespace; times, ms, go to the grid.

    Parameters
    ----------
    state : State
        Or another simulator's, with ``t``, ``dt`` and ``run_until``.
    """

    def run_until(time_point: float, callbacks: Any = None) -> float:
        """Advance to `time_point`, ms; see PyNN's ``run_until``.

        Raises
        ------
        InvalidValueError
            For a time that has passed.
        """
        if not isinstance(time_point, Real) or not np.isfinite(time_point):
            raise InvalidValueError(f"a time must be a finite number (ms), not {time_point!r}")
        if time_point < state.t - 0.5 * state.dt:
            raise InvalidValueError(
                f"run_until({time_point:g}) is in the past: it is {state.t:g} ms; reset() goes to 0"
            )
        steps = int(nearest_steps(time_point, state.dt))
        due = [(callback(state.t), callback) for callback in callbacks or ()]
        while due and (now := int(nearest_steps(state.t, state.dt))) < steps:
            first = min(time for time, _ in due)
            # at least a step, or a callback that names the present would be called for ever
            stop = min(steps, max(now + 1, int(nearest_steps(first, state.dt))))
            state.run_until(round(stop * state.dt, 9))
            due = [
                (callback(state.t), callback) if time - first < state.dt else (time, callback)
                for time, callback in due
            ]
        state.run_until(round(steps * state.dt, 9))  # also by nothing: the network is made
        return float(state.t)

    def run(simtime: float, callbacks: Any = None) -> float:
        """Advance by `simtime`, ms; see PyNN's ``run``."""
        if not isinstance(simtime, Real):
            raise InvalidValueError(f"a time must be a finite number (ms), not {simtime!r}")
        return run_until(state.t + simtime, callbacks)

    return run, run_until
