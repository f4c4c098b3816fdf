r"""Synapse numbers, weights and currents of PD14 at any scale: pure functions.

Full scale is exact. Below it, numbers of neurons N and in-degrees K are multiplied by their
scales, weights are divided by :math:`\sqrt{k}` (which keeps the variance of the input) and a
constant current makes up for the mean input that is lost [1]_.

References
----------
.. [1] van Albada SJ, Helias M, Diesmann M (2015). Scalability of asynchronous networks is limited
   by one-to-one mapping between effective connectivity and correlations. PLoS Comput Biol
   11:e1004490. doi:10.1371/journal.pcbi.1004490

Examples
--------
>>> from portable_cortex.models.parameters import PD14
>>> from portable_cortex.models.scaling import scale
>>> full = scale(PD14)
>>> int(full.synapses.sum())
298880968
>>> small = scale(PD14, n_scale=0.1, k_scale=0.1)
>>> small.sizes
(2068, 583, 2192, 548, 485, 106, 1440, 295)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValueError
from .parameters import Microcircuit, Neuron

FloatArray = NDArray[np.float64]

DRIVES = ("poisson", "dc")


def synapse_numbers(
    probabilities: FloatArray, n_targets: FloatArray, n_sources: FloatArray
) -> FloatArray:
    r"""Expected number of synapses between populations, multapses included.

    With :math:`K` synapses placed at random on :math:`N_s N_t` pairs, a pair has at least one
    synapse with probability :math:`C = 1 - (1 - 1/(N_s N_t))^K`; solved for :math:`K`
    (Potjans & Diesmann 2014, eq. 1). The shortcut :math:`C N_s N_t` is 4.7 % too low.

    Parameters
    ----------
    probabilities : array, shape (targets, sources)
    n_targets, n_sources : arrays, shapes (targets,) and (sources,)

    Returns
    -------
    array, shape (targets, sources)
        Not rounded.
    """
    pairs = np.outer(n_targets, n_sources).astype(float)
    # log(1 - C), not log1p: the published total, 298,880,968, comes from this form.
    numbers: FloatArray = np.log(1.0 - probabilities) / np.log((pairs - 1.0) / pairs)
    return numbers


def psc_over_psp(neuron: Neuron) -> float:
    """Amplitude of the exponential current (nA) whose potential peaks at 1 mV.

    The peak of the potential's difference of exponentials, inverted (Hanuschkin et al. 2010, eq. 5,
    doi:10.3389/fninf.2010.00113).
    """
    tau_m, tau_s = neuron.tau_m, neuron.tau_syn
    t_peak = math.log(tau_m / tau_s) * tau_m * tau_s / (tau_m - tau_s)
    peak = (math.exp(-t_peak / tau_m) - math.exp(-t_peak / tau_s)) * (
        tau_m * tau_s / (neuron.cm * (tau_m - tau_s))
    )
    return 1.0 / peak


def mean_weights(circuit: Microcircuit) -> FloatArray:
    """Mean synaptic weights at full scale, nA, shape (targets, sources)."""
    n = len(circuit.populations)
    weights = np.full((n, n), circuit.psp * psc_over_psp(circuit.neuron))
    weights[:, 1::2] *= circuit.g
    weights[circuit.index("L23E"), circuit.index("L4E")] *= circuit.l4e_l23e
    return weights


@dataclass(frozen=True)
class ScaledMicrocircuit:
    """What `model.build` needs: integer numbers, currents in nA. Matrices ``[target, source]``."""

    sizes: tuple[int, ...]
    synapses: NDArray[np.int64]
    weights: FloatArray  # mean weights, nA
    k_ext: tuple[int, ...]  # background inputs of each neuron (none with DC drive)
    weight_ext: float  # nA
    dc: FloatArray  # constant current into each neuron, nA
    thalamic_synapses: NDArray[np.int64]
    thalamic_weight: float  # nA

    def silent_populations(self, neuron: Neuron) -> tuple[int, ...]:
        """Populations without Poisson input whose constant current is below rheobase."""
        if any(self.k_ext):
            return ()
        return tuple(int(i) for i in np.flatnonzero(self.dc < neuron.rheobase))


def scale(
    circuit: Microcircuit, n_scale: float = 1.0, k_scale: float = 1.0, drive: str = "poisson"
) -> ScaledMicrocircuit:
    """Scale the number of neurons and the in-degrees, keeping mean and variance of the input.

    Parameters
    ----------
    circuit : Microcircuit
        The network at full scale.
    n_scale, k_scale : float
        Factors, larger than zero, for the numbers of neurons and for the in-degrees.
    drive : {"poisson", "dc"}
        Background as Poisson input, or as the constant current of equal mean.

    Raises
    ------
    InvalidValueError
        For a scale that is not positive, or so small that a population has no neuron; for an
        unknown drive.
    """
    for name, value in (("n_scale", n_scale), ("k_scale", k_scale)):
        if not (math.isfinite(value) and value > 0):
            raise InvalidValueError(f"{name} must be a number above 0, not {value!r}")
    if drive not in DRIVES:
        raise InvalidValueError(f"drive must be one of {', '.join(DRIVES)}, not {drive!r}")

    full_sizes = np.array(circuit.sizes, dtype=float)
    sizes = np.round(full_sizes * n_scale).astype(int)
    if (sizes == 0).any():
        smallest = int(np.argmin(full_sizes))
        raise InvalidValueError(
            f"at n_scale {n_scale:g} population {circuit.populations[smallest]} "
            f"({circuit.sizes[smallest]} neurons at full scale) has no neuron left: "
            f"use at least {0.5 / circuit.sizes[smallest]:.2g}"
        )

    if circuit.in_degrees is None:
        full_synapses = synapse_numbers(np.array(circuit.probabilities), full_sizes, full_sizes)
    else:
        full_synapses = np.array(circuit.in_degrees) * full_sizes[:, np.newaxis]
    full_weights = mean_weights(circuit)
    weight_ext = circuit.psp * psc_over_psp(circuit.neuron)
    k_ext = np.array(circuit.k_ext, dtype=float)

    # nA times ms times spikes/s = pA: 1e-3 brings it back to nA
    to_mean_current = 1e-3 * circuit.neuron.tau_syn
    mean_ext = to_mean_current * weight_ext * k_ext * circuit.rate_ext
    in_degrees = full_synapses / full_sizes[:, np.newaxis]
    mean_recurrent = to_mean_current * (full_weights * in_degrees) @ np.array(circuit.full_rates)

    lost = 1.0 - math.sqrt(k_scale)
    dc = lost * mean_recurrent + (lost * mean_ext if drive == "poisson" else mean_ext)

    thalamic = synapse_numbers(
        np.array([circuit.thalamus.probabilities]).T,
        full_sizes,
        np.array([circuit.thalamus.size], dtype=float),
    )[:, 0]
    return ScaledMicrocircuit(
        sizes=tuple(int(n) for n in sizes),
        synapses=np.round(full_synapses * n_scale * k_scale).astype(np.int64),
        weights=full_weights / math.sqrt(k_scale),
        k_ext=tuple(int(k) for k in np.round(k_ext * k_scale)) if drive == "poisson" else (0,) * 8,
        weight_ext=weight_ext / math.sqrt(k_scale),
        dc=dc,
        thalamic_synapses=np.round(thalamic * n_scale * k_scale).astype(np.int64),
        thalamic_weight=weight_ext / math.sqrt(k_scale),
    )
