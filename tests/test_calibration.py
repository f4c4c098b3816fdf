"""Another neuron model gets the rates of a network's own neurons by constant currents."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

from portable_cortex import run
from portable_cortex.calibration import _inputs, calibrate
from portable_cortex.errors import (
    InvalidValueError,
    SimulationError,
    UnknownNameError,
    UnsupportedError,
)
from portable_cortex.models.calibrated import CURRENTS
from portable_cortex.models.loader import Model, load_model
from portable_cortex.pynn.description import describe

MODEL = '''
"""A population with noise, whose neurons can be others."""

LIF = dict(cm=0.25, tau_m=10.0, v_rest=-65.0, v_reset=-65.0, v_thresh=-50.0, tau_refrac=2.0,
           tau_syn_E=0.5, tau_syn_I=0.5)


def published_rates(**_):
    return {"E": 6.0}


def build(sim, neuron="IF_curr_exp", currents=None, shift=0.0):
    offset = (currents or {}).get("E", 0.0) + 0.05
    if neuron == "IF_curr_exp":
        kind = sim.IF_curr_exp
        offsets = {"i_offset": offset}
    else:
        kind = sim.nestml_cell_type("Other", neuron)
        offsets = {"i_offset": offset}
    given = {**LIF, **offsets}
    if neuron != "IF_curr_exp":
        given["v_thresh"] += shift
    cells = sim.Population(100, kind(**given), label="E")
    for receptor, weight, rate in (("excitatory", 0.0878, 20e3), ("inhibitory", -0.3512, 4.5e3)):
        source = sim.Population(100, sim.SpikeSourcePoisson(rate=rate))
        sim.Projection(source, cells, sim.OneToOneConnector(),
                       sim.StaticSynapse(weight=weight, delay=0.1), receptor_type=receptor)
    return {"E": cells}
'''


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "noisy.py"
    path.write_text(MODEL)
    return path


def test_the_same_neuron_needs_no_current(model):
    (fit,) = calibrate("lif_curr_exp", model).populations.values()
    assert abs(fit.current) < 0.004  # of a rheobase of 0.375 nA
    assert fit.rate == pytest.approx(fit.wanted, rel=0.05)
    assert fit.gain == pytest.approx(fit.wanted_gain, rel=0.25)
    assert fit.cv == pytest.approx(fit.wanted_cv, abs=0.05)


def test_a_threshold_that_is_moved_is_made_up_for_and_another_seed_finds_the_same(model):
    """3 mV of threshold are 75 pA: the current that moves the mean potential as far."""
    fits = [
        calibrate("lif_curr_exp", model, shift=3.0, seed=seed).populations["E"] for seed in (1, 9)
    ]
    for fit in fits:
        assert fit.current == pytest.approx(0.075, abs=0.01)
        assert fit.rate == pytest.approx(fit.wanted, rel=0.05)
    assert fits[0].current != fits[1].current
    change = (fits[0].current - fits[1].current) * fits[0].gain / fits[0].wanted
    assert abs(change) < 0.04  # in rate


def test_a_current_far_away_is_found(model):
    """60 mV of threshold are 1.5 nA."""
    (fit,) = calibrate("lif_curr_exp", model, shift=60.0).populations.values()
    assert fit.current == pytest.approx(1.5, abs=0.02)
    assert fit.rate == pytest.approx(fit.wanted, rel=0.05)


def test_a_neuron_that_cannot_fire_so_fast_is_a_sentence(model):
    with pytest.raises(SimulationError, match=r"no current from -1.6 to 3.2 nA lets E fire at"):
        calibrate("lif_curr_exp", model, shift=500.0)


def test_what_cannot_be_calibrated_is_a_sentence(model):
    with pytest.raises(UnsupportedError, match="has no parameter currents"):
        calibrate("lif_curr_exp", "brunel2000")
    with pytest.raises(InvalidValueError, match="seed must be"):
        calibrate("lif_curr_exp", model, seed=0)
    for parameter, what in (
        ({"thalamic_pulses": [100.0]}, "TC has spikes at given times"),
        ({"dc_transients": [("L4E", 100.0, 10.0, 0.1)]}, "DCSource is injected"),
    ):
        with pytest.raises(UnsupportedError, match=what):
            calibrate("lif_curr_exp", **parameter)
    with pytest.raises(InvalidValueError, match="currents are what calibration finds"):
        calibrate("lif_curr_exp", currents={"L4E": 0.1})
    with pytest.raises(UnknownNameError, match="strength"):
        calibrate("lif_curr_exp", model, strength=2.0)
    model.write_text(MODEL.replace("+ 0.05", "- 1.0"))
    with pytest.raises(SimulationError, match="E of noisy does not fire at the network's input"):
        calibrate("lif_curr_exp", model)
    model.write_text(MODEL.replace("published_rates", "others"))
    with pytest.raises(UnsupportedError, match="publishes no rates"):
        calibrate("lif_curr_exp", model)


def test_the_command_tells_what_to_run(call, model, tmp_path):
    status, told, _ = call("calibrate", "--neuron", "lif_curr_exp", "--model", model)
    assert status == 0
    written = json.loads((tmp_path / "lif_curr_exp-calibration.json").read_text())
    assert written["currents"]["E"] == written["populations"]["E"]["current"]
    line = next(text for text in told.splitlines() if text.startswith("portable-cortex run"))
    given = shlex.split(line)[2:]
    status, _, error = call("run", *given, "--duration", "10", "--warmup", "0")
    assert (status, error.count("Error")) == (0, 0)
    status, _, error = call("calibrate", "--neuron", "lif_curr_exp", "--param", "neuron=x")
    assert (status, "leave --param neuron out" in error) == (2, True)
    status, _, error = call("calibrate", "--neuron", "lif_curr_exp", "--json", "no/where.json")
    assert status == 2
    assert "there is no folder no" in error


def test_input_is_that_of_what_is_connected():
    """A view of sources with their own rates, and weights of a wide distribution."""

    def build(sim):
        cells = sim.Population(10, sim.IF_curr_exp(), label="cells")
        rates = np.repeat([5.0, 800.0], 10)
        sources = sim.Population(20, sim.SpikeSourcePoisson(rate=rates))
        sim.Projection(sources[10:], cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.1))
        weights = sim.RandomDistribution("uniform", low=-0.4, high=0.0)
        sim.Projection(cells, cells, sim.FixedNumberPreConnector(3),
                       sim.StaticSynapse(weight=weights), receptor_type="inhibitory")  # fmt: skip
        return {"cells": cells}

    found = _inputs(describe(Model("own", build), {}), 0, {"cells": 20.0})
    assert found[0] == ("excitatory", 0.1, pytest.approx(800.0))
    receptor, weight, rate = found[1]
    assert receptor == "inhibitory"
    assert weight * rate == pytest.approx(-0.2 * 3 * 20.0, rel=1e-4)
    assert weight**2 * rate == pytest.approx(0.16 / 3 * 3 * 20.0, rel=1e-4)


def test_calibrated_currents_are_those_of_the_neuron():
    model = load_model("pd14")
    given = {"scale": 1.0, "neuron": "eif_curr_exp"}
    plain = describe(model, given).populations
    found = describe(model, {**given, "currents": "calibrated"}).populations
    added = [
        (b.parameters["i_offset"] - a.parameters["i_offset"])[0]
        for a, b in zip(plain, found, strict=True)
        if not a.is_source
    ]
    assert added == pytest.approx(CURRENTS["eif_curr_exp"])
    assert (
        f"L23E {CURRENTS['eif_curr_exp'][0]:g}"
        in model.said({**given, "currents": "calibrated"})[0]
    )


def test_currents_of_the_microcircuit_go_into_its_neurons():
    model = load_model("pd14")
    for neuron in ("IF_curr_exp", "eif_curr_exp"):
        given = {"scale": 0.1, "neuron": neuron}
        plain, more = (
            describe(model, {**given, **currents}).populations
            for currents in ({}, {"currents": {"L4E": 0.02}})
        )
        for a, b in zip(plain, more, strict=True):
            if a.is_source:
                continue
            change = b.parameters["i_offset"] - a.parameters["i_offset"]
            assert np.allclose(change, 0.02 if a.label == "L4E" else 0.0)
    assert "L4E 0.02" in model.said({"neuron": "eif_curr_exp", "currents": {"L4E": 0.02}})[0]
    assert not model.expected_rates({"currents": {"L4E": 0.02}})[0]


@pytest.mark.parametrize(
    ("currents", "what"),
    [
        ([0.1], "currents must be nA by population"),
        ({"L4X": 0.1}, "unknown population 'L4X'"),
        ("calibrated", "currents were calibrated for .*, not for IF_curr_exp"),
        ("other", "or 'calibrated', not 'other'"),
        ({"L4E": "much"}, "the current of L4E must be a number of nA"),
    ],
)
def test_currents_that_cannot_be_are_refused(currents, what):
    with pytest.raises(Exception, match=what) as caught:
        run(backend="mock", scale=0.02, duration=10.0, currents=currents)
    assert type(caught.value).__module__ == "portable_cortex.errors"
