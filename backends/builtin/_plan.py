"""How a neuron model is held in memory and advanced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portable_cortex.neurons import lowering
from portable_cortex.neurons.expressions import (
    ZERO,
    Binary,
    Expression,
    Name,
    names,
)
from portable_cortex.neurons.form import Branch, Neuron, Statement


@dataclass(frozen=True)
class Plan:
    """How a model is held in memory and advanced.

    Attributes
    ----------
    neuron : Neuron
        With the variables that inputs are added to in the unit of weights.
    inputs : tuple of str
        For each port the variable that its inputs are added to, or the port itself.
    others : tuple of str
        The other variables, without a timer that is counted in steps.
    factors : dict of str to Expression
        A variable of the model is that in memory times this, if it is named here.
    centres : dict of str to Expression
        And this is added, if it is named here: a neuron at rest stays there exactly.
    is_early : bool
        Whether inputs are added after the step.
    refractoriness : Refractoriness or None
    """

    neuron: Neuron
    inputs: tuple[str, ...]
    others: tuple[str, ...]
    factors: Mapping[str, Expression]
    centres: Mapping[str, Expression]
    is_early: bool
    refractoriness: lowering.Refractoriness | None

    @property
    def rows(self) -> tuple[str, ...]:
        """All rows of memory, those of inputs first."""
        return (*self.inputs, *self.others)

    def update(self, is_running: bool) -> tuple[Statement, ...]:
        """What a step does, while the refractory time is running or not, until the conditions."""
        r = self.refractoriness
        statements = self.neuron.update if r is None else r.running if is_running else r.over
        if self.is_early:
            return statements
        received = tuple(
            Branch(Binary("!=", Name(port), ZERO), received, ())
            for port, received in self.neuron.receive
        )
        return (*statements, *received)


def plan(neuron: Neuron) -> Plan:
    """Decide how a model is held in memory."""
    neuron = lowering.noted(lowering.numbered(lowering.counted(neuron)))
    if not neuron.is_exact:
        neuron = lowering.kicked(neuron)
    landings = lowering.landings(neuron)
    factors: dict[str, Expression] = {}
    inputs = tuple(port.name for port in neuron.ports)
    if landings is not None:
        factors = dict(landings.values())
        inputs = tuple(landings[port][0] for port in inputs)
        neuron = lowering.rescaled(neuron, factors)
    centres = _centres(neuron, inputs)
    neuron = lowering.centred(neuron, centres)
    refractoriness = lowering.refractoriness(neuron)
    timer = refractoriness.timer if refractoriness else None
    if neuron.timers - {timer}:
        neuron = lowering.ended(neuron, neuron.timers - {timer})
        refractoriness = lowering.refractoriness(neuron)
    others = [q.name for q in neuron.state if q.name not in (*inputs, timer)]
    if not neuron.is_exact:  # what statements note before a solver is needed behind it
        own = lowering.assigned(neuron.update)
        others += sorted(own - {*inputs, *others} - {timer})
    if lowering.FIRED in lowering.assigned(neuron.update) and lowering.FIRED not in others:
        others.append(lowering.FIRED)
    is_early = landings is not None
    return Plan(neuron, inputs, tuple(others), factors, centres, is_early, refractoriness)


def _centres(neuron: Neuron, inputs: Sequence[str]) -> dict[str, Expression]:
    """What variables with an exact solution begin with, where parameters say it."""
    parameters = {q.name for q in neuron.parameters}
    linear = {e.variable for e in neuron.equations if e.is_linear} - {*inputs}
    return {
        q.name: q.value
        for q in neuron.state
        if q.name in linear and q.value is not None and set() < names(q.value) <= parameters
    }
