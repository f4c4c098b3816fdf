"""sPyNNaker scripts, end to end on the emulated board."""

import functools
import json
import math
import struct
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import pytest

from portable_cortex.backends.spinnaker.board import EmulatedBoard, native, watchdog
from portable_cortex.backends.spinnaker.board.chip import SYNC0, SYNC1, Chip
from portable_cortex.backends.spinnaker.board.geometry import geometry
from portable_cortex.backends.spinnaker.board.server import Server
from portable_cortex.errors import BackendUnavailableError

pytest.importorskip("spynnaker", reason="pip install spynnaker")
try:
    native.library()
except BackendUnavailableError as missing:
    pytest.skip(str(missing), allow_module_level=True)

SCRIPTS = Path(__file__).parent / "spinnaker_board"


# Runs scripts in copies of a process that has imported sPyNNaker, which takes longer than they do.
INTERPRETER = """
import json, os, runpy, sys
import spynnaker.pyNN
for line in sys.stdin:
    script, folder = json.loads(line)
    if not (copy := os.fork()):
        break
    print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)
else:
    sys.exit()
os.dup2(os.open(f"{folder}/said", os.O_WRONLY | os.O_CREAT), 1)
os.dup2(1, 2)
os.chdir(folder)
os.environ["HOME"] = folder
sys.argv = [script, f"{folder}/out.json"]
runpy.run_path(script, run_name="__main__")
"""


@functools.cache
def interpreter():
    return subprocess.Popen(
        [sys.executable, "-c", INTERPRETER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module", autouse=True)
def _end():
    yield
    interpreter().communicate()
    interpreter.cache_clear()


def results(folder, script, configuration):
    """Results of a script, with sPyNNaker's defaults but for this configuration."""
    (folder / "spynnaker.cfg").write_text(configuration)
    (folder / ".spynnaker.cfg").write_text("")
    process = interpreter()
    print(json.dumps([str(SCRIPTS / f"{script}.py"), str(folder)]), file=process.stdin, flush=True)
    status = process.stdout.readline()
    assert status == "0\n", (folder / "said").read_text()[-4000:]
    return json.loads((folder / "out.json").read_text())


def run(folder, script, *, settings="", **board_settings):
    """Results of a script on a board, and the board's report."""
    with EmulatedBoard(**board_settings) as board:
        return results(folder, script, board.configuration + settings), board.report()


def potentials(i_offset, n):
    """Of the fixed-point update: v' = alpha - exp(-dt/tau) (alpha - v) in s16.15.

    alpha = v_rest + R I (lif_neuron_impl.h)
    """
    one = 1 << 15
    decay, alpha, v = round(math.exp(-1 / 20) * one), int((-65 + 20 * i_offset) * one), -65 * one
    for _ in range(n):
        yield v / one
        v = alpha - ((alpha - v) * decay >> 15)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return run(tmp_path_factory.mktemp("one"), "network", version=3, threads=1)


def test_potentials_are_those_of_the_fixed_point_update_bit_by_bit(outcome):
    assert outcome[0]["driven"] == list(potentials(0.5, 200))


def test_spikes_arrive_after_their_delay_and_weights_are_as_given(outcome):
    found, _ = outcome
    assert found["spikes"] == [[13.0, 30.0], [14.0], [15.0]]
    assert found["weights"] == [[float(i), float(i), 5.0, 2.0] for i in range(3)]
    for first, v in zip((5, 6, 7), found["v"], strict=True):
        # arrives after 2 ms, is added to the current in the next step, moves v in that after it
        at = next(i for i, x in enumerate(v) if x != -65.0)
        assert at == first + 3


def test_poisson_sources_fire_at_their_rate(outcome):
    n = sum(map(len, outcome[0]["poisson"]))
    assert abs(n - 1000) < 4 * math.sqrt(1000)  # 100 sources, 50 spikes/s, 0.2 s


def test_plastic_weights_change_by_the_pair_rule(outcome):
    """A+ exp(-dt/tau) for pre before post, less A- after it; the delay is dendritic."""
    found, _ = outcome
    first, second = 10.0, 100.0
    arrivals = [t + 1.0 for t in found["post"]]
    assert len(arrivals) >= 2
    weight = 1.0
    for t in arrivals:
        weight += 0.1 * math.exp(-(t - first) / 20.0) - 0.12 * math.exp(-(second - t) / 20.0)
    assert found["plastic"] == pytest.approx(weight, abs=0.001)


def test_all_rules_of_plasticity_change_weights_as_they_should(tmp_path):
    """Spikes at 54 and 64 ms, at the synapse a ms later; inputs at 50 and 70, both at 150 ms."""
    found, _ = run(tmp_path, "plasticity", version=3)
    assert all(cell["spikes"] == [[54.0], [64.0]] for cell in found.values())
    weights = {name: cell["weights"] for name, cell in found.items()}
    up, down = (0.1 * math.exp(-5 / 20), 0.12 * math.exp(-5 / 20))
    for name in (
        "pair, additive",
        "pair, multiplicative",
    ):  # both scale by 1: from 1 to 2, and to 0
        late = [0.12 * math.exp(-95 / 20), 0.12 * math.exp(-85 / 20)]
        expected = [1 + up - late[0], 1 - down - late[1]]
        assert weights[name] == pytest.approx(expected, abs=0.002), name
    for name in ("nearest pair, additive", "nearest pair, multiplicative"):
        assert weights[name] == pytest.approx([1 + up, 1 - down], abs=0.004), name
    assert weights["triplet"][0] > 1.05
    assert weights["triplet"][1] < 0.95
    # symmetric in time, less alpha for each input
    assert weights["Vogels 2011"] == pytest.approx([1 + up - 0.02] * 2, abs=0.02)
    assert weights["rewarded"][0] > 1.1
    assert weights["rewarded"][0] > weights["rewarded"][1]
    assert weights["changeable"] == [1.25, 1.0]
    for name in ("recurrent", "recurrent, dual"):  # which draw lots
        assert all(0.0 <= w <= 2.0 for w in weights[name]), name


def test_the_report_names_programs_and_what_they_used(outcome):
    programs = {core["program"] for core in outcome[1]["cores"]}
    assert "IF_curr_exp" in programs
    assert all(core["packets_lost"] == 0 for core in outcome[1]["cores"])


def test_a_network_on_several_chips_does_the_same_again(tmp_path):
    """On any number of threads."""
    first, _ = run(tmp_path, "many", version=3, threads=1)
    again, _ = run(tmp_path, "many", version=3, threads=2)
    assert sum(map(len, first["spikes"])) > 500
    assert first == again


@pytest.mark.slow
def test_in_debug_mode_all_reports_are_made_and_all_checks_pass(tmp_path):
    """Of routing tables, compression, energy and provenance, from what is read from the board."""
    settings = "[Mode]\nmode = Debug\n[Reports]\nwrite_network_graph = False\n"
    settings += "write_energy_report = True\n"
    found, _ = run(tmp_path, "many", settings=settings, version=5)
    assert sum(map(len, found["spikes"])) > 500
    reports = {path.name for path in (tmp_path / "reports").rglob("*")}
    assert {"energy_report_1.rpt", "routing_compression_checker_report.rpt"} <= reports


def test_a_run_whose_recording_does_not_fit_is_cut_into_pieces(tmp_path):
    settings = "max_sdram_allowed_per_chip = 2000000\n[Buffers]\nminimum_auto_time_steps = 10\n"
    found, _ = run(tmp_path, "pieces", settings=settings, version=3)
    assert found["longest"] < 300
    assert found["v"] == list(potentials(0.5, 600))
    assert found["same"]
    assert len(found["spikes"][0]) > 10
    assert all(train == found["spikes"][0] for train in found["spikes"])


def test_spikes_are_sent_and_received_live(tmp_path):
    found, _ = run(tmp_path, "live", version=3)
    assert [len(train) for train in found["sent"]] == [1, 1, 1]
    order = sorted(range(3), key=lambda i: found["sent"][i])
    assert order == [2, 0, 1]
    fired = sorted([t, i] for i, train in enumerate(found["spikes"]) for t in train)
    assert len(fired) >= 3
    assert sorted(found["received"]) == fired
    for sent, train in zip(found["sent"], found["spikes"], strict=True):
        assert train[0] > sent[0]


def test_spikes_cross_boards(tmp_path):
    found, _ = run(tmp_path, "boards", version=5, width=12, height=12)
    assert (found["boards"], found["chips"]) == (3, 144)
    assert len({tuple(board) for board in found["used"]}) == 3
    # spinnman asks every board and adds up: an extra monitor on each chip, a gatherer on each board
    assert found["counted"] == found["cores"] + 144 + 3
    first = [train[0] for train in found["spikes"]]
    # 2 ms on the way, then as long as the neuron takes: the same from each to the next
    assert first[0] > 5.0
    assert len({b - a for a, b in pairwise([5.0, *first])}) == 1


def test_a_program_that_crashes_is_told_from_one_that_runs(tmp_path):
    found, _ = run(tmp_path, "crash", version=3)
    assert found["error"] == "SpiNNManCoresNotInStateException"
    assert ["RUN_TIME_EXCEPTION", "DABT"] in found["states"]


def test_a_program_that_loops_for_ever_is_switched_off_and_named(tmp_path, monkeypatch, caplog):
    """In the process of the test, which bends a core's interrupt vector when the run begins."""

    def signal(chip, which, app, app_mask):
        send(chip, which, app, app_mask)
        for core in chip.cores(app, app_mask) if which in (SYNC0, SYNC1) else ():
            if chip.name(core) == "IF_curr_exp":
                tcm = chip.machine.tcm(chip.index, core)
                tcm[0x18:0x1C] = list(struct.pack("<I", 0xEAFFFFFE))
                lost.append([*chip.place, core])

    lost, send = [], Chip.signal
    monkeypatch.setattr(Chip, "signal", signal)
    monkeypatch.setattr(watchdog, "_LATE", 500 * native.CYCLES_PER_MS)
    server = Server(geometry(3), 3)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        configuration = (
            f"[Machine]\nmachine_name = {server.addresses[0]}\nversion = 3\n"
            "post_simulation_overrun_before_error = 3600\n"
        )
        found = results(tmp_path, "lost", configuration)
    finally:
        server.stop()
        thread.join()
        server.close()
    ((x, y, core),) = lost
    assert found["error"] == "SpiNNManCoresNotInStateException"
    assert f"{x}, {y}, {core}" in found["message"]
    assert f"core {core} of chip ({x}, {y}) (IF_curr_exp) has run for" in caplog.text
    assert "WATCHDOG" in caplog.text


def test_all_types_of_cells_run(tmp_path):
    found, _ = run(tmp_path, "cell_types", version=3)
    assert len(found) == 17
    for name, cell in found.items():
        assert cell["finite"], name
        assert cell["spikes"] > 0, name
    # a spike changes the potential of those that neither draw lots nor forget at once
    others = {"IFCurrDeltaFixedProb", "IFTruncDelta", "IF_curr_exp_sEMD"} | {
        name for name in found if "Stoc" in name
    }
    for name in set(found) - others:
        assert found[name]["same"], name
        assert found[name]["moved"] > 0.1, name
