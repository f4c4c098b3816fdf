"""What PyNN's plastic synapses do: rules that all backends follow, as formulas and as types.

PyNN says what a synapse depends on, and leaves open what happens in the order of things. Here it is
so, on every backend:

* A weight changes through pairs of a presynaptic and a postsynaptic spike, each at the time at
  which the synapse sees it: by the axon's, or the dendrite's, part of the delay after it was sent.
  All pairs count; one whose spikes are seen at the same time does not.
* A change is made for one spike after the other, from the weight as it is then, and kept within the
  bounds.
* A spike is transmitted with the weight as it is when the synapse sees it, and that is the weight
  which is read until the next one.
* A stochastic synapse transmits each spike with its probability, whatever others do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyNN import errors
from pyNN.standardmodels import build_translations, synapses
from pyNN.standardmodels.base import STDPTimingDependence, STDPWeightDependence

from ..errors import InvalidValueError

FloatArray = NDArray[np.float64]

EXPONENTS: Mapping[str, tuple[float, float]] = {
    "AdditiveWeightDependence": (0.0, 0.0),
    "MultiplicativeWeightDependence": (1.0, 1.0),
    "AdditivePotentiationMultiplicativeDepression": (0.0, 1.0),
}
"""Powers of what is left to the upper and to the lower bound, by weight dependence."""

SAME = 1e-6
"""Times closer than this, ms, are the same."""

_POSITIVE = "tau_plus", "tau_minus", "tau_rec"
_NOT_NEGATIVE = ("tau_facil",)
_PARTS = "U", "p"  # of 1


# --- formulas -------------------------------------------------------------------------------------


def paired(
    rule: Mapping[str, float], weight: float, delay: float, sent: ArrayLike, fired: ArrayLike
) -> FloatArray:
    """Weights with which a synapse with an ``STDPMechanism`` transmits its spikes.

    Guetig et al. (2003), doi:10.1523/JNEUROSCI.23-09-03697.2003, equation 1, with bounds: in units
    of ``w_max``, a potentiation is ``A_plus (1 - w)^mu_plus exp(-dt / tau_plus)``, and a depression
    ``A_minus (w - w_min / w_max)^mu_minus exp(-dt / tau_minus)``.

    Parameters
    ----------
    rule : mapping
        ``tau_plus``, ``tau_minus`` (ms), ``A_plus``, ``A_minus``, ``w_min``, ``w_max`` (nA or uS),
        ``mu_plus``, ``mu_minus`` (see `exponents`), ``dendritic_delay_fraction``.
    weight, delay : float
        nA or uS; ms.
    sent, fired : array
        Times of spikes of the source and of the target, ms, in order.

    Returns
    -------
    array, shape (spikes of the source,)
        nA or uS.

    Examples
    --------
    >>> rule = dict(tau_plus=20.0, tau_minus=20.0, A_plus=0.1, A_minus=0.1, w_min=0.0, w_max=1.0,
    ...             mu_plus=0.0, mu_minus=0.0, dendritic_delay_fraction=1.0)
    >>> paired(rule, 0.5, 1.0, sent=[10.0, 60.0], fired=[14.0]).round(4).tolist()
    [0.5, 0.5673]
    """
    r, sent, fired = rule, np.asarray(sent, float), np.asarray(fired, float)
    dendrite = r["dendritic_delay_fraction"] * delay
    arrived, returned = sent + delay - dendrite, fired + dendrite  # as the synapse sees them
    lowest, w = r["w_min"] / r["w_max"], weight / r["w_max"]
    transmitted, n_seen = np.empty(sent.size), 0
    for number, time in enumerate(arrived):
        while n_seen < returned.size and returned[n_seen] <= time + SAME:
            since = returned[n_seen] - arrived[:number]
            pairs = np.exp(-since[since > SAME] / r["tau_plus"]).sum()
            w = min(1.0, w + r["A_plus"] * max(1.0 - w, 0.0) ** r["mu_plus"] * pairs)
            n_seen += 1
        since = time - returned[:n_seen]
        pairs = np.exp(-since[since > SAME] / r["tau_minus"]).sum()
        w = max(lowest, w - r["A_minus"] * max(w - lowest, 0.0) ** r["mu_minus"] * pairs)
        transmitted[number] = w * r["w_max"]
    return transmitted


def short_term(
    weight: float, use: float, tau_rec: float, tau_facil: float, tau_syn: float, sent: ArrayLike
) -> FloatArray:
    """Weights with which a ``TsodyksMarkramSynapse`` transmits its spikes.

    Tsodyks, Uziel & Markram (2000), doi:10.1523/JNEUROSCI.20-01-j0003.2000, equations 3 and 4.

    Parameters
    ----------
    weight : float
        nA or uS.
    use : float
        PyNN's ``U``: the part of the resources that a first spike takes.
    tau_rec, tau_facil, tau_syn : float
        Of recovery, facilitation (0: none) and the target's synaptic current, ms.
    sent : array
        Times of the source's spikes, ms, in order.

    Returns
    -------
    array, shape (spikes,)
        nA or uS.

    Examples
    --------
    >>> short_term(1.0, 0.5, 100.0, 0.0, 2.0, sent=[10.0, 20.0]).round(4).tolist()
    [0.5, 0.2692]
    """
    sent = np.asarray(sent, float)
    transmitted = np.empty(sent.size)
    u = active = inactive = 0.0
    for number, since in enumerate(np.diff(sent, prepend=sent[:1])):
        inactive = inactive * np.exp(-since / tau_rec) + active * lost(since, tau_syn, tau_rec)
        active *= np.exp(-since / tau_syn)
        u = u * np.exp(-since / tau_facil) if tau_facil > 0 else 0.0
        u += use * (1.0 - u)
        released = u * (1.0 - active - inactive)
        active += released
        transmitted[number] = weight * released
    return transmitted


def lost(since: float, tau_syn: float, tau_rec: float) -> float:
    """Of resources that are active, the part that is inactive after a time, ms."""
    if abs(tau_syn - tau_rec) <= 1e-9 * tau_rec:
        return float(since / tau_syn * np.exp(-since / tau_syn))
    difference = np.exp(-since / tau_syn) - np.exp(-since / tau_rec)
    return float(difference / (tau_syn / tau_rec - 1.0))


def different(tau_syn: ArrayLike, tau_rec: ArrayLike) -> Any:
    """Time constants of synaptic currents, ms, so that simulators can divide by the difference.

    Where it is that of recovery they would have no number: it is made longer by 1e-8 of it, which
    changes what is transmitted as little.

    Examples
    --------
    >>> different([2.0, 5.0], 5.0).tolist()
    [2.0, 5.00000005]
    """
    tau_syn, tau_rec = np.broadcast_arrays(np.asarray(tau_syn, float), np.asarray(tau_rec, float))
    return np.where(np.abs(tau_syn - tau_rec) <= 1e-8 * tau_rec, tau_rec * (1 + 1e-8), tau_syn)[()]


def exponents(mechanism: Any) -> Mapping[str, float]:
    """``mu_plus`` and ``mu_minus`` of an ``STDPMechanism``; of Guetig's they are parameters.

    Examples
    --------
    >>> from pyNN.mock import STDPMechanism, MultiplicativeWeightDependence, SpikePairRule
    >>> exponents(STDPMechanism(SpikePairRule(), MultiplicativeWeightDependence(), delay=1.0))
    {'mu_plus': 1.0, 'mu_minus': 1.0}
    """
    for kind in type(mechanism.weight_dependence).__mro__:
        if kind.__name__ in EXPONENTS:
            return dict(zip(("mu_plus", "mu_minus"), EXPONENTS[kind.__name__], strict=True))
    return {}


# --- what cannot be -------------------------------------------------------------------------------


def check_parameters(kind: str, label: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that no synapse can have; of one for all, or of each.

    Raises
    ------
    InvalidValueError
        For a time constant that is not above 0 (``tau_facil``: below 0), a ``U`` or ``p`` that is
        no part of 1, an ``n`` that is no whole number from 1, a ``w_max`` of 0, or bounds in the
        wrong order.
    """

    def refuse(what: str, must: str, wrong: Any) -> None:
        raise InvalidValueError(
            f"{what} of {kind} (projection {label}) must be {must}, not {float(wrong.flat[0]):g}"
        )

    for name, values in parameters.items():
        values = np.asarray(values, float)
        if name in _POSITIVE and not np.all(values > 0):
            refuse(name, "above 0 ms", values[~(values > 0)])
        if name in _NOT_NEGATIVE and not np.all(values >= 0):
            refuse(name, "0 ms or more", values[~(values >= 0)])
        if name in _PARTS and not np.all((values >= 0) & (values <= 1)):
            refuse(name, "from 0 to 1", values[~((values >= 0) & (values <= 1))])
        if name == "n" and not np.all((values >= 1) & (values % 1 == 0)):
            refuse(name, "a whole number from 1", values[~((values >= 1) & (values % 1 == 0))])
        if not np.all(np.isfinite(values)):
            refuse(name, "a number", values[~np.isfinite(values)])
    if "w_max" in parameters:
        low, high = (np.asarray(parameters[name], float) for name in ("w_min", "w_max"))
        if np.any(high == 0):
            refuse("w_max", "other than 0", high[high == 0])
        low, high = np.broadcast_arrays(low, high)
        wrong = ~((low / high >= 0) & (low / high < 1))
        if np.any(wrong):
            refuse("w_min", f"between 0 and w_max ({high[wrong][0]:g})", low[wrong])


def check_bounds(label: str, weights: Any, parameters: Mapping[str, Any]) -> None:
    """Refuse weights outside of the bounds between which a rule keeps them.

    Raises
    ------
    pyNN.errors.ConnectionError
    """
    if "w_max" not in parameters:
        return
    weights, low, high = np.broadcast_arrays(
        *(np.asarray(v, float) for v in (weights, parameters["w_min"], parameters["w_max"]))
    )
    share, least = weights / high, low / high
    wrong = ~((share >= least - 1e-9) & (share <= 1 + 1e-9))
    if np.any(wrong):
        raise errors.ConnectionError(
            f"weights of an STDPMechanism (projection {label}) must be from w_min to w_max "
            f"({low[wrong][0]:g} to {high[wrong][0]:g}), not {weights[wrong][0]:g}"
        )


# --- types ----------------------------------------------------------------------------------------


def plastic_types(state: Any) -> dict[str, type]:
    """PyNN's types of plastic synapses, and their parts, of a backend that keeps them as arrays.

    Parameters
    ----------
    state : State
        The backend's: it knows the smallest delay, which is that of synapses that name none.
    """
    least = {"_get_minimum_delay": lambda self: state.least_delay}

    def of(base: Any, **own: Any) -> type:
        names = base.default_parameters
        return type(
            base.__name__,
            (base,),
            {"__doc__": base.__doc__, "translations": _unchanged(*names), **own},
        )

    parts = [
        of(getattr(synapses, name), possible_models={"pairs"})
        for name in ("SpikePairRule", *EXPONENTS, "GutigWeightDependence")
    ]
    mechanism = type(
        "STDPMechanism",
        (_Mechanism,),
        {
            "__doc__": synapses.STDPMechanism.__doc__,
            "base_translations": _unchanged("weight", "delay", "dendritic_delay_fraction"),
            **least,
        },
    )
    short = of(synapses.TsodyksMarkramSynapse, **least)
    stochastic = of(synapses.SimpleStochasticSynapse, **least)
    return {kind.__name__: kind for kind in (short, stochastic, mechanism, *parts)}


def _unchanged(*names: str) -> Any:
    return build_translations(*((name, name) for name in names))


class StatedDelay:
    """Mix it into an ``STDPMechanism``, before PyNN's: the delay is what is given.

    PyNN's own takes 0 for none at all, and fails where there is one for each synapse.
    """

    def __init__(
        self,
        timing_dependence: Any = None,
        weight_dependence: Any = None,
        voltage_dependence: Any = None,
        dendritic_delay_fraction: Any = 1.0,
        weight: Any = 0.0,
        delay: Any = None,
    ) -> None:
        check_parts(timing_dependence, weight_dependence, voltage_dependence)
        self.check_fraction(dendritic_delay_fraction)
        dependences = timing_dependence, weight_dependence, voltage_dependence
        super().__init__(*dependences, dendritic_delay_fraction, weight)  # type: ignore[call-arg]
        if delay is not None:
            self.delay = delay

    def check_fraction(self, fraction: Any) -> None:
        """Refuse a part of the delay in the dendrite that a backend does not have."""


def check_parts(timing_dependence: Any, weight_dependence: Any, voltage_dependence: Any) -> None:
    """Refuse parts that an ``STDPMechanism`` cannot be made of, which PyNN asserts.

    Raises
    ------
    InvalidValueError
    """
    for name, part, kind in (
        ("timing_dependence", timing_dependence, STDPTimingDependence),
        ("weight_dependence", weight_dependence, STDPWeightDependence),
    ):
        if not isinstance(part, kind):
            raise InvalidValueError(
                f"{name} of an STDPMechanism must be one of PyNN's, such as "
                f"{'SpikePairRule' if 'timing' in name else 'AdditiveWeightDependence'}(), "
                f"not {part!r}"
            )
    if voltage_dependence is not None:
        raise InvalidValueError("PyNN has no voltage_dependence of an STDPMechanism")


class _Mechanism(StatedDelay, synapses.STDPMechanism):  # type: ignore[misc]  # PyNN is untyped
    """With sentences for what PyNN asserts."""

    def check_fraction(self, fraction: Any) -> None:
        check_fraction(fraction)


def check_fraction(fraction: Any) -> None:
    """Refuse a ``dendritic_delay_fraction`` that is no part of 1.

    Raises
    ------
    InvalidValueError
    """
    if not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise InvalidValueError(
            "dendritic_delay_fraction, the part of the delay that is in the dendrite, must be "
            f"from 0 to 1, not {fraction!r}"
        )
