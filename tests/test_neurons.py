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
    with pytest.raises(
        InvalidValueError, match=r"line 6, column \d+: pynestml cannot .*into brackets"
    ):
        load(model)


# --- what NESTML says -----------------------------------------------------------------------------

BASE = """
model base_neuron:
    state:
        V_m mV = E_L
        I pA = 0 pA
    equations:
        I' = -I / tau_s
        V_m' = -(V_m - E_L) / tau_m + I / C_m
    parameters:
        tau_m ms = 10 ms
        tau_s ms = 2 ms
        C_m pF = 250 pF
        E_L mV = -65 mV
        V_th mV = -55 mV
    input:
        spikes <- spike
    output:
        spike
    update:
        integrate_odes()
    onReceive(spikes):
        I += spikes * (1 pA) * (1 s)
    onCondition(V_m > V_th):
        V_m = E_L
        emit_spike()
"""
ARITHMETIC = """
model arithmetic_neuron:
    state:
        n integer = -7
        quotient real = 0
        rest integer = 0
        cut integer = 3
        halves real = 0
        either boolean = false
        v V = -0.065 V
        sum V = 0 V
        largest V = 0 V
        above boolean = false
        activation real = 0
        now ms = 0 ms
        k integer = 0
        squares real = 0
        called integer = 0
    parameters:
        on boolean = true
        refractory ms = 2.03 ms
    internals:
        n_refractory integer = steps(refractory)
        third integer = 7 / 3
    function half(x integer) integer:
        y integer
        y += x / 2.0
        return y
    input:
        spikes <- spike
    output:
        spike
    update:
        quotient = n / 2
        rest = n % 2
        cut *= 1.5
        halves = round(2.5) + round(-0.5)
        either = on or on and n > 1000
        sum = v + 0.001
        largest = max(v, -0.06)
        above = v > -0.07
        activation = exp(v)
        now = t
        squares = 0
        for k in 1 ... 4 step 1:
            squares += k ** 2
        called = half(5)
    onReceive(spikes):
        n += 1
"""


def after_a_step(model, parameters=None):
    """Values that the reference has after a step of 0.1 ms, in the units of the file."""
    from portable_cortex.neurons.library import load
    from portable_cortex.neurons.reference import Reference

    neuron = load(model)
    reference = Reference(neuron, 0.1, 1, parameters)
    reference.run(1)
    factors = {q.name: float(q.factor) for q in (*neuron.state, *neuron.internals)}
    return {name: reference.values[name][0] / factor for name, factor in factors.items()}


@needs_nestml
def test_arithmetic_is_that_of_programs_for_nest():
    found = after_a_step(ARITHMETIC)
    expected = {
        "quotient": -3.0, "rest": -1.0, "cut": 4.0, "halves": 2.0, "either": 1.0, "sum": -0.064,
        "largest": -0.06, "above": 1.0, "activation": np.exp(-0.065), "now": 0.1, "squares": 14.0,
        "k": 4.0, "called": 2.0, "n_refractory": 21.0, "third": 2.0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@needs_nestml
def test_blocks_follow_their_priorities():
    from portable_cortex.errors import UnsupportedError
    from portable_cortex.neurons.library import load

    model = "\n".join(
        [
            "model ports_neuron:",
            "    state:",
            "        x real = 0",
            "    input:",
            *(f"        {port} <- spike" for port in "abc"),
            "    output:",
            "        spike",
            *(
                f"    onReceive({port}, priority={n}):\n        x = {k}"
                for k, (port, n) in enumerate({"a": 9, "b": 10, "c": 2}.items())
            ),
            "",
        ]
    )
    assert [port for port, _ in load(model).receive] == ["b", "a", "c"]
    with pytest.raises(UnsupportedError, match=r"line 12, column 4: a second .* priority 9"):
        load(model.replace("priority=10", "priority=9"))


@needs_nestml
def test_names_may_be_words_of_other_languages():
    """A port that begins like the mark of a derivative; names of Python, SymPy and ODE-toolbox."""
    from portable_cortex.neurons.library import load
    from portable_cortex.neurons.storage import restored, stored

    model = (
        BASE.replace("tau_s", "lambda")
        .replace("spikes", "dend")
        .replace("    equations:\n", "    equations:\n        kernel S = exp(-t / lambda)\n")
        .replace("I / C_m", "(I + convolve(S, dend) * (1 pA)) / C_m")
        .replace("I", "class")
    )
    neuron = load(model)
    assert restored(stored(neuron)) == neuron
    (convolution,) = neuron.convolutions
    assert convolution.jumps == (("S__X__dend", Number(Fraction(1))),)
    assert str(neuron.equation("S__X__dend").derivative) == "-S__X__dend / lambda__"


@needs_nestml
def test_time_in_an_equation_is_that_within_the_step():
    from portable_cortex.neurons.celltype import cell_type
    from portable_cortex.neurons.library import load
    from portable_cortex.neurons.reference import Reference

    neuron = load(BASE.replace("I / C_m", "tau_m * (1 mV) / tau_m**2 * cos(t / tau_s)"))
    times = 0.1 * np.arange(1, 201)
    course = Reference(neuron, 0.1, 1, {"tau_m": 1e9, "V_th": 0.0}).run(200, record=["V_m"])
    expected = -65.0 + 1e-9 * 2.0 * np.sin(times / 2.0)
    assert course.variables["V_m"][:, 0] + 65 == pytest.approx(expected + 65, abs=1e-12)
    assert cell_type("Timed", neuron).recordable == ["spikes", "V_m", "I"]


@needs_nestml
def test_what_a_guard_forbids_is_said():
    from portable_cortex.errors import InvalidValueError

    model = BASE.replace("tau_m ms = 10 ms", "tau_m ms = 10 ms [[tau_m > 1 ms]]")
    assert after_a_step(model, {"tau_m": 2.0})["V_m"] == -65.0
    with pytest.raises(InvalidValueError, match=r"tau_m has to be such that tau_m > 1, and is 0.5"):
        after_a_step(model, {"tau_m": 0.5})


@needs_nestml
def test_a_parameter_that_comes_from_the_step_is_computed_from_it():
    from portable_cortex.neurons.celltype import cell_type
    from portable_cortex.neurons.library import load
    from portable_cortex.neurons.numbers import numbers

    model = BASE.replace("V_th mV = -55 mV", "V_th mV = -55 mV\n        h ms = resolution()")
    neuron = load(model)
    kind = cell_type("Stepped", neuron)
    assert "h" not in kind.default_parameters
    given = {name: np.array([value]) for name, value in kind.default_parameters.items()}
    assert numbers(neuron, given, 0.025)["h"] == 0.025


@needs_nestml
def test_of_several_models_it_is_the_one_that_the_type_is_called_by():
    from portable_cortex.errors import InvalidValueError
    from portable_cortex.neurons.library import load

    both = BASE + BASE.replace("base_neuron", "other_neuron")
    assert load(both, "other_neuron").name == "other_neuron"
    assert load(BASE, "Cells").name == "base_neuron"
    with pytest.raises(InvalidValueError, match="base_neuron, other_neuron: call the cell type"):
        load(both, "Cells")


MISTAKES = {
    "free unit": ("(1 pA) * (1 s)", "pA * s", r"line 21, column 22: .*write \(1 pA\)"),
    "typo": ("E_L) /", "E_l) /", r'line 7, column 23: .*"E_l" not defined; is it misspelt'),
    "units that differ": ("V_m > V_th", "V_m > tau_m", r"line 22, .*one is in mV, the other in ms"),
    "indentation": ("        I pA", "       I pA", r"line 4: it is indented by 7, .*0, 4 or 8"),
    "tabs": ("        V_m' =", "\t    V_m' =", r"line 7: it is indented by spaces and tabs"),
    "weight of a spike": ("emit_spike()", "emit_spike(2)", r"line 24, .*a weight of its own"),
    "bits": ("V_m = E_L\n", "x integer = 1 & 3\n", r"line 23, .*an operation on bits"),
    "delay": ("I / C_m", "I(t - tau_m) / C_m", r"line 7, .*I is read with a delay"),
    "chance": (
        "I / C_m", "I / C_m * random_normal(0, 1)", r"line 7, .*random function in an equation"
    ),
    "product of pulses": (
        "I / C_m", "spikes * (1 s) * spikes * (1 mV)", r"line 7, .*not in proportion"
    ),
    "name": ("tau_s", "__s", r"line 10, .*__s begins with two underscores"),
    "endless": (
        "integrate_odes()\n", "integrate_odes()\n        while I > 1 pA:\n            I = 0 pA\n",
        r"line 20, .*a while loop",
    ),
    "kernel": (
        "        I' = -I / tau_s\n",
        "        kernel K = t < tau_s ? 1 : 0\n"
        "        I' = -I / tau_s + convolve(K, spikes) * (1 pA) / tau_s\n",
        r"line 6, column 19: ODE-toolbox finds no linear equation that the kernel K solves",
    ),
    "pulse as a number": (
        "    update:\n",
        "    update:\n        I += convolve(K, spikes) * (1 pA)\n",
        r"line 20, .*a convolution with a delta function is no number",
    ),
    "itself": (
        "V_m = E_L\n        emit", "V_m = f(E_L)\n        emit", r"line \d+, .*f calls itself"
    ),
}  # fmt: skip


@needs_nestml
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_said_with_its_place_and_what_helps(mistake):
    from portable_cortex.errors import InvalidValueError, UnsupportedError
    from portable_cortex.neurons.library import load

    old, new, message = MISTAKES[mistake]
    model = BASE.removeprefix("\n")
    assert old in model
    model = model.replace(old, new)
    if "f(" in new:
        model = model.replace(
            "    input:\n", "    function f(v mV) mV:\n        return f(v)\n    input:\n"
        )
    if "number" in mistake:
        model = model.replace("    equations:\n", "    equations:\n        kernel K = delta(t)\n")
    with pytest.raises((InvalidValueError, UnsupportedError), match=message):
        load(model + "\n")


def test_a_file_that_is_no_text_is_said(tmp_path):
    from portable_cortex.errors import InvalidValueError
    from portable_cortex.neurons.library import load

    file = tmp_path / "model.nestml"
    file.write_bytes("# a\n# für\n".encode("latin-1"))
    with pytest.raises(InvalidValueError, match="line 2: a model in NESTML is text in UTF-8"):
        load(file)
