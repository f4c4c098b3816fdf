"""Do two groups of seeds do the same with their input? Verdicts on the results of a task.

Every number of a task, one a seed, is compared by Student's t, all together adjusted for their
number, as `portable_cortex.validation.verdict` does. Groups are of one task and one number of
trials; what else differs between them, the backend, say, is what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from portable_cortex.errors import InvalidValueError

from ..activity import LINEAR, LOGARITHM, Scale
from ..impact import EVERY, MEASURES
from ..verdict import (
    ALPHA,
    MIN_SEEDS,
    TAIL,
    Verdict,
    adjusted,
    between_groups,
    detectable_change,
)
from .separation import BIN as SEPARATION_BIN
from .twins import BIN as TWINS_BIN

NAMES = {
    "onset": "onset (ms)",
    "peak_time": "peak after (ms)",
    "recovery": "end (ms)",
    "peak": "peak (spikes/s)",
    "baseline": "before (spikes/s)",
    "spikes": "spikes in 20 ms",
}

Result = Mapping[str, Any]
"""Of one seed, as a task's ``to_dict`` gives it; None stands for what is no number."""


@dataclass(frozen=True)
class Quantity:
    """One number of a result.

    Attributes
    ----------
    name : str
        With the population or the readout that it is of.
    value : float
        Not a number where there is none: nothing responded, say.
    scale : Scale
        On which it is compared.
    grain : float
        How exactly it is known.
    """

    name: str
    value: float
    scale: Scale = LINEAR
    grain: float = 0.0


@dataclass(frozen=True)
class Contrast:
    """One quantity of both groups.

    Attributes
    ----------
    name : str
    value, expected : float
        Means over the seeds that have it.
    spread : float
        Standard deviation over the other group's seeds.
    p_adjusted : float
        Not a number where too few seeds have it.
    detectable : float
        Change that would have been found with a probability of 0.8, in its units, or as a part of
        the mean for what is compared as a logarithm.
    """

    name: str
    value: float
    expected: float
    spread: float
    p_adjusted: float
    detectable: float

    @property
    def differs(self) -> bool:
        """Whether equality is rejected."""
        return self.p_adjusted < ALPHA


@dataclass(frozen=True)
class Judgement:
    """All quantities of a task, and the verdict.

    Attributes
    ----------
    verdict : Verdict
    contrasts : tuple of Contrast
    reason : str
        Why it could not be told; empty if it could.
    """

    verdict: Verdict
    contrasts: tuple[Contrast, ...]
    reason: str = ""

    @property
    def untested(self) -> tuple[str, ...]:
        """Numbers that some seeds have, and of one group too few: nothing is said of them."""
        return tuple(
            c.name
            for c in self.contrasts
            if not np.isfinite(c.p_adjusted) and np.isfinite([c.value, c.expected]).any()
        )


def quantities(task: str, result: Result) -> tuple[Quantity, ...]:
    """The numbers by which results of a task are compared.

    Parameters
    ----------
    task : {"pulses", "templates", "separation", "twins"}
    result : dict

    Examples
    --------
    >>> result = {"half": 12.5, "distance": [0.1, 0.5, 0.8, 0.9], "deviating": [3.0, 9.0]}
    >>> found = quantities("twins", result)
    >>> found[1].name, found[1].value
    ('distance in the last quarter', 0.9)
    """
    return _QUANTITIES[task](result)


def judge(task: str, results: Sequence[Result], others: Sequence[Result]) -> Judgement:
    """Compare the seeds of one group with those of another.

    Parameters
    ----------
    task : {"pulses", "templates", "separation", "twins"}
    results, others : sequence of dict
        One a seed, five or more of each.

    Raises
    ------
    InvalidValueError
        If numbers of trials differ, on which what is measured depends; or populations.

    Examples
    --------
    >>> def seed(half):
    ...     return {"pairs": 9, "half": half, "distance": [1.0] * 4, "deviating": [2.0]}
    >>> found = judge("twins", [seed(20.0)] * 5, [seed(35.0)] * 5)
    >>> found.verdict, [c.name for c in found.contrasts if c.differs]
    (<Verdict.DIFFERS: 1>, ['half as far apart as independent trials after (ms)'])
    """
    counts = [{_trials(result) for result in group} for group in (results, others)]
    if len(counts[0] | counts[1]) > 1:
        shown = (" and ".join(map(str, sorted(of))) for of in counts)
        raise InvalidValueError(
            "{} trials here, {} there: results can be compared with as many".format(*shown)
        )
    ours, theirs = ([quantities(task, r) for r in group] for group in (results, others))
    here, there = ({q.name for result in group for q in result} for group in (ours, theirs))
    if odd := sorted(here ^ there):
        raise InvalidValueError(
            f"only one of the two has {odd[0]}: results can be compared of the same populations"
        )
    tail = TAIL * len(results) * _seconds(task, results[0])
    rows = []
    for q in ours[0]:
        x, y = _values(ours, q.name), _values(theirs, q.name)
        rows.append((q, x, y, between_groups(x, y, scale=q.scale, grain=q.grain, tail=tail)))
    tested = [test for *_, test in rows if test is not None]
    p = iter(adjusted(np.array([test.two_sided for test in tested])) if tested else ())
    contrasts = tuple(
        Contrast(
            q.name,
            _mean(x),
            _mean(y),
            float(y.std(ddof=1)) if y.size > 1 else np.nan,
            float(next(p)) if test else np.nan,
            detectable_change(test.error, test.degrees, len(tested)) if test else np.nan,
        )
        for q, x, y, test in rows
    )
    if not tested:
        return Judgement(
            Verdict.UNDECIDED,
            contrasts,
            f"{len(results)} seeds here and {len(others)} there: {MIN_SEEDS} or more of each, with "
            "a response, are needed",
        )
    differs = any(contrast.differs for contrast in contrasts)
    return Judgement(Verdict.DIFFERS if differs else Verdict.AGREES, contrasts)


def _mean(values: Any) -> float:
    return float(values.mean()) if values.size else np.nan


def _values(group: Sequence[tuple[Quantity, ...]], name: str) -> Any:
    values = np.array([q.value for result in group for q in result if q.name == name])
    return values[np.isfinite(values)]


def _trials(result: Result) -> int:
    return int(next(result[name] for name in ("pulses", "trials", "pairs") if name in result))


def _seconds(task: str, result: Result) -> float:
    """Model time that means over it have their tails from; endless for what is counted."""
    return result["pulses"] * EVERY * 1e-3 if task == "pulses" else np.inf


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _of_pulses(result: Result) -> tuple[Quantity, ...]:
    found = []
    for population, response in result["responses"].items():
        for name, value in response.items():
            known = MEASURES.get(name)
            scale = known.scale if known else (LOGARITHM if name == "baseline" else LINEAR)
            label = NAMES.get(name, name)
            grain = known.grain if known else 0.0
            found.append(Quantity(f"{population}, {label}", _number(value), scale, grain))
    return tuple(found)


def _of_templates(result: Result) -> tuple[Quantity, ...]:
    tested = result["trials"] - result["training"]
    return tuple(
        Quantity(f"{readout}, kappa of {question}", _number(value), grain=2 / tested)
        for readout, answers in result["kappa"].items()
        for question, value in answers.items()
    )


def _of_separation(result: Result) -> tuple[Quantity, ...]:
    one = 1 / (2 * result["trials"])
    accuracy = [_number(a) for a in result["accuracy"]]
    most = float(np.nanmax([_number(s) for s in result["separability"]]))
    best = _number(result["best"])
    return (
        Quantity("separability is largest after (ms)", best, grain=SEPARATION_BIN),
        Quantity("separability there", most),
        Quantity("accuracy of the nearer mean, at its best", max(accuracy), grain=one),
        Quantity("... in the last bin", accuracy[-1], grain=one),
    )


def _of_twins(result: Result) -> tuple[Quantity, ...]:
    distance = np.array(result["distance"], dtype=float)  # None is not a number
    last = float(distance[-max(1, distance.size // 4) :].mean())
    return (
        Quantity(
            "half as far apart as independent trials after (ms)",
            _number(result["half"]),
            grain=TWINS_BIN,
        ),
        Quantity("distance in the last quarter", last),
        Quantity("deviating spikes in the first 5 ms", _number(result["deviating"][0])),
    )


_QUANTITIES: Mapping[str, Callable[[Result], tuple[Quantity, ...]]] = {
    "pulses": _of_pulses,
    "templates": _of_templates,
    "separation": _of_separation,
    "twins": _of_twins,
}
