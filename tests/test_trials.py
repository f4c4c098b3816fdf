"""Trials of one network: what differs, what does not, and that nothing is lost."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import missing

from portable_cortex import Experiment, Recording
from portable_cortex.errors import InvalidValueError, OutputExistsError, UnsupportedError
from portable_cortex.sweep import run_trials
from portable_cortex.validation.verdict import Verdict, examine

SMALL = Experiment(parameters={"scale": 0.02}, warmup=20.0, duration=80.0)

NOISE = """
def build(sim, seed=1):
    cells = sim.Population(10, sim.IF_curr_exp(), label="cells")
    cells.inject(sim.NoisyCurrentSource(mean=0.9, stdev=2.0, start=0.0, stop=1e9, dt=0.1))
    chance = sim.nestml_cell_type("Escape", "lif_escape_curr_exp")(i_offset=0.6)
    return {"cells": cells, "chance": sim.Population(10, chance, label="chance")}
"""

CHANCE = """
def build(sim, seed=1, kind="SimpleStochasticSynapse"):
    regular = sim.SpikeSourceArray(spike_times=[float(t) for t in range(1, 100, 5)])
    source = sim.Population(2, regular, label="source")
    cells = sim.Population(4, sim.IF_curr_exp(), label="cells")
    sim.Projection(
        source, cells, sim.AllToAllConnector(), getattr(sim, kind)(weight=20.0, delay=1.0),
        receptor_type="excitatory",
    )
    return {"cells": cells}
"""

INPUT = """
def build(sim, seed=1):
    source = sim.Population(2, sim.SpikeSourceArray(spike_times=[[1.0], [2.0]]), label="source")
    cells = sim.Population(2, sim.IF_curr_exp(tau_refrac=50.0), label="cells")
    sim.Projection(
        source, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=50.0, delay=1.0)
    )
    return {"source": source, "cells": cells}
"""


def spikes(recording):
    return {p: [*zip(*map(list, recording.spikes(p)), strict=True)] for p in recording.populations}


@pytest.mark.parametrize("backend", ["builtin", "neuron", "brian2"])
def test_noise_of_currents_and_of_neurons_differs_too(backend, tmp_path):
    if obstacle := missing(backend):
        pytest.skip(obstacle)
    (tmp_path / "noise.py").write_text(NOISE)
    experiment = Experiment(
        model=tmp_path / "noise.py", backend=backend, warmup=0.0, duration=150.0
    )
    batch = [*run_trials(experiment, 2)]
    for population in ("cells", "chance"):
        first, second = (trial.spikes(population).times for trial in batch)
        assert first.size
        assert not np.array_equal(first, second)
    assert spikes(replace(experiment, trial=2).run()) == spikes(batch[1])


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        ("builtin", "SimpleStochasticSynapse"),
        ("neuron", "SimpleStochasticSynapse"),
        ("neuron", "MultiQuantalSynapse"),
        ("neuron", "StochasticTsodyksMarkramSynapse"),
    ],
)
def test_synapses_that_fail_by_chance_fail_by_seed_and_trial(backend, kind, tmp_path):
    if obstacle := missing(backend):
        pytest.skip(obstacle)
    (tmp_path / "chance.py").write_text(CHANCE)
    experiment = Experiment(
        model=tmp_path / "chance.py",
        backend=backend,
        parameters={"kind": kind},
        warmup=0.0,
        duration=100.0,
    )
    first, second = map(spikes, run_trials(experiment, 2))
    assert first["cells"]
    assert first != second
    assert spikes(experiment.run()) == first
    assert spikes(replace(experiment, trial=2).run()) == second
    assert spikes(replace(experiment, seed=2).run()) not in (first, second)


@pytest.mark.parametrize("backend", ["builtin", "neuron", "brian2"])
def test_a_trial_can_have_spikes_of_its_own(backend, tmp_path):
    if obstacle := missing(backend):
        pytest.skip(obstacle)
    (tmp_path / "input.py").write_text(INPUT)
    experiment = Experiment(model=tmp_path / "input.py", backend=backend, warmup=0.0, duration=20.0)

    def change(number, populations):
        populations["source"].set(spike_times=[[float(number)], [10.0 + number]])

    for number, trial in enumerate(run_trials(experiment, 3, change=change), start=1):
        assert spikes(trial)["source"] == [(number, 0), (10.0 + number, 1)]
        found = spikes(trial)["cells"]
        assert [neuron for _, neuron in found] == [0, 1]
        assert found[1][0] - found[0][0] == pytest.approx(10.0)
        assert number + 1 < found[0][0] < number + 2


def test_a_folder_keeps_what_is_over(tmp_path):
    """Interrupted, it goes on with the next; each is a run by itself."""
    folder = tmp_path / "trials"
    trials = run_trials(SMALL, 3, folder)
    next(trials)
    trials.close()
    assert [path.name for path in folder.glob("trial-*")] == ["trial-0001"]
    before = (folder / "trial-0001" / "run.json").read_bytes()
    found = [*run_trials(SMALL, 3, folder)]
    assert (folder / "trial-0001" / "run.json").read_bytes() == before
    whole = [*run_trials(SMALL, 3)]
    assert list(map(spikes, found)) == list(map(spikes, whole))
    assert spikes(Recording.load(folder / "trial-0002")) == spikes(replace(SMALL, trial=2).run())
    assert found[2].metadata["trial"] == 3
    assert "connect" not in whole[2].metadata["phases_s"]
    with pytest.raises(OutputExistsError, match=r"scale 0\.02, not 0\.03"):
        [*run_trials(replace(SMALL, parameters={"scale": 0.03}), 2, folder)]


def test_the_first_trial_is_the_run_itself(tmp_path):
    run = SMALL.run(output=tmp_path / "run")
    assert spikes(next(run_trials(SMALL, 1))) == spikes(run)
    assert "trial" not in run.metadata


def test_trials_are_not_taken_for_seeds(tmp_path):
    """They have a network in common: how much seeds differ is not in them."""
    for _ in run_trials(SMALL, 5, tmp_path):
        pass
    found = examine([tmp_path], None, lambda text: None)
    assert found.comparison.verdict is Verdict.UNDECIDED
    assert "same seed" in found.comparison.reason


def test_what_cannot_be(monkeypatch):
    with pytest.raises(InvalidValueError, match="whole number from 1, not 0"):
        next(run_trials(SMALL, 0))
    with pytest.raises(InvalidValueError, match="trial must be a whole number from 1"):
        Experiment(trial=0)
    with pytest.raises(UnsupportedError, match="nest backend cannot run trials of one network"):
        next(run_trials(replace(SMALL, backend="nest"), 2))
    with pytest.raises(UnsupportedError, match="sweep --seeds"):
        replace(SMALL, backend="nest", trial=2).check()
    monkeypatch.setattr("portable_cortex.host.parallel.processes", lambda: 2)
    with pytest.raises(UnsupportedError, match="mpirun started 2: start it without mpirun"):
        next(run_trials(SMALL, 2))


def test_the_command(call, tmp_path):
    command = "run --backend mock --scale 0.02 --duration 100 --trials 3 --out".split()
    status, said, _ = call(*command, "a")
    assert status == 0
    assert "mean firing rates of 3 trials" in said
    assert len([*(tmp_path / "a").glob("trial-*/run.json")]) == 3
    assert call(*command, "a", "--overwrite")[0] == 0
    status, _, complaint = call("run", "--trials", "0", "--out", "b")
    assert status == 2
    assert "whole number from 1" in complaint
