"""The synapse type that the engine has."""

from __future__ import annotations

from typing import Any

from pyNN.standardmodels import build_translations, synapses

from . import _simulator


class StaticSynapse(synapses.StaticSynapse):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = synapses.StaticSynapse.__doc__
    translations = build_translations(("weight", "weight"), ("delay", "delay"))

    def _get_minimum_delay(self) -> Any:
        return _simulator.state.least_delay
