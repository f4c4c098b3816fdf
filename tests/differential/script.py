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
    if isinstance(value, p.Function):
        return f"lambda i: {value.expression}"
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
    more = ""
    if s.structure:
        kind, pairs = s.structure
        more = f", structure=sim.space.{kind}({_arguments(pairs)})"
    cell = f"sim.{s.cell}({_arguments(s.parameters)})"
    return f"{s.name} = sim.Population({s.size}, {cell}{initial}{more})"


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
        mask = "csa.full - csa.oneToOne" if kind == "others" else f"csa.{kind}"
        inside = f"csa.cset({', '.join([mask, *map(str, values)])})"
    elif s.connector == "IndexBasedProbabilityConnector":
        inside = f"lambda i, j: {arguments['expression']}"
    else:
        inside = _arguments(s.arguments)
    values = [(name, v) for name, v in (("weight", s.weight), ("delay", s.delay)) if v is not None]
    receptor = f", receptor_type={s.receptor!r}" if s.receptor else ""
    space = f", space=sim.Space({_arguments(s.space)})" if s.space else ""
    return (
        f"{s.name} = sim.Projection({s.pre}, {s.post}, sim.{s.connector}({inside}), "
        f"{_synapse(s, values)}{receptor}{space})"
    )


def _synapse(s: p.Connect, values: Any) -> str:
    if s.synapse != "STDPMechanism":
        return f"sim.{s.synapse}({_arguments([*values, *s.rule])})"
    rule = dict(s.rule)
    fraction, dependence = (rule.pop(n) for n in ("dendritic_delay_fraction", "weight_dependence"))
    bounds = [(name, rule.pop(name)) for name in [*rule] if name.startswith(("w_", "mu_"))]
    return (
        f"sim.STDPMechanism(sim.SpikePairRule({_arguments(rule.items())}), "
        f"sim.{dependence}({_arguments(bounds)}), dendritic_delay_fraction={fraction}, "
        f"{_arguments(values)})"
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


def _get_parameters(s: p.GetParameters) -> str:
    names = list(s.parameter) if isinstance(s.parameter, tuple) else s.parameter
    more = ", gather=True" if s.gather else ""
    return f"{s.cells}.get({names!r}, simplify={s.simplify}{more})"


def _look(s: p.Look) -> str:
    return (
        f"{s.cells}.size; {s.cells}.all_cells; {s.cells}.id_to_index({s.cells}[0]); "
        f"{s.cells}.positions; {s.cells}.nearest({s.near})"
    )


def _data(s: p.Data) -> str:
    arguments = [] if s.variables == "all" else [repr(list(s.variables))]
    return f"{s.cells}.get_data({', '.join([*arguments, *(['clear=True'] if s.clear else [])])})"


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
    p.GetParameters: _get_parameters,
    p.Look: _look,
    p.Annotate: lambda s: f"{s.cells}.annotate({_arguments(s.values)})",
    p.Sample: lambda s: f"{s.name} = {s.of}.sample({s.n}, rng=sim.NumpyRNG(seed={s.seed}))",
    p.InitializeSynapses: lambda s: f"{s.projection}.initialize({_arguments(s.values)})",
    p.InjectAgain: lambda s: f"{s.cells}.inject({s.name})",
    p.SpikeCounts: lambda s: f"{s.cells}.get_spike_counts(); {s.cells}.mean_spike_count()",
    p.Initialize: lambda s: f"{s.cells}.initialize({_arguments(s.values)})",
    p.Inject: _inject,
    p.SetCurrent: lambda s: f"{s.name}.set_parameters({_arguments(s.values)})",
    p.Record: _record,
    p.Run: _run,
    p.Data: _data,
    p.Reset: lambda s: "sim.reset()",
    p.End: lambda s: "sim.end()",
}
