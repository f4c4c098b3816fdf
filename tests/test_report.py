"""The page of a validation: complete, self-contained, and safe with whatever a file says."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from recordings import as_simulated

from portable_cortex import Recording, Spikes
from portable_cortex.validation.activity import STATISTICS
from portable_cortex.validation.cost import UserRun, cost_of
from portable_cortex.validation.cost.charts import CHART_HEIGHT, CHART_WIDTH, LETTER, LINE, charts
from portable_cortex.validation.drawing import Box, round_numbers
from portable_cortex.validation.pages import account, render, to_json, to_junit, write_report
from portable_cortex.validation.pages.panels import HEIGHT, WIDTH, distributions, spectra
from portable_cortex.validation.verdict import Reference, describe, examine, number
from portable_cortex.validation.verdict import examination as module

VOID = {"meta", "link", "img", "br", "hr", "input", "source"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}\x1b[31m\ud800"


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails where tags do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.ids = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        self.ids |= {value for name, value in attributes if name == "id"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    @property
    def words(self):
        return " ".join(self.text.split())


@pytest.fixture(scope="module")
def differing(mock_run, mock_reference, tmp_path_factory):
    """A validation in which a population lost half of its spikes."""
    recording = Recording.load(mock_run)
    times, neurons = recording.spikes("L4E")
    keep = np.random.default_rng(1).random(times.size) < 0.5
    trains = {**recording.spike_trains, "L4E": Spikes(times[keep], neurons[keep])}
    metadata = {
        **recording.metadata,
        "energy": [{"joules": 12.5, "kind": "measured", "scope": "outlet", "source": "plug"}],
        "synaptic_events": 5_000_000,
    }
    recording = dataclasses.replace(recording, spike_trains=trains, metadata=metadata)
    folder = recording.save(tmp_path_factory.mktemp("runs") / "differing")
    return examine(folder, mock_reference)


def self_contained(text, page):
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("href", "src", "srcset", "action", "data", "xlink:href"):
            assert value.startswith(("data:", "#"))
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert "http" not in text


def test_the_page_of_a_difference(differing, tmp_path):
    path = write_report(differing, tmp_path / "new" / "report.html")
    text = path.read_text("utf-8")
    page = Page(text)
    self_contained(text, page)
    assert ("div", "class", "verdict differs") in page.attributes
    assert f"Differs {differing.comparison.reason}." in page.words
    assert differing.comparison.different
    for test in differing.comparison.different:
        assert describe(test) in page.words
    for test in differing.comparison.tests:
        assert test.population in page.text
    sections = "verdict power overview differing distributions spectra raster cost provenance tests"
    assert page.ids >= set(sections.split())
    assert page.tags.count("tr") > len(differing.comparison.tests)
    assert "12.5 J energy measured, outlet plug" in page.words
    assert "2.50 µJ energy per synaptic event measured, outlet" in page.words
    assert "smaller network" in page.words
    assert "its energy is not known" not in page.words
    assert "by the tests" in page.text  # the reference's own provenance
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_panels_have_everything(differing):
    rows = distributions(differing)
    assert [row[0].population for row in rows] == list(differing.recording.n_neurons)
    for row in rows:
        assert [panel.title for panel in row] == [s.title for s in STATISTICS.values()]
        for panel in row:
            assert panel.mean is not None
            assert panel.seeds is not None
            scalar = panel.title in ("synchrony", "spectral centroid")
            assert bool(panel.dots) == scalar
            assert bool(panel.run and panel.other and panel.band) != scalar
            for path in (panel.run, panel.other, panel.band):
                numbers = [float(x) for x in re.findall(r"-?[\d.]+", path)]
                assert all(-0.1 <= x <= max(WIDTH, HEIGHT) + 0.1 for x in numbers)
    framed = {row[0].population for row in rows if any(panel.differs for panel in row)}
    assert framed == {"L4E"}
    assert all(panel.run for panel in spectra(differing))


def test_the_page_of_agreement(mock_run, mock_reference):
    page = Page(render(examine(mock_run, mock_reference)))
    assert ("div", "class", "verdict agrees") in page.attributes
    assert "differing" not in page.ids
    assert "What differs" not in page.text


def test_the_page_of_several_runs(mock_run, mock_reference, tmp_path):
    second = as_simulated(scale=0.02, warmup=0.0, duration=2000.0, seed=4)
    page = Page(render(examine([mock_run, second.save(tmp_path / "second")], mock_reference)))
    assert "2 runs" in page.words
    assert "Mean of these runs together, and its change from the reference" in page.words
    assert "Cost Of the first run." in page.words
    assert "seed 3" not in page.words


def test_the_page_without_a_recording():
    text = render(examine("nowhere<b>"))
    page = Page(text)
    self_contained(text, page)
    assert ("div", "class", "verdict undecided") in page.attributes
    assert "nowhere<b> holds no run" in page.text
    assert page.ids == {"verdict"}


@pytest.mark.parametrize("fits", [True, False])
def test_the_page_of_two_runs(differing, mock_run, mock_reference, monkeypatch, fits):
    reference = Reference.load(mock_reference) if fits else None
    monkeypatch.setattr(module, "fitting_reference", lambda metadata: reference)
    validation = examine(differing.folders[0], mock_run)
    page = Page(render(validation))
    verdict = "differs" if fits else "undecided"
    assert ("div", "class", f"verdict {verdict}") in page.attributes
    assert "The other run" in page.text
    assert ("power" in page.ids) == fits


def test_the_page_of_a_pair(mock_run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "fitting_reference", lambda metadata: None)
    recording = Recording.load(mock_run)
    parameters = {**recording.metadata["parameters"], "drive": "dc"}
    metadata = {**recording.metadata, "realisation": "shared", "parameters": parameters}
    a = dataclasses.replace(recording, metadata=metadata).save(tmp_path / "a")
    page = Page(render(examine(a, a)))
    assert "pairing" in page.ids
    assert "All spikes are equal" in page.text


# --- cost -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return as_simulated(scale=0.02, warmup=0.0, duration=100.0)


def changed(recording, **metadata):
    return dataclasses.replace(recording, metadata={**recording.metadata, **metadata})


OUTLET = {"joules": 12.5, "kind": "measured", "scope": "outlet", "source": "plug", "note": ""}


def test_figures_are_those_of_the_cost(small):
    recording = changed(small, energy=[OUTLET], synaptic_events=5_000_000)
    found = account(recording)
    cards = {card.name: card for card in found.cards}
    cost = cost_of(recording)
    assert list(cards) == [
        "real-time factor",
        "core-seconds used",
        "peak memory",
        "energy",
        "energy per synaptic event",
    ]
    assert cards["real-time factor"].value == number(cost.real_time_factor)
    assert cards["energy per synaptic event"].value == "2.50 µJ"
    assert cards["core-seconds used"].value == f"{number(cost.core_seconds)} per s of model time"
    assert all(card.label.startswith("measured, ") for card in found.cards)
    assert [phase.name for phase in found.phases] == list(recording.metadata["phases_s"])
    assert sum(phase.share for phase in found.phases) == pytest.approx(100, abs=0.1)


def test_a_run_that_says_nothing_of_its_cost(small):
    about = {k: v for k, v in small.metadata.items() if k != "phases_s"}
    assert account(dataclasses.replace(small, metadata=about)) is None
    assert account(None) is None


@pytest.mark.parametrize(
    ("metadata", "phases"),
    [
        ({"phases_s": "long"}, 0),
        ({"phases_s": {"simulate": "long", "connect": 1.0}}, 1),
        ({"energy": [{"joules": "much"}]}, None),
        ({"peak_memory_bytes": None}, None),
    ],
)
def test_an_incomplete_account_is_said(small, metadata, phases):
    found = account(changed(small, **metadata))
    assert "no complete account" in found.trouble
    assert (found.cards, found.charts) == ((), ())
    assert phases is None or len(found.phases) == phases


def test_the_place_among_the_published_runs(small):
    found = account(changed(small, energy=[OUTLET], synaptic_events=5_000_000))
    by_energy, by_year = found.charts
    assert (len(by_energy.marks), len(by_year.marks)) == (15, 16)
    assert not found.full_scale
    for chart in found.charts:
        (star,) = (mark for mark in chart.marks if mark.family == "user")
        assert (star.label, star.comparable) == ("this run", False)
        assert all(mark.comparable for mark in chart.marks if mark is not star)
        assert all(0 <= m.x <= CHART_WIDTH and 0 <= m.y <= CHART_HEIGHT for m in chart.marks)
        assert chart.real_time == by_year.real_time
        # the faster the lower
        fastest = max((m for m in chart.marks if m is not star), key=lambda mark: mark.y)
        assert fastest.label == "Kauth et al. 2023"
        ticks = {tick.label: tick.at for tick in chart.y_ticks}
        assert ticks["1"] == chart.real_time
        assert ticks["0.1"] > ticks["1"]


@pytest.mark.parametrize("factor", [0.002, 1.0, 4000.0])
@pytest.mark.parametrize("energy", [1e-3, 0.6, 900.0])
def test_labels_of_published_runs_do_not_overlap(factor, energy):
    for chart in charts([UserRun("this run", factor, energy, 2026)], comparable=True):
        boxes = []
        for mark in chart.marks:
            width = LETTER * len(mark.label)
            left = mark.label_x - {"start": 0, "middle": 0.5, "end": 1}[mark.anchor] * width
            boxes.append(Box(left, mark.label_y - LINE / 2, left + width, mark.label_y + LINE / 2))
            assert left >= 0
            assert left + width <= CHART_WIDTH
        shared = [a.common_area(b) for a, b in itertools.combinations(boxes, 2)]
        assert max(shared) == 0


def test_a_run_at_full_scale_can_be_compared(small):
    parameters = {**small.metadata["parameters"], "scale": 1.0}
    found = account(changed(small, parameters=parameters, duration_ms=20_000.0, n_spikes=None))
    assert found.full_scale
    assert [mark.comparable for mark in found.charts[1].marks] == [True] * 16
    assert len(found.caveats) == 1  # nothing measured its energy
    assert "energy is not known" in found.caveats[0]
    half = {**parameters, "k_scale": 0.5}
    assert not account(changed(small, parameters=half)).full_scale


def test_core_seconds_stand_beside_the_published_ones(small):
    phases = {**small.metadata["phases_s"], "simulate": 0.1}
    settings = {"phases_s": phases, "options": {"threads": 2}, "duration_ms": 100.0}
    found = account(changed(small, cpu_s={"simulate": 0.19}, **settings))
    first, *published = found.core_seconds
    assert first == "this run 2.00 (2 cores)"
    assert "Kurth et al. 2022, 1 node 85.8 (128 cores)" in published
    assert len(published) == 4
    (held,) = (card for card in found.cards if card.name == "core-seconds held")
    assert (held.value, held.note) == ("2.00 per s of model time", "")
    found = account(changed(small, cpu_s={"simulate": 0.1}, **settings))
    (held,) = (card for card in found.cards if card.name == "core-seconds held")
    assert "on average 1 of 2 threads" in held.note
    assert "wall-clock time says little" in held.note


def test_other_models_are_not_among_the_published(small):
    found = account(changed(small, model="brunel2000"))
    assert found.cards
    assert found.charts == ()


def test_two_runs_are_two_stars(small):
    other = changed(small, backend="other")
    (_, by_year) = account(small, other).charts
    assert [m.label for m in by_year.marks if m.family == "user"] == ["this run", "the other run"]


def hostile(value):
    """The same structure, with poison in every key and every text."""
    if isinstance(value, dict):
        return {f"{k}{HOSTILE}": hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return HOSTILE if isinstance(value, str) else value


def test_whatever_a_file_says_is_text(mock_run, tmp_path):
    recording = Recording.load(mock_run)
    kept = ("populations", "warmup_ms", "duration_ms", "phases_s", "energy")
    metadata = {
        k: v if k in kept else hostile(v)
        for k, v in recording.metadata.items()
        if k not in ("rates", "n_spikes")  # of one population, they would contradict the spikes
    }
    metadata["model"] = metadata["backend"] = HOSTILE
    metadata["parameters"] = {"scale": HOSTILE, "drive": HOSTILE, HOSTILE: HOSTILE}
    metadata["phases_s"] = {HOSTILE: 1.0, "simulate": HOSTILE}
    metadata["energy"] = [{"joules": 1.0, "kind": HOSTILE, "scope": HOSTILE, "source": HOSTILE}]
    label = f"L4E{HOSTILE}".replace("\ud800", "")
    spikes = {label: recording.spikes("L4E")}
    sizes = {label: recording.n_neurons["L4E"]}
    poisoned = dataclasses.replace(
        recording, n_neurons=sizes, spike_trains=spikes, metadata={**metadata, "populations": sizes}
    )
    folder = tmp_path / "poisoned"
    folder = save_anyway(poisoned, folder)
    for against in (None, folder):
        validation = examine(folder, against)
        assert validation.activity is not None
        text = render(validation)
        page = Page(text)
        self_contained(text.replace("http", ""), page)
        assert "img" not in page.tags
        assert page.text.count("<script>alert(1)</script>") > 5
        assert "{{ 7 * 7 }}" in page.text
        assert "\x1b" not in text
        json.loads(to_json(validation))
        to_junit(validation)


def save_anyway(recording, folder):
    """Save metadata with halves of surrogate pairs, as a JSON file can hold them."""
    plain = dataclasses.replace(recording, metadata={"populations": {}})
    plain.save(folder)
    (folder / "run.json").write_text(json.dumps(recording.metadata), encoding="utf-8")
    return folder


def test_poison_in_a_reference(mock_run, mock_reference, tmp_path):
    reference = Reference.load(mock_reference)
    poisoned = dataclasses.replace(
        reference, name=HOSTILE[:60], provenance={**reference.provenance, "<b>": HOSTILE[:60]}
    )
    poisoned.save(tmp_path / "poisoned.h5")
    text = render(examine(mock_run, tmp_path / "poisoned.h5"))
    self_contained(text, Page(text))
    assert "<script>alert(1)</script>" in Page(text).text


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [(0, 1, [0.0, 0.5, 1.0]), (-1, 1, [-1.0, 0.0, 1.0]), (5, 5, []), (0, float("inf"), [])],
)
def test_round_numbers(low, high, numbers):
    assert round_numbers(low, high, 3) == numbers
