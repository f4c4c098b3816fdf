"""The picture of a ring or sheet of columns: tuning curves by layer, and maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError, OutputError
from ..host.output import whole
from ..models.cortical_sheet import F64, orientations, selectivity
from .figure import PLAIN, row_colour

if TYPE_CHECKING:
    from .recording import Recording

MAPPED = ("L4E", "L23E")  # layers of which a sheet is shown


def draw(recording: Recording, path: Path) -> dict[str, float]:
    """Draw the rates of a run of ``cortical_sheet``, from any backend.

    A column's orientation is turned by that of the stimulus: the rates of all columns under one
    stimulus are the tuning curve of one column.

    Parameters
    ----------
    recording : Recording
    path : Path
        ``.png``, ``.pdf`` or ``.svg``.

    Returns
    -------
    dict of str to float
        Orientation selectivity by layer (`cortical_sheet.selectivity`).

    Raises
    ------
    ModelError
        For a run of another model.
    OutputError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile, portable_cortex
    >>> run = portable_cortex.run(backend="coarse", options={"library": "theory"},
    ...                           model="cortical_sheet", columns=4, duration=10.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = draw(run, Path(folder) / "ring.png")
    >>> found["L4E"] > found["L23I"] > 0
    True
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rates, angles, layout = _read(recording)
    with matplotlib.rc_context({**PLAIN, "font.size": 9}):
        is_sheet = layout == "sheet"
        figure = Figure(figsize=(13, 8.5 if is_sheet else 5), layout="constrained")
        FigureCanvasAgg(figure)
        parts: Any = figure.subfigures(2, 1) if is_sheet else [figure]
        tuned = selectivity(_by_label(rates), angles)
        for axes, (layer, values) in zip(
            np.ravel(parts[0].subplots(2, 4, sharex=True)), rates.items(), strict=False
        ):
            _curve(axes, layer, values, angles, tuned[layer])
        if is_sheet:
            _maps(parts[1], rates, angles)
        about = recording.metadata
        figure.suptitle(
            f"{angles.size} columns on a {layout}, {about.get('backend')}: rates (spikes/s) by "
            "preferred orientation, from that of the stimulus"
        )
        try:
            with whole(path) as part:
                figure.savefig(part, dpi=110, format=path.suffix.lstrip(".") or "png")
        except (OSError, ValueError) as error:
            raise OutputError(f"the picture could not be written to {path}: {error}") from error
    return tuned


def _read(recording: Recording) -> tuple[dict[str, F64], F64, str]:
    """Rates by layer and column, angles of columns from the stimulus (degrees), and the layout."""
    given = recording.metadata.get("parameters", {})
    rates = recording.rates()
    if recording.metadata.get("model") != "cortical_sheet" or not all("@" in n for n in rates):
        raise ModelError("tuning curves are of runs of cortical_sheet, and this is none")
    columns, layout = given["columns"], given["layout"]
    layers = dict.fromkeys(label.partition("@")[0] for label in rates)
    by_layer = {
        layer: np.array([rates[f"{layer}@{p}"] for p in range(columns)]) for layer in layers
    }
    angles = (orientations(columns, layout) - given["orientation"] + 90.0) % 180.0 - 90.0
    return by_layer, angles, layout


def _by_label(rates: dict[str, F64]) -> dict[str, float]:
    return {
        f"{layer}@{p}": float(rate)
        for layer, values in rates.items()
        for p, rate in enumerate(values)
    }


def _curve(axes: Any, layer: str, values: F64, angles: F64, tuned: float) -> None:
    """Of a layer: columns as dots, and the mean of those that prefer the same."""
    colour = row_colour(layer)
    axes.plot(angles, values, ".", color=colour, alpha=0.3, markersize=4)
    same = np.round(angles, 6)
    centres = np.unique(same)
    means = [float(values[same == centre].mean()) for centre in centres]
    axes.plot(centres, means, color=colour, linewidth=1.5)
    axes.set_title(f"{layer}, selectivity {tuned:.3f}")
    axes.set_ylim(0, 1.15 * float(values.max()) if values.max() > 0 else 1)
    axes.set_xticks([-90, -45, 0, 45], ["-90°", "-45°", "0°", "45°"])


def _maps(part: Any, rates: dict[str, F64], angles: F64) -> None:
    side = round(np.sqrt(angles.size))
    shown: list[tuple[str, F64, str, tuple[float, float] | None]]
    shown = [("preferred orientation", angles % 180.0, "hsv", (0.0, 180.0))]
    shown += [(f"{n} (spikes/s)", rates[n], "viridis", None) for n in MAPPED if n in rates]
    for axes, (title, values, colours, limits) in zip(
        np.ravel(part.subplots(1, len(shown))), shown, strict=True
    ):
        low, high = limits or (float(values.min()), float(values.max()))
        image = axes.imshow(values.reshape(side, side), cmap=colours, vmin=low, vmax=high)
        axes.set_title(title)
        axes.set_xticks([])
        axes.set_yticks([])
        part.colorbar(image, ax=axes, shrink=0.8)
