"""A mistake in a model is told by file and line, before anything is simulated."""

from __future__ import annotations

import json
import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portable_cortex import run
from portable_cortex.errors import (
    InvalidValueError,
    ModelError,
    PortableCortexError,
    SimulationError,
    UnsupportedError,
)
from portable_cortex.running import RunWarning

CELLS = 'cells = sim.Population(5, sim.IF_curr_exp(), label="A")'
MODEL = f"""
    import helper
    import sys

    def build(sim, *, n=5):
        {CELLS}
        HERE
        return {{"A": cells}}
"""
SHORT = {"backend": "mock", "warmup": 0.0, "duration": 20.0}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a model of which a line is another one; a module `helper` lies beside it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "helper.py").write_text("def half(x):\n    return x / 0\n")

    def write(line, code=MODEL):
        (tmp_path / "mine.py").write_text(textwrap.dedent(code).replace("HERE", line), "utf-8")
        return tmp_path / "mine.py"

    yield write
    __import__("sys").modules.pop("helper", None)


# a line of build(), where it is said to be, what is said
MISTAKES = [
    ("aa + 1", "mine.py, line 7, in build()", "NameError: name 'aa' is not defined"),
    ("raise KeyError('L4E')", "mine.py, line 7, in build()", "KeyError: 'L4E'"),
    ("[1 / 0 for _ in (1,)]", "mine.py, line 7, in build()", "ZeroDivisionError"),
    ("helper.half(n)", "helper.py, line 2, in half()", "ZeroDivisionError: division by zero"),
    ("import json; json.loads('{')", "mine.py, line 7, in build()", "JSONDecodeError"),
    ("sys.exit()", "mine.py, line 7, in build()", "ended the program"),
    ("sys.exit(0)", "mine.py, line 7, in build()", "ended the program (SystemExit: 0)"),
    ("sys.exit('no')", "mine.py, line 7, in build()", "ended the program (SystemExit: no)"),
    ("raise GeneratorExit", "mine.py, line 7, in build()", "ended the program (GeneratorExit"),
    ("raise BaseException(3)", "mine.py, line 7, in build()", "(BaseException: 3)"),
    ("build(sim, n=n)", "mine.py, line ", "RecursionError"),
    ("bytearray(10**15)", "mine.py, line 7, in build()", "MemoryError"),
    ("cells.set(tau_m=0 * 1e400)", "mine.py, line 7", "tau_m of IF_curr_exp must be finite"),
    ("sim.IF_curr_exp(tau_mm=1)", "mine.py, line 7", "tau_mm (valid parameters for IF_curr_exp"),
    ("sim.FixedProbabilityConnector(-1)", "mine.py, line 7", "assert 0 <= self.p_connect"),
    *(
        (f"sim.{name}({argument})", "mine.py, line 7, in build()", f"must not call sim.{name}()")
        for name, argument in (
            ("run", "10.0"), ("run_for", "10.0"), ("run_until", "10.0"), ("reset", ""),
            ("setup", "timestep=1.0"), ("end", ""),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("line", "where", "what"), MISTAKES)
def test_a_mistake_in_build(write, line, where, what):
    with pytest.raises(PortableCortexError) as raised:
        run(model=write(line), **SHORT)
    message = str(raised.value)
    assert message.startswith(where)
    assert what in message
    assert "\n" not in message
    if where.startswith("mine.py, line 7"):
        assert message.endswith(f"(line 7 is: {line})")
    for blame in ("backend 'mock' failed", "says backend", "failed (phases"):
        assert blame not in message


def test_all_of_an_error_is_kept(write):
    with pytest.raises(ModelError) as raised:
        run(model=write("helper.half(n)"), **SHORT)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_errors_of_the_package_keep_their_type(write):
    with pytest.raises(UnsupportedError, match=r"^mine.py, line 7, in build\(\): backend 'mock'"):
        run(model=write("sim.IF_quantum_exp()"), **SHORT)


def test_ctrl_c_stays_ctrl_c(write):
    with pytest.raises(KeyboardInterrupt):
        run(model=write("raise KeyboardInterrupt"), **SHORT)


def test_a_simulator_that_fails_below_a_models_line_is_named(write, monkeypatch):
    from portable_cortex.backends.mock import _namespace

    class EngineError(Exception):
        pass

    def broken(*_args, **_kwargs):
        raise EngineError("the engine is on fire")

    monkeypatch.setattr(_namespace, "draw_edges", broken)
    line = "sim.Projection(cells, cells, sim.AllToAllConnector())"
    with pytest.raises(ModelError, match=r"line 7.*EngineError: .* fire, says backend 'mock'"):
        run(model=write(line), **SHORT)


def test_a_simulator_that_fails_by_itself_is_named(write, monkeypatch):
    from portable_cortex.backends.mock import MockBackend

    def broken(*_args, **_kwargs):
        raise RuntimeError("on fire")

    for phase in ("setup", "prepare", "simulate"):
        with monkeypatch.context() as patched:
            patched.setattr(MockBackend, phase, broken)
            with pytest.raises(SimulationError, match=r"backend 'mock' failed .*on fire"):
                run(model=write(""), **SHORT)


def test_a_function_of_the_model_that_is_called_later(write, tmp_path, monkeypatch):
    from portable_cortex.backends.mock import MockBackend

    (tmp_path / "helper.py").write_text("later = []\n")
    monkeypatch.setattr(MockBackend, "prepare", lambda *_: __import__("helper").later[0]())
    path = write("helper.later.append(lambda: aa + 1)")
    with pytest.raises(ModelError, match=r"mine.py, line 7, in build\(\): NameError"):
        run(model=path, **SHORT)


@pytest.mark.filterwarnings("ignore::portable_cortex.ModelWarning")  # it says so, too
@pytest.mark.parametrize("line", ["portable.run(10)", "portable.setup(timestep=1.0)"])
def test_the_simulator_under_another_name_is_noticed(write, line):
    code = MODEL.replace("HERE", "import pyNN.mock as portable; HERE")
    with pytest.raises(ModelError, match=r"build\(\) of model 'mine' set up or ran the simulator"):
        run(model=write(line, code), **SHORT)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys\nsys.exit(0)", "mine.py, line 2: the model ended the program (SystemExit: 0)"),
        ("raise BaseException", "mine.py, line 1: the model ended the program (BaseException: )"),
        ("x = 1\nimport no_such_module", "mine.py, line 2: ModuleNotFoundError: No module named"),
        ("import helper\nhelper.half(3)", "helper.py, line 2, in half(): ZeroDivisionError"),
        ("\ndef build(sim:\n  pass", "mine.py, line 2: SyntaxError: '(' was never closed"),
        ("import broken", "broken.py, line 3: SyntaxError: "),
        ("def build(sim):\n    return {}\n\0", "source code"),
        ("async def build(sim):\n    return {}", "has no function build(sim, ...)"),
        ("build = dict", "has no function build(sim, ...)"),
        ("def build(*, sim):\n    return {}", "has no function build(sim, ...)"),
        ("def build(sim):\n    return {}\npublished_rates = {'A': 1.0}", "must be a function"),
    ],
)
def test_a_file_that_cannot_be_imported(write, tmp_path, code, said):
    (tmp_path / "broken.py").write_text("\n\nx = = 3\n")
    with pytest.raises(ModelError) as raised:
        run(model=write("", code), **SHORT)
    assert said in str(raised.value)
    assert "mine.py" in str(raised.value) or said.split(",")[0] in str(raised.value)


# --- what a description cannot be ---


BROKEN = ["float('inf')", "-float('inf')", "float('nan')"]
VALUES = [
    "sim.Population(3, sim.IF_curr_exp(i_offset=VALUE))",
    "sim.Population(3, sim.IF_curr_exp(i_offset=[0.0, VALUE, 0.0]))",
    "sim.Population(3, sim.IF_curr_exp, {'i_offset': VALUE})",
    "sim.Population(3, sim.SpikeSourcePoisson(rate=VALUE))",
    "sim.Population(1, sim.SpikeSourceArray(spike_times=[1.0, VALUE]))",
    "sim.Population(3, sim.IF_curr_exp(), initial_values={'v': VALUE})",
    "sim.create(sim.IF_curr_exp, {'i_offset': VALUE}, n=3)",
    "cells.initialize(v=VALUE)",
    "cells.initialize(v=sim.RandomDistribution('normal', mu=VALUE, sigma=1.0))",
    "sim.Projection(cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=VALUE))",
    "sim.Projection(cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(delay=VALUE))",
    "sim.Projection(cells, cells, sim.AllToAllConnector(), sim.StaticSynapse("
    "weight=sim.RandomDistribution('uniform', low=0.0, high=VALUE)))",
    "sim.Projection(cells, cells, sim.AllToAllConnector(), sim.StaticSynapse("
    "weight=__import__('numpy').full((5, 5), VALUE)))",
    "sim.Projection(cells, cells, sim.FromListConnector([(0, 1, VALUE, 1.0)]))",
    "sim.Projection(cells, cells, sim.FixedProbabilityConnector(VALUE))",
    "sim.connect(cells, cells, weight=VALUE, delay=1.0)",
]


@pytest.mark.parametrize("line", VALUES)
@pytest.mark.parametrize("value", BROKEN)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_values_are_finite(write, line, value):
    with pytest.raises((InvalidValueError, ModelError), match=r"^mine.py, line 7, in build\(\): "):
        run(model=write(line.replace("VALUE", value)), **SHORT)


@pytest.mark.parametrize("size", ["0", "-3", "2.5", "True", "None", "'3'", "(2, 0)", "10**400"])
def test_sizes_are_whole_numbers_from_1(write, size):
    with pytest.raises(PortableCortexError, match=r"^mine.py, line 7, in build\(\): "):
        run(model=write(f"sim.Population({size}, sim.IF_curr_exp())"), **SHORT)


def test_bounds_that_do_not_bound_are_no_mistake(write):
    values = "sim.RandomDistribution('normal_clipped', mu=0, sigma=1, low=0, high=float('inf'))"
    line = (
        f"sim.Projection(cells, cells, sim.AllToAllConnector(), sim.StaticSynapse({{}}={values}))"
    )
    assert run(model=write(line.format("weight")), **SHORT).metadata["n_synapses"] == 25


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cells_and_synapses_of_the_older_functions_are_counted(write):
    line = "other = sim.create(sim.IF_curr_exp, {}, n=4); sim.connect(cells, other, weight=0.1)"
    about = run(model=write(line), **SHORT).metadata
    assert (about["n_neurons"], about["n_synapses"]) == (9, 20)


LABELS = ["", " ", "\n", "a\x1b[2J", "\ud800", "\x00", "a" * 101, "a\u202eb", "\x7f"]


@pytest.mark.parametrize("label", [*LABELS, 1, None, 1.5, b"A", ("A",)])
def test_labels_that_cannot_be(write, label):
    code = MODEL.replace('{{"A": cells}}', "").replace('{"A": cells}', f"{{{label!r}: cells}}")
    with pytest.raises(ModelError, match="the label of a population"):
        run(model=write("", code), **SHORT)


def test_one_population_under_two_labels(write):
    code = MODEL.replace('{"A": cells}', '{"A": cells, "B": cells}')
    with pytest.raises(ModelError, match="a population has one label, not 'A' and 'B'"):
        run(model=write("", code), **SHORT)


def test_a_population_of_an_earlier_run(write, tmp_path):
    (tmp_path / "helper.py").write_text("kept = []\n")
    path = write("helper.kept.append(cells); cells = helper.kept[0]")
    run(model=path, **SHORT)
    with pytest.raises(ModelError, match="made by this call"):
        run(model=path, **SHORT)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=st.text(st.characters(exclude_categories=()), max_size=110))
def test_any_label_is_saved_or_refused_before(tmp_path, label):
    """Whatever it holds ("/", ".", "%", "$"): it comes back, or there is one sentence."""
    from portable_cortex import Recording

    path = tmp_path / "any.py"
    path.write_text(
        "def build(sim, *, label=''):\n    return {label: sim.Population(2, sim.IF_curr_exp())}\n"
    )
    try:
        recording = run(model=path, label=label, **SHORT)
    except ModelError as error:
        said = str(error)
    else:
        recording.save(tmp_path / "out", overwrite=True)
        said = ""
        assert list(Recording.load(tmp_path / "out").spike_trains) == [label]
    assert not said or "the label of a population" in said


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
def test_any_file_is_a_model_or_refused(tmp_path, text):
    (tmp_path / "any.py").write_text(text, "utf-8")
    with pytest.raises(ModelError) as raised:
        run(model=tmp_path / "any.py", **SHORT)
    assert "any.py" in str(raised.value)


# --- published rates ---


RATES = MODEL + "\n    def published_rates(**parameters):\n        return RETURNED\n"


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("1 / 0", "mine.py, line 11, in published_rates(): ZeroDivisionError"),
        ("'x'", "must return a dict of label to spikes/s, not 'x'"),
        ("None", "must return a dict of label to spikes/s, not None"),
        ("{'A': float('nan')}", "must return a dict of label to spikes/s, not {'A': nan}"),
        ("{'A': -1.0}", "must return a dict"),
        ("{'A': 'many'}", "must return a dict"),
        ("{'A': 10**400}", "must return a dict"),
        ("{1: 1.0}", "must return a dict"),
        ("[('A', 1.0)]", "must return a dict"),
        ("{'Z': 1.0}", "published rates of 'Z', which the model lacks"),
    ],
)
def test_a_mistake_in_the_published_rates_costs_these_only(write, tmp_path, returned, said):
    path = write("", RATES.replace("RETURNED", returned))
    with pytest.warns(RunWarning) as warned:
        recording = run(model=path, **SHORT)
    (note,) = recording.metadata["notes"]
    assert said in note
    assert [str(w.message) for w in warned] == [note]
    assert recording.metadata["published_rates"] == {}
    recording.save(tmp_path / "out", figure=True)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["notes"] == [note]


def test_published_rates_are_known_before_anything_is_simulated(write, monkeypatch):
    from portable_cortex.backends.mock import MockBackend

    said = []
    monkeypatch.setattr("warnings.warn", lambda text, *_args, **_kwargs: said.append(text))
    monkeypatch.setattr(MockBackend, "simulate", lambda *_: said.append("simulated"))
    run(model=write("", RATES.replace("RETURNED", "1 / 0")), **SHORT)
    assert "ZeroDivisionError" in said[0]
    assert said[1:] == ["simulated"]


def test_published_rates_may_not_end_the_program(write):
    with pytest.raises(ModelError, match=r"line 11, in published_rates\(\): the model ended"):
        run(model=write("", RATES.replace("RETURNED", "sys.exit(0)")), **SHORT)


@pytest.mark.filterwarnings("default::portable_cortex.running.RunWarning")
def test_on_the_command_line(write, call):
    arguments = ("run", "--backend", "mock", "--duration", "20", "--warmup", "0", "--out", "out")
    status, _, err = call(*arguments, "--model", write("sys.exit(0)"))
    assert status == 2
    assert err.startswith("Error: ")
    assert "mine.py, line 7, in build(): the model ended the program" in err
    status, out, err = call(*arguments, "--model", write("", RATES.replace("RETURNED", "1 / 0")))
    assert status == 0
    assert "Warning: no published rates: " in err
    assert "mine.py, line 11, in published_rates(): ZeroDivisionError" in err
    assert "written to" in out
