"""Plastic synapses in Brian2's language: what `portable_cortex.pynn.plasticity` says in formulas.

All happens in the step in which a spike arrives, with the times at which the synapse has seen the
spikes. A delay of d steps, b of them in the dendrite, lets the synapse see a spike of the source
that was sent at s at s + d - b, and one of the target that was fired at r at r + b. The one is
looked at when it arrives, in the step s + d; so the other has to be in the step r + 2b, or, where
2b is no whole number, in the next one, which is ``early`` sooner than it seems. Then spikes are
looked at in the order in which they are seen, those of targets first. Whatever part of the delay is
in the dendrite, that of targets is known by then: b is from 0 to d.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brian2
import numpy as np

from portable_cortex.pynn.plasticity import SAME

from ._functions import FUNCTIONS
from ._groups import MS, Array, Lowered, Plastic, Route, along, common
from ._neurons import Model

PAIRS, SHORT_TERM, STOCHASTIC = "pairs", "short_term", "stochastic"
TRANSMITTED = "transmitted"  # the weight of the last spike
VARYING = "share", TRANSMITTED  # of what synapses begin with
POWERS = {0.0: "0", 1.0: "1"}  # that need no function
NO_TIME = 1e-3  # of a step: after a step, nothing is left of what decays so fast
LONG_AGO = -1.0  # s, before all steps

_OF_PAIRS = f"""
share : 1
{TRANSMITTED} : 1
pre_trace : 1
pre_time : second
post_trace : 1
post_time : second
"""
_ON_PRE = """
counted = post_trace - together*int(t - post_time < 0.5*dt)
share = greatest(share - A_minus*{power}counted*exp(-(t - post_time + early)/tau_minus), w_min)
{transmitted} = share*w_max
{variable}_post += {transmitted}*scale
pre_trace = 1.0 + pre_trace*exp(-(t - pre_time)/tau_plus)
pre_time = t
"""
_ON_POST = """
share = least(share + A_plus*{power}pre_trace*exp(-(t - pre_time - early)/tau_plus), 1.0)
post_trace = 1.0 + post_trace*exp(-(t - post_time)/tau_minus)
post_time = t
"""
_OF_SHORT_TERM = """
u : 1
active : 1
inactive : 1
last : second
"""
_ON_SEND = """
since = t - last
kept = exp(-since/tau_syn)
missing = exp(-since/tau_rec)
inactive = inactive*missing + active*((kept - missing)*ratio + since*kept*slope)
active = active*kept
u = u*exp(-since/tau_facil)
u = u + U*(1.0 - u)
released = u*(1.0 - active - inactive)
active = active + released
{variable}_post += w*released*scale
last = t
"""
_ON_CHANCE = "{variable}_post += w*scale*int(rand() < p)"

UNITS = {"slope": "Hz"} | dict.fromkeys(
    ("early", "tau_plus", "tau_minus", "tau_rec", "tau_facil", "tau_syn"), "second"
)


def kind_of(projection: Any) -> str:
    """Of its synapses; those of one kind can be made together."""
    if not projection.has_pairs:
        return SHORT_TERM if projection.is_short_term else STOCHASTIC
    powers = (common(np.atleast_1d(projection.parameters[n])) for n in ("mu_plus", "mu_minus"))
    return PAIRS + "".join("n" if power is None else POWERS.get(power, "n") for power in powers)


def connect(route: Route, projections: list[Any], lowered: Lowered) -> list[Plastic]:
    """The plastic synapses of a route, if there are any."""
    rows = [
        (sources, targets, taken(np.arange(len(projection))), projection)
        for projection in projections
        for sources, targets, taken in along(route, projection, lowered)
    ]
    parts = [(projection, numbers) for _, _, numbers, projection in rows]
    sources, targets = (np.concatenate([row[k] for row in rows]) for k in range(2))
    if not sources.size:
        return []
    step = float(lowered.clock.dt_)
    celltype = route.post.populations[0].celltype
    values = _columns(parts, step)
    start: dict[str, Any] = {name: values.pop(name) for name in VARYING if name in values}
    steps = {"pre": values.pop("delay") - int(route.pre.is_sent_then)}
    if route.kind.startswith(PAIRS):
        steps["post"] = values.pop("back") - int(route.post.is_sent_then)
        start |= dict.fromkeys(("pre_time", "post_time"), LONG_AGO)
    delays = {pathway: common(column) for pathway, column in steps.items()}
    state, code = _written(route)
    model = Model(sources.size)
    model.add("scale", celltype.weight_unit, np.full(1, celltype.weight_scale))
    for name, column in values.items():
        model.add(name, UNITS.get(name, "1"), column)
    synapses = brian2.Synapses(
        route.pre.group,
        route.post.group,
        model.text + state,
        **code,
        delay={p: d * step * brian2.second for p, d in delays.items() if d is not None},
        clock=lowered.clock,
        name=route.name,
        namespace=FUNCTIONS,
    )
    synapses.connect(i=sources, j=targets)
    for name, value in {**model.values, **start}.items():
        setattr(synapses, f"{name}_", value)
    for pathway, delay in delays.items():
        if delay is None:
            getattr(synapses, pathway).delay = steps[pathway] * step * brian2.second
    if route.kind.startswith(PAIRS):
        synapses.post.order = synapses.pre.order - 1  # spikes of targets first
    return [Plastic(synapses, parts)]


def _written(route: Route) -> tuple[str, dict[str, str]]:
    """Variables of a synapse, and what is done when spikes are looked at."""
    names = {"variable": route.variable, "transmitted": TRANSMITTED}
    if route.kind == SHORT_TERM:
        return _OF_SHORT_TERM, {"on_pre": _ON_SEND.format(**names)}
    if route.kind == STOCHASTIC:
        return "", {"on_pre": _ON_CHANCE.format(**names)}
    plus, minus = route.kind.removeprefix(PAIRS)[:1], route.kind[-1]
    return _OF_PAIRS, {
        "on_pre": _ON_PRE.format(power=_power("share - w_min", "mu_minus", minus), **names),
        "on_post": _ON_POST.format(power=_power("1.0 - share", "mu_plus", plus)),
    }


def _power(base: str, exponent: str, kind: str) -> str:
    """A factor of the change of a weight."""
    left = f"greatest({base}, 0.0)"
    return {POWERS[0.0]: "", POWERS[1.0]: f"{left}*"}.get(kind, f"{left}**{exponent}*")


# --- numbers --------------------------------------------------------------------------------------


def _columns(parts: list[tuple[Any, Array]], step: float) -> dict[str, Array]:
    """What each synapse has, by name: times in s, delays in steps."""
    columns = []
    for projection, numbers in parts:
        known = {n: _of_each(v, numbers) for n, v in projection.parameters.items()}
        known["delay"] = projection.delay_steps[numbers].astype(np.int64)
        known["weight"] = projection.weights[numbers].astype(float)
        if projection.is_short_term:
            known["tau_syn"] = projection.time_constants(projection.targets[numbers])
        known |= {n: v * MS for n, v in known.items() if n.startswith("tau")}
        if projection.has_pairs:
            columns.append(_pairs(known, step))
        elif projection.is_short_term:
            columns.append(_resources(known, step))
        else:
            columns.append({"p": known["p"], "w": known["weight"], "delay": known["delay"]})
    if len(columns) == 1:
        return columns[0]
    return {name: np.concatenate([column[name] for column in columns]) for name in columns[0]}


def _of_each(values: Any, numbers: Array) -> Array:
    values = np.asarray(values, float)
    return values[numbers] if values.ndim else np.broadcast_to(values, numbers.size)


def _resources(known: Mapping[str, Array], step: float) -> dict[str, Array]:
    current, recovery = known["tau_syn"], known["tau_rec"]
    same = np.abs(current - recovery) <= 1e-9 * recovery
    return {
        "U": known["U"],
        "tau_rec": recovery,
        "tau_facil": np.maximum(known["tau_facil"], NO_TIME * step),
        "tau_syn": current,
        # of what is active, what becomes inactive: see `plasticity.lost`
        "ratio": np.where(same, 0.0, 1.0 / (np.where(same, 2.0, current / recovery) - 1.0)),
        "slope": np.where(same, 1.0 / current, 0.0),
        "w": known["weight"],
        "delay": known["delay"],
    }


def _pairs(known: Mapping[str, Array], step: float) -> dict[str, Array]:
    back, early = returns(known["dendritic_delay_fraction"], known["delay"], step / MS)
    kept = ("A_plus", "A_minus", "mu_plus", "mu_minus", "tau_plus", "tau_minus", "w_max", "delay")
    return {
        **{name: known[name] for name in kept},
        "w_min": known["w_min"] / known["w_max"],
        "share": known["weight"] / known["w_max"],
        TRANSMITTED: known["weight"],
        "back": back,
        "early": early * step,
        "together": np.where(early == 0.0, 1.0, 0.0),
    }


def returns(fraction: Any, delay_steps: Any, step: float) -> tuple[Array, Array]:
    """After how many steps a target's spike is looked at, and how much sooner it was seen, steps.

    Parameters
    ----------
    fraction : float or array
        The part of the delay that is in the dendrite.
    delay_steps : array
    step : float
        ms.
    """
    twice = 2.0 * np.asarray(fraction, float) * np.asarray(delay_steps, float)
    back = np.ceil(twice - SAME / step)
    early = back - twice
    return back.astype(np.int64), np.where(early * step <= SAME, 0.0, early)
