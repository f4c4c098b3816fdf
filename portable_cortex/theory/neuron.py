r"""Stationary and linear response of leaky integrate-and-fire neurons to fluctuating input.

The input of a neuron is a mean :math:`\mu` and a fluctuation :math:`\sigma` of its free membrane
potential, both in mV above rest; :math:`\sigma` is that of Brunel (2000), the standard deviation of
the free potential times :math:`\sqrt 2`. Exponential synaptic currents are taken into account to
the first order of :math:`\sqrt{\tau_s/\tau_m}`.

References
----------
.. [1] Brunel N (2000). J Comput Neurosci 8:183-208. doi:10.1023/A:1008925309027
.. [2] Fourcaud N, Brunel N (2002). Neural Comput 14:2057-2110. doi:10.1162/089976602320264015
.. [3] Schuecker J, Diesmann M, Helias M (2015). Phys Rev E 92:052119.
   doi:10.1103/PhysRevE.92.052119
.. [4] Lindner B, Schimansky-Geier L (2001). Phys Rev Lett 86:2934-2937.
   doi:10.1103/PhysRevLett.86.2934
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import dawsn, erf, erfcx

F64 = NDArray[np.float64]
C128 = NDArray[np.complex128]

METHODS = ("shift", "taylor")
ALPHA = 2.0652531522312172  # the root of 2 times |zeta(1/2)|
LEAST = 1e-6  # mV of fluctuation
HIGHEST = 26.0  # a threshold so many deviations away is not reached, and exp(y^2) has no number
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_PATH = np.linspace(0.0, 1.0, 141)  # nodes of an integral, from
FIRST = -3.7  # on


@dataclass(frozen=True)
class Cells:
    """Leaky integrate-and-fire neurons, one kind for each population.

    Attributes
    ----------
    tau_m : array
        Membrane time constant, ms.
    threshold, reset : array
        mV above rest.
    tau_refrac : array
        Refractory period, ms.
    """

    tau_m: F64
    threshold: F64
    reset: F64
    tau_refrac: F64


@dataclass(frozen=True)
class Input:
    r"""What neurons receive, one value for each population.

    Attributes
    ----------
    mean : array
        :math:`\mu`, mV above rest.
    deviation : array
        :math:`\sigma`, mV.
    tau_syn : array
        Time constant of the synaptic currents, ms.
    """

    mean: F64
    deviation: F64
    tau_syn: F64


def rate(cells: Cells, given: Input, method: str = "shift") -> F64:
    r"""Firing rate, spikes/s.

    :math:`1/\nu = \tau_{ref} + \tau_m\sqrt\pi\int_{y_r}^{y_\theta} e^{s^2}(1+\mathrm{erf}\,s)\,ds`,
    with :math:`y = (V-\mu)/\sigma` shifted by :math:`\frac\alpha2\sqrt{\tau_s/\tau_m}`, or expanded
    in that (Fourcaud & Brunel 2002, eq. 4.33).

    Parameters
    ----------
    cells : Cells
    given : Input
        Its arrays may have further axes before that of the populations.
    method : {"shift", "taylor"}

    Examples
    --------
    >>> cells = Cells(*np.array([[10.0], [15.0], [0.0], [2.0]]))
    >>> rate(cells, Input(np.array([6.57]), np.array([5.23]), np.array([0.5]))).round(2)
    array([2.83])
    """
    if method == "taylor":
        low, high = _bounds(cells, given, shift=0.0)
        bare = _rate(cells, low, high)
        step = erfcx(-np.minimum(high, HIGHEST)) - erfcx(-np.minimum(low, HIGHEST))
        root = ALPHA * np.sqrt(given.tau_syn * cells.tau_m * np.pi) / 2
        return np.asarray(np.maximum(bare * (1 - root * bare * 1e-3 * step), 0.0))
    return _rate(cells, *_bounds(cells, given))


def _bounds(cells: Cells, given: Input, shift: float = ALPHA / 2) -> tuple[F64, F64]:
    """Reset and threshold in units of the fluctuation."""
    shifted = shift * np.sqrt(given.tau_syn / cells.tau_m)
    deviation = np.maximum(given.deviation, LEAST)
    return (
        (cells.reset - given.mean) / deviation + shifted,
        (cells.threshold - given.mean) / deviation + shifted,
    )


def _rate(cells: Cells, low: F64, high: F64) -> F64:
    """Siegert's formula; the integral grows beyond all numbers where a neuron does not fire."""
    fires = high < HIGHEST
    integral = _siegert(np.minimum(high, HIGHEST)) - _siegert(np.minimum(low, HIGHEST))
    interval = cells.tau_refrac + cells.tau_m * np.sqrt(np.pi) * integral
    return np.where(fires, 1e3 / np.where(fires, interval, 1.0), 0.0)


def _siegert(y: F64) -> F64:
    r"""An antiderivative of :math:`e^{s^2}(1+\mathrm{erf}\,s)`, up to 26."""
    # 1 + erf s is erfcx(-s) exp(-s^2) below 0, and 2 less erfcx(s) exp(-s^2) above
    above = np.maximum(y, 0.0)
    return np.asarray(2 * np.exp(above**2) * dawsn(above) - _integral_of_erfcx(np.abs(y)))


def _integral_of_erfcx(y: F64) -> F64:
    """From 0 to `y`, which is not negative: over the logarithm, since it decays as 1/s."""
    end = np.log1p(y)[..., np.newaxis]
    t = end * (_NODES + 1) / 2
    return np.asarray((erfcx(np.expm1(t)) * np.exp(t)) @ _WEIGHTS * end[..., 0] / 2)


def gains(cells: Cells, given: Input, method: str = "shift") -> tuple[F64, F64]:
    r"""Derivatives of the rate with respect to mean and deviation, spikes/s per mV.

    Examples
    --------
    >>> cells = Cells(*np.array([[10.0], [15.0], [0.0], [2.0]]))
    >>> gains(cells, Input(np.array([6.57]), np.array([5.23]), np.array([0.5])))[0].round(2)
    array([1.61])
    """
    h = 1e-4

    def slope(mean: float, deviation: float) -> F64:
        up, down = (
            rate(
                cells,
                Input(given.mean + s * mean, given.deviation + s * deviation, given.tau_syn),
                method,
            )
            for s in (h, -h)
        )
        return (up - down) / (2 * h)

    return slope(1.0, 0.0), slope(0.0, 1.0)


def cv(cells: Cells, given: Input) -> F64:
    r"""Coefficient of variation of the intervals between spikes.

    :math:`2\pi(\nu\tau_m)^2\int_{y_r}^{y_\theta}e^{x^2}dx\int_{-\infty}^x e^{y^2}(1+\mathrm{erf}\,y
    )^2dy`, the root of it (Brunel 2000, appendix A), with shifted bounds. 1 where a neuron
    hardly fires.

    Examples
    --------
    >>> cells = Cells(*np.array([[10.0], [15.0], [0.0], [2.0]]))
    >>> cv(cells, Input(np.array([6.695]), np.array([5.138]), np.array([0.5]))).round(3)
    array([0.946])
    """
    low, high = _bounds(cells, given)
    fires = high < 15.0
    low, high = np.where(fires, low, -1.0), np.where(fires, high, 1.0)
    nu = _rate(cells, low, high) * 1e-3
    half = ((high - low) / 2)[..., np.newaxis]
    x = low[..., np.newaxis] + half * (_NODES + 1)
    start = np.minimum(x, 0.0) - 6.0  # where the inner integrand is below exp(-36)
    width = ((x - start) / 2)[..., np.newaxis]
    y = start[..., np.newaxis] + width * (_NODES + 1)
    # e^{x^2 + y^2} (1 + erf y)^2 without numbers that are too large on the way
    exponent = x[..., np.newaxis] ** 2 + np.sign(y) * y**2
    factor = np.where(y < 0, erfcx(np.abs(y)), 1 + erf(y))
    inner = np.exp(np.minimum(exponent, 2 * 15.0**2)) * factor**2
    integral = ((inner @ _WEIGHTS) * width[..., 0]) @ _WEIGHTS * half[..., 0]
    return np.where(fires, np.sqrt(2 * np.pi * (nu * cells.tau_m) ** 2 * integral), 1.0)


def transfer(cells: Cells, given: Input, frequencies: F64) -> C128:
    r"""Linear response of the rate to a small oscillation of the mean, spikes/s per mV.

    Of the current that arrives at the membrane: the low-pass of the synapse is not in it.
    :math:`H=\frac{\sqrt2}{\sigma}\frac{\nu}{1+i\omega\tau_m}\frac{\Psi'(x_\theta)-\Psi'(x_r)}
    {\Psi(x_\theta)-e^{-i\omega\tau_{ref}}\Psi(x_r)}`, with
    :math:`\Psi(x)=e^{x^2/4}U(i\omega\tau_m-\frac12,-x)` at shifted bounds :math:`x=\sqrt2y`
    (Schuecker et al. 2015, eq. 31, with the refractory period as in Lindner & Schimansky-Geier
    2001: without that, the limit at 0 Hz is not the slope of the rate).

    Parameters
    ----------
    cells : Cells
    given : Input
    frequencies : array, shape (m,)
        Hz, above 0.

    Returns
    -------
    array of complex, shape (m, ...)

    Examples
    --------
    >>> cells = Cells(*np.array([[10.0], [15.0], [0.0], [2.0]]))
    >>> given = Input(np.array([6.695]), np.array([5.138]), np.array([0.5]))
    >>> abs(transfer(cells, given, np.array([0.1]))).round(3)
    array([[1.615]])
    """
    low, high = _bounds(cells, given)
    shape = (-1,) + (1,) * high.ndim
    omega_tau = 2e-3 * np.pi * np.asarray(frequencies).reshape(shape) * cells.tau_m
    deviation = np.maximum(given.deviation, LEAST)
    fires = (high < HIGHEST) & (given.deviation > LEAST)  # to noise there is a linear response
    bounds = np.stack([np.where(fires, low, -1.0), np.where(fires, high, 1.0)]) * np.sqrt(2)
    (first, second), exponents = _moments(omega_tau, bounds)
    # each bound has its own scale; the larger one is the threshold's
    scale = np.exp(exponents - exponents[1])
    rise = first[1] - scale[0] * first[0]
    late = np.exp(-1j * omega_tau * cells.tau_refrac / cells.tau_m)
    low_end, high_end = (second[k] - bounds[k] * first[k] for k in (0, 1))
    fall = high_end - scale[0] * late * low_end
    nu = _rate(cells, low, high)
    response = np.sqrt(2) / deviation * nu / (1 + 1j * omega_tau) * 1j * omega_tau
    return np.asarray(np.where(fires, response * rise / fall, 0.0))


def _moments(lam: F64, x: F64) -> tuple[tuple[C128, C128], F64]:
    r"""Scaled :math:`G_n = \int_0^\infty t^{i\lambda-1+n} e^{-t^2/2+xt} dt` for n 1 and 2.

    By parts, :math:`i\lambda G_0 = G_2 - xG_1`; and :math:`\Psi = G_0/\Gamma(i\lambda)`, whose
    derivative is that with :math:`G_1`. The path of the integral leaves 0 at twice the angle of
    the integrand's saddle, goes through that, and bends towards the real axis, where the integrand
    decays; over the logarithm of t, the trapezoidal rule converges exponentially on it.

    Parameters
    ----------
    lam : array, shape (m, ..., populations)
    x : array, shape (2, ..., populations)

    Returns
    -------
    (array, array)
        First and second moment, shape (2, m, ..., populations).
    array
        Logarithm of the factor that they lack.
    """
    x = x[:, np.newaxis]
    saddle = ((x + np.sqrt(x**2 + 4 * (1 + 1j * lam))) / 2)[..., np.newaxis]
    last = np.log(np.maximum(x[..., np.newaxis], 0.0) + 10.0 + 1.5 * np.abs(saddle))
    u = FIRST + (last - FIRST) * _PATH
    radius = u - np.exp(-u)  # the logarithm of it, which goes to 0 fast at the beginning
    bend = np.exp(radius) / np.abs(saddle)
    angle = np.angle(saddle) * 2 / (1 + bend)
    speed = (1 - 1j * angle * bend / (1 + bend)) * (1 + np.exp(-u)) * (last - FIRST)
    path = np.exp(radius + 1j * angle)
    exponent = (
        -(path**2) / 2
        + x[..., np.newaxis] * path
        + (1 + 1j * lam[np.newaxis, ..., np.newaxis]) * (radius + 1j * angle)
    )
    largest = exponent.real.max(axis=-1)
    weights = np.exp(exponent - largest[..., np.newaxis]) * speed
    return (weights.sum(axis=-1), (weights * path).sum(axis=-1)), largest
