"""Neuron models: how NESTML is read, and what a model does beside NEST's own cells."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable_cortex.neurons.expressions import (
    Binary,
    Call,
    Choice,
    Name,
    Number,
    Unary,
    folded,
    parsed,
    text,
)

needs_nestml = pytest.mark.skipif(
    importlib.util.find_spec("pynestml") is None, reason="pip install portable-cortex[nestml]"
)

# --- expressions ----------------------------------------------------------------------------------

leaves = st.one_of(
    st.sampled_from("abxy").map(Name),
    st.integers(0, 30).map(lambda n: Number(Fraction(n))),
    st.sampled_from(["0.1", "2.5", "0.04"]).map(lambda said: Number(Fraction(said))),
)
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            Binary, st.sampled_from(["+", "-", "*", "/", "**", "<", ">=", "and"]), inner, inner
        ),
        st.builds(Unary, st.sampled_from(["-", "not"]), inner),
        st.builds(lambda a, b: Call("max", (a, b)), inner, inner),
        st.builds(Choice, inner, inner, inner),
    ),
    max_leaves=12,
)


@given(expressions)
def test_what_is_written_is_read_alike(expression):
    assert parsed(text(expression)) == expression


@given(st.recursive(leaves, lambda inner: st.builds(Binary, st.sampled_from("+-*/"), inner, inner)))
def test_folding_keeps_values(expression):
    from portable_cortex.neurons.reference import evaluate

    values = {"a": np.float64(0.7), "b": np.float64(-1.3), "x": np.float64(2.1), "y": np.float64(5)}
    with np.errstate(all="ignore"):
        try:
            before = evaluate(expression, values)
        except ZeroDivisionError:
            return
        after = evaluate(folded(expression), values)
    if np.isfinite(before):
        assert after == pytest.approx(before, rel=1e-9, abs=1e-9)


def test_factors_of_units_fold_without_rounding():
    assert text(folded(parsed("unit * (0.001 * w) * 1000"))) == "unit * w"


WITHOUT_SIMULATORS = """
import sys

sys.modules.update(dict.fromkeys(["brian2", "nest", "neuron", "pynestml", "odetoolbox"]))
from portable_cortex.cli.entry import main

sys.argv = ["portable-cortex", "neurons", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("backend", ["builtin", "nest", "brian2", "neuron"])
def test_what_backends_make_of_a_model_needs_no_simulator(backend):
    arguments = ["show", "mat2_curr_exp", "--backend", backend]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SIMULATORS, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "th_1" in done.stdout


def test_the_catalogue_is_listed_without_simulators():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SIMULATORS, "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mat2_curr_exp" in done.stdout


def test_neurons_that_differ_have_the_numbers_of_each_alone():
    from portable_cortex.neurons.library import load
    from portable_cortex.neurons.numbers import numbers

    neuron = load("lif_curr_exp")
    given = {q.name: np.array([float(q.value.value)]) for q in neuron.parameters}
    name = next(n for n in given if n.lower() == "tau_m")
    other = next(n for n in given if n.lower().startswith(("v_th", "v_reset")))
    both = {name: np.array([8.0, 12.0, 8.0, 8.0]), other: np.array([-52.0, -52.0, -50.0, -52.0])}
    together = numbers(neuron, given | both, 0.1)
    for k in range(4):
        alone = numbers(neuron, given | {n: v[[k]] for n, v in both.items()}, 0.1)
        for quantity, value in alone.items():
            each = np.broadcast_to(together[quantity], 4)
            assert each[k] == value, quantity


@needs_nestml
def test_what_pynestml_stumbles_over_is_said():
    from portable_cortex.errors import InvalidValueError
    from portable_cortex.neurons.library import load

    model = """
model units_neuron:
    state:
        v mV = 0 mV
    equations:
        v' = -v / tau + v * v / (1 V * tau)
    parameters:
        tau ms = 10 ms
    input:
        spikes <- spike
    output:
        spike
    update:
        integrate_odes()
    onReceive(spikes):
        v += 1 mV * spikes * 1 s
    onCondition(v > 2 mV):
        emit_spike()
"""
    with pytest.raises(InvalidValueError, match=r"line 6, column \d+: pynestml cannot .*same one"):
        load(model)
