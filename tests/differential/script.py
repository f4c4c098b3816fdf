"""A program as a PyNN script, to be read and pasted."""

from __future__ import annotations

from typing import Any

from . import program as p


def script(program: p.Program) -> str:
    """The program's text, without imports."""
    return "\n".join(_LINES[type(statement)](statement) for statement in program)


def _value(value: Any) -> str:
    if isinstance(value, p.Random):
        values = ", ".join(f"{name}={v!r}" for name, v in value.parameters)
        return f"sim.RandomDistribution({value.name!r}, {values})"
    return repr(_listed(value))


def _listed(value: Any) -> Any:
    return [_listed(v) for v in value] if isinstance(value, tuple) else value


def _arguments(pairs: Any) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in pairs)


def _setup(s: p.Setup) -> str:
    pairs = [("timestep", s.timestep), ("min_delay", s.min_delay), ("max_delay", s.max_delay)]
    pairs.append(("threads", s.threads if s.threads > 1 else None))
    return f"sim.setup({_arguments(pair for pair in pairs if pair[1] is not None)})"


def _create(s: p.Create) -> str:
    initial = f", initial_values=dict({_arguments(s.initial)})" if s.initial else ""
    return f"{s.name} = sim.Population({s.size}, sim.{s.cell}({_arguments(s.parameters)}){initial})"


def _view(s: p.View) -> str:
    kind, *rest = s.selector
    if kind == "slice":
        return f"{s.name} = {s.of}[{':'.join('' if k is None else str(k) for k in rest)}]"
    return f"{s.name} = {s.of}[np.array({rest})]"


def _connect(s: p.Connect) -> str:
    arguments = dict(s.arguments)
    if s.connector == "CloneConnector":
        inside = arguments["reference"]
    elif s.connector == "CSAConnector":
        kind, *values = arguments["cset"]
        inside = f"csa.cset({', '.join([f'csa.{kind}', *map(str, values)])})"
    elif s.connector == "IndexBasedProbabilityConnector":
        inside = f"lambda i, j: {arguments['expression']}"
    else:
        inside = _arguments(s.arguments)
    values = [(name, v) for name, v in (("weight", s.weight), ("delay", s.delay)) if v is not None]
    receptor = f", receptor_type={s.receptor!r}" if s.receptor else ""
    return (
        f"{s.name} = sim.Projection({s.pre}, {s.post}, sim.{s.connector}({inside}), "
        f"sim.StaticSynapse({_arguments(values)}){receptor})"
    )


def _get(s: p.Get) -> str:
    names = list(s.attributes) if isinstance(s.attributes, tuple) else s.attributes
    more = f", multiple_synapses={s.multiple!r}" if s.format == "array" else ""
    more += "" if s.with_address else ", with_address=False"
    return f"{s.projection}.get({names!r}, {s.format!r}{more})"


def _run(s: p.Run) -> str:
    every = "" if s.every is None else f", callbacks=[lambda t: t + {s.every}]"
    return f"sim.{'run_until' if s.until else 'run'}({s.time}{every})"


def _inject(s: p.Inject) -> str:
    return f"{s.name} = sim.{s.kind}({_arguments(s.parameters)}); {s.cells}.inject({s.name})"


def _record(s: p.Record) -> str:
    interval = "" if s.interval is None else f", sampling_interval={s.interval}"
    return f"{s.cells}.record({list(s.variables)}{interval})"


_LINES: dict[type, Any] = {
    p.Setup: _setup,
    p.Create: _create,
    p.View: _view,
    p.Join: lambda s: f"{s.name} = sim.Assembly({', '.join(s.parts)})",
    p.Connect: _connect,
    p.Get: _get,
    p.SetSynapses: lambda s: f"{s.projection}.set({_arguments(s.values)})",
    p.SetParameters: lambda s: f"{s.cells}.set({_arguments(s.values)})",
    p.GetParameters: lambda s: f"{s.cells}.get({s.parameter!r}, simplify=False)",
    p.Initialize: lambda s: f"{s.cells}.initialize({_arguments(s.values)})",
    p.Inject: _inject,
    p.SetCurrent: lambda s: f"{s.name}.set_parameters({_arguments(s.values)})",
    p.Record: _record,
    p.Run: _run,
    p.Data: lambda s: f"{s.cells}.get_data({'clear=True' if s.clear else ''})",
    p.Reset: lambda s: "sim.reset()",
    p.End: lambda s: "sim.end()",
}
