"""Runs a program on a PyNN namespace; what it gives is plain data."""

from __future__ import annotations

import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pyNN import errors
from pyNN.core import IndexBasedExpression
from pyNN.parameters import Sequence

from portable_cortex.errors import PortableCortexError

from . import program as p

REFUSALS = (
    errors.InvalidParameterValueError,
    errors.NonExistentParameterError,
    errors.InvalidDimensionsError,
    errors.ConnectionError,
    errors.InvalidModelError,
    errors.NoModelAvailableError,
    errors.InvalidWeightError,
    errors.RecordingError,
    errors.NothingToWriteError,
    PortableCortexError,
)


POPULATIONS = ""  # key of the populations of the present network, by name


def execute(sim: Any, program: p.Program, backend: str) -> p.Outcome:
    """Run a program; nothing is raised but what ends a process."""
    outcome = p.Outcome()
    objects: dict[str, Any] = {}
    for number, statement in enumerate(program):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                output = HANDLERS[type(statement)](sim, objects, statement)
                if (drawn := _drawn(objects, statement)) is not None:
                    outcome.draws[number] = drawn
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            clear = bool(str(error).strip()) and (isinstance(error, REFUSALS) or _on_purpose(error))
            if isinstance(error, AttributeError) and f"the {backend}" in str(error):
                clear = True
            if clear:
                outcome.refused = number, text
            else:
                last = traceback.extract_tb(error.__traceback__)[-1]
                outcome.fault = number, f"{text} ({Path(last.filename).name}:{last.lineno})"
            return outcome
        if output is not None:
            outcome.outputs[number] = output
    return outcome


def _on_purpose(error: Exception) -> bool:
    """Whether PyNN or a backend raised a plain error with a sentence: times in the past, say."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    raised = (frame.line or "").lstrip().startswith("raise")
    place = any(name in frame.filename for name in ("pyNN", "portable_cortex", "/backends/"))
    plain = type(error) in (ValueError, TypeError)
    return plain and raised and place and len(str(error).split()) > 3


def _drawn(objects: dict[str, Any], s: p.Statement) -> Any:
    """What a statement drew: synapses, parameters by name, or cells."""
    if p.draws_synapses(s):
        projection = objects[s.name if isinstance(s, p.Connect) else s.projection]
        rows = projection.get(["weight", "delay"], "list")
        return [(int(i), int(j), float(w), float(d)) for i, j, w, d in rows]
    if isinstance(s, p.Sample):
        return _addresses(objects, objects[s.name].all_cells)
    if isinstance(s, p.Create) and (names := p.random_names(s.parameters)):
        cells = objects[s.name]
    elif isinstance(s, p.SetParameters) and (names := p.random_names(s.values)):
        cells = objects[s.cells]
    else:
        return None
    values = (np.asarray(cells.get(name, simplify=False), float) for name in names)
    return dict(zip(names, values, strict=True))


def _addresses(objects: dict[str, Any], cells: Any) -> list[tuple[str, int]]:
    """Population and index of each cell."""
    populations = objects[POPULATIONS]
    found = []
    for cell in cells:
        name = next(
            name for name, q in populations.items() if int(q.first_id) <= cell <= int(q.last_id)
        )
        found.append((name, int(populations[name].id_to_index(cell))))
    return found


# --- values -----------------------------------------------------------------------------------


def _value(sim: Any, value: Any) -> Any:
    if isinstance(value, p.Random):
        rng = sim.NumpyRNG(seed=7)
        return sim.RandomDistribution(value.name, rng=rng, **dict(value.parameters))
    if isinstance(value, p.Function):
        return lambda i: eval(value.expression, {}, {"i": i})
    if isinstance(value, tuple):
        return np.array(value, float)
    return value


def _parameters(sim: Any, pairs: p.Pairs) -> dict[str, Any]:
    values = {}
    for name, value in pairs:
        if name == "spike_times" and value and isinstance(value[0], tuple):
            values[name] = [Sequence(times) for times in value]
        else:
            values[name] = _value(sim, value)
    return values


# --- statements -------------------------------------------------------------------------------


def _setup(sim: Any, objects: dict[str, Any], s: p.Setup) -> None:
    limits = {"min_delay": s.min_delay, "max_delay": s.max_delay}
    given = {name: value for name, value in limits.items() if value is not None}
    if s.threads > 1:
        given["threads"] = s.threads
    objects[POPULATIONS] = {}  # the objects of another network are kept
    sim.setup(timestep=s.timestep, rng_seed=5, **given)


def _create(sim: Any, objects: dict[str, Any], s: p.Create) -> None:
    cell = getattr(sim, s.cell)(**_parameters(sim, s.parameters))
    initial = {name: _value(sim, value) for name, value in s.initial}
    structure = None
    if s.structure is not None:
        kind, pairs = s.structure
        structure = getattr(sim.space, kind)(**dict(pairs))
    objects[s.name] = objects[POPULATIONS][s.name] = sim.Population(
        s.size, cell, structure=structure, initial_values=initial, label=s.name
    )


def _sample(sim: Any, objects: dict[str, Any], s: p.Sample) -> None:
    objects[s.name] = objects[s.of].sample(s.n, rng=sim.NumpyRNG(seed=s.seed))


def _view(sim: Any, objects: dict[str, Any], s: p.View) -> None:
    kind, *rest = s.selector
    selector: Any = (
        slice(*rest) if kind == "slice" else np.array(rest, bool if kind == "mask" else int)
    )
    objects[s.name] = objects[s.of][selector]


def _join(sim: Any, objects: dict[str, Any], s: p.Join) -> None:
    objects[s.name] = sim.Assembly(*(objects[part] for part in s.parts), label=s.name)


def _connect(sim: Any, objects: dict[str, Any], s: p.Connect) -> None:
    arguments = dict(s.arguments)
    if s.connector == "FromListConnector":
        table = arguments.pop("conn_list")
        arguments["conn_list"] = [tuple(row) for row in table]
        if "column_names" in arguments:
            arguments["column_names"] = list(arguments["column_names"])
        connector = sim.FromListConnector(**arguments)
    elif s.connector == "FromFileConnector":
        with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as file:
            columns = arguments.get("column_names", ("weight", "delay"))
            file.write(f"# columns = {['i', 'j', *columns]}\n")
            for row in arguments["conn_list"]:
                file.write("\t".join(map(str, row)) + "\n")
        connector = sim.FromFileConnector(file.name)
    elif s.connector == "ArrayConnector":
        connector = sim.ArrayConnector(np.array(arguments["array"], bool))
    elif s.connector == "CloneConnector":
        connector = sim.CloneConnector(objects[arguments["reference"]])
    elif s.connector == "CSAConnector":
        connector = sim.CSAConnector(_cset(arguments["cset"]))
    elif s.connector == "IndexBasedProbabilityConnector":
        expression = _Index(arguments.pop("expression"))
        connector = sim.IndexBasedProbabilityConnector(expression, **arguments)
    else:
        connector = getattr(sim, s.connector)(**arguments)
    synapse = {"weight": s.weight, "delay": s.delay}
    values = {name: _value(sim, value) for name, value in synapse.items() if value is not None}
    objects[s.name] = sim.Projection(
        objects[s.pre],
        objects[s.post],
        connector,
        _synapse(sim, s, values),
        receptor_type=s.receptor,
        **({"space": sim.Space(**dict(s.space))} if s.space else {}),
    )


def _synapse(sim: Any, s: p.Connect, values: dict[str, Any]) -> Any:
    rule = dict(s.rule)
    if s.synapse != "STDPMechanism":
        return getattr(sim, s.synapse)(**values, **rule)
    fraction, dependence = (rule.pop(n) for n in ("dendritic_delay_fraction", "weight_dependence"))
    bounds = {name: rule.pop(name) for name in [*rule] if name.startswith(("w_", "mu_"))}
    return sim.STDPMechanism(
        sim.SpikePairRule(**rule),
        getattr(sim, dependence)(**bounds),
        dendritic_delay_fraction=fraction,
        **values,
    )


def _cset(description: tuple[Any, ...]) -> Any:
    import csa

    kind, *values = description
    masks = {"oneToOne": csa.oneToOne, "full": csa.full, "others": csa.full - csa.oneToOne}
    mask = masks[kind]
    return csa.cset(mask, *values) if values else csa.cset(mask)


class _Index(IndexBasedExpression):  # type: ignore[misc]
    def __init__(self, expression: str) -> None:
        self.expression = expression

    def __call__(self, i: Any, j: Any) -> Any:
        return np.asarray(eval(self.expression, {}, {"i": i, "j": j}), float)


def _get(sim: Any, objects: dict[str, Any], s: p.Get) -> Any:
    names = list(s.attributes) if isinstance(s.attributes, tuple) else s.attributes
    projection = objects[s.projection]
    if s.format == "list":
        rows = projection.get(names, "list", with_address=s.with_address)
        return [tuple(map(float, row)) if np.ndim(row) else float(row) for row in rows]
    values = projection.get(names, "array", multiple_synapses=s.multiple)
    return [np.asarray(v, float) for v in (values if isinstance(names, list) else [values])]


def _set_synapses(sim: Any, objects: dict[str, Any], s: p.SetSynapses) -> None:
    objects[s.projection].set(**{name: _value(sim, value) for name, value in s.values})


def _initialize_synapses(sim: Any, objects: dict[str, Any], s: p.InitializeSynapses) -> None:
    objects[s.projection].initialize(**dict(s.values))


def _set_parameters(sim: Any, objects: dict[str, Any], s: p.SetParameters) -> None:
    objects[s.cells].set(**_parameters(sim, s.values))


def _get_parameters(sim: Any, objects: dict[str, Any], s: p.GetParameters) -> Any:
    single = isinstance(s.parameter, str)
    names = s.parameter if single else list(s.parameter)
    values = objects[s.cells].get(names, gather=s.gather, simplify=s.simplify)
    return [_plain(value) for value in ([values] if single else values)]


def _plain(value: Any) -> Any:
    """A number, a train, or a list of those."""
    if isinstance(value, Sequence):
        return tuple(map(float, np.asarray(value.value).ravel()))
    if np.ndim(value) == 0:
        return float(value)
    return [_plain(part) for part in value]


def _look(sim: Any, objects: dict[str, Any], s: p.Look) -> Any:
    cells = objects[s.cells]
    ids = list(cells.all_cells)
    seen = {
        "size": (cells.size, len(cells), len(list(cells))),
        "cells": _addresses(objects, ids),
        "last": _addresses(objects, [cells[cells.size - 1]]),
        "indices": [int(np.ravel(cells.id_to_index(cell))[0]) for cell in ids],
        "array": [int(k) for k in np.ravel(cells.id_to_index(np.array(ids)))],
        "positions": np.round(np.asarray(cells.positions, float).T, 9),
    }
    if hasattr(cells, "nearest"):
        seen["nearest"] = _addresses(objects, [cells.nearest(s.near)])
    return seen


def _annotate(sim: Any, objects: dict[str, Any], s: p.Annotate) -> None:
    objects[s.cells].annotate(**dict(s.values))


def _initialize(sim: Any, objects: dict[str, Any], s: p.Initialize) -> None:
    objects[s.cells].initialize(**{name: _value(sim, value) for name, value in s.values})


def _inject(sim: Any, objects: dict[str, Any], s: p.Inject) -> None:
    parameters = {name: list(v) if isinstance(v, tuple) else v for name, v in s.parameters}
    objects[s.name] = getattr(sim, s.kind)(**parameters)
    objects[s.cells].inject(objects[s.name])


def _inject_again(sim: Any, objects: dict[str, Any], s: p.InjectAgain) -> None:
    objects[s.cells].inject(objects[s.name])


def _set_current(sim: Any, objects: dict[str, Any], s: p.SetCurrent) -> None:
    objects[s.name].set_parameters(
        **{name: list(v) if isinstance(v, tuple) else v for name, v in s.values}
    )


def _record(sim: Any, objects: dict[str, Any], s: p.Record) -> None:
    interval = {} if s.interval is None else {"sampling_interval": s.interval}
    objects[s.cells].record(list(s.variables), **interval)


def _run(sim: Any, objects: dict[str, Any], s: p.Run) -> Any:
    times: list[float] = []

    def callback(now: float) -> float:
        times.append(round(float(now), 6))
        return now + float(s.every or 0.0)

    callbacks = {} if s.every is None else {"callbacks": [callback]}
    now = (sim.run_until if s.until else sim.run)(s.time, **callbacks)
    return round(float(now), 6), round(float(sim.get_current_time()), 6), tuple(times)


def _data(sim: Any, objects: dict[str, Any], s: p.Data) -> Any:
    cells = objects[s.cells]
    variables = s.variables if isinstance(s.variables, str) else list(s.variables)
    block = cells.get_data(variables, clear=s.clear)
    if hasattr(cells, "populations"):
        return {"segments": [_joint_segment(objects, segment) for segment in block.segments]}
    annotations = {k: v for k, v in block.annotations.items() if k not in WITHOUT_MEANING}
    return {
        "annotations": annotations,
        "segments": [_segment(segment) for segment in block.segments],
    }


WITHOUT_MEANING = ("simulator", "mpi_processes", "first_id", "last_id")


def _segment(segment: Any) -> dict[str, Any]:
    trains = {int(t.annotations["source_index"]): _train(t) for t in segment.spiketrains}
    signals = {}
    for signal in segment.analogsignals:
        signals[signal.name] = {
            "index": [int(i) for i in signal.array_annotations["channel_index"]],
            **_times(signal),
            "values": np.asarray(signal.magnitude, float),
        }
    return {"spikes": trains, "signals": signals}


def _joint_segment(objects: dict[str, Any], segment: Any) -> dict[str, Any]:
    """What an assembly has, cell by cell: its signals may be in several pieces."""
    trains, signals = {}, {}
    for train in segment.spiketrains:
        (address,) = _addresses(objects, [int(train.annotations["channel_id"])])
        trains[address] = _train(train)
    for signal in segment.analogsignals:
        ids = np.ravel(signal.annotations["channel_ids"])
        index = signal.array_annotations["channel_index"]
        columns = np.asarray(signal.magnitude, float).T
        for address, i, column in zip(_addresses(objects, ids), index, columns, strict=True):
            signals[signal.name, *address] = {
                "index": int(i),
                **_times(signal),
                "values": column,
            }
    return {"spikes": trains, "signals": signals}


def _train(train: Any) -> dict[str, Any]:
    return {
        "times": [round(float(t), 6) for t in train.rescale("ms").magnitude],
        "t_start": round(float(train.t_start.rescale("ms")), 6),
        "t_stop": round(float(train.t_stop.rescale("ms")), 6),
    }


def _times(signal: Any) -> dict[str, Any]:
    return {
        "t_start": round(float(signal.t_start.rescale("ms")), 6),
        "interval": round(float(signal.sampling_period.rescale("ms")), 6),
        "units": signal.units.dimensionality.string,
    }


def _spike_counts(sim: Any, objects: dict[str, Any], s: p.SpikeCounts) -> Any:
    cells = objects[s.cells]
    counts = cells.get_spike_counts()
    addresses = _addresses(objects, counts)
    by_address = dict(zip(addresses, map(int, counts.values()), strict=True))
    return by_address, float(cells.mean_spike_count())


def _reset(sim: Any, objects: dict[str, Any], s: p.Reset) -> None:
    sim.reset()


def _end(sim: Any, objects: dict[str, Any], s: p.End) -> None:
    sim.end()


HANDLERS: dict[type, Any] = {
    p.Setup: _setup, p.Create: _create, p.View: _view, p.Join: _join, p.Connect: _connect,
    p.Get: _get, p.SetSynapses: _set_synapses, p.SetParameters: _set_parameters,
    p.GetParameters: _get_parameters, p.Initialize: _initialize, p.Inject: _inject,
    p.SetCurrent: _set_current, p.Record: _record, p.Run: _run, p.Data: _data, p.Reset: _reset,
    p.End: _end, p.Sample: _sample, p.Look: _look, p.Annotate: _annotate,
    p.InjectAgain: _inject_again, p.SpikeCounts: _spike_counts,
    p.InitializeSynapses: _initialize_synapses,
}  # fmt: skip
