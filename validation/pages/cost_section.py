"""What a report says about time and energy: figures, phases, and the place among the published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portable_cortex import Recording
from portable_cortex.errors import OutputError

from ..cost import Chart, Cost, Figure, UserRun, charts, cost_of, published_runs, user_run
from ..verdict import conditions, number

UNITS = {"uJ": "µJ"}
LONG_ENOUGH = 10_000.0  # ms: of less, the recipe of the field takes no performance


@dataclass(frozen=True)
class Card:
    """One figure of cost, ready to be shown."""

    name: str
    value: str
    label: str
    note: str


@dataclass(frozen=True)
class Phase:
    """A phase of a run: seconds, and percent of all."""

    name: str
    seconds: str
    share: float


@dataclass(frozen=True)
class Account:
    """The cost of a run, as a page shows it.

    Attributes
    ----------
    cards : tuple of Card
    phases : tuple of Phase
    trouble : str
        Why there are no figures; empty if there are.
    charts : tuple of Chart
        Published runs with this one; empty for other models.
    full_scale : bool
        Whether it is of the network that was published.
    caveats : tuple of str
        How else it differs from what is published.
    core_seconds : tuple of str
        Held for a second of model time: by this run, and by the published ones on CPUs.
    """

    cards: tuple[Card, ...] = ()
    phases: tuple[Phase, ...] = ()
    trouble: str = ""
    charts: tuple[Chart, ...] = ()
    full_scale: bool = False
    caveats: tuple[str, ...] = ()
    core_seconds: tuple[str, ...] = ()


def account(recording: Recording | None, other: Recording | None = None) -> Account | None:
    """The cost of a run; None if the run says nothing of it.

    Parameters
    ----------
    recording : Recording or None
    other : Recording, optional
        A second run, for the picture.

    Examples
    --------
    >>> from portable_cortex import run
    >>> section = account(run(backend="mock", scale=0.02, duration=100.0))
    >>> section.cards[0].name, section.full_scale, section.caveats[1]
    ('real-time factor', False, 'it recorded spikes, which takes time')
    """
    metadata = recording.metadata if recording else {}
    if not metadata.get("phases_s"):
        return None
    phases = _phases(metadata["phases_s"])
    try:
        cost = cost_of(metadata)
    except OutputError as error:
        return Account(phases=phases, trouble=str(error))
    cards = tuple(_card(figure) for figure in cost.figures() if _is_shown(figure))
    if metadata.get("model") != "pd14":
        return Account(cards, phases)
    runs = [star("this run", metadata, cost)]
    if other is not None and other.metadata.get("model") == "pd14":
        runs.append(star("the other run", other.metadata))
    stars = [run for run in runs if run is not None]
    full_scale = is_full_scale(metadata.get("parameters"))
    drawn = charts(stars, full_scale) if stars else ()
    return Account(
        cards, phases, "", drawn, full_scale, _caveats(metadata, cost), _core_seconds(cost)
    )


def _is_shown(figure: Figure) -> bool:
    """The phases have a picture of their own."""
    return not figure.name.startswith("real-time factor") or figure.name.endswith(" simulate")


def _card(figure: Figure) -> Card:
    unit = UNITS.get(figure.unit, figure.unit)
    value = "unknown" if figure.value is None else f"{number(figure.value)} {unit}".strip()
    note = figure.note
    if figure.name.startswith("real-time factor") and figure.value is not None:
        note = f"{'slower' if figure.value > 1 else 'faster'} than real time"
    return Card(
        figure.name.removesuffix(", simulate"), value, f"{figure.kind}, {figure.scope}", note
    )


def _phases(stated: Any) -> tuple[Phase, ...]:
    seconds = stated.items() if isinstance(stated, Mapping) else ()
    known = {str(name): float(s) for name, s in seconds if _is_duration(s)}
    total = sum(known.values())
    if not total > 0:
        return ()
    return tuple(
        Phase(name, number(s) if s >= 0.01 else "< 0.01", round(100 * s / total, 2))
        for name, s in known.items()
    )


def _is_duration(value: Any) -> bool:
    return isinstance(value, float | int) and math.isfinite(value) and value >= 0


def star(label: str, metadata: Mapping[str, Any], cost: Cost | None = None) -> UserRun | None:
    """A run for the picture; None if it does not say enough of itself.

    Examples
    --------
    >>> star("mine", {}) is None
    True
    """
    try:
        return user_run(metadata, cost, label)
    except (OutputError, KeyError, TypeError, ValueError):
        return None


def is_full_scale(parameters: Any) -> bool:
    """Whether parameters of the microcircuit are those of the network that was published.

    Examples
    --------
    >>> is_full_scale({"scale": 1.0}), is_full_scale({"scale": 0.1})
    (True, False)
    """
    settings = conditions({"parameters": parameters if isinstance(parameters, dict) else {}})
    return settings.get("n_scale") == settings.get("k_scale") == 1


def _caveats(metadata: Mapping[str, Any], cost: Cost) -> tuple[str, ...]:
    caveats = []
    duration = metadata["duration_ms"]
    if duration < LONG_ENOUGH:
        caveats.append(f"it lasted {duration * 1e-3:g} s of model time, not 10 s or more")
    if metadata.get("n_spikes") is not None:
        caveats.append("it recorded spikes, which takes time")
    if not cost.energies:
        caveats.append("its energy is not known, so that it is missing from the first picture")
    return tuple(caveats)


def _core_seconds(cost: Cost) -> tuple[str, ...]:
    runs = [(run.label, run.core_seconds, run.cores) for run in published_runs()]
    return tuple(
        f"{label} {number(held)} ({cores} cores)"
        for label, held, cores in [("this run", cost.core_seconds_held, cost.threads), *runs]
        if held is not None
    )
