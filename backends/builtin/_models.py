"""One step of the cell types beside IF_curr_exp (see `_integrate`), one neuron after the other.

Conductance-based models are advanced by the classical Runge-Kutta method, with the exact course of
the conductances; the exponential one in several parts of a step, as it is stiff near a spike.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from ._llvm import common, compiled, signs

U64 = np.uint64
PARTS = 8  # of a step, in the exponential model


@compiled
def if_curr_alpha(
    s: Any, exc: Any, inh: Any, refractory: Any, drive: Any, c: Any, begin: int, end: int,
    log: Any, total: int,
) -> int:  # fmt: skip
    """Leaky integrate-and-fire, alpha-shaped currents, exact integration.

    Rotter S, Diesmann M (1999) Biol Cybern 81:381. v is relative to rest. Inputs go to what makes
    the currents rise, in the unit of weights.
    """
    each = c.shape[1] > 1
    for i in range(begin, end):
        p = i if each else 0
        if refractory[i] == 0:
            s[0, i] = (
                s[0, i] * c[0, p] + s[1, i] * c[1, p] + exc[i] * c[2, p] + s[2, i] * c[3, p]
                + inh[i] * c[4, p] + c[5, p] + drive[i] * c[6, p]
            )  # fmt: skip
        else:
            refractory[i] -= 1
        s[1, i] = s[1, i] * c[10, p] + exc[i] * c[11, p]
        s[2, i] = s[2, i] * c[12, p] + inh[i] * c[13, p]
        exc[i] = exc[i] * c[10, p]
        inh[i] = inh[i] * c[12, p]
        if s[0, i] >= c[7, p]:
            s[0, i] = c[8, p]
            refractory[i] = c[9, p]
            log[total] = i
            total += 1
    return total


@compiled
def _slope(v: float, exc: float, inh: float, current: float, c: Any, p: int) -> Any:
    """dv/dt of a membrane with two conductances, mV/ms."""
    leak, e_exc, e_inh = c[1, p] * (c[2, p] - v), c[3, p] - v, c[4, p] - v
    return (leak + exc * e_exc + inh * e_inh + current) / c[0, p]


@compiled
def _rk4(
    v: float, h: float, exc0: float, exc1: float, exc2: float, inh0: float, inh1: float,
    inh2: float, current: float, c: Any, p: int,
) -> Any:  # fmt: skip
    """V after `h`, given the conductances at its begin, middle and end."""
    k1 = _slope(v, exc0, inh0, current, c, p)
    k2 = _slope(v + 0.5 * h * k1, exc1, inh1, current, c, p)
    k3 = _slope(v + 0.5 * h * k2, exc1, inh1, current, c, p)
    k4 = _slope(v + h * k3, exc2, inh2, current, c, p)
    return v + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


@compiled
def _threshold(s: Any, refractory: Any, c: Any, p: int, i: int, v: float) -> Any:
    """Refractoriness and threshold of the models without an exponential."""
    if refractory[i] > 0:
        refractory[i] -= 1
        s[0, i] = c[7, p]
        return False
    fires = v >= c[6, p]
    s[0, i] = c[7, p] if fires else v
    if fires:
        refractory[i] = c[8, p]
    return fires


@compiled
def if_cond_exp(
    s: Any, exc: Any, inh: Any, refractory: Any, drive: Any, c: Any, h: float, begin: int,
    end: int, log: Any, total: int,
) -> int:  # fmt: skip
    """Leaky integrate-and-fire, exponential conductances."""
    each = c.shape[1] > 1
    for i in range(begin, end):
        p = i if each else 0
        half_exc, half_inh = c[9, p], c[10, p]
        exc1, inh1 = exc[i] * half_exc, inh[i] * half_inh
        exc2, inh2 = exc1 * half_exc, inh1 * half_inh
        current = c[5, p] + drive[i]
        v = _rk4(s[0, i], h, exc[i], exc1, exc2, inh[i], inh1, inh2, current, c, p)
        exc[i], inh[i] = exc2, inh2
        if _threshold(s, refractory, c, p, i, v):
            log[total] = i
            total += 1
    return total


@compiled
def if_cond_alpha(
    s: Any, exc: Any, inh: Any, refractory: Any, drive: Any, c: Any, h: float, begin: int,
    end: int, log: Any, total: int,
) -> int:  # fmt: skip
    """Leaky integrate-and-fire, alpha-shaped conductances; inputs go to what makes them rise."""
    each = c.shape[1] > 1
    for i in range(begin, end):
        p = i if each else 0
        keep_exc, keep_inh = c[9, p], c[10, p]
        slope_exc, slope_inh = exc[i] * c[11, p], inh[i] * c[12, p]
        half_exc, half_inh = slope_exc * keep_exc, slope_inh * keep_inh
        exc1 = (s[1, i] + 0.5 * h * slope_exc) * keep_exc
        inh1 = (s[2, i] + 0.5 * h * slope_inh) * keep_inh
        exc2 = (exc1 + 0.5 * h * half_exc) * keep_exc
        inh2 = (inh1 + 0.5 * h * half_inh) * keep_inh
        current = c[5, p] + drive[i]
        v = _rk4(s[0, i], h, s[1, i], exc1, exc2, s[2, i], inh1, inh2, current, c, p)
        s[1, i], s[2, i] = exc2, inh2
        exc[i] = exc[i] * keep_exc * keep_exc
        inh[i] = inh[i] * keep_inh * keep_inh
        if _threshold(s, refractory, c, p, i, v):
            log[total] = i
            total += 1
    return total


@compiled
def _adex(v: float, w: float, current: float, c: Any, p: int) -> Any:
    """dv/dt and dw/dt of the adaptive exponential model (Brette & Gerstner 2005)."""
    v = min(v, c[6, p])
    upstroke = c[11, p] * c[1, p] * math.exp((v - c[12, p]) / c[11, p])
    dv = (c[1, p] * (c[2, p] - v) + upstroke - w + current) / c[0, p]
    return dv, (c[13, p] * (v - c[2, p]) - w) / c[14, p]


@compiled
def eif_cond_exp(
    s: Any, exc: Any, inh: Any, refractory: Any, drive: Any, c: Any, h: float, begin: int,
    end: int, log: Any, total: int,
) -> int:  # fmt: skip
    """Adaptive exponential integrate-and-fire, exponential conductances; w is the last variable."""
    each = c.shape[1] > 1
    part = h / PARTS
    for i in range(begin, end):
        p = i if each else 0
        v, ge, gi, w = s[0, i], exc[i], inh[i], s[1, i]
        still = refractory[i] > 0
        fires = False
        for _ in range(PARTS):
            ge1, gi1 = ge * c[9, p], gi * c[10, p]
            ge2, gi2 = ge1 * c[9, p], gi1 * c[10, p]
            x = np.float64(0.0 if still else 1.0)
            i0 = c[5, p] + drive[i]
            a1, b1 = _adex(v, w, i0 + ge * (c[3, p] - v) + gi * (c[4, p] - v), c, p)
            v1 = v + 0.5 * part * a1 * x
            a2, b2 = _adex(
                v1, w + 0.5 * part * b1, i0 + ge1 * (c[3, p] - v1) + gi1 * (c[4, p] - v1), c, p
            )
            v2 = v + 0.5 * part * a2 * x
            a3, b3 = _adex(
                v2, w + 0.5 * part * b2, i0 + ge1 * (c[3, p] - v2) + gi1 * (c[4, p] - v2), c, p
            )
            v3 = v + part * a3 * x
            a4, b4 = _adex(
                v3, w + part * b3, i0 + ge2 * (c[3, p] - v3) + gi2 * (c[4, p] - v3), c, p
            )
            v += part / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4) * x
            w += part / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4)
            ge, gi = ge2, gi2
            if v >= c[6, p]:
                fires = True
                v = c[7, p]
                w += c[15, p]
                still = c[8, p] > 0.0
        if refractory[i] > 0:
            refractory[i] -= 1
        s[0, i], s[1, i] = v, w
        exc[i], inh[i] = ge, gi
        if fires:
            refractory[i] = c[8, p]
            log[total] = i
            total += 1
    return total


@njit(forceinline=True)
def _izhikevich(v: Any, u: Any, current: Any, a: Any, b: Any, h: float) -> Any:
    """The state a step later, without threshold."""
    return v + h * (0.04 * v * v + 5.0 * v + 140.0 - u + current), u + h * a * (b * v - u)


@compiled
def _izhikevich_neurons(
    s: Any, exc: Any, inh: Any, drive: Any, c: Any, h: float, begin: int, end: int
) -> Any:
    """Advance neurons up to the threshold, as vector instructions; whether one has reached it."""
    v, u, a, b, offset = s[0], s[1], c[0], c[1], c[4]
    below = signs(v.dtype.type(-1))
    if c.shape[1] > 1:
        for number in range(begin, end):
            i = U64(number)
            new, u[i] = _izhikevich(v[i], u[i], offset[i] + 1e3 * drive[i], a[i], b[i], h)
            v[i] = new + exc[i] + inh[i]
            below = common(below, signs(v[i] - v.dtype.type(30.0)))
            exc[i] = 0.0
            inh[i] = 0.0
    else:
        a0, b0, offset0 = a[0], b[0], offset[0]
        for number in range(begin, end):
            i = U64(number)
            new, u[i] = _izhikevich(v[i], u[i], offset0 + 1e3 * drive[i], a0, b0, h)
            v[i] = new + exc[i] + inh[i]
            below = common(below, signs(v[i] - v.dtype.type(30.0)))
            exc[i] = 0.0
            inh[i] = 0.0
    return below >= 0


@compiled
def izhikevich(
    s: Any, exc: Any, inh: Any, drive: Any, c: Any, h: float, begin: int, end: int, log: Any,
    total: int,
) -> int:  # fmt: skip
    """Izhikevich's model (2003), forward Euler as in NEST; an input moves v by its weight."""
    if _izhikevich_neurons(s, exc, inh, drive, c, h, begin, end):
        for i in range(begin, end):
            if s[0, i] >= 30.0:
                p = i if c.shape[1] > 1 else 0
                s[0, i] = c[2, p]
                s[1, i] += c[3, p]
                log[total] = i
                total += 1
    return total
