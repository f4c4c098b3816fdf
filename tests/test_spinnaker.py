"""The SpiNNaker backend: mapping onto a machine that is not there, limits, configuration.

What needs a board runs on an emulated one, or on the board whose address is in SPINNAKER_BOARD.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import portable_cortex
from portable_cortex import load_backend
from portable_cortex.backends.spinnaker import SpinnakerOptions
from portable_cortex.backends.spinnaker._config import configuration
from portable_cortex.backends.spinnaker._target import FORMS, Target
from portable_cortex.errors import (
    BackendUnavailableError,
    InvalidValueError,
    ModelError,
    OutputError,
    UnsupportedError,
)
from portable_cortex.machine import load_machine
from portable_cortex.recording import Recording
from portable_cortex.validation.cost import cost_of
from portable_cortex.validation.verdict import Verdict, examine

BACKEND = load_backend("spinnaker")
pytestmark = pytest.mark.skipif(
    not BACKEND.availability().available, reason=BACKEND.availability().install
)
BOARD = os.environ.get("SPINNAKER_BOARD")
ON_BOARD = {"target": f"board:{BOARD}" if BOARD else "emulated"}
needs_board = pytest.mark.usefixtures() if BOARD else pytest.mark.board
STEP = 0.1


def virtual(**changes):
    settings = {"scale": 0.02, "duration": 100.0, "warmup": 0.0, "seed": 3}
    machine = changes.pop("machine", "spinnaker-van-albada-2018")
    options = {"target": "virtual", **changes.pop("options", {})}
    settings |= changes
    return portable_cortex.run(backend="spinnaker", machine=machine, options=options, **settings)


class Steps:
    """Remembers what a run says about itself."""

    def __init__(self):
        self.prepare = []

    def phase(self, name, detail="", fraction=None):
        if name == "prepare":
            self.prepare.append(detail)


@pytest.fixture(scope="module")
def steps():
    return Steps()


@pytest.fixture(scope="module")
def mapped(steps):
    return virtual(reporter=steps)


# --- mapping ------------------------------------------------------------------------------------


def test_microcircuit_is_mapped(mapped):
    about = mapped.metadata
    found = about["machine_report"]["mapping"]
    assert about["n_neurons"] == 1544
    assert about["n_synapses"] == 119_548
    assert found["machine_boards"] == found["boards"] == 1
    # 64 neurons, and 64 Poisson sources, a core
    assert found["cores"] >= 2 * np.ceil(np.array(list(mapped.n_neurons.values())) / 64).sum()
    assert found["chips"] * 18 >= found["cores"] + found["monitor_cores"] * found["chips"] / 48
    assert 0 < found["routing_entries_largest"] <= found["routing_entries_available"]
    # at least a word a synapse is reserved, and nothing like it is generated on the host
    assert found["reserved_bytes"] > 4 * 119_548 > found["generated_bytes"]
    assert found["time_scale_factor"] == 20
    assert {"spinnaker_mapping", "spinnaker_data_generation"} <= set(about["phases_s"])


def test_a_virtual_machine_simulates_nothing(mapped):
    assert mapped.spike_trains == {}
    assert mapped.metadata["real_time_factor"] is None
    assert mapped.metadata["energy"] == []
    assert "simulate" not in mapped.metadata["phases_s"]
    with pytest.raises(OutputError, match="virtual"):
        cost_of(mapped)
    with pytest.raises(UnsupportedError, match="simulates nothing"):
        virtual(record=["v:L4E:1"])


def test_more_neurons_a_core_need_fewer_cores(mapped):
    fewer = virtual(options={"neurons_per_core": 32}).metadata["machine_report"]["mapping"]
    assert fewer["cores"] > 1.5 * mapped.metadata["machine_report"]["mapping"]["cores"]


def test_what_does_not_fit_is_said():
    with pytest.raises(UnsupportedError, match="does not fit"):
        virtual(scale=0.1, options={"version": 3, "boards": 1})


def test_other_models_are_mapped():
    found = virtual(model="brunel2000", scale=0.04)
    assert found.metadata["n_synapses"] == 500 * 50


def test_on_the_command_line(call):
    status, out, err = call(
        "run", "--backend", "spinnaker", "--target", "virtual", "--scale", 0.02,
        "--warmup", 0, "--duration", 100, "--out", "there",
    )  # fmt: skip
    assert status == 0, err
    assert "boards 1" in out
    assert "nothing was simulated" in out
    assert Recording.load("there").metadata["machine_report"]["target"] == "virtual"


def test_the_steps_of_the_mapping_are_told(mapped, steps):
    phases = list(dict.fromkeys(step.partition(":")[0] for step in steps.prepare if step))
    assert phases[:3] == ["mapping", "loading", "data generation"]
    placing = [step for step in steps.prepare if step.startswith("mapping: Placing Vertices")]
    assert placing[0].endswith(" 0 %")
    assert placing[-1].endswith(" 100 %")
    assert "data generation: Generating data specifications 50 %" in steps.prepare


def test_bars_in_the_log_are_told():
    from spinn_utilities.progress_bar import ProgressBar

    from portable_cortex.backends.spinnaker._progress import Log

    told, file = [], io.StringIO()
    log = Log(file, lambda fraction, detail="": told.append((fraction, detail)))
    log.phase("mapping")
    with contextlib.redirect_stderr(log):
        print("2 machines = found", file=sys.stderr)
        for _ in ProgressBar(4, "Placing").over(range(4)):
            pass
        print("5 = 5 all is well", file=sys.stderr)
    assert told[0] == (None, "mapping")
    assert list(dict.fromkeys(told[1:])) == [
        (None, f"mapping: Placing {percent} %") for percent in (*range(0, 101),)
        if percent in {100 * n // 60 for n in range(61)}
    ]  # fmt: skip
    assert "all is well" in file.getvalue()


# --- configuration ------------------------------------------------------------------------------


def test_home_and_current_folder_stay_as_they_are(tmp_path):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    for folder in (home, here):  # of another machine, and with an error in it
        name = ".spynnaker.cfg" if folder is home else "spynnaker.cfg"
        (folder / name).write_text("[Machine]\nmachine_name = elsewhere\n[Nonsense]\nx = 1\n")
    reports = tmp_path / "reports"
    code = (
        "import portable_cortex\n"
        "r = portable_cortex.run(backend='spinnaker', machine='spinnaker-van-albada-2018',"
        f" scale=0.02, duration=10.0, warmup=0.0, options={{'reports': {str(reports)!r}}})\n"
        "print(r.metadata['machine_report']['mapping']['boards'])"
    )
    environment = {**os.environ, "HOME": str(home), "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"
    assert done.stderr == ""
    assert [p.name for p in home.iterdir() if p.name != ".cache"] == [".spynnaker.cfg"]
    assert [p.name for p in here.iterdir()] == ["spynnaker.cfg"]
    kept = (reports / "spynnaker.cfg").read_text()
    assert "virtual_board = True" in kept
    assert "elsewhere" not in kept


def test_the_log_is_closed_before_its_file(tmp_path):
    """At exit Python 3.13 would say that it cannot be flushed."""
    from portable_cortex.backends.spinnaker import _namespace

    before, _namespace.state.folder = _namespace.state.folder, tmp_path
    try:
        with _namespace.logged():
            print("something")
            log = sys.stdout
    finally:
        _namespace.state.folder = before
    assert log.closed
    assert (tmp_path / _namespace.LOG).read_text() == "something\n"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("virtual", "virtual_board = True"),
        ("board:192.168.240.1", "machine_name = 192.168.240.1"),
        ("spalloc:https://spinnaker.example/spalloc", "spalloc_server = https://spinnaker.example"),
        ("spalloc:spinnaker.example", "spalloc_server = spinnaker.example"),
        ("portal", "[Machine]"),
    ],
)
def test_targets_become_configuration(target, expected, tmp_path):
    text = configuration(asdict(SpinnakerOptions()), Target.parse(target), tmp_path)
    assert expected in text
    assert ("version = 5" in text) == (target != "portal")
    for other in ("virtual_board", "machine_name", "spalloc_server"):
        assert (other in text) == (other in expected)


@pytest.mark.parametrize(
    "target",
    ["", "board", "board:", "board:a b", "virtual:", "portal:x", "spalloc:", "spalloc:ftp://x",
     "board:../x", "nowhere", "board:-x"],
)  # fmt: skip
def test_unknown_targets(target):
    with pytest.raises(InvalidValueError) as caught:
        virtual(options={"target": target})
    for form in FORMS:
        assert form in str(caught.value)


def test_passwords_are_not_taken_into_options():
    with pytest.raises(InvalidValueError, match="SPALLOC_PASSWORD") as caught:
        Target.parse("spalloc:https://me:s3cret@spinnaker.example/spalloc")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"version": "4"}, {"boards": "0"}, {"time_scale_factor": "0"}, {"neurons_per_core": "0"},
     {"neurons_per_core": "257"}, {"spikes_per_second": "0"}, {"nonsense": "1"},
     {"boards": "2", "version": "3"}],
)  # fmt: skip
def test_options_are_checked(options):
    with pytest.raises(InvalidValueError, match=next(iter(options))):
        virtual(options=options)


def test_portal_is_for_the_portal():
    with pytest.raises(UnsupportedError, match="portable-cortex submit"):
        virtual(options={"target": "portal"})


def test_no_emulator_is_said(monkeypatch):
    from portable_cortex.backends import spinnaker

    monkeypatch.setattr(spinnaker, "EMULATOR", "portable_cortex.backends.nowhere")
    with pytest.raises(BackendUnavailableError, match="board:HOST"):
        virtual(options={"target": "emulated", "version": "3"})


@pytest.mark.parametrize(
    "name",
    ["spinnaker-van-albada-2018", "spinnaker-rhodes-2019", "spin3", "spin5", "spinnaker-portal"],
)
def test_machine_files(name):
    machine = load_machine(name)
    assert machine.backends == ("spinnaker",)
    Target.parse(machine.options_for(BACKEND).target)
    with pytest.raises(UnsupportedError, match="not 'mock'"):
        machine.options_for(load_backend("mock"))


def test_published_settings():
    slow = load_machine("spinnaker-van-albada-2018").options_for(BACKEND)
    assert (slow.time_scale_factor, slow.neurons_per_core, slow.synapse_cores) == (20, 64, 0)
    real_time = load_machine("spinnaker-rhodes-2019").options_for(BACKEND)
    assert (real_time.time_scale_factor, real_time.boards) == (1, 12)
    assert not slow.reinjection


# --- limits -------------------------------------------------------------------------------------


MODEL = """
def build(sim, *, delay={delay}, weight={weight}, strong=0.1):
    cells = sim.Population(100, sim.IF_curr_exp(), label="a")
    other = sim.Population(100, sim.IF_curr_exp(), label="b")
    sim.Projection(cells, other, sim.AllToAllConnector(),
                   sim.StaticSynapse(weight=weight, delay=delay), label="a→b")
    sim.Projection(other, other, sim.OneToOneConnector(),
                   sim.StaticSynapse(weight=strong, delay=1.0), label="b→b")
    return {{"a": cells, "b": other}}
"""


@pytest.fixture
def model(tmp_path):
    def write(delay="1.0", weight="0.1"):
        path = tmp_path / "mine.py"
        path.write_text(MODEL.format(delay=delay, weight=weight))
        return path

    return write


def test_delays_beyond_the_machine(model):
    with pytest.raises(UnsupportedError, match=r"a→b: delays reach 20.* holds 12\.7 ms"):
        portable_cortex.run(
            backend="spinnaker", machine="spinnaker-van-albada-2018", model=model(delay="20.0"),
            warmup=0.0, duration=10.0,
        )  # fmt: skip


def test_longer_delays_with_extensions(model):
    found = portable_cortex.run(
        backend="spinnaker", machine="spinnaker-van-albada-2018", model=model(delay="20.0"),
        warmup=0.0, duration=10.0, options={"delay_extensions": "true"},
    )  # fmt: skip
    assert found.metadata["n_synapses"] == 10_100


def test_weights_that_vanish(model):
    with pytest.raises(UnsupportedError, match="would become zero"):
        portable_cortex.run(
            backend="spinnaker", machine="spinnaker-van-albada-2018", model=model(),
            warmup=0.0, duration=10.0, weight=1e-5, strong=200.0,
        )  # fmt: skip


def test_weights_that_become_coarse_are_recorded(model, mapped):
    found = portable_cortex.run(
        backend="spinnaker", machine="spinnaker-van-albada-2018", model=model(),
        warmup=0.0, duration=10.0, weight=0.1, strong=200.0,
    )  # fmt: skip
    (note,) = found.metadata["machine_report"]["rounding"]
    assert note.startswith("a→b: weights of about 0.1 are rounded to multiples of ")
    assert mapped.metadata["machine_report"]["rounding"] == []


def test_distributions_that_the_board_cannot_draw_are_drawn_by_the_core(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def build(sim):\n"
        "    cells = sim.Population(10, sim.IF_curr_exp(), label='a')\n"
        "    weight = sim.RandomDistribution('lognormal', mu=0.1, sigma=0.1)\n"
        "    sim.Projection(cells, cells, sim.FixedTotalNumberConnector(20),"
        " sim.StaticSynapse(weight=weight, delay=1.0))\n"
        "    return {'a': cells}\n"
    )
    found = portable_cortex.run(
        backend="spinnaker", machine="spinnaker-van-albada-2018", model=path,
        warmup=0.0, duration=10.0,
    )  # fmt: skip
    assert found.metadata["n_synapses"] == 20


def test_more_synapses_of_a_source_onto_a_core_than_it_takes(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def build(sim):\n"
        "    a, b = (sim.Population(64, sim.IF_curr_exp(), label=n) for n in 'ab')\n"
        "    many = sim.FixedNumberPostConnector(257, with_replacement=True)\n"
        "    sim.Projection(a, b, many, sim.StaticSynapse(weight=0.1, delay=1.0))\n"
        "    return {'a': a, 'b': b}\n"
    )
    given = {"model": path, "warmup": 0.0, "duration": 10.0}
    for realisation in ("native", "shared"):
        with pytest.raises(UnsupportedError, match=r"\(256 for this .*neurons_per_core"):
            portable_cortex.run(
                backend="spinnaker", machine="spinnaker-van-albada-2018", realisation=realisation,
                **given,
            )  # fmt: skip
    fewer = portable_cortex.run(
        backend="spinnaker", machine="spinnaker-van-albada-2018", realisation="shared",
        options={"neurons_per_core": "32"}, **given,
    )  # fmt: skip
    assert fewer.metadata["n_synapses"] == 64 * 257


@pytest.mark.parametrize("row", [(64, 0), (0, 64), (-1, 0)])
def test_lists_of_neurons_that_do_not_exist(tmp_path, row):
    path = tmp_path / "mine.py"
    path.write_text(
        "def build(sim):\n"
        "    cells = sim.Population(64, sim.IF_curr_exp(), label='a')\n"
        f"    sim.Projection(cells, cells, sim.FromListConnector([{row}]),"
        " sim.StaticSynapse(weight=0.1, delay=1.0))\n"
        "    return {'a': cells}\n"
    )
    with pytest.raises(ModelError, match=r"out of range.* valid are 0 to 63"):
        portable_cortex.run(
            backend="spinnaker", machine="spinnaker-van-albada-2018", model=path,
            warmup=0.0, duration=10.0,
        )  # fmt: skip


# --- doubts -------------------------------------------------------------------------------------


def test_doubts_are_told_from_notes():
    from portable_cortex.backends.spinnaker._report import doubts, one_of_each

    said = one_of_each(
        [
            "The weights from the synapses for L4E(0:63) saturated 3 times. ",
            "The weights from the synapses for L4E(64:127) saturated 5 times. ",
            "The input buffer for L4E lost packets on 2 occasions.",
            "A Timer tick callback in L4E was still executing when the next was fired 3 times.",
            "On L4E, 7 packets arrived too late to be processed in a given time step.",
            "The router on 0, 0 has dropped 3 multicast route packets.",
            "A maximum of 2 background tasks were queued on L4E.",
        ]
    )
    assert said[0].endswith("(and 1 more like it)")
    assert doubts(said) == said[:-1]


# what sPyNNaker reports although the network ran as described
HARMLESS = re.compile(
    "background tasks|failed population table searches|filter for stopping redundant DMAs"
    "|packets were dumped from (outgoing links|cores)|sequences were lost"  # and sent again
    "|If you expected packets"  # silent neurons are none the less
)


def reports(package):
    """Texts that a package reports after a run, with 1 in the place of what it fills in."""
    (folder,) = importlib.util.find_spec(package).submodule_search_locations
    for path in Path(folder).rglob("*.py"):
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if "insert_report(" in text else ():
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "insert_report":
                (said,) = node.args
                if isinstance(said, ast.JoinedStr | ast.Constant):
                    parts = getattr(said, "values", [said])
                    yield "".join(str(getattr(part, "value", "")) if isinstance(part, ast.Constant)
                                  else "1" for part in parts)  # fmt: skip


@pytest.mark.parametrize("package", ["spynnaker", "spinn_front_end_common"])
def test_every_report_is_a_doubt_or_known_to_be_none(package):
    from portable_cortex.backends.spinnaker._report import DOUBT

    found = set(reports(package))
    assert len(found) > 10
    assert sorted(t for t in found if bool(DOUBT.search(t)) == bool(HARMLESS.search(t))) == []


def test_a_doubtful_run_is_not_judged(mock_reference, mock_run, tmp_path):
    sound = Recording.load(mock_run)
    assert examine(mock_run, mock_reference).comparison.verdict is Verdict.AGREES
    doubtful = Recording(
        sound.n_neurons, sound.spike_trains, {**sound.metadata, "warnings": ["weights saturated"]}
    ).save(tmp_path / "doubtful")
    found = examine(doubtful, mock_reference).comparison
    assert found.verdict is Verdict.UNDECIDED
    assert "weights saturated" in found.reason
    assert found.tests


@pytest.mark.parametrize("name", ["_report", "_target"])
def test_docstrings(name):
    module = importlib.import_module(f"portable_cortex.backends.spinnaker.{name}")
    result = doctest.testmod(module)
    assert result.attempted
    assert result.failed == 0


# --- on a board ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def on_board():
    """One network on a board: neurons driven by a current and by each other, read out."""
    from portable_cortex.models.parameters import PD14

    backend = load_backend("spinnaker")
    # synapses on the cores of their neurons; the contract tests have them on cores of their own
    options = {**ON_BOARD, "version": "3", "time_scale_factor": "2", "synapse_cores": "0"}
    sim = backend.simulator(load_machine("local").options_for(backend, options))
    backend.setup(sim, timestep=STEP, seed=7)
    neuron = PD14.neuron.as_pynn()
    found = {}
    driven = sim.Population(1, sim.IF_curr_exp(**neuron, i_offset=0.8), label="driven")
    source = sim.Population(1, sim.SpikeSourceArray(spike_times=[10.0]), label="source")
    relay, target_, psp = (
        sim.Population(1, sim.IF_curr_exp(**neuron), label=n) for n in ("relay", "target", "psp")
    )
    for population in (driven, relay, target_, psp):
        population.initialize(v=-65.0)
    one = sim.OneToOneConnector
    sim.Projection(source, relay, one(), sim.StaticSynapse(weight=200.0, delay=1.0))
    sim.Projection(relay, target_, one(), sim.StaticSynapse(weight=200.0, delay=2.3))
    sim.Projection(source, psp, one(), sim.StaticSynapse(weight=0.0878, delay=1.5))
    a, b = (sim.Population(64, sim.IF_curr_exp(**neuron), label=n) for n in "ab")
    normal = sim.RandomDistribution("normal_clipped", mu=1.5, sigma=0.75, low=0.05, high=np.inf)
    drawn = sim.Projection(
        a, b, sim.FixedTotalNumberConnector(8000), sim.StaticSynapse(weight=0.1, delay=normal)
    )
    inhibitory = sim.Projection(
        a, b, one(), sim.StaticSynapse(weight=-0.4, delay=0.3), receptor_type="inhibitory"
    )
    rows = [[0, 19, 0.5, 2.0], [3, 5, 0.125, 0.3], [3, 5, 0.25, 1.5]]
    listed = sim.Projection(
        a, b, sim.FromListConnector(rows, column_names=("weight", "delay")), sim.StaticSynapse()
    )
    for population in (driven, source, relay, target_):
        population.record("spikes")
    psp.record("v")
    backend.prepare(sim, lambda fraction, detail="": None)
    backend.simulate(sim, 20.0, lambda fraction, detail="": None)
    backend.simulate(sim, 20.0, lambda fraction, detail="": None)
    for population in (driven, source, relay, target_):
        found[population.label] = backend.spikes(population).times
        (train,) = population.get_data("spikes").segments[0].spiketrains
        np.testing.assert_allclose(train.rescale("ms").magnitude, found[population.label])
    found["v"] = backend.signal(psp, "v")
    for name, projection in (("drawn", drawn), ("inhibitory", inhibitory), ("listed", listed)):
        table = np.array(projection.get(["weight", "delay"], format="list"), dtype=float)
        found[name] = table[np.lexsort(table.T[::-1])]
        assert len(projection) == len(table)
    found["energy"], found["phases"] = backend.energy(), dict(backend.phases())
    found["details"], found["doubts"] = dict(backend.details()), list(backend.doubts())
    backend.end(sim)
    return found


@needs_board
def test_spikes_are_stamped_as_in_nest(on_board):
    np.testing.assert_allclose(on_board["driven"], [6.4, 14.8, 23.2, 31.6, 40.0])
    np.testing.assert_allclose(on_board["source"], [10.0])


@needs_board
def test_delays_last_as_in_nest(on_board):
    # a spike at 10 arrives after 1 ms and makes its target fire within the next step
    np.testing.assert_allclose(on_board["relay"], [11.1])
    np.testing.assert_allclose(on_board["target"], [11.1 + 2.3 + STEP])


@needs_board
def test_membrane_potential(on_board):
    from portable_cortex.models.parameters import PD14

    n = PD14.neuron
    signal = on_board["v"]
    t = np.maximum(np.arange(len(signal.values)) * STEP - 11.5, 0)
    expected = 0.0878 / n.cm * n.tau_m * n.tau_syn / (n.tau_m - n.tau_syn)
    expected *= np.exp(-t / n.tau_m) - np.exp(-t / n.tau_syn)
    np.testing.assert_allclose(signal.values[:, 0] - n.v_rest, expected, atol=2e-3)


@needs_board
def test_delays_are_rounded_not_cut_off(on_board):
    delays = on_board["drawn"][:, 3]
    assert len(delays) == 8000
    # cut at -1.9333 SD: mean 1.5 + 0.75 * 0.0633; cut off to steps it would be 1.5
    assert delays.mean() == pytest.approx(1.5475, abs=4 * 0.70 / np.sqrt(8000))
    assert delays.min() == pytest.approx(STEP)
    np.testing.assert_allclose(delays / STEP, np.round(delays / STEP), atol=1e-6)
    np.testing.assert_allclose(on_board["inhibitory"][:, 3], 0.3)


@needs_board
def test_weights_have_their_sign_and_16_bits(on_board):
    np.testing.assert_allclose(on_board["inhibitory"][:, 2], -0.4, rtol=1e-3)
    np.testing.assert_allclose(
        on_board["listed"], [[0, 19, 0.5, 2.0], [3, 5, 0.125, 0.3], [3, 5, 0.25, 1.5]], rtol=2e-2
    )


@needs_board
def test_energy_phases_and_doubts(on_board):
    energy = on_board["energy"]
    assert energy.kind == "modelled"
    assert "no measurement" in energy.note
    assert energy.joules > 0
    for phase in ("mapping", "data_generation", "loading", "run", "extraction"):
        assert on_board["phases"][f"spinnaker_{phase}"] > 0
    assert on_board["details"]["mapping"]["boards"] == 1
    assert on_board["doubts"] == []
    assert all(
        0 < x < 0.01 for x in np.concatenate([*on_board["details"]["weight_steps"].values()])
    )
    json.dumps(on_board["details"])


@pytest.mark.skipif(BOARD is not None, reason="on a board: nothing is emulated")
@needs_board
def test_what_an_emulated_board_says_of_itself(on_board):
    load = on_board["details"]["emulated_board"]
    assert set(load["meaning"]) == {"arithmetic", "overload", "energy"}
    assert 0 < load["busiest_tick"] < 1
    assert load["overran"] == []
    assert load["warning"] == ""
    assert "no real machine" in on_board["energy"].note


@pytest.mark.skipif(BOARD is not None, reason="on a board: nothing is emulated")
@needs_board
@pytest.mark.parametrize(
    ("scale", "options", "used"),
    [
        pytest.param(0.005, {"boards": "2"}, 1, id="given"),  # which come in threes
        pytest.param(0.02, {"neurons_per_core": "2"}, 3, id="needed", marks=pytest.mark.slow),
    ],
)
def test_as_many_boards_are_emulated_as_are_given_or_needed(scale, options, used):
    found = virtual(
        n_scale=scale, k_scale=0.002, timestep=1.0, duration=5.0,
        options={"target": "emulated", **options},
    )  # fmt: skip
    mapping = found.metadata["machine_report"]["mapping"]
    assert (mapping["boards"], mapping["machine_boards"]) == (used, 3)


@pytest.mark.skipif(BOARD is not None, reason="on a board: nothing is emulated")
@needs_board
def test_more_boards_than_can_be_emulated_are_refused():
    with pytest.raises(InvalidValueError, match="at most 253 boards"):
        virtual(timestep=1.0, options={"target": "emulated", "boards": "300"})


@needs_board
@pytest.mark.slow
def test_shared_realisation_is_what_the_board_holds():
    """Reads 120,000 synapses back, of all projections, after a run."""
    from portable_cortex.host.clock import Clock
    from portable_cortex.models import pd14 as model
    from portable_cortex.models.loader import Model
    from portable_cortex.pynn.watching import build_network

    backend = load_backend("spinnaker")
    sim = backend.simulator(load_machine("local").options_for(backend, ON_BOARD))
    backend.setup(sim, timestep=STEP, seed=7)
    network = build_network(
        Model("pd14", model.build), {"scale": 0.02}, sim, backend_name=backend.name,
        clock=Clock(), shared_seed=11, on_progress=lambda label: None,
    )  # fmt: skip
    backend.prepare(sim, lambda fraction, detail="": None)
    backend.simulate(sim, 10.0, lambda fraction, detail="": None)
    n = 0
    for projection in network.recurrent:
        # what the core drew: delays on the grid, weights of 32 bits
        drawn = by_rows(projection.connector.conn_list)
        held = by_rows(projection.get(["weight", "delay"], format="list"))
        np.testing.assert_array_equal(held[:, :2], drawn[:, :2])
        np.testing.assert_allclose(held[:, 3], drawn[:, 3], rtol=1e-9)
        vertex, info = projection.post._vertex, projection._synapse_information
        units = vertex.get_weight_scales(vertex.get_ring_buffer_shifts())[info.synapse_type]
        assert np.abs(held[:, 2] - drawn[:, 2]).max() <= 0.5 / units * (1 + 1e-6)
        n += len(held)
    backend.end(sim)
    assert n == 119_548


def by_rows(table):
    """By source, target, delay and weight: the order of synapses of a pair means nothing."""
    table = np.array(table, dtype=float).reshape(-1, 4)
    return table[np.lexsort(table[:, [2, 3, 1, 0]].T)]


@needs_board
@pytest.mark.parametrize(
    ("time_scale_factor", "doubts"),
    [(1, ["saturated", "too late", "did not end"]), (50, ["saturated"])],
)
def test_what_a_machine_cannot_do_leaves_a_doubt(tmp_path, call, time_scale_factor, doubts):
    """200 neurons fire in one step, and one neuron gets twice the mean input; up to the verdict."""
    path = tmp_path / "mine.py"
    path.write_text(
        "def build(sim):\n"
        "    a = sim.Population(200, sim.IF_curr_exp(i_offset=2.0), label='a')\n"
        "    b = sim.Population(2, sim.IF_curr_exp(), label='b')\n"
        "    rows = [(i, j, (0.01, 3.0)[j], 1.0) for i in range(200) for j in range(2)]\n"
        "    sim.Projection(a, b, sim.FromListConnector(rows), sim.StaticSynapse())\n"
        "    return {'a': a}\n"
    )
    recording = portable_cortex.run(
        backend="spinnaker", model=path, warmup=0.0, duration=20.0,
        options={
            **ON_BOARD, "version": "3", "ring_buffer_sigma": "0", "spikes_per_second": "1",
            "time_scale_factor": str(time_scale_factor),
        },
    )  # fmt: skip
    warnings = recording.metadata["warnings"]
    for doubt in doubts:
        assert any(doubt in warning for warning in warnings), warnings
    recording.save(tmp_path / "doubtful")
    status, out, _ = call("validate", tmp_path / "doubtful", "--against", tmp_path / "doubtful")
    assert status == 2
    assert "saturated" in out


@needs_board
@pytest.mark.slow
def test_microcircuit_on_a_board(tmp_path):
    recording = portable_cortex.run(
        backend="spinnaker", options={**ON_BOARD, "time_scale_factor": "10"},
        scale=0.02, duration=200.0, warmup=50.0, seed=3,
    )  # fmt: skip
    nest = portable_cortex.run(backend="nest", scale=0.02, duration=200.0, warmup=50.0, seed=4)
    assert recording.metadata["warnings"] == []
    counts = [sum(s.times.size for s in r.spike_trains.values()) for r in (recording, nest)]
    # some 280 spikes each; half as many again would be more than chance
    assert counts[0] == pytest.approx(counts[1], rel=0.5)
