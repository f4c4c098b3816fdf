"""The picture of a prediction: rates, spectra, eigenvalues near 1, and what makes a peak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError
from ..host.output import whole
from ..host.untrusted import printable
from ..recording.figure import PLAIN, PUBLISHED, row_colour
from ..theory import Peak, Prediction

SHOWN = 2  # peaks whose connections are shown
NEAR = 1.6  # of the plane of eigenvalues, around 1


def draw(found: Prediction, path: Path) -> None:
    """Draw a prediction.

    Parameters
    ----------
    found : Prediction
    path : Path
        ``.png``, ``.pdf`` or ``.svg``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**PLAIN, "font.size": 9}):
        peaks = _different(found.spectra.peaks())[:SHOWN]
        figure = Figure(figsize=(13, 7.5), layout="constrained")
        halves: Any = figure.subfigures(2, 1)
        top, bottom = halves
        rates, irregularity, eigenvalues = top.subplots(1, 3, width_ratios=(1, 1, 1.3))
        _bars(rates, found.rates, "rate (spikes/s)", found.published)
        _bars(irregularity, found.cv, "coefficient of variation of intervals", {})
        _eigenvalues(eigenvalues, found)
        ratios = (2, *[1] * len(peaks))
        spectra, *maps = np.ravel(bottom.subplots(1, len(ratios), width_ratios=ratios))
        _spectra(spectra, found)
        for axes, peak in zip(maps, peaks, strict=True):
            _connections(axes, found, peak)
        name = printable(Path(found.model).stem)
        given = ", ".join(f"{k} {printable(v, 40)}" for k, v in found.parameters.items())
        figure.suptitle(f"{name} by mean-field theory" + (f"   ({given})" if given else ""))
        try:
            with whole(path) as part:
                figure.savefig(part, dpi=120, format=path.suffix.lstrip(".") or "png")
        except (OSError, ValueError) as error:
            raise OutputError(f"the picture could not be written to {path}: {error}") from error


def _different(peaks: list[Peak]) -> list[Peak]:
    """Of peaks within a tenth of a frequency, the sharpest."""
    kept: list[Peak] = []
    for peak in peaks:
        if all(abs(np.log(peak.frequency / other.frequency)) > 0.1 for other in kept):
            kept.append(peak)
    return kept


def _bars(axes: Any, values: dict[str, float], title: str, published: Any) -> None:
    labels = list(values)
    rows = np.arange(len(labels))[::-1]
    axes.barh(rows, list(values.values()), color=[row_colour(n) for n in labels], alpha=0.75)
    known = [(published[n], row) for n, row in zip(labels, rows, strict=True) if n in published]
    if known:
        at = np.array(known).T
        axes.plot(*at, "x", color=PUBLISHED, markersize=8, label="published")
        axes.legend(loc="best", frameon=False)
    axes.set_yticks(rows, [printable(n) for n in labels])
    axes.set_title(title)


def _spectra(axes: Any, found: Prediction) -> None:
    axes.set_title("power spectra")
    if not found.spectra.power.any():
        axes.set_title("power spectra: no population fires")
        return
    for i, label in enumerate(found.populations):
        style = "-" if row_colour(label) == row_colour("E") else "--"
        layer = i // 2 / max(1, (len(found.populations) - 1) // 2)
        axes.loglog(
            found.frequencies,
            found.spectra.power[:, i],
            style,
            color=(0.1 + 0.75 * layer, 0.3, 0.75 - 0.6 * layer),
            linewidth=1.3,
            label=printable(label),
        )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel("power of the mean rate ((spikes/s)²/Hz)")
    axes.legend(frameon=False, ncols=2, fontsize=8)


def _eigenvalues(axes: Any, found: Prediction) -> None:
    """Each of them over frequencies, and where they come near to 1."""
    values = found.spectra.eigenvalues
    for column in values.T:
        dots = axes.scatter(
            column.real, column.imag, c=np.log10(found.frequencies), s=3, cmap="viridis"
        )
    for k, peak in enumerate(_different(found.spectra.peaks())[:SHOWN]):
        i = int(np.argmin(np.abs(found.frequencies - peak.frequency)))
        nearest = values[i, np.argmin(np.abs(1 - values[i]))]
        axes.annotate(
            f"{peak.frequency:g} Hz",
            (nearest.real, nearest.imag),
            xytext=(25, 15 - 40 * k),
            arrowprops={"arrowstyle": "-", "linewidth": 0.6},
            textcoords="offset points",
        )
    axes.plot(1, 0, "+", color="black", markersize=12, markeredgewidth=2)
    axes.set(xlim=(1 - NEAR, 1 + NEAR), ylim=(-NEAR, NEAR), aspect="equal")
    axes.set_xlabel("real part")
    axes.set_ylabel("imaginary part")
    axes.set_title(
        "eigenvalues of the connectivity;\none that comes near to 1 makes an oscillation"
    )
    bar = axes.figure.colorbar(dots, ax=axes, shrink=0.8)
    ticks = [f for f in (1, 10, 100, 1000) if f <= found.frequencies[-1]]
    bar.set_ticks(np.log10(ticks), labels=[f"{f} Hz" for f in ticks])


def _connections(axes: Any, found: Prediction, peak: Peak) -> None:
    largest = float(np.abs(peak.amplitude).max()) or 1.0
    axes.imshow(peak.amplitude, cmap="RdBu_r", vmin=-largest, vmax=largest)
    labels = [printable(n) for n in found.populations]
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=90)
    axes.set_yticks(places, labels)
    for i, j in peak.strongest():
        value = peak.amplitude[i, j]
        if abs(value) < 0.1 * largest:
            continue
        colour = "white" if abs(value) > 0.6 * largest else "black"
        axes.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel="from", ylabel="to")
    axes.set_title(f"what makes {peak.frequency:g} Hz\n(red: stronger with it)")
