r"""How long mean-field theory takes for the full microcircuit, and its transfer functions.

    python benchmarks/theory.py --repeats 5
    python benchmarks/theory.py --beside RUN    # the table of docs/theory.md: a run of pd14

The peer computes the same transfer functions from parabolic cylinder functions of mpmath, as the
packages of the field do: for some frequencies, from which all are counted up.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clock
import mpmath
import numpy as np

from portable_cortex import Recording, theory
from portable_cortex.models.loader import load_model
from portable_cortex.pynn.description import describe
from portable_cortex.validation.activity import measure as measure_activity
from portable_cortex.validation.activity import power_spectrum

FREQUENCIES = np.arange(1.0, 501.0)  # Hz
SAMPLE = 20  # of them, for the peer
BAND = 5.0, 20.0  # Hz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--beside", type=Path, help="folder of a run of pd14 at full scale")
    arguments = parser.parse_args()
    with clock.session():
        if arguments.beside:
            compare(Recording.load(arguments.beside))
        else:
            measure(arguments.repeats)


def compare(recording: Recording) -> None:
    """Print rates, irregularity and power of a run, and in theory."""
    activity = measure_activity(recording)
    found = theory.predict("pd14", scale=1.0)
    equal = theory.predict("pd14", scale=1.0, equal=True)
    seen = (BAND[0] <= FREQUENCIES) & (BAND[1] >= FREQUENCIES)
    print(f"power: {BAND[0]:g} to {BAND[1]:g} Hz, one-sided\n")
    for i, label in enumerate(found.populations):
        spikes, n = recording.pieces(label), recording.n_neurons[label]
        spectrum = power_spectrum(spikes, n, recording.t_start, recording.t_stop)
        own = (spectrum.frequencies >= BAND[0]) & (spectrum.frequencies <= BAND[1])
        rate, cv = (activity.samples[label, name].mean() for name in ("rate", "cv"))
        print(
            f"{label:6} rate {rate:6.2f}, theory {found.rates[label]:6.2f}, with equal neurons "
            f"{equal.rates[label]:6.2f}; CV {cv:.2f}, theory {found.cv[label]:.2f}; "
            f"power {spectrum.power[own].mean():.1e}, theory "
            f"{2 * found.spectra.power[seen, i].mean():.1e}; peaks at "
            f"{', '.join(f'{f:.0f}' for f, _ in spectrum.peaks(3))} Hz"
        )


def measure(repeats: int) -> None:
    """Print medians."""
    model = load_model("pd14")
    described = timed("describe", repeats, lambda: describe(model, {"scale": 1.0}))
    network = theory.read(described)
    state = timed("stationary state", repeats, lambda: theory.working_point(network))
    timed("irregularity", repeats, lambda: state.cv)
    timed("spectra, peaks", repeats, lambda: spectra(state))
    equal = theory.working_point(network, equal=True)
    timed("transfer", repeats, lambda: theory.transfer(network.cells, equal.input, FREQUENCIES))
    some = FREQUENCIES[:: FREQUENCIES.size // SAMPLE]
    share = FREQUENCIES.size / some.size
    timed("transfer, mpmath", 1, lambda: by_mpmath(network.cells, equal.input, some), share)


def timed(name: str, repeats: int, work: Callable[[], Any], share: float = 1.0) -> Any:
    """Do some work, print what it takes, and give what it gives."""
    wall, cpu = [], []
    for _ in range(repeats):
        began = time.perf_counter(), time.process_time()
        result = work()
        wall.append(share * (time.perf_counter() - began[0]))
        cpu.append(share * (time.process_time() - began[1]))
    print(f"{name:20}{statistics.median(wall):8.2f} s, processor {statistics.median(cpu):8.2f} s")
    return result


def spectra(state: theory.WorkingPoint) -> Any:
    """Power, and where it peaks."""
    found = theory.Spectra(state, FREQUENCIES)
    return found.power, found.peaks()


def by_mpmath(cells: theory.Cells, given: theory.Input, frequencies: Any) -> None:
    """Psi and its derivative at both bounds, for each frequency and population."""
    for i in range(given.mean.size):
        for frequency in frequencies:
            z = mpmath.mpc(-0.5, 2e-3 * np.pi * frequency * cells.tau_m[i])
            for level in (cells.reset[i], cells.threshold[i]):
                x = np.sqrt(2) * (level - given.mean[i]) / given.deviation[i]
                mpmath.exp(x**2 / 4) * mpmath.pcfu(z, -x)
                mpmath.exp(x**2 / 4) * mpmath.pcfu(z + 1, -x)


if __name__ == "__main__":
    main()
