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


def execute(sim: Any, program: p.Program, backend: str) -> p.Outcome:
    """Run a program; nothing is raised but what ends a process."""
    outcome = p.Outcome()
    objects: dict[str, Any] = {}
    for number, statement in enumerate(program):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                output = HANDLERS[type(statement)](sim, objects, statement)
                if p.is_random(statement):
                    name = (
                        statement.name if isinstance(statement, p.Connect) else statement.projection
                    )
                    rows = objects[name].get(["weight", "delay"], "list")
                    outcome.draws[number] = [
                        (int(i), int(j), float(w), float(d)) for i, j, w, d in rows
                    ]
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


# --- values -----------------------------------------------------------------------------------


def _value(sim: Any, value: Any) -> Any:
    if isinstance(value, p.Random):
        rng = sim.NumpyRNG(seed=7)
        return sim.RandomDistribution(value.name, rng=rng, **dict(value.parameters))
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
    objects.clear()
    sim.setup(timestep=s.timestep, rng_seed=5, **given)


def _create(sim: Any, objects: dict[str, Any], s: p.Create) -> None:
    cell = getattr(sim, s.cell)(**_parameters(sim, s.parameters))
    initial = {name: _value(sim, value) for name, value in s.initial}
    objects[s.name] = sim.Population(s.size, cell, initial_values=initial, label=s.name)


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
        sim.StaticSynapse(**values),
        receptor_type=s.receptor,
    )


def _cset(description: tuple[Any, ...]) -> Any:
    import csa

    kind, *values = description
    mask = {"oneToOne": csa.oneToOne, "full": csa.full}[kind]
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


def _set_parameters(sim: Any, objects: dict[str, Any], s: p.SetParameters) -> None:
    objects[s.cells].set(**_parameters(sim, s.values))


def _get_parameters(sim: Any, objects: dict[str, Any], s: p.GetParameters) -> Any:
    values = objects[s.cells].get(s.parameter, simplify=False)
    if s.parameter == "spike_times":
        return [tuple(map(float, np.asarray(getattr(v, "value", v)).ravel())) for v in values]
    return np.asarray(values, float)


def _initialize(sim: Any, objects: dict[str, Any], s: p.Initialize) -> None:
    objects[s.cells].initialize(**{name: _value(sim, value) for name, value in s.values})


def _inject(sim: Any, objects: dict[str, Any], s: p.Inject) -> None:
    parameters = {name: list(v) if isinstance(v, tuple) else v for name, v in s.parameters}
    objects[s.name] = getattr(sim, s.kind)(**parameters)
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
    block = cells.get_data(clear=s.clear)
    return [_segment(cells, segment) for segment in block.segments]


def _segment(cells: Any, segment: Any) -> dict[str, Any]:
    trains = {}
    for train in segment.spiketrains:
        index = int(train.annotations["source_index"])
        trains[index] = {
            "times": [round(float(t), 6) for t in train.rescale("ms").magnitude],
            "t_start": round(float(train.t_start.rescale("ms")), 6),
            "t_stop": round(float(train.t_stop.rescale("ms")), 6),
        }
    signals = {}
    for signal in segment.analogsignals:
        signals[signal.name] = {
            "index": [int(i) for i in signal.array_annotations["channel_index"]],
            "t_start": round(float(signal.t_start.rescale("ms")), 6),
            "interval": round(float(signal.sampling_period.rescale("ms")), 6),
            "units": signal.units.dimensionality.string,
            "values": np.asarray(signal.magnitude, float),
        }
    return {"spikes": trains, "signals": signals}


def _reset(sim: Any, objects: dict[str, Any], s: p.Reset) -> None:
    sim.reset()


def _end(sim: Any, objects: dict[str, Any], s: p.End) -> None:
    sim.end()


HANDLERS: dict[type, Any] = {
    p.Setup: _setup, p.Create: _create, p.View: _view, p.Join: _join, p.Connect: _connect,
    p.Get: _get, p.SetSynapses: _set_synapses, p.SetParameters: _set_parameters,
    p.GetParameters: _get_parameters, p.Initialize: _initialize, p.Inject: _inject,
    p.SetCurrent: _set_current, p.Record: _record, p.Run: _run, p.Data: _data, p.Reset: _reset,
    p.End: _end,
}  # fmt: skip
