"""What the runs of one backend cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portable_cortex import Energy
from portable_cortex.errors import OutputError
from portable_cortex.sweep import building

from ..cost import Cost, cost_of

COMPILE = "compile"  # a phase of a run


@dataclass(frozen=True)
class Spending:
    """What the runs of a backend cost: medians over those that say it.

    Attributes
    ----------
    build, compile : float or None
        s: of the network, without compiling; and of compiling, the longest of the runs, since what
        was compiled is kept.
    real_time_factor, core_seconds : float or None
        Time, and processor time, of the simulate phase for one second of model time.
    memory : float or None
        Peak, bytes.
    energy : Energy or None
        Of the simulate phase of the first run that has one.
    energy_per_event : float or None
        uJ a recurrent synaptic event.
    star : tuple of (mapping, Cost) or None
        The run with the median real-time factor, for the picture of the published ones.
    doubts : tuple of str
        Why wall-clock times say little, one a run at most.
    trouble : str
        Why there is nothing.
    """

    build: float | None = None
    compile: float | None = None
    real_time_factor: float | None = None
    core_seconds: float | None = None
    memory: float | None = None
    energy: Energy | None = None
    energy_per_event: float | None = None
    star: tuple[Mapping[str, Any], Cost] | None = None
    doubts: tuple[str, ...] = ()
    trouble: str = ""


def spending(about: Sequence[Mapping[str, Any]]) -> Spending:
    """What runs cost, by their ``run.json``.

    Examples
    --------
    >>> from portable_cortex import run
    >>> cost = spending([run(backend="mock", scale=0.02, duration=100.0).metadata])
    >>> cost.energy is None, cost.memory > 1e6
    (True, True)
    >>> spending([{}]).trouble
    "the run has no complete account of its cost: KeyError('duration_ms')"
    """
    known, trouble = [], ""
    for metadata in about:
        try:
            known.append((metadata, cost_of(metadata)))
        except OutputError as error:
            trouble = trouble or str(error)
    if not known:
        return Spending(trouble=trouble or "no run says what it cost")
    costs = [cost for _, cost in known]
    with_energy = [(cost, cost.energies[-1]) for cost in costs if cost.energies]
    # a meter's figure and a guess have no median: of the first run's kind only
    alike = [(c, e) for c, e in with_energy if _label(e) == _label(with_energy[0][1])]
    return Spending(
        build=_median([building(m) - m["phases_s"].get(COMPILE, 0.0) for m, _ in known]),
        compile=max(
            (m["phases_s"][COMPILE] for m, _ in known if COMPILE in m["phases_s"]), default=None
        ),
        real_time_factor=_median([cost.real_time_factor for cost in costs]),
        core_seconds=_median([cost.core_seconds for cost in costs]),
        memory=_median([cost.peak_memory_bytes for cost in costs]),
        energy=alike[0][1] if alike else None,
        energy_per_event=_median([cost.energy_per_event(energy) for cost, energy in alike]),
        star=sorted(known, key=lambda one: one[1].real_time_factor)[(len(known) - 1) // 2],
        doubts=tuple(filter(None, (cost.doubt for cost in costs))),
    )


def _label(energy: Energy) -> tuple[str, str, str]:
    return energy.kind, energy.scope, energy.source


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(statistics.median(known)) if known else None
