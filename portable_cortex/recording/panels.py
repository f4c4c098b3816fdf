"""Panels of a run's picture that not every run has: recorded traces, and power spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..host.untrusted import printable
from .spikes import Signal
from .stored import StoredSignal, stored_signal

if TYPE_CHECKING:
    from .recording import Recording

F64 = NDArray[np.float64]

MOST_TRACES, MOST_NEURONS = 4, 4  # axes, and lines in each
MOST_SPECTRA = 12  # lines that can be told apart
BIN_MS, WINDOW = 1.0, 512  # of spectra, as `validate` takes them
SHORTEST_MS = 2 * BIN_MS * WINDOW
HIGHEST_HZ = 200.0


def has_spectra(recording: Recording) -> bool:
    """Whether there are enough spikes for a spectrum, and few enough populations to be shown."""
    return (
        recording.t_stop - recording.t_start >= SHORTEST_MS
        and 0 < len(recording.spike_trains) <= MOST_SPECTRA
        and any(map(recording.count, recording.spike_trains))
    )


def shade(colour: str, part: float) -> tuple[float, float, float]:
    """A colour, with some of it (from 0 to 1) replaced by white."""
    from matplotlib.colors import to_rgb

    red, green, blue = (c + part * (1 - c) for c in to_rgb(colour))
    return red, green, blue


def traces(axes: list[Any], recording: Recording, start: float, colours: dict[str, str]) -> None:
    """One population's variable in each of the axes, from `start` ms on.

    Parameters
    ----------
    axes : list of matplotlib axes
        As many as there are signals to be shown, from top to bottom.
    recording : Recording
    start : float
    colours : dict of str to str
        By population.
    """
    for ax, (label, variable) in zip(axes, recording.signals, strict=False):
        signal = tail(stored_signal(recording.signals, (label, variable)), start)
        n = min(MOST_NEURONS, signal.values.shape[1])
        for column in reversed(range(n)):
            ax.plot(
                signal.times, signal.values[:, column], linewidth=0.8,
                color=shade(colours[label], 0.75 * column / MOST_NEURONS),
            )  # fmt: skip
        ax.set_ylabel(f"{printable(variable)} ({printable(signal.units)})")
        ax.set_xlim(start, recording.t_stop)
        ax.text(
            1.0, 1.0, f"{printable(label)}, {n} of {signal.values.shape[1]} recorded",
            transform=ax.transAxes, ha="right", va="bottom", fontsize=8, color="0.3",
        )  # fmt: skip
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel("time (ms)")


def tail(signal: StoredSignal, start: float) -> Signal:
    """The samples from `start` ms on; of the others no more are in memory than lie together.

    Examples
    --------
    >>> values = np.arange(6.0)[:, np.newaxis]
    >>> head = Signal(values[:0], np.array([0]), 10.0, 0.5, "mV")
    >>> end = tail(StoredSignal(head, 6, [lambda: values[:4], lambda: values[4:]]), 11.5)
    >>> end.values.ravel().tolist(), end.times.tolist()
    ([3.0, 4.0, 5.0], [11.5, 12.0, 12.5])
    """
    head = signal.head
    first = max(0, int(np.ceil((start - head.t_start) / head.interval - 1e-6)))
    blocks, end = [head.values], 0
    for block in signal:
        begin, end = end, end + len(block)
        if end > first:
            blocks.append(block[max(0, first - begin) :])
    begin_ms = head.t_start + first * head.interval
    return head._replace(values=np.concatenate(blocks), t_start=begin_ms)


def spectra(axes: Any, recording: Recording, colours: dict[str, str]) -> None:
    """Power spectra of the populations' mean rates, by Welch's method."""
    seen: dict[str, int] = {}
    for label in recording.spike_trains:
        colour = colours[label]
        number = seen[colour] = seen.get(colour, -1) + 1
        frequencies, power = _spectrum(recording, label)
        shown = (frequencies > 0) & (frequencies <= HIGHEST_HZ)
        if not power[shown].any():
            continue
        axes.semilogy(
            frequencies[shown], power[shown], linewidth=1.2, label=printable(label),
            color=shade(colour, 0.2 * (number % 4)), linestyle=("-", "--", ":", "-.")[number % 4],
        )  # fmt: skip
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_xlim(0, HIGHEST_HZ)
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel("power ((spikes/s)²/Hz)")
    axes.set_title("power spectra of the populations' rates")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)


def _spectrum(recording: Recording, label: str) -> tuple[F64, F64]:
    """Frequencies (Hz), and the power spectral density of the rate of a population."""
    from scipy.signal import welch

    n = int((recording.t_stop - recording.t_start) / BIN_MS)
    counts = np.zeros(n)
    # spikes lie on a grid whose points are the bins' edges: half a step of 0.1 ms keeps them apart
    for times, _ in recording.pieces(label):
        bins = ((times - recording.t_start - 0.05) / BIN_MS).astype(np.int64)
        counts += np.bincount(bins[(bins >= 0) & (bins < n)], minlength=n)
    rate = counts / (recording.n_neurons[label] * BIN_MS * 1e-3)
    frequencies, power = welch(rate, fs=1e3 / BIN_MS, nperseg=WINDOW)
    return frequencies, power
