"""A SONATA network as a model: what its files say, built in PyNN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelError
from ...host.untrusted import printable
from .configuration import Configuration, read_configuration
from .tables import Edges, Kind, Nodes, read_edges, read_nodes, read_trains
from .templates import GENERATOR, TEMPLATES, recovered

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
GENERATOR_DEFAULTS = {"rate": 0.0, "start": 0.0, "stop": np.inf}
FOREVER = 1e10  # ms: PyNN's
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


@dataclass(frozen=True)
class _Part:
    """Nodes of one model: a population of PyNN's, or Poisson sources that are made by need."""

    nodes: I64
    label: str
    population: Any = None
    generator: Mapping[str, F64] = field(default_factory=dict)
    model: str = ""


def _built(configuration: Configuration, sim: Any, warn: Warn) -> dict[str, Any]:
    if configuration.unused:
        warn(
            f"{configuration.file}: {', '.join(configuration.unused)} is not used: point neurons "
            "have their parameters, V_m among them, in their types"
        )
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
            sizes[nodes.name] = nodes.size
            parts[nodes.name] = [
                _part(kind, nodes, configuration, sim, neurons, warn) for kind in nodes.kinds
            ]
    if not neurons:
        raise ModelError(f"{configuration.file}: there is no neuron, only sources")
    for tables in configuration.edges:
        for edges in read_edges(tables, configuration):
            for name in (edges.source, edges.target):
                if name not in parts:
                    raise ModelError(
                        f"{edges.file}: edges {printable(edges.name)} are of nodes "
                        f"{printable(name)}, which there are not"
                    )
            _connect(edges, parts, sizes, sim)
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
        return _Part(kind.nodes, label, generator=_generator(kind, nodes), model=kind.model)
    if len(nodes.kinds) > 1:
        label = f"{label} {kind.model or kind.model_type}"
    if kind.model_type == "virtual":
        source = _source(kind, nodes, configuration, sim, label, warn)
        return _Part(kind.nodes, label, source)
    template = TEMPLATES.get(kind.model)
    if template is None:
        raise ModelError(
            f"{nodes.file}: nest:{printable(kind.model)} of {printable(nodes.name)} is no neuron "
            f"that all backends have: valid are {', '.join([*TEMPLATES, GENERATOR])}"
        )
    size = kind.nodes.size
    values = template.to_pynn(kind.parameters, size, nodes.file)
    initial = values.pop("v")
    cell = getattr(sim, template.cell)(**{name: _plain(v) for name, v in values.items()})
    population = sim.Population(size, cell, label=label)
    population.initialize(v=_plain(initial))
    neurons[label] = population
    return _Part(kind.nodes, label, population, model=kind.model)


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
        name: np.array(np.broadcast_to(kind.parameters.get(name, default), size), float)
        for name, default in GENERATOR_DEFAULTS.items()
    }


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
    edges: Edges, parts: Mapping[str, list[_Part]], sizes: Mapping[str, int], sim: Any
) -> None:
    """One projection for each pair of models and each sign of the weights."""
    sources, targets, weights, delays = edges.read(sizes[edges.source], sizes[edges.target])
    for pre in parts[edges.source]:
        for post in parts[edges.target]:
            whole = len(parts[edges.source]) == len(parts[edges.target]) == 1
            if whole:
                chosen = sources, targets, weights, delays
            else:
                from_here = _places(pre.nodes, sizes[edges.source])[sources]
                to_here = _places(post.nodes, sizes[edges.target])[targets]
                kept = (from_here >= 0) & (to_here >= 0)
                chosen = from_here[kept], to_here[kept], weights[kept], delays[kept]
            if not chosen[0].size:
                continue
            template = TEMPLATES.get(post.model)
            if template is None:
                raise ModelError(
                    f"{edges.file}: edges {printable(edges.name)} go onto nodes that are no neurons"
                )
            of_pynn = recovered(chosen[2], template.weight_scale)
            for receptor, kept in (("excitatory", of_pynn >= 0), ("inhibitory", of_pynn < 0)):
                if kept.all():
                    own = chosen[0], chosen[1], of_pynn, chosen[3]
                elif kept.any():
                    own = chosen[0][kept], chosen[1][kept], of_pynn[kept], chosen[3][kept]
                else:
                    continue
                if receptor == "inhibitory" and template.magnitudes:
                    own = own[0], own[1], -own[2], own[3]
                _project(edges, pre, post, own, receptor, sim)


def _places(nodes: I64, size: int) -> I64:
    """Index of each node of a population among those of one model, -1 for others."""
    found = np.full(size, -1)
    found[nodes] = np.arange(nodes.size)
    return found


def _project(
    edges: Edges, pre: _Part, post: _Part, own: tuple[I64, I64, F64, F64], receptor: str, sim: Any
) -> None:
    sources, targets, weights, delays = own
    label = f"{pre.label}→{post.label}"
    population, connector = pre.population, None
    if pre.generator:
        # a generator of NEST's gives each synapse a train of its own
        order = np.argsort(targets, kind="stable")
        sources, targets = sources[order], targets[order]
        weights, delays = weights[order], delays[order]
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
