"""sPyNNaker scripts, end to end on the emulated board."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from portable_cortex.backends.spinnaker_board import EmulatedBoard, native
from portable_cortex.errors import BackendUnavailableError

pytest.importorskip("spynnaker", reason="pip install spynnaker")
try:
    native.library()
except BackendUnavailableError as missing:
    pytest.skip(str(missing), allow_module_level=True)

SCRIPT = Path(__file__).parent / "spinnaker_board" / "network.py"


def run(folder, **settings):
    """The script's results, with sPyNNaker's default configuration."""
    with EmulatedBoard(**settings) as board:
        (folder / "spynnaker.cfg").write_text(board.configuration)
        (folder / ".spynnaker.cfg").write_text("")
        done = subprocess.run(
            [sys.executable, SCRIPT, folder / "out.json"],
            cwd=folder,
            env=os.environ | {"HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        report = board.report()
    return json.loads((folder / "out.json").read_text()), report


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return run(tmp_path_factory.mktemp("one"), version=3, threads=1)


def test_potentials_are_those_of_the_fixed_point_update_bit_by_bit(outcome):
    """v' = alpha - exp(-dt/tau) (alpha - v) in s16.15, alpha = v_rest + R I (lif_neuron_impl.h)."""
    one = 1 << 15
    decay, alpha, v = round(math.exp(-1 / 20) * one), (-65 + 10) * one, -65 * one
    expected = []
    for _ in range(200):
        expected.append(v / one)
        v = alpha - ((alpha - v) * decay >> 15)
    assert outcome[0]["driven"] == expected


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


def test_the_report_names_programs_and_what_they_used(outcome):
    programs = {core["program"] for core in outcome[1]["cores"]}
    assert "IF_curr_exp" in programs
    assert all(core["packets_lost"] == 0 for core in outcome[1]["cores"])


def test_results_are_the_same_on_any_number_of_threads(outcome, tmp_path):
    found, _ = run(tmp_path, version=3, threads=2)
    assert found == outcome[0]
