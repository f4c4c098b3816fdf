"""Which runs are compared: the model as it is, and with one change at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from portable_cortex.errors import InvalidValueError
from portable_cortex.experiment import Experiment
from portable_cortex.models.loader import load_model

from .measures import EVERY, FIRST

UNCHANGED = "unchanged"
PULSES = "thalamic_pulses"


@dataclass(frozen=True)
class Variant:
    """One change of the model.

    Attributes
    ----------
    name : str
    parameters : dict
        Of the model, in place of those of the plan.
    fitted : str
        What was fitted for it, in words; empty if nothing was.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fitted: str = ""


@dataclass(frozen=True)
class Plan:
    """Ensembles of runs that differ in one thing.

    Attributes
    ----------
    variants : tuple of Variant
        The changes; the model as it is comes by itself, first.
    model, backend, machine : str
    parameters : dict
        Of the model, for all runs.
    options : dict
        Of the backend.
    seeds : tuple of int
    warmup, duration : float
        ms.
    pulses : int
        Thalamic pulses of a second run of each seed; none where the model has no such parameter.

    Raises
    ------
    InvalidValueError
        For no change, equal names, a change of nothing, or one seed.
    """

    variants: tuple[Variant, ...]
    model: str = "pd14"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    backend: str = "builtin"
    machine: str = "local"
    options: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = tuple(range(1, 11))
    warmup: float = 500.0
    duration: float = 10_000.0
    pulses: int = 10

    def __post_init__(self) -> None:
        if not self.variants:
            raise InvalidValueError(
                "impact needs a change of the model: --neurons NAMES, or --vary NAME=VALUE"
            )
        if len(self.seeds) < 2:
            raise InvalidValueError(
                f"impact needs two seeds at least, and five to judge by, not {len(self.seeds)}"
            )
        if self.pulses < 0:
            raise InvalidValueError(f"pulses must be 0 or more, not {self.pulses}")
        names = [variant.name for variant in self.all]
        for name in names:
            if names.count(name) > 1:
                raise InvalidValueError(f"the change {name!r} is asked for twice")
        for variant in self.variants:
            if all(self.parameters.get(k) == v for k, v in variant.parameters.items()):
                raise InvalidValueError(f"{variant.name} changes nothing")

    @property
    def all(self) -> tuple[Variant, ...]:
        """The model as it is, and all changes."""
        return (Variant(UNCHANGED), *self.variants)

    @property
    def has_pulses(self) -> bool:
        """Whether responses to thalamic pulses are looked at."""
        return self.pulses > 0 and PULSES in load_model(self.model).parameters

    def stationary(self, variant: Variant) -> tuple[Experiment, ...]:
        """One run a seed."""
        return self._experiments(variant.parameters, self.duration)

    def transient(self, variant: Variant) -> tuple[Experiment, ...]:
        """One run a seed, with thalamic pulses; empty without them."""
        if not self.has_pulses:
            return ()
        first = self.warmup + FIRST
        onsets = [first + EVERY * k for k in range(self.pulses)]
        return self._experiments({**variant.parameters, PULSES: onsets}, EVERY * self.pulses)

    def _experiments(
        self, parameters: Mapping[str, Any], duration: float
    ) -> tuple[Experiment, ...]:
        return tuple(
            Experiment(
                model=self.model,
                parameters={**self.parameters, **parameters},
                backend=self.backend,
                machine=self.machine,
                options=self.options,
                seed=seed,
                warmup=self.warmup,
                duration=duration,
            )
            for seed in self.seeds
        )
