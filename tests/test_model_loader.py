"""Models by name and from a user's file."""

from __future__ import annotations

import textwrap

import pytest

from portable_cortex import run
from portable_cortex.errors import (
    InvalidValueError,
    ModelError,
    ModelWarning,
    UnknownNameError,
    UnsupportedError,
)
from portable_cortex.models.loader import load_model

MINE = """
    def build(sim, *, n=10, weight=0.1, seed=1):
        cells = sim.Population(n, sim.IF_curr_exp(), label="cells")
        sim.Projection(
            cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=weight, delay=1.0)
        )
        return {"cells": cells}
"""


@pytest.fixture
def write(tmp_path):
    def write(code, name="mine.py"):
        (tmp_path / name).write_text(textwrap.dedent(code), encoding="utf-8")
        return tmp_path / name

    return write


def short(model, **parameters):
    return run(model=model, backend="mock", warmup=0.0, duration=20.0, **parameters)


def test_models_of_the_package():
    assert load_model("pd14").published_rates()["L4E"] == 4.414
    assert load_model("pd14").parameters["drive"] == "poisson"
    assert load_model("brunel2000").published_rates is None


def test_unknown_model_lists_the_names():
    with pytest.raises(UnknownNameError, match=r"'pd15'.*pd14, brunel2000.*\.py file"):
        load_model("pd15")


@pytest.mark.parametrize("as_text", [False, True])
def test_a_users_model_runs(write, as_text):
    path = write(MINE)
    recording = short(str(path) if as_text else path, n=7)
    assert recording.n_neurons == {"cells": 7}
    assert recording.metadata["n_synapses"] == 49
    assert recording.metadata["parameters"] == {"n": 7, "weight": 0.1, "seed": 1}
    assert recording.metadata["model"] == str(path)
    assert recording.metadata["published_rates"] == {}


def test_published_rates_of_a_users_model(write):
    path = write(MINE + "\n    def published_rates(**parameters):\n        return {'cells': 5.0}\n")
    assert short(path).metadata["published_rates"] == {"cells": 5.0}


def test_two_models_of_the_same_file_name(write, tmp_path):
    (tmp_path / "other").mkdir()
    first, second = write(MINE), write(MINE.replace("n=10", "n=3"), "other/mine.py")
    assert short(first).n_neurons == {"cells": 10}
    assert short(second).n_neurons == {"cells": 3}


def test_a_users_model_may_define_data_classes(write):
    path = write(
        """
        from __future__ import annotations
        from dataclasses import dataclass

        @dataclass
        class Sizes:
            cells: int = 4

        def build(sim):
            return {"cells": sim.Population(Sizes().cells, sim.IF_curr_exp())}
        """
    )
    assert short(path).n_neurons == {"cells": 4}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1", "build(sim, ...)"),
        ("build = 3", "build(sim, ...)"),
        ("def build():\n    return {}", "build(sim, ...)"),
        ("def build(sim:\n    pass", "SyntaxError"),
        ("raise ValueError('not today')", "ValueError: not today"),
        ("import a_module_that_is_not_here", "a_module_that_is_not_here"),
    ],
)
def test_a_file_that_cannot_be_used(write, code, said):
    with pytest.raises(ModelError) as raised:
        load_model(write(code))
    assert "mine.py" in str(raised.value)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("top", "inside"),
    [
        ("import pyNN.mock as other", ""),
        ("from pyNN import mock", ""),
        ("", "import pyNN.mock"),
        ("", "import pyNN.mock as other"),
        ("", "from pyNN import random, mock"),
        ("", "from pyNN.mock import setup"),
    ],
)
def test_another_simulator_than_the_one_that_runs(write, top, inside):
    code = top + textwrap.dedent(MINE.replace("cells =", f"{inside}\n        cells =", 1))
    with pytest.warns(ModelWarning, match=r"imports pyNN\.mock: what it makes there is in no run"):
        load_model(write(code))


def test_imports_that_are_no_other_simulator(write, recwarn):
    code = """
        import pyNN
        from pyNN.random import RandomDistribution

        def build(sim):
            from pyNN import space
            return {"cells": sim.Population(3, sim.IF_curr_exp(), structure=space.Line())}

        if __name__ == "__main__":
            import pyNN.mock as sim
    """
    load_model(write(code))
    assert not [w for w in recwarn if issubclass(w.category, ModelWarning)]


def test_a_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"no model file .*nowhere\.py"):
        load_model(tmp_path / "nowhere.py")


def test_a_file_that_is_no_python(write):
    with pytest.raises(UnknownNameError, match=r"mine\.txt.*\.py file"):
        load_model(write(MINE, "mine.txt"))


def test_unknown_parameter_lists_the_valid_ones(write):
    with pytest.raises(
        UnknownNameError,
        match=r"'wieght'.*'mine'.*n, weight, seed.*'weight'",
    ):
        short(write(MINE), wieght=1)
    with pytest.raises(
        UnknownNameError,
        match=r"'size'.*'pd14'.*scale, n_scale, k_scale, drive",
    ):
        run(backend="mock", size=3)


@pytest.mark.parametrize(
    "returned",
    [
        "None",
        "[cells]",
        "cells",
        "{}",
        "{'cells': 3}",
        "{'cells': cells[:2]}",
        "{'cells': [cells]}",
    ],
)
def test_build_must_return_its_populations(write, returned):
    path = write(
        f"""
        def build(sim):
            cells = sim.Population(5, sim.IF_curr_exp())
            return {returned}
        """
    )
    with pytest.raises(ModelError, match=r"'mine' must return a dict of label to Population"):
        short(path)


def test_a_parameter_without_default_is_asked_for_by_name(write):
    path = write("def build(sim, n):\n    return {'a': sim.Population(n, sim.IF_curr_exp())}")
    assert short(path, n=3).n_neurons == {"a": 3}
    with pytest.raises(InvalidValueError, match="'n'"):
        short(path)


def test_a_model_with_open_parameters_can_be_saved(write, tmp_path):
    path = write(
        "def build(sim, **sizes):\n"
        "    sizes = sizes or {'a': 2}\n"
        "    return {k: sim.Population(n, sim.IF_curr_exp()) for k, n in sizes.items()}"
    )
    short(path).save(tmp_path / "run")
    assert (tmp_path / "run" / "run.json").exists()
    assert short(path, b=3).n_neurons == {"b": 3}


def test_what_the_simulator_lacks_is_named(write):
    path = write("def build(sim):\n    return {'a': sim.Population(2, sim.IF_quantum_exp())}")
    with pytest.raises(UnsupportedError, match=r"'mock' has no 'IF_quantum_exp'"):
        short(path)


@pytest.mark.parametrize(("name", "value"), [("scale", -1), ("k_scale", 0), ("drive", "ac")])
def test_scale_and_drive_are_judged_without_a_simulator(name, value):
    with pytest.raises(InvalidValueError, match=f"^{name} must be"):
        load_model("pd14").check({name: value})
