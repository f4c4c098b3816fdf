"""A SONATA network as a model: what its files say, built in PyNN."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...host.untrusted import printable
from ...neurons.library import catalogue, source
from .configuration import Configuration, read_configuration
from .edges import Edges, read_edges
from .nodes import Kind, Nodes, read_nodes
from .tables import read_trains
from .templates import GENERATOR, TEMPLATES, Template, modelled, recovered

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
GENERATOR_DEFAULTS = {"rate": 0.0, "start": 0.0, "stop": np.inf}
FOREVER = 1e10  # ms: PyNN's
AT_A_TIME = 1 << 21  # edges of a projection: what the memory has to hold beside the network
Warn = Callable[[str], None]


def builder(path: Path, warn: Warn) -> tuple[Callable[[Any], dict[str, Any]], Configuration]:
    """What builds the network of a configuration, and the configuration.

    Parameters
    ----------
    path : Path
        JSON.
    warn : callable
        Told, while it is built, what the user would want to know.

    Raises
    ------
    ModelError
        For a configuration that cannot be read.
    """
    configuration = read_configuration(path)

    def build(sim: Any) -> dict[str, Any]:
        return _built(configuration, sim, warn)

    return build, configuration


class Columns(NamedTuple):
    """Edges: indices of their ends, weights in PyNN's or NEST's units, delays in ms."""

    sources: I64
    targets: I64
    weights: F64
    delays: F64

    def where(self, kept: NDArray[Any]) -> Columns:
        """Some of them."""
        return Columns(*(column[kept] for column in self))


@dataclass(frozen=True)
class _Part:
    """Nodes of one model: a population of PyNN's, or Poisson sources that are made by need."""

    nodes: I64
    label: str
    population: Any = None
    generator: Mapping[str, F64] = field(default_factory=dict)
    template: Template | None = None

    @property
    def is_virtual(self) -> bool:
        """Whether they have given spikes."""
        return self.template is None and not self.generator


def _built(configuration: Configuration, sim: Any, warn: Warn) -> dict[str, Any]:
    for sentence in configuration.unused:
        warn(f"{configuration.file}: {sentence}")
    step = float(sim.get_time_step())
    if configuration.timestep not in (None, step):
        warn(
            f"{configuration.file} states steps of {configuration.timestep:g} ms, and the run has "
            f"{step:g} ms: --timestep {configuration.timestep:g} makes them equal"
        )
    neurons: dict[str, Any] = {}
    parts: dict[str, list[_Part]] = {}
    sizes: dict[str, int] = {}
    for tables in configuration.nodes:
        for nodes in read_nodes(tables, configuration):
            if nodes.name in parts:
                raise ModelError(f"{nodes.file}: nodes {printable(nodes.name)} are there twice")
            if nodes.unused:
                warn(
                    f"{nodes.file}: not used here: {', '.join(nodes.unused)} of "
                    f"{printable(nodes.name)}, which are columns of nodes or types: parameters are "
                    "in dynamics_params"
                )
            sizes[nodes.name] = nodes.size
            parts[nodes.name] = [
                _part(kind, nodes, configuration, sim, neurons, warn) for kind in nodes.kinds
            ]
    if not neurons:
        raise ModelError(f"{configuration.file}: there is no neuron, only sources")
    for name in configuration.spikes:
        if not any(part.is_virtual for part in parts.get(name, ())):
            raise ModelError(
                f"{configuration.file}: inputs has spikes of {printable(name)}, which are no "
                "virtual nodes"
            )
    for tables in configuration.edges:
        for edges in read_edges(tables, configuration):
            for name in (edges.source, edges.target):
                if name not in parts:
                    raise ModelError(
                        f"{edges.file}: edges {printable(edges.name)} are of nodes "
                        f"{printable(name)}, which there are not"
                    )
            for first in range(0, edges.size, AT_A_TIME):
                _connect(edges, slice(first, first + AT_A_TIME), parts, sizes, sim)
    return neurons


def _part(
    kind: Kind,
    nodes: Nodes,
    configuration: Configuration,
    sim: Any,
    neurons: dict[str, Any],
    warn: Warn,
) -> _Part:
    label = nodes.label
    if kind.model == GENERATOR:
        return _Part(kind.nodes, label, generator=_generator(kind, nodes))
    if len(nodes.kinds) > 1:
        label = f"{label} {kind.model or kind.model_type}"
    if kind.model_type == "virtual":
        source = _source(kind, nodes, configuration, sim, label, warn)
        return _Part(kind.nodes, label, source)
    size, template = kind.nodes.size, TEMPLATES.get(kind.model)
    if template is None:
        cell, values, initial = _modelled(kind, nodes, configuration, sim)
        template = modelled(kind.model)
    else:
        cell = getattr(sim, template.cell)
        values = template.to_pynn(kind.parameters, size, nodes.file)
        initial = {"v": values.pop("v")}
    if label in neurons:
        raise ModelError(f"{nodes.file}: two populations are called {printable(label)}")
    population = sim.Population(
        size, cell(**{name: _plain(v) for name, v in values.items()}), label=label
    )
    population.initialize(**{name: _plain(v) for name, v in initial.items()})
    neurons[label] = population
    return _Part(kind.nodes, label, population, template=template)


def _modelled(
    kind: Kind, nodes: Nodes, configuration: Configuration, sim: Any
) -> tuple[Any, dict[str, F64], dict[str, F64]]:
    """The cell type of a model in NESTML beside the network, its parameters and initial state."""
    path = configuration.neurons / f"{kind.model}.nestml"
    if not re.fullmatch(r"\w+", kind.model) or not path.is_file():
        raise ModelError(
            f"{nodes.file}: nest:{printable(kind.model)} of {printable(nodes.name)} is no neuron "
            f"that all backends have: valid are {', '.join([*TEMPLATES, GENERATOR])}, and models "
            f"in NESTML, MODEL.nestml, in {configuration.neurons}"
        )
    text = source(path)  # what the package has, it need not read again
    known = next((name for name in catalogue() if source(name) == text), path)
    cell = sim.nestml_cell_type(kind.model, known)
    found: tuple[dict[str, F64], dict[str, F64]] = {}, {}
    for name, value in kind.parameters.items():
        for valid, chosen in zip(
            (cell.default_parameters, cell.default_initial_values), found, strict=True
        ):
            if name in valid:
                chosen[name] = _filled(value, valid[name], kind.nodes.size)
                break
        else:
            raise ModelError(f"{path} has no {printable(name)}, which {nodes.file} gives a value")
    return cell, *found


def _plain(values: F64) -> Any:
    """One number where all are equal."""
    return float(values[0]) if np.all(values == values[0]) else values


def _generator(kind: Kind, nodes: Nodes) -> dict[str, F64]:
    for name in kind.parameters:
        if name not in GENERATOR_DEFAULTS:
            raise ModelError(
                f"{nodes.file}: {printable(name)} of nest:{GENERATOR} is not understood: valid are "
                f"{', '.join(GENERATOR_DEFAULTS)}"
            )
    size = kind.nodes.size
    return {
        name: _filled(kind.parameters.get(name, default), default, size)
        for name, default in GENERATOR_DEFAULTS.items()
    }


def _filled(values: Any, default: float, size: int) -> F64:
    """One value for each node, with the default where a node has none (not-a-number)."""
    return np.array(np.broadcast_to(np.where(np.isnan(values), default, values), size), float)


def _source(
    kind: Kind, nodes: Nodes, configuration: Configuration, sim: Any, label: str, warn: Warn
) -> Any:
    from pyNN.parameters import Sequence  # slow to import

    if nodes.name not in configuration.spikes:
        raise ModelError(
            f"{configuration.file}: inputs has no spikes of {printable(nodes.name)}, whose nodes "
            "are virtual: take the configuration of the simulation, which names the file"
        )
    path = configuration.spikes[nodes.name]
    trains = read_trains(path, nodes.name, nodes.size)
    step, moved, found = float(sim.get_time_step()), 0, []
    for node in kind.nodes.tolist():
        steps = _steps(trains[node], step)
        moved += int(np.sum(np.abs(trains[node] / step - steps) > 1e-6))
        found.append(Sequence(np.round(steps * step, 9)))
    if moved:
        warn(
            f"{path}: {moved} spikes of {label} lie between the steps of {step:g} ms: each comes "
            "at the next step, as in NEST"
        )
    return sim.Population(kind.nodes.size, sim.SpikeSourceArray(spike_times=found), label=label)


def _steps(times: F64, step: float) -> F64:
    """The steps at which NEST has spikes that lie between them: at the next one.

    It counts time in thousandths of a millisecond first, to the nearest.
    """
    nearest = np.floor(times * 1e3 + 0.5) / 1e3 / step
    on_grid = np.abs(nearest - np.rint(nearest)) < 1e-6
    return np.where(on_grid, np.rint(nearest), np.ceil(times / step))


def _connect(
    edges: Edges,
    which: slice,
    parts: Mapping[str, list[_Part]],
    sizes: Mapping[str, int],
    sim: Any,
) -> None:
    """One projection of some edges for each pair of models and each sign of the weights."""
    sources, targets, weights, delays, ports = edges.read(
        sizes[edges.source], sizes[edges.target], which
    )
    columns = Columns(sources, targets, weights, delays)
    for pre in parts[edges.source]:
        for post in parts[edges.target]:
            chosen, receptors = columns, ports
            if not len(parts[edges.source]) == len(parts[edges.target]) == 1:
                from_here = _places(pre.nodes, sizes[edges.source])[sources]
                to_here = _places(post.nodes, sizes[edges.target])[targets]
                kept = (from_here >= 0) & (to_here >= 0)
                chosen = Columns(from_here, to_here, weights, delays).where(kept)
                receptors = ports[kept]
            if not chosen.sources.size:
                continue
            template = post.template
            if template is None:
                raise ModelError(
                    f"{edges.file}: edges {printable(edges.name)} go onto nodes that are no neurons"
                )
            chosen = chosen._replace(weights=recovered(chosen.weights, template.weight_scale))
            for receptor, kept in _by_receptor(edges, post, receptors, chosen.weights):
                own = chosen if kept.all() else chosen.where(kept)
                if receptor == "inhibitory" and template.magnitudes:
                    own = own._replace(weights=-own.weights)
                _project(pre, post, own, receptor, sim)


def _by_receptor(
    edges: Edges, post: _Part, receptors: I64, weights: F64
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Receptors, and which edges go onto each: by NEST's numbers, or by the signs of weights."""
    assert post.template is not None
    names = list(post.population.celltype.receptor_types)
    if post.template.cell:
        names, which = ["excitatory", "inhibitory"], np.where(weights < 0, 2, 1)
        if receptors.any():
            raise ModelError(
                f"{edges.types}: nest:{post.template.model} has no receptor_type {receptors.max()}"
            )
    else:
        which = receptors if len(names) > 1 else np.maximum(receptors, 1)
        if which.min() < 1 or which.max() > len(names):
            raise ModelError(
                f"{edges.types}: receptor_type of edges onto {post.template.model} must be from 1 "
                f"to {len(names)} ({', '.join(names)})"
            )
    for number, name in enumerate(names, 1):
        kept = which == number
        if kept.any():
            yield name, kept


def _places(nodes: I64, size: int) -> I64:
    """Index of each node of a population among those of one model, -1 for others."""
    found = np.full(size, -1)
    found[nodes] = np.arange(nodes.size)
    return found


def _project(pre: _Part, post: _Part, own: Columns, receptor: str, sim: Any) -> None:
    sources, targets, weights, delays = own
    label = f"{pre.label}→{post.label}"
    population, connector = pre.population, None
    if pre.generator:
        # a generator of NEST's gives each synapse a train of its own
        order = np.argsort(targets, kind="stable")
        sources, targets, weights, delays = own.where(order)
        population = _trains(pre, sources, pre.label, sim)
        sources = np.arange(sources.size)
        if np.array_equal(targets, np.arange(post.population.size)) and _is_one(weights, delays):
            connector = sim.OneToOneConnector()
    synapse = sim.StaticSynapse(weight=float(weights[0]), delay=float(delays[0]))
    if connector is None:
        columns = np.column_stack([sources, targets, weights, delays])
        connector = sim.FromListConnector(columns, column_names=["weight", "delay"])
    sim.Projection(
        population, post.population, connector, synapse, receptor_type=receptor, label=label
    )


def _is_one(*columns: F64) -> bool:
    return all(bool(np.all(column == column[0])) for column in columns)


def _trains(part: _Part, sources: I64, label: str, sim: Any) -> Any:
    """A Poisson source for each of these generators."""
    rate, start, stop = (part.generator[name][sources] for name in GENERATOR_DEFAULTS)
    duration = np.where(np.isfinite(stop), stop - start, FOREVER)
    cell = sim.SpikeSourcePoisson(rate=_plain(rate), start=_plain(start), duration=_plain(duration))
    return sim.Population(sources.size, cell, label=label)
