"""What each backend supports: the refusals of what it does not, and the table of the documentation.

Both come from the backends' `Capabilities` and `cannot`. ``python -m portable_cortex.support``
prints the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from .backend import Backend, Capabilities
from .errors import InvalidValueError, PortableCortexError, UnsupportedError
from .options import WEIGHT_FORMATS
from .registry import BUILTIN, backend_names, load_backend

CELL_TYPES = (
    "IF_curr_exp IF_curr_alpha IF_curr_delta IF_cond_exp IF_cond_alpha IF_cond_exp_gsfa_grr "
    "IF_facets_hardware1 EIF_cond_exp_isfa_ista EIF_cond_alpha_isfa_ista HH_cond_exp Izhikevich "
    "GIF_cond_exp PointNeuron MultiCompartmentNeuron SpikeSourcePoisson SpikeSourceArray "
    "SpikeSourcePoissonRefractory SpikeSourceGamma SpikeSourceInhGamma"
).split()
CURRENT_SOURCES = "DCSource StepCurrentSource ACSource NoisyCurrentSource".split()
SYNAPSE_TYPES = (
    "StaticSynapse TsodyksMarkramSynapse STDPMechanism SimpleStochasticSynapse "
    "StochasticTsodyksMarkramSynapse MultiQuantalSynapse ElectricalSynapse"
).split()

NEURONS = "nestml_cell_type"
# Other names of the namespace that a model uses, to be found when one is misspelt
PYNN_CLASSES = (
    "Population PopulationView Assembly Projection NumpyRNG RandomDistribution "
    "OneToOneConnector AllToAllConnector FixedProbabilityConnector FixedNumberPreConnector "
    "FixedNumberPostConnector FixedTotalNumberConnector DistanceDependentProbabilityConnector "
    "FromListConnector"
).split()

_DRAWN = "draw its spike times, and give them to a SpikeSourceArray"
CELL_TYPES_BEYOND_MODELS = {
    "PointNeuron": "a cell is a model, and has the receptors of that; write one in NESTML",
    "MultiCompartmentNeuron": "neurons are points",
    "SpikeSourcePoissonRefractory": _DRAWN,
    "SpikeSourceGamma": _DRAWN,
    "SpikeSourceInhGamma": _DRAWN,
}
"""Reasons of backends that advance every model of the catalogue and nothing else; for `cannot`."""

KINDS: dict[str, tuple[list[str], Callable[[Capabilities], tuple[str, ...]]]] = {
    "cell type": (CELL_TYPES, lambda can: can.cell_types),
    "current source": (CURRENT_SOURCES, lambda can: can.current_sources),
    "synapse type": (SYNAPSE_TYPES, lambda can: can.synapse_types),
}


class MissingNameError(UnsupportedError, AttributeError):
    """A name of PyNN's that a backend does not have."""


class Namespace:
    """A backend's PyNN namespace, in which a standard type that it lacks is a clear error.

    Parameters
    ----------
    sim : PyNN namespace
    backend : Backend
    """

    def __init__(self, sim: Any, backend: Backend) -> None:
        self.__dict__.update(_sim=sim, _backend=backend)

    def __getattr__(self, name: str) -> Any:
        for kind, (standard, of) in KINDS.items():
            if name in standard and name not in of(self._backend.capabilities):
                raise MissingNameError(missing_type(self._backend, kind, name))
        if name == NEURONS and not self._backend.takes_neurons:
            raise MissingNameError(missing_name(self._backend, name))
        return getattr(self._sim, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._sim, name, value)

    def __dir__(self) -> list[str]:
        return dir(self._sim)


def missing_type(backend: Backend, kind: str, name: str) -> str:
    """Why a type cannot be used, and where it can.

    Parameters
    ----------
    backend : Backend
    kind : {"cell type", "current source", "synapse type"}
    name : str

    Examples
    --------
    >>> missing_type(load_backend("mock"), "cell type", "GIF_cond_exp")
    "backend 'mock' has no cell type 'GIF_cond_exp': it is on builtin, nest, brian2, neuron, coarse"
    """
    of = KINDS[kind][1]
    if name in of(backend.capabilities):
        return (
            f"this {name} is not that of backend {backend.name!r}: take it from the same namespace "
            "as the rest"
        )
    others = [b.name for b in _backends() if name in of(b.capabilities)]
    where = f"it is on {', '.join(others)}" if others else "no backend has it"
    reason = f" ({backend.cannot[name]})" if name in backend.cannot else ""
    return f"backend {backend.name!r} has no {kind} {name!r}{reason}: {where}"


def missing_name(backend: Backend, name: str) -> str:
    """What is said of a name that is not in the namespace of a backend.

    Examples
    --------
    >>> missing_name(load_backend("spinnaker"), "GIF_cond_exp")
    "backend 'spinnaker' has no cell type 'GIF_cond_exp': it is on builtin, nest, brian2, neuron, \
coarse"
    """
    for kind, (standard, _) in KINDS.items():
        if name in standard:
            return missing_type(backend, kind, name)
    if name == NEURONS:
        others = ", ".join(b.name for b in _backends() if b.takes_neurons)
        return f"backend {backend.name!r} takes no neuron models in NESTML: {others} do"
    names = {kind: of(backend.capabilities) for kind, (_, of) in KINDS.items()}
    every = [*(cell for of in names.values() for cell in of), *PYNN_CLASSES]
    close = get_close_matches(name, every, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    types = "; ".join(f"{kind}s: {', '.join(of)}" for kind, of in names.items())
    return f"backend {backend.name!r} has no {name!r}{hint}. It has these {types}"


def refusal(backend: str, what: str, request: str, remedy: str = "") -> UnsupportedError:
    """The error for what a backend says that it cannot do, with the reason that is in `cannot`.

    Parameters
    ----------
    backend : str
        Its name.
    what : str
        The name of the reason.
    request : str
        What it cannot do, for the sentence that begins with "the nest backend cannot".
    remedy : str, optional
        A sentence: what can be done instead.

    Examples
    --------
    >>> print(refusal("nest", "spike-at-zero", "fire at 0 ms"))
    the nest backend cannot fire at 0 ms: NEST sends nothing before its first step has ended
    """
    sentence = f"the {backend} backend cannot {request}: {load_backend(backend).cannot[what]}"
    return UnsupportedError(f"{sentence}. {remedy}" if remedy else sentence)


def check_trials(backend: Backend) -> None:
    """Raise `UnsupportedError` unless a backend can run trials of one network."""
    if not backend.repeats:
        reason = backend.cannot.get("trials", "it says nothing of how")
        raise UnsupportedError(
            f"the {backend.name} backend cannot run trials of one network: {reason}. Run other "
            "seeds, each a network of its own (portable-cortex sweep --seeds 1-10)"
        )


def check_projection(backend: Backend, connector: Any, synapse: Any) -> None:
    """Raise an error for weights and delays beyond what a backend can hold.

    Those that are drawn or computed are looked at by the backend when it has them.

    Raises
    ------
    UnsupportedError
        With the limit.
    """
    can = backend.capabilities
    for name, unit, largest in (
        ("weight", "", can.largest_weight),
        ("delay", " ms", backend.largest_delay()),
    ):
        values = np.abs(_known_values(connector, synapse, name))
        worst = np.max(values[np.isfinite(values)], initial=0.0)  # others are nobody's
        if worst > largest:
            raise UnsupportedError(
                f"backend {backend.name!r} can hold a {name} of {largest:g}{unit} at most, not "
                f"{worst:g}{unit}"
            )


def check_weight_format(backend: Backend, weight_format: Any) -> None:
    """Raise an error for a format of weights that a backend's own projections do not have.

    Raises
    ------
    InvalidValueError
        If there is no such format.
    UnsupportedError
        With what can be done.

    Examples
    --------
    >>> check_weight_format(load_backend("builtin"), "bfloat16")
    """
    if weight_format not in WEIGHT_FORMATS:
        raise InvalidValueError(
            f"weights must be {' or '.join(map(repr, WEIGHT_FORMATS))}, not {weight_format!r}"
        )
    if weight_format not in backend.capabilities.weight_formats:
        reason = backend.cannot.get("weight-format")
        shared = "run a model with --realisation shared, for which the core does, or "
        raise UnsupportedError(
            f"backend {backend.name!r} does not round weights to {weight_format} by itself"
            f"{f' ({reason})' if reason else ''}: "
            f"{shared if 'shared' in backend.capabilities.realisations else ''}"
            "leave option weights out"
        )


def _known_values(connector: Any, synapse: Any, name: str) -> Any:
    """Weights or delays that are numbers already: of a list, or those of the synapse."""
    columns = list(getattr(connector, "column_names", ()))
    if name in columns:
        return np.asarray(connector.conn_list, dtype=float)[:, 2 + columns.index(name)]
    if name not in synapse.get_parameter_names():
        return np.empty(0)
    value = synapse.parameter_space[name]
    base = getattr(value, "base_value", value)
    if isinstance(base, int | float | np.ndarray | np.number) and not getattr(
        value, "operations", ()
    ):
        return np.asarray(base, dtype=float)
    return np.empty(0)


def table() -> str:
    """The support table, as Markdown."""
    backends = [load_backend(name) for name in BUILTIN]
    head = ["", *(f"`{b.name}`" for b in backends)]
    rows: list[list[str]] = []
    for kind, (standard, of) in KINDS.items():
        rows.append([f"**{kind}s**", *("" for _ in backends)])
        for name in standard:
            marks = ["yes" if name in of(b.capabilities) else "" for b in backends]
            if any(marks):
                rows.append([f"`{name}`", *marks])
    for what, tell in _LIMITS.items():
        rows.append([what, *(tell(b.capabilities) for b in backends)])
    lines = [_row(head), _row(["---"] * len(head)), *map(_row, rows)]
    reasons = [
        f"| `{b.name}` | {what} | {reason} |" for b in backends for what, reason in b.cannot.items()
    ]
    return "\n".join(
        [*lines, "", "| backend | what it cannot do | reason |", "|---|---|---|", *reasons]
    )


_LIMITS: dict[str, Callable[[Capabilities], str]] = {
    "**numbers**": lambda can: "",
    "state of a neuron": lambda can: can.arithmetic,
    "weights": lambda can: can.weights,
    "time step, ms": lambda can: f"{can.timesteps[0]:g} to {can.timesteps[1]:g}",
    "delays": lambda can: f"{can.delays[0]} step to {can.delays[1]:g} ms",
    "drives of the microcircuit": lambda can: ", ".join(can.drives),
    "realisations": lambda can: ", ".join(can.realisations),
    "with `weights=bfloat16`": lambda can: ", ".join(_realisations_in("bfloat16", can)),
}


def _realisations_in(weight_format: str, can: Capabilities) -> list[str]:
    """Realisations in which weights can have a format."""
    own = weight_format in can.weight_formats
    return [name for name in can.realisations if own or name == "shared"]


def summary(backend: Backend) -> str:
    """What a backend can and cannot do, in lines; for `portable-cortex backends`."""
    can = backend.capabilities
    return "\n".join(
        [
            f"state {can.arithmetic}, weights {can.weights}; "
            f"time step {can.timesteps[0]:g} to {can.timesteps[1]:g} ms; "
            f"delays {can.delays[0]} step to {can.delays[1]:g} ms",
            f"drives {', '.join(can.drives)}; realisations {', '.join(can.realisations)}",
            f"cells {', '.join(can.cell_types)}",
            f"currents {', '.join(can.current_sources)}; synapses {', '.join(can.synapse_types)}",
            *(f"cannot {what}: {reason}" for what, reason in backend.cannot.items()),
        ]
    )


def _backends() -> list[Backend]:
    """Those of the package, and others that can be loaded."""
    loaded = []
    for name in backend_names():
        try:
            loaded.append(load_backend(name))
        except PortableCortexError:  # in a submitted job, which has not all of them
            continue
    return loaded


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(table())
