"""Another neuron model in the place of a network's own: what is matched, and what is said of it."""

from __future__ import annotations

import json
import math
from importlib import resources

import numpy as np
import pytest

from portable_cortex import run
from portable_cortex.errors import InvalidValueError, UnknownNameError, UnsupportedError
from portable_cortex.models.loader import load_model
from portable_cortex.models.parameters import PD14
from portable_cortex.models.substitution import substitute

LIF = PD14.neuron.as_pynn()
SHORT = {"scale": 0.02, "duration": 150.0, "seed": 3}


def weights(name, held=(-60.0,), lif=LIF, **given):
    made = substitute(name, lif, held, given)
    return [made.weight(1.0, 0, "excitatory"), made.weight(-4.0, 0, "inhibitory")]


def test_the_same_neuron_in_nestml_does_the_same():
    own, other = (
        run(model="pd14", backend="builtin", neuron=neuron, **SHORT)
        for neuron in ("IF_curr_exp", "lif_curr_exp")
    )
    assert sum(train.times.size for train in own.spike_trains.values()) > 100
    for label, train in own.spike_trains.items():
        np.testing.assert_array_equal(train.times, other.spike_trains[label].times)
        np.testing.assert_array_equal(train.neurons, other.spike_trains[label].neurons)


def test_charge_is_kept_whatever_the_shape():
    charge = LIF["tau_syn_E"]  # nA ms, of 1 nA
    made = substitute("lif_curr_alpha", LIF, [-60.0], {})
    assert made.parameters["tau_syn_E"] == pytest.approx(0.5 * LIF["tau_syn_E"], rel=1e-3)
    assert weights("lif_curr_alpha") == pytest.approx(
        [charge / (math.e * 0.25), -4 * charge / (math.e * 0.25)], rel=1e-3
    )
    slow = weights("lif_curr_exp", tau_syn_E=2.0)
    assert slow == pytest.approx([charge / 2.0, -4.0], rel=1e-4)
    assert weights("lif_curr_delta") == pytest.approx(
        [charge / LIF["cm"], -4 * charge / LIF["cm"]], rel=1e-6
    )
    assert weights("lif_curr_exp", cm=1.0) == pytest.approx([4.0, -16.0], rel=1e-6)


@pytest.mark.parametrize("held", [-64.0, -57.0])
def test_conductances_have_the_charge_at_the_mean_potential(held):
    found = weights("lif_cond_exp", (held,), {**LIF, "e_rev_E": 0.0, "e_rev_I": -80.0})
    assert found == pytest.approx([1 / (0.0 - held), 4 / (held + 80.0)], rel=1e-5)


def test_a_membrane_that_is_not_leaky_keeps_its_own_parameters():
    made = substitute("hh_squid_curr_alpha", LIF, [-60.0], {})
    assert set(made.parameters) == {"tau_syn_E", "tau_syn_I"}
    assert made.currents[0] == pytest.approx(0.1 / 0.25)  # capacitances


def test_a_neuron_without_continuous_input_gets_constant_currents_by_its_parameter(tmp_path):
    text = (
        resources.files("portable_cortex.neurons") / "catalogue/lif_curr_exp.nestml"
    ).read_text()
    text = text.replace("        i_inject nA <- continuous\n", "").replace(" + i_inject", "")
    file = tmp_path / "closed.nestml"
    file.write_text(text.replace("i_offset nA = 0 nA", "I_e pA = 0 pA").replace("i_offset", "I_e"))
    made = substitute(str(file), LIF, [-60.0], {"cm": 0.5})
    assert made.offset == "I_e"
    assert made.offsets[0] == pytest.approx(2000.0)  # pA for nA, twice the capacitance
    assert made.weight(1.0, 0, "excitatory") == pytest.approx(2.0)


def test_standard_neurons_are_those_of_the_catalogue():
    (said,) = load_model("pd14").said({"neuron": "EIF_cond_exp_isfa_ista"})
    assert said.startswith("adex_cond_exp instead of IF_curr_exp")


def test_run_says_what_was_matched(tmp_path):
    recording = run(
        model="pd14",
        backend="builtin",
        neuron="mat2_curr_exp",
        neuron_parameters={"alpha_1": 30.0},
        **SHORT,
    )
    recording.save(tmp_path / "run")
    (said,) = json.loads((tmp_path / "run" / "run.json").read_text())["statements"]
    assert "mat2_curr_exp instead of IF_curr_exp" in said
    assert "omega -50 mV" in said
    assert "alpha_1 30 mV" in said
    assert recording.metadata["published_rates"] == {}


def test_brunel2000_takes_other_neurons():
    assert "izhikevich_2003" in load_model("brunel2000").said({"neuron": "izhikevich_2003"})[0]
    recording = run(
        model="brunel2000", backend="builtin", neuron="lif_curr_delta", scale=0.02, duration=100.0
    )
    assert recording.rates()["E"] > 1


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"neuron": "mat2_curr_ex"}, UnknownNameError, "did you mean 'mat2_curr_exp'"),
        ({"neuron_parameters": {"tau": 3.0}}, UnknownNameError, "tau_m"),
        ({"neuron_parameters": 3}, InvalidValueError, "numbers by name"),
        ({"neuron_parameters": {"tau_m": "slow"}}, InvalidValueError, "must be a number"),
        (
            {"neuron": "lif_cond_exp", "neuron_parameters": {"e_rev_I": -50.0}},
            UnsupportedError,
            "reversal potential",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_built(given, error, words):
    with pytest.raises(error, match=words):
        run(model="pd14", backend="builtin", **given, **SHORT)


def test_backends_without_nestml_say_so():
    with pytest.raises(UnsupportedError, match=r"takes no neuron models in NESTML: .*builtin"):
        run(model="pd14", backend="mock", neuron="mat2_curr_exp", **SHORT)
