"""A network of other neurons gets the rates that it had with its own, by constant currents."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

from portable_cortex import matching
from portable_cortex.calibration import Calibration, Fit
from portable_cortex.cli import calibration_commands, fitting
from portable_cortex.errors import (
    InvalidValueError,
    OutputError,
    SimulationError,
    UnsupportedError,
)
from portable_cortex.matching import Match, Matched, match
from portable_cortex.validation.impact import Plan, Variant

MODEL = '''
"""Excitation and inhibition; the neurons can be others, with thresholds that are moved."""

LIF = dict(cm=0.25, tau_m=10.0, v_rest=-65.0, v_reset=-65.0, v_thresh=-50.0, tau_refrac=2.0,
           tau_syn_E=0.5, tau_syn_I=0.5)
SIZES = {"E": 400, "I": 100}


def build(sim, neuron="IF_curr_exp", currents=None, neuron_parameters=None, drive=8e3, seed=1):
    made = {}
    for label, size in SIZES.items():
        offset = (currents or {}).get(label, 0.0)
        given = {**LIF, "i_offset": offset}
        kind = sim.IF_curr_exp
        if neuron != "IF_curr_exp":
            kind = sim.nestml_cell_type("Other", neuron)
            for name in ("v_thresh", "v_reset"):
                given[name] += (neuron_parameters or {}).get("shift", 0.0)
        made[label] = sim.Population(size, kind(**given), label=label)
        source = sim.Population(size, sim.SpikeSourcePoisson(rate=drive))
        sim.Projection(source, made[label], sim.OneToOneConnector(),
                       sim.StaticSynapse(weight=0.0878, delay=0.1), receptor_type="excitatory")
    for target in made:
        for source, (n, weight) in {"E": (40, 0.0878), "I": (10, -0.45)}.items():
            sim.Projection(
                made[source], made[target], sim.FixedNumberPreConnector(n),
                sim.StaticSynapse(weight=weight, delay=1.5),
                receptor_type="excitatory" if weight > 0 else "inhibitory",
            )
    return made
'''


@pytest.fixture
def isolated(tmp_path):
    """A wrong calibration: where to begin."""
    path = tmp_path / "circuit.py"
    path.write_text(MODEL)
    fit = Fit(current=0.03, wanted=10.0, rate=10.0, wanted_gain=100.0, gain=100.0, wanted_cv=0.9,
              cv=0.9)  # fmt: skip
    return Calibration(str(path), "lif_curr_exp", 1, {"E": fit, "I": fit})


def test_thresholds_that_are_moved_are_made_up_for_in_the_network(isolated):
    """3 mV are 75 pA in every population, whatever the neurons do to one another."""
    found = match(isolated, duration=3000.0, neuron_parameters={"shift": 3.0})
    for own in found.populations.values():
        assert own.current == pytest.approx(0.075, abs=0.006)
        assert abs(own.error) < 0.06
        assert own.wanted > 3
    assert json.loads(json.dumps(found.to_dict()))["currents"] == found.currents


def test_rates_that_leave_again_are_not_taken_for_matched(isolated, monkeypatch):
    """Four rounds near, and then half as fast again: no result."""
    seen = []

    def rates(self, labels, currents, seed):
        seen.append(seed)
        off = 1.02 if len(seen) <= 4 else 1.5
        return np.full(2, 10.0), np.full(2, 10.0 * off)

    monkeypatch.setattr(matching._Network, "rates", rates)
    monkeypatch.setattr(matching._Network, "jacobian", lambda self, labels: 100 * np.eye(2))
    with pytest.raises(SimulationError, match=r"after 12 rounds E still fires at 15 spikes/s"):
        match(isolated, seed=5)
    assert seen == list(range(5, 17))  # each round has a seed of its own


def test_a_calibration_is_read_again_as_it_was_written(isolated):
    assert Calibration.from_dict(json.loads(json.dumps(isolated.to_dict()))) == isolated


def test_what_cannot_be_matched_is_a_sentence(isolated, tmp_path):
    with pytest.raises(InvalidValueError, match="duration must be 1000 ms or more, not 10"):
        match(isolated, duration=10)
    with pytest.raises(InvalidValueError, match="seed must be a whole number from 1, not 0"):
        match(isolated, seed=0)
    with pytest.raises(InvalidValueError, match="currents are what is found"):
        match(isolated, currents={"E": 0.1})
    with pytest.raises(SimulationError, match=r"E, I of .*circuit.* does not fire"):
        match(isolated, duration=1000.0, drive=1e3)
    path = tmp_path / "circuit.py"
    path.write_text(MODEL.replace("kind = sim.IF_curr_exp", "kind = sim.IF_curr_alpha"))
    with pytest.raises(UnsupportedError, match="IF_curr_alpha"):
        match(isolated, duration=1000.0)


def test_the_command_shows_both_networks(call, isolated, monkeypatch, tmp_path):
    asked = {}

    def calibrated(neuron, model, **given):
        asked["isolated"] = given
        return isolated

    def matched(found, **given):
        asked["network"] = given
        rates = {"E": Matched(0.08, 10.0, 10.1), "I": Matched(0.07, 20.0, 19.9)}
        return Match(found.model, found.neuron, 3, 2000.0, 6, rates)

    monkeypatch.setattr(calibration_commands, "calibrated", calibrated)
    monkeypatch.setattr(calibration_commands, "match", matched)
    monkeypatch.setattr(matching, "_in_theory", lambda *_: None)  # it has no scale
    status, told, _ = call(
        "calibrate", "--neuron", "lif_curr_exp", "--model", isolated.model, "--matched",
        "--param", "scale=0.1", "--duration", "2000", "--seed", "3",
    )  # fmt: skip
    assert status == 0
    assert "scale" not in asked["isolated"]
    assert asked["network"].items() >= {"scale": 0.1, "duration": 2000.0, "seed": 3}.items()
    assert "80.0" in told
    assert "in the network" in told
    written = json.loads((tmp_path / "lif_curr_exp-calibration.json").read_text())
    assert written["currents"] == {"E": 0.08, "I": 0.07}
    assert written["isolated"]["currents"] == {"E": 0.03, "I": 0.03}
    line = next(text for text in told.splitlines() if text.startswith("portable-cortex run"))
    assert shlex.split(line)[-6:] == [
        "--param", "scale=0.1", "--param", "neuron=lif_curr_exp",
        "--param", 'currents={"E": 0.08, "I": 0.07}',
    ]  # fmt: skip
    asked.clear()
    status, _, said = call("calibrate", "--neuron", "lif_curr_exp", "--duration", "9000")
    assert status == 2
    assert "--matched" in said
    status, _, said = call("calibrate", "--neuron", "lif_curr_exp", "--matched", "--duration", "9")
    assert status == 2
    assert "duration must be 1000 ms or more" in said
    assert not asked  # nothing was run before


@pytest.fixture
def asked(isolated, monkeypatch):
    """What calibration and matching are asked for, by an impact; they find the same always."""
    asked = []

    def calibrated(neuron, model, *, on_progress, **given):
        asked.append(("isolated", given))
        return isolated

    def matched(found, *, seed, on_progress, **given):
        assert found == isolated
        asked.append(("network", {"seed": seed, **given}))
        populations = {label: Matched(0.08, 10.0, 10.1) for label in found.populations}
        return Match(found.model, found.neuron, seed, 2000.0, 6, populations)

    monkeypatch.setattr(fitting, "calibrate", calibrated)
    monkeypatch.setattr(matching, "match", matched)
    return asked


def fitted(variant, folder, matched):
    plan = Plan((variant,), parameters={"scale": 0.1}, seeds=(4, 7))
    return fitting.fitted_currents(variant, plan, folder, matched, lambda what: None)


def test_an_impact_keeps_what_it_found_by_scale(asked, tmp_path):
    change = Variant("eps", {"neuron": "lif_cond_exp", "conductance": 0.5})
    for _ in range(2):
        plain, network = (fitted(change, tmp_path, matched) for matched in (False, True))
        assert plain.parameters == {**change.parameters, "currents": {"E": 0.03, "I": 0.03}}
        assert network.parameters == {**change.parameters, "currents": {"E": 0.08, "I": 0.08}}
        assert "isolated" in plain.fitted
        assert "as it runs" in network.fitted
    given = {"scale": 0.1, "conductance": 0.5}
    seed = 8  # none of those that are judged
    assert asked == [("isolated", {"conductance": 0.5}), ("network", {"seed": seed, **given})]
    for kind in ("match", "calibration"):
        (kept,) = tmp_path.glob(f"{kind}-*.json")
        kept.write_text('{"populations": {"E": {}}}')
        with pytest.raises(OutputError, match=f"{kind}.* is no readable calibration: remove it"):
            fitted(change, tmp_path, True)


def test_an_impact_takes_the_currents_of_the_package(asked, tmp_path):
    shipped = Variant("eif", {"neuron": "eif_curr_exp"})
    assert fitted(shipped, tmp_path, False).parameters["currents"] == "calibrated"
    assert not asked
    assert fitted(shipped, tmp_path, True).parameters["currents"] == {"E": 0.08, "I": 0.08}
    given = Variant("own", {"neuron": "eif_curr_exp", "currents": {"L4E": 0.1}})
    assert fitted(given, tmp_path, True) is given
    assert fitted(drive := Variant("dc", {"drive": "dc"}), tmp_path, True) is drive
