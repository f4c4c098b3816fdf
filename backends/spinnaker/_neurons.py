"""What the cores' fixed-point numbers and programs make of parameters of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
from spynnaker.pyNN import IF_curr_delta

from portable_cortex.pynn.grid import whole_steps
from portable_cortex.support import refusal

from ._state import state

FIXED = 2.0**-15
COARSE = 0.02
"""Decays that a step may be off by more than this fraction are told."""


def check(cells: Any) -> None:
    """Refuse neurons that a core cannot simulate, and tell what it makes of others.

    Parameters
    ----------
    cells : Population or PopulationView

    Raises
    ------
    UnsupportedError
    """
    values = {name: _known(cells, name) for name in cells._vertex.get_parameters()}
    reset, threshold = values.get("v_reset"), values.get("v_thresh")
    if reset is not None and threshold is not None and np.any(reset >= threshold):
        raise refusal(
            "spinnaker",
            "refractory-rounding: v_reset of v_thresh or more",
            f"reset {cells.label} to its threshold or above",
            "Lower v_reset",
        )
    for name in ("tau_m", "tau_syn_E", "tau_syn_I"):
        _tell_coarse(cells.label, name, values.get(name))
    if isinstance(cells.celltype._model, IF_curr_delta):
        _tell_jumps(cells.label, values.get("tau_m"))
    _tell_refractory(cells.label, values.get("tau_refrac"))


def _known(cells: Any, name: str) -> Any:
    """Values of a parameter, but those that the board draws."""
    try:
        return np.asarray(cells.get(name, simplify=False), float)
    except ValueError:
        return None


def _tell_coarse(label: str, name: str, taus: Any) -> None:
    if taus is None or not taus.size:
        return
    longest = float(taus.max())
    off = FIXED * longest / state.dt
    if off > COARSE:
        state.differs(
            f"population {label}: with {name} of {longest:g} ms a step of {state.dt:g} ms is a "
            f"decay by {state.dt / longest:.2g}, which spinnaker holds to {FIXED:.1g}: time "
            f"constants are off by up to {off:.0%}; take a longer time step"
        )


def _tell_jumps(label: str, taus: Any) -> None:
    if taus is None or not taus.size:
        return
    steps = float(taus.min()) / state.dt
    missing = 1.0 + steps * np.expm1(-1.0 / steps)
    if missing > COARSE / 2:
        state.differs(
            f"population {label}: a spike is a current through a step on spinnaker, of which the "
            f"potential keeps {1.0 - missing:.1%} of the weight; take a shorter time step"
        )


def _tell_refractory(label: str, times: Any) -> None:
    if times is None or not times.size:
        return
    step = np.round(state.dt / FIXED)
    held = np.ceil(np.floor(np.round(times / FIXED) / step / FIXED) * FIXED)
    asked = whole_steps(times, state.dt)
    wrong = held != asked
    if np.any(wrong):
        state.differs(
            f"population {label}: the refractory time of {times[wrong][0]:g} ms is "
            f"{held[wrong][0]:g} steps on spinnaker, not {asked[wrong][0]:g}: in its numbers "
            f"{state.dt:g} ms is {step * FIXED:.6f}; give half a step less"
        )
