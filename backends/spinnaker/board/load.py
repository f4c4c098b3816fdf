"""What a run's figures mean for hardware, and which cores had more to do than time for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MEANING = {
    "arithmetic": "the hardware's: the programs are, instruction by instruction",
    "overload": "a core that overruns here very likely does on hardware; one that does not may: "
    "each instruction takes one cycle, and memory and network take none",
    "energy": "none: there is no machine whose energy it could be",
}
_SYSTEM = ("extra_monitor", "data_speed_up")  # programs that have no time steps


def load(cores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How busy cores were: those that run a program, or if none does, those that did.

    Parameters
    ----------
    cores : sequence of mapping
        As in the board's report.

    Returns
    -------
    dict
        ``meaning`` of a run's figures for hardware; ``busiest_tick``, the largest share of a time
        step that a core worked; ``overran``, the cores that worked for whole time steps, and
        ``warning``, the same in words.

    Examples
    --------
    >>> core = {"state": 1, "x": 0, "y": 0, "core": 3, "program": "IF_curr_exp"}
    >>> load([core | {"busiest": 50_000, "period": 200_000, "overruns": 0}])["busiest_tick"]
    0.25
    >>> load([core | {"busiest": 200_000, "period": 200_000, "overruns": 7}])["warning"]
    '1 core of the emulated board (IF_curr_exp) worked without a rest for 7 time steps: what it \
had to do came late'
    """
    ticking = [c for c in cores if c["period"] and not c["program"].startswith(_SYSTEM)]
    running = [core for core in ticking if core["state"]] or ticking
    overran = [core for core in running if core["overruns"]]
    names = ("x", "y", "core", "program", "overruns")
    return {
        "meaning": MEANING,
        "busiest_tick": max((core["busiest"] / core["period"] for core in running), default=0.0),
        "overran": [{name: core[name] for name in names} for core in overran],
        "warning": _warning(overran),
    }


def _warning(overran: Sequence[Mapping[str, Any]]) -> str:
    if not overran:
        return ""
    programs = ", ".join(sorted({core["program"] for core in overran}))
    n, most = len(overran), max(core["overruns"] for core in overran)
    who, they, up_to = ("core", "it", "") if n == 1 else ("cores", "they", "up to ")
    return (
        f"{n} {who} of the emulated board ({programs}) worked without a rest for {up_to}{most} "
        f"time steps: what {they} had to do came late"
    )
