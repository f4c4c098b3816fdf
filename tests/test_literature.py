"""Published time and energy, and the picture."""

from __future__ import annotations

import itertools

import matplotlib.image
import numpy as np
import pytest

from portable_cortex import Energy, run
from portable_cortex.validation.cost import (
    FAMILIES,
    UserRun,
    cost_of,
    draw_literature,
    picture,
    published_runs,
    user_run,
)


def test_published_runs():
    runs = published_runs()
    assert len(runs) == 15
    assert len({r.key for r in runs}) == len({r.label for r in runs}) == 15
    assert {r.family for r in runs} == set(FAMILIES)
    assert all(2014 <= r.year <= 2030 and r.rtf > 0 and r.doi.startswith("10.") for r in runs)
    by_key = {r.key: r for r in runs}
    assert by_key["Kau23"].energy_per_synaptic_event_uj == 0.04755
    assert by_key["Kni21"].energy_per_synaptic_event_uj is None
    assert by_key["Rho19-dc"].label == "Rhodes et al. 2019, DC"
    new = by_key["Lin24"]
    assert (new.doi, new.rtf, new.nodes) == ("10.1109/ACCESS.2024.3479933", 0.8, 1)
    assert new.energy_per_synaptic_event_uj == 0.021
    assert "scope of the energy unknown" in new.note
    assert [round(by_key[key].core_seconds) for key in ("Kur22-1", "vAl18-nest-eff")] == [86, 330]
    assert {r.family for r in runs if r.cores is not None} == {"CPU"}


@pytest.fixture
def panels(monkeypatch):
    """The panels of the figure that is drawn, and what they show."""
    drawn = []
    draw = picture._draw

    def spy(axes, chart):
        draw(axes, chart)
        drawn.append((axes, chart))

    monkeypatch.setattr(picture, "_draw", spy)
    return drawn


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [UserRun("nest, scale 1", 0.9, 0.5, 2026, "measured, 2 packages + memory")],
        [UserRun("nest, scale 0.1", 0.02, None, 2026), UserRun("slow", 900.0, 70.0, 2026)],
        [UserRun(f"backend {n}", 1.0 + 0.05 * n, 0.5, 2026) for n in range(5)],
    ],
)
def test_labels_are_legible(tmp_path, panels, runs):
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    path = tmp_path / "literature.png"
    draw_literature(path, runs)
    assert matplotlib.image.imread(path).shape[:2] == (900, 1800)
    by_energy, by_year = (len(chart.marks) for _, chart in panels)
    assert by_year == 15 + len(runs)
    assert by_energy == 14 + sum(r.energy_per_synaptic_event_uj is not None for r in runs)
    for axes, chart in panels:
        renderer = axes.figure.canvas.get_renderer()
        boxes = [Text.get_window_extent(text, renderer) for text in axes.texts]
        assert len(boxes) == len(chart.marks) + 1  # and "real time"
        overlapping = [
            (a, b) for a, b in itertools.combinations(boxes, 2) if Bbox.intersection(a, b)
        ]
        assert overlapping == []
        panel = axes.get_window_extent(renderer)
        assert all(panel.x0 <= box.x0 and box.x1 <= panel.x1 + 5 for box in boxes)


def test_the_picture_has_stars_only_for_own_runs(tmp_path):
    draw_literature(tmp_path / "without.png")
    draw_literature(tmp_path / "with.png", [UserRun("mine", 0.9, 0.5, 2026)])
    with_, without = (
        matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3] for name in ("with", "without")
    )
    red = np.array(matplotlib.colors.to_rgb(picture.STAR))
    assert (np.abs(with_ - red).max(axis=-1) < 0.02).sum() > 200
    assert (np.abs(without - red).max(axis=-1) < 0.02).sum() == 0


def test_own_runs():
    recording = run(model="pd14", backend="mock", scale=0.02, n_scale=0.01, duration=50.0)
    star = user_run(recording)
    assert star.label == "mock, scale 0.02, n scale 0.01"
    assert star.rtf == recording.metadata["real_time_factor"]
    assert star.energy_per_synaptic_event_uj is None
    assert str(star.year) == recording.metadata["started"][:4]
    cost = cost_of(recording, energies=[Energy(5.0, "measured", "outlet")])
    star = user_run(recording.metadata, cost, "mine")
    assert star.label == "mine"
    assert star.energy_per_synaptic_event_uj == cost.energy_per_event(cost.energies[0])
    assert star.energy_label == "measured, outlet"
