"""Recordings in the layout of the INM-6 PyNEST package."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from portable_cortex import Recording
from portable_cortex.errors import OutputError
from portable_cortex.validation.formats import find_runs, load_sound
from portable_cortex.validation.formats.inm6 import load as load_inm6
from portable_cortex.validation.verdict import Reference, Verdict, examine

HEADER = "# NEST version: 3.10.0\n# RecordingBackendASCII version: 2\nsender\ttime_ms\n"


def as_inm6(recording, folder, *, presim=500.0, shift=11):
    """Write a recording as that package does, its warm-up filled with spikes of its own."""
    folder.mkdir(parents=True)
    nodes, first = {}, shift
    recorders = 1000 + sum(recording.n_neurons.values())
    for number, (label, n) in enumerate(recording.n_neurons.items()):
        nodes[label] = list(range(first, first + n))
        nodes[f"spike_recorder_{label}"] = [recorders + number]
        times, neurons = recording.spikes(label)
        senders = neurons + first
        early = "".join(f"{first}\t{t:.3f}\n" for t in (3.0, presim))
        for thread in range(2):
            mine = neurons % 2 == thread
            rows = zip(senders[mine], times[mine] - recording.t_start + presim, strict=True)
            text = (
                HEADER
                + (early if thread == 0 else "")
                + "".join(f"{s}\t{t:.3f}\n" for s, t in rows)
            )
            path = folder / f"spike_recorder-{recorders + number}-{thread}.dat"
            path.write_text(text, "ascii")
        first += n
    simulation = {
        "t_presim": presim,
        "t_sim": recording.t_stop - recording.t_start,
        "sim_resolution": 0.1,
        "rng_seed": recording.metadata["seed"],
    }
    network = {
        "populations": list(recording.n_neurons),
        "N_scaling": 0.02,
        "K_scaling": 0.02,
        "bg_input_type": "poisson",
    }
    for name, content in (("nodes", nodes), ("sim_dict", simulation), ("net_dict", network)):
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


@pytest.fixture(scope="module")
def inm6(mock_run, tmp_path_factory):
    return as_inm6(Recording.load(mock_run), tmp_path_factory.mktemp("inm6") / "seed-3")


def test_it_is_read_as_the_recording_that_it_was(inm6, mock_run):
    ours, theirs = Recording.load(mock_run), load_inm6(inm6)
    assert theirs.n_neurons == ours.n_neurons
    assert theirs.t_start == 500.0
    for label in ours.populations:
        a, b = ours.spikes(label), theirs.spikes(label)
        np.testing.assert_allclose(b.times, a.times + 500.0)
        np.testing.assert_array_equal(b.neurons, a.neurons)
    parameters = theirs.metadata["parameters"]
    assert (parameters["n_scale"], parameters["drive"]) == (0.02, "poisson")


def test_it_validates_like_any_other(inm6, mock_reference):
    result = examine(inm6, mock_reference)
    assert result.comparison.verdict is Verdict.AGREES
    assert any("warm-up" in note for note in result.notes)


def test_it_can_be_kept_as_one_of_ours(inm6, tmp_path):
    again = Recording.load(load_inm6(inm6).save(tmp_path / "ours"))
    assert again.n_neurons == load_inm6(inm6).n_neurons


def test_a_folder_of_such_runs_is_a_reference(mock_run, mock_reference, tmp_path):
    from portable_cortex import run

    for seed in range(20, 26):
        recording = run(backend="mock", scale=0.02, warmup=0.0, duration=500.0, seed=seed)
        as_inm6(recording, tmp_path / "data" / f"seed-{seed}")
    result = examine(mock_run, tmp_path / "data")
    assert result.comparison.verdict is Verdict.AGREES
    assert isinstance(result.reference, Reference)
    assert result.reference.durations == (500.0,)
    assert result.reference.provenance["seeds"] == list(range(20, 26))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "sim_dict.json").unlink(), "not sim_dict.json"),
        (lambda f: (f / "nodes.json").write_text("{", "utf-8"), "damaged"),
        (lambda f: (f / "nodes.json").write_text("[]", "utf-8"), "damaged"),
        (lambda f: [p.unlink() for p in f.glob("*-1.dat")], None),
        (lambda f: [p.unlink() for p in f.glob("*.dat")], r"spike_recorder-\d+-\*.dat"),
        (
            lambda f: next(f.glob("*.dat")).write_text(HEADER + "999999\t700.0\n", "ascii"),
            "of another population",
        ),
        (lambda f: next(f.glob("*.dat")).write_text(HEADER + "12 x\n", "ascii"), "damaged"),
    ],
)
def test_damaged_folders(inm6, tmp_path, damage, said):
    folder = tmp_path / "copy"
    shutil.copytree(inm6, folder)
    damage(folder)
    if said is None:  # the spikes of one thread are missing: nothing in the layout says so
        assert load_sound(folder).n_neurons == load_sound(inm6).n_neurons
        return
    with pytest.raises(OutputError, match=said):
        load_sound(folder)


def test_runs_are_found_in_folders(inm6, mock_run):
    assert find_runs([inm6.parent, mock_run]) == [inm6, mock_run]
    assert find_runs([mock_run.parent]) == [mock_run]
