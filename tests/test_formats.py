"""Recordings in the layouts of other programs: read right, or refused in one sentence.

A file that was changed gives the recording that it was, or is refused. Only a change that makes
another recording of the same kind passes: one spike moved, by a byte of its time or of its
neuron's number, and, in layouts that do not say how many spikes there are, lines that are gone.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path

import h5py
import neo
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portable_cortex import Recording, Spikes
from portable_cortex.cli import commands as cli
from portable_cortex.errors import OutputError
from portable_cortex.recording import by_time
from portable_cortex.validation.activity import measure
from portable_cortex.validation.formats import find_runs, load_sound
from portable_cortex.validation.pages import export, report, terminal
from portable_cortex.validation.verdict import Reference, Verdict, conditions, examine, validate

SIZES = {"E": 40, "I": 10}
FIRST = {"E": 3, "I": 43}  # NEST's number of the first neuron
WARMUP, DURATION = 100.0, 900.0
HEADER = "# NEST version: 3.10.0\n# RecordingBackendASCII version: 2\nsender\ttime_ms\n"


def made(seed=1):
    """Spikes on a grid of 0.1 ms, each neuron at most once a step."""
    rng = np.random.default_rng(seed)
    trains = {}
    for label, n in SIZES.items():
        steps = round(DURATION * 10)
        fired = rng.choice(n * steps, 30 * n, replace=False)
        times = np.round(WARMUP + (fired // n + 1) * 0.1, 9)
        trains[label] = by_time(times, fired % n)
    metadata = {
        "model": "made-up",
        "parameters": {},
        "seed": seed,
        "warmup_ms": WARMUP,
        "duration_ms": DURATION,
        "timestep_ms": 0.1,
        "n_spikes": 0,
        "rates": {},
        "warnings": [],
    }
    return Recording(SIZES, trains, metadata)


# --- writers ------------------------------------------------------------------------------------


def as_ours(recording, folder):
    recording.save(folder)


def as_inm6(recording, folder, threads=2, header=HEADER, row="{s}\t{t:.3f}\n", **changes):
    folder.mkdir(parents=True)
    nodes = {}
    for number, (label, n) in enumerate(SIZES.items(), 900):
        first = FIRST[label]
        nodes[label] = list(range(first, first + n))
        nodes[f"spike_recorder_{label}"] = [number]
        write_threads(recording, label, folder, f"spike_recorder-{number}", threads, header, row)
    simulation = {"t_presim": WARMUP, "t_sim": DURATION, "sim_resolution": 0.1, "rng_seed": 1}
    network = {
        "populations": list(SIZES),
        "N_scaling": 0.1,
        "K_scaling": 0.1,
        "bg_input_type": "poisson",
    }
    stimulus = {"thalamic_input": False, "dc_transient": False}
    dicts = {
        "nodes": nodes,
        "sim_dict": simulation,
        "net_dict": network,
        "stim_dict": stimulus,
    }
    for name, content in dicts.items():
        text = json.dumps({**content, **changes.get(name, {})})
        (folder / f"{name}.json").write_text(text, "utf-8")


def write_threads(recording, label, folder, name, threads=2, header=HEADER, row="{s}\t{t:.3f}\n"):
    times, neurons = recording.spikes(label)
    senders = neurons + FIRST[label]
    for thread in range(threads):
        here = senders % threads == thread
        lines = (
            row.format(s=s, t=t, step=round(t * 10))
            for s, t in zip(senders[here], times[here], strict=True)
        )
        (folder / f"{name}-{thread}.dat").write_text(header + "".join(lines), "ascii")


def as_table(recording, folder, extra="", columns=None):
    folder.mkdir(parents=True)
    text = f'warmup_ms = {WARMUP}\nduration_ms = {DURATION}\ntimestep_ms = 0.1\nmodel = "made-up"\n'
    text += "" if columns is None else f'columns = "{columns}"\n'
    text += extra
    for number, (label, n) in enumerate(SIZES.items(), 900):
        first = FIRST[label]
        text += f"[populations.{label}]\nfirst = {first}\nlast = {first + n - 1}\n"
        text += f'files = "spikes-{number}-*.dat"\n'
        header = HEADER if columns is None else ""
        write_threads(recording, label, folder, f"spikes-{number}", header=header)
    (folder / "recording.toml").write_text(text, "utf-8")


def block_of(recording, label=None):
    """As PyNN makes it, of one population, from the beginning of the warm-up on."""
    labels = {label: SIZES[label]} if label else SIZES
    trains = {p: recording.spike_trains[p] for p in labels}
    block = dataclasses.replace(recording, n_neurons=labels, spike_trains=trains).to_neo()
    block.annotate(simulator="NEST", dt=0.1)
    if label:
        block.annotate(label=label, size=SIZES[label])
    return block


def as_pickle(recording, folder):
    folder.mkdir(parents=True)
    neo.PickleIO(str(folder / "data.pkl")).write_block(block_of(recording))


def as_nix(recording, folder):
    pytest.importorskip("nixio", reason="pip install nixio")
    folder.mkdir(parents=True)
    file = neo.NixIO(str(folder / "data.nix"), mode="ow")
    file.write_block(block_of(recording))
    file.close()


WRITERS = {
    "ours": as_ours, "inm6": as_inm6, "table": as_table, "pickle": as_pickle, "nix": as_nix,
}  # fmt: skip


@pytest.fixture(scope="module", params=WRITERS)
def layout(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts") / request.param
    WRITERS[request.param](made(), folder)
    return folder


@pytest.fixture
def written(tmp_path):
    """A function that writes a layout and gives its folder."""

    def write(writer, *args, **kwargs):
        writer(made(), tmp_path / "run", *args, **kwargs)
        return tmp_path / "run"

    return write


def spikes_of(recording):
    return {
        (label, round(float(time), 6), int(neuron))
        for label, spikes in recording.spike_trains.items()
        for time, neuron in zip(*spikes, strict=True)
    }


def said(folder):
    with pytest.raises(OutputError) as refused:
        load_sound(folder)
    assert str(folder) in str(refused.value)
    return str(refused.value)


# --- every layout -------------------------------------------------------------------------------


def test_each_layout_is_read_as_the_recording_that_it_was(layout):
    recording = load_sound(layout)
    assert spikes_of(recording) == spikes_of(made())
    assert dict(recording.n_neurons) == SIZES
    assert (recording.t_start, recording.t_stop) == (WARMUP, WARMUP + DURATION)
    assert recording.metadata["timestep_ms"] == 0.1


def test_each_layout_is_judged_like_ours(layout, tmp_path):
    for seed in range(2, 8):
        made(seed).save(tmp_path / "data" / str(seed))
    against = tmp_path / "data"
    validation = examine(layout, against)
    assert validation.comparison.verdict is Verdict.AGREES
    assert report.render(validation)
    assert export.to_json(validation)
    terminal.show(validation, cli.out)
    few = {
        p: Spikes(t[: t.size // 9], n[: t.size // 9]) for p, (t, n) in made().spike_trains.items()
    }
    dataclasses.replace(made(), spike_trains=few).save(tmp_path / "few")
    assert validate(tmp_path / "few", against).verdict is Verdict.DIFFERS


def mutations(draw, folder):
    """Change one file of a folder; gives the number of spikes that may be others then."""
    path = draw(st.sampled_from(sorted(p for p in folder.iterdir() if p.is_file())))
    data = path.read_bytes()
    text = path.suffix in (".dat", ".toml", ".json")
    kinds = ["flip", "cut", "grow", *(["drop", "double", "blank", "swap"] if text else [])]
    kind = draw(st.sampled_from(kinds))
    if kind in ("flip", "cut", "grow"):
        position = draw(st.integers(0, max(0, len(data) - 1)))
        byte = draw(st.integers(0, 255))
        changed = {
            "flip": data[:position] + bytes([byte]) + data[position + 1 :],
            "cut": data[:position],
            "grow": data[:position] + bytes([byte]) + data[position:],
        }[kind]
    else:
        lines = data.split(b"\n")
        number = draw(st.integers(0, max(0, len(lines) - 2)))
        line = lines[number]
        other = draw(st.integers(0, max(0, len(lines) - 2)))
        lines[number : number + 1] = {
            "drop": [],
            "double": [line, line],
            "blank": [b""],
            "swap": [b"\t".join(reversed(line.split(b"\t")))] if b"\t" in line else [lines[other]],
        }[kind]
        changed = b"\n".join(lines)
    path.write_bytes(changed)
    lost = len(data.split(b"\n")) - len(changed.split(b"\n")) if path.suffix == ".dat" else 0
    return 1 + max(0, lost)


@pytest.fixture(scope="module")
def examples(request, layout):
    many = 1500 if request.config.getoption("--slow") else 60
    return many // 10 if layout.name == "nix" else many  # each neuron has groups of its own


def test_a_changed_file_gives_the_same_recording_or_none(layout, examples, tmp_path):
    before = load_sound(layout)
    folder, refusals = tmp_path / layout.name, set()

    @settings(
        max_examples=examples, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def mutated(data):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(layout, folder)
        changes = mutations(data.draw, folder)
        try:
            after = load_sound(folder)
        except OutputError as error:
            refusals.add(str(error))
            return
        same = conditions(before.metadata) == conditions(after.metadata)
        if not same or after.metadata.get("seed") != before.metadata.get("seed"):
            return  # it says that it is another: no reference of the former fits
        if dict(after.n_neurons) != SIZES:
            return  # nor does one of other numbers of neurons
        a, b = spikes_of(before), spikes_of(after)
        if (after.t_start, after.t_stop) != (before.t_start, before.t_stop):
            # it says that it began or ended at another time, and all spikes bear it out
            assert after.t_start < min(t for _, t, _ in b)
            assert max(t for _, t, _ in b) <= after.t_stop
            return
        assert len(a - b) <= changes
        assert len(b - a) <= changes

    mutated()
    assert len(refusals) > examples // 10
    assert all(len(text) < 3000 and text.isprintable() for text in refusals)


def test_whatever_a_reader_raises_is_a_verdict(layout, monkeypatch):
    from portable_cortex.validation.verdict import freezing as module

    for error in (MemoryError(), RecursionError(), OverflowError("large"), KeyError("x\x1b[31m")):

        def broken(folder, error=error):
            raise error

        monkeypatch.setattr(module, "load_sound", broken)
        validation = examine(layout, "pd14-0.1-poisson")
        assert validation.comparison.verdict is Verdict.UNDECIDED
        assert validation.comparison.reason.isprintable()


# --- NEST's text files ---------------------------------------------------------------------------


def test_times_in_steps_and_columns_in_another_order(written):
    steps = HEADER.replace("time_ms", "time_step\ttime_offset")
    folder = written(as_inm6, header=steps, row="{s}\t{step}\t0.000\n")
    assert spikes_of(load_sound(folder)) == spikes_of(made())


def test_columns_in_another_order(written):
    header = HEADER.replace("sender\ttime_ms", "time_ms\tsender")
    folder = written(as_inm6, header=header, row="{t:.3f}\t{s}\n")
    assert spikes_of(load_sound(folder)) == spikes_of(made())


@pytest.mark.parametrize("row", ["{s:>6d} {t:10.3f}\n", "{s}\t{t:.6e}\n", "{s}\t{t:.3f}\r\n"])
def test_other_forms_of_a_line(written, row):
    assert spikes_of(load_sound(written(as_inm6, row=row))) == spikes_of(made())


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ("3", "the file ends in the middle of a line"),
        ("4\tnan\n", "is no spike"),
        ("4,300.0\n", "is no spike"),
        ("4.0\t300.0\n", "is no spike"),
        ("\n", "'' is no spike"),
        ("# the end\n", "is no spike"),
        ("4\t300.0\t1.0\n", "is no spike"),
        ("-4\t300.0\n", "neuron -4"),
        ("44\t300.0\n", "neuron 44 is of another population"),
        ("4\t-3.0\n", "-3 ms"),
        ("4\t1000.1\n", "outside of the recording"),
        ("\x00\x1b[31m\n", r"\\x1b[31m"),
        ("<html>quota</html>\n", "is no spike"),
    ],
)
def test_a_line_that_is_no_spike(written, tail, reason):
    folder = written(as_inm6)
    path = folder / "spike_recorder-900-0.dat"
    n = path.read_text().count("\n")
    with path.open("a") as file:
        file.write(tail)
    message = said(folder)
    assert reason in message
    if "is no spike" in reason:
        assert f"spike_recorder-900-0.dat, line {n + 1}" in message


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "expected a header"),
        (HEADER.replace("time_ms", "time_s"), "the columns are"),
        (HEADER.replace("time_ms", "time_ms\tV_m"), "the columns are"),
        (HEADER.replace("version: 2", "version: 3"), "expected 2"),
    ],
)
def test_headers(written, header, reason):
    assert reason in said(written(as_inm6, header=header))


def damage_inm6(name):
    def missing(folder):
        (folder / "spike_recorder-901-1.dat").unlink()

    def stale(folder):
        shutil.copy(folder / "spike_recorder-901-1.dat", folder / "spike_recorder-901-2.dat")

    def stale_everywhere(folder):
        for number in (900, 901):
            path = folder / f"spike_recorder-{number}-1.dat"
            shutil.copy(path, folder / f"spike_recorder-{number}-2.dat")

    def stale_recorder(folder):
        shutil.copy(folder / "spike_recorder-901-1.dat", folder / "spike_recorder-77-0.dat")

    def ends_early(folder):
        path = folder / "spike_recorder-900-0.dat"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: len(lines) // 3]))

    def empty_files(folder):
        for path in folder.glob("*.dat"):
            path.write_text("")

    def ranges(folder):
        (folder / "population_nodeids.dat").write_text("3 42\n43 53\n")

    return locals()[name]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("missing", "one is missing, or left over"),
        ("stale", "one is missing, or left over"),
        ("stale_everywhere", "is left over from another run"),
        ("stale_recorder", "is of no recorder"),
        ("ends_early", "may have been cut"),
        ("empty_files", "expected a header"),
        ("ranges", "other numbers of neurons"),
    ],
)
def test_files_that_do_not_belong_together(written, damage, reason):
    folder = written(as_inm6)
    damage_inm6(damage)(folder)
    assert reason in said(folder)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ({"E": []}, "has no nodes"),
        ({"E": [3, 42]}, "of another population"),
        ({"E": list(range(3, 44))}, "the node 43 more than once: E, I"),
        ({"E": [3] * 40}, "more than once"),
        ({"E": [3.5]}, "no list of whole numbers"),
        ({"E": "3-42"}, "no nodes"),
        ({"spike_recorder_E": [900, 902]}, "2 recorders"),
        ({"spike_recorder_E": [901]}, "more than once"),
    ],
)
def test_nodes(written, nodes, reason):
    assert reason in said(written(as_inm6, nodes=nodes))


# --- what was simulated ---------------------------------------------------------------------------


def parameters_of(folder):
    return load_sound(folder).metadata["parameters"]


def test_the_published_parameters_are_no_condition(written):
    from portable_cortex.validation.formats import inm6

    network = {
        name: np.asarray(value).tolist()
        for name, value in inm6.PUBLISHED.items()
        if name != "full_num_neurons"
    }
    neuron = json.loads(json.dumps(inm6.PUBLISHED_NEURON))
    folder = written(as_inm6, net_dict={**network, "neuron_params": neuron})
    names = set(parameters_of(folder)) - {"net_dict populations"}
    assert names == {"n_scale", "k_scale", "drive", "v0", "thalamic_pulses", "dc_transients"}


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"net_dict": {"g": -5}}, "net_dict g"),
        ({"net_dict": {"delay_exc_mean": 2.0}}, "net_dict delay_exc_mean"),
        ({"net_dict": {"neuron_params": {"t_ref": 1.0}}}, "net_dict neuron_params t_ref"),
        ({"net_dict": {"nobody_knows": 1}}, "net_dict nobody_knows"),
        ({"stim_dict": {"nobody_knows": True}}, "stim_dict nobody_knows"),
    ],
)
def test_other_parameters_are_other_conditions(written, changed, name):
    assert name in parameters_of(written(as_inm6, **changed))


def test_stimuli_are_conditions(written, tmp_path):
    thalamus = {"thalamic_input": True, "th_start": 700.0, "th_duration": 10.0, "th_rate": 120.0}
    folder = written(as_inm6, stim_dict=thalamus)
    assert parameters_of(folder)["thalamic_pulses"] == [700.0]
    assert "stim_dict th_rate" not in parameters_of(folder)
    current = {"dc_transient": True, "dc_transient_start": 650.0, "dc_transient_dur": 100.0}
    late = {**thalamus, "th_start": WARMUP + DURATION}
    network = {"K_ext": [1600, 1500]}
    stimulus = {**late, **current, "dc_transient_amp": 0.3}
    as_inm6(made(), tmp_path / "current", stim_dict=stimulus, net_dict=network)
    found = parameters_of(tmp_path / "current")
    assert found["thalamic_pulses"] == []
    assert found["dc_transients"] == [["E", 650.0, 100.0, 0.48], ["I", 650.0, 100.0, 0.45]]
    as_inm6(made(), tmp_path / "text", stim_dict={"thalamic_input": "False"})
    assert "expected true or false" in said(tmp_path / "text")


def test_without_stim_dict_a_note(written):
    folder = written(as_inm6)
    (folder / "stim_dict.json").unlink()
    assert any("no stim_dict.json" in note for note in examine(folder).notes)


# --- statistics of the INM-6 package --------------------------------------------------------------


def as_statistics(folder):
    """What its scripts leave: values by seed and population, and distances between seeds."""
    folder.mkdir(exist_ok=True)
    seeds = [measure(made(seed)).samples for seed in (2, 3, 4)]
    for statistic, name in (("rate", "rates"), ("cv", "spike_cvs"), ("cc", "spike_ccs")):
        content = {
            str(i): {p: [*samples[p, statistic].tolist(), float("nan")] for p in SIZES}
            for i, samples in enumerate(seeds)
        }
        (folder / f"{name}.json").write_text(json.dumps(content))
        pairs = {p: {"seeds": {"0": {"1": 0.2}}, "list": [0.2, 0.3, 0.4]} for p in SIZES}
        name = "rate" if statistic == "rate" else name
        (folder / f"{name}_ks_distances.json").write_text(json.dumps(pairs))
    return folder


def test_statistics_of_the_package_are_shown_and_decide_nothing(written, tmp_path, call):
    run, folder = written(as_ours), as_statistics(tmp_path / "statistics")
    validation = examine(run, folder)
    assert validation.comparison.verdict is Verdict.UNDECIDED
    assert len(validation.beside) == 6
    row = validation.beside[0]
    assert (row.population, row.statistic, row.usual) == ("E", "rate", pytest.approx(0.3))
    assert row.theirs == pytest.approx(row.ours, rel=0.1)
    for seed in range(2, 8):
        made(seed).save(folder / f"seed-{seed}")
    both = examine(run, folder)
    assert both.comparison.verdict is Verdict.AGREES
    assert both.beside == validation.beside
    status, out, _ = call(
        "validate", run, "--against", folder, "--json", "a.json", "--report", "a.html"
    )
    assert status == 0
    assert "INM-6 package beside ours" in out
    assert len(json.loads(Path("a.json").read_text())["beside"]) == 6
    assert "KS distance" in Path("a.html").read_text()
    (folder / "rates.json").write_text('{"E": {"a": 1}}')
    assert any("rates.json" in note for note in examine(run, folder).notes)


# --- Neo blocks ----------------------------------------------------------------------------------


def test_one_file_a_population(tmp_path):
    for label in SIZES:
        neo.PickleIO(str(tmp_path / f"{label}.pkl")).write_block(block_of(made(), label))
    assert spikes_of(load_sound(tmp_path)) == spikes_of(made())
    assert list(load_sound(tmp_path / "I.pkl").n_neurons) == ["I"]
    shutil.copy(tmp_path / "I.pkl", tmp_path / "again.pkl")
    assert "both have I" in said(tmp_path)


def test_what_pynn_writes(tmp_path):
    import pyNN.mock as sim

    sim.setup(timestep=0.1)
    cells = sim.Population(4, sim.IF_curr_exp(), label="E")
    cells.record("spikes")
    sim.run(200.0)
    cells.write_data(str(tmp_path / "all.pkl"))
    recording = load_sound(tmp_path / "all.pkl")
    trains = cells.get_data().segments[0].spiketrains
    assert dict(recording.n_neurons) == {"E": 4}
    assert recording.spikes("E").times.size == sum(len(train) for train in trains)
    sim.end()


def test_a_pickle_calls_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    message = said(tmp_path / "evil.pkl")
    assert "touch" in message or "pathlib" in message
    assert not (tmp_path / "touched").exists()
    for content in (3, {"a": [1]}, np.arange(3)):
        (tmp_path / "other.pkl").write_bytes(pickle.dumps(content))
        assert "expected neo's Block" in said(tmp_path / "other.pkl")


def test_blocks_that_are_no_whole_recording(tmp_path):
    def kept(change):
        block = block_of(made(), "E")
        change(block)
        neo.PickleIO(str(tmp_path / "a.pkl")).write_block(block)
        return said(tmp_path / "a.pkl")

    def subset(block):
        block.segments[0].spiketrains = list(block.segments[0].spiketrains)[:7]

    def anonymous(block):
        for train in block.segments[0].spiketrains:
            del train.annotations["source_population"]

    assert "7 spike trains" in kept(subset)
    assert "source_population" in kept(anonymous)
    assert "2 segments" in kept(lambda block: block.segments.append(neo.Segment()))
    assert "0 segments" in kept(lambda block: block.segments.clear())


def test_a_table_says_what_a_block_does_not(written):
    folder = written(as_pickle)
    unknown = examine(folder)
    assert "not stated of which model" in unknown.comparison.reason
    assert any("warm-up" in note for note in unknown.notes)
    table = 'warmup_ms = 400\nfiles = "*.pkl"\nmodel = "pd14"\n[parameters]\nscale = 0.1\n'
    (folder / "recording.toml").write_text(table)
    recording = load_sound(folder)
    assert recording.t_start == 400.0
    assert conditions(recording.metadata)["n_scale"] == 0.1
    assert spikes_of(recording) == {s for s in spikes_of(made()) if s[1] > 400.0}


# --- described files -----------------------------------------------------------------------------


def test_files_without_a_header(written):
    folder = written(as_table, columns="sender time_ms")
    assert spikes_of(load_sound(folder)) == spikes_of(made())


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("warmup_ms = 100.0\n", "", "does not state warmup_ms"),
        ("duration_ms = 900.0\n", "", "does not state duration_ms"),
        ("duration_ms = 900.0", "duration_ms = inf", "expected a number"),
        ("last = 42", "last = 43", "share neurons"),
        ("last = 42", "last = 2", "the ids 3 to 2"),
        ("last = 42", "last = 1000000000", "the ids"),
        ("last = 42", "end = 42", "has end: expected first, last, files"),
        ("spikes-900", "spikes-7", "there are no such files"),
        ("spikes-900-*.dat", "../*", "in the table's folder"),
        ("spikes-900-*.dat", "/etc/*", "in the table's folder"),
        ('model = "made-up"', 'model = "pd14"\nparameters = {scael = 1}', "scael"),
        ("warmup_ms", "warmup", "has warmup"),
        ("warmup_ms = 100.0", "warmup_ms = [", "recording.toml"),
        ("warmup_ms = 100.0", "warmup_ms = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_tables_that_are_not_understood(written, old, new, reason):
    folder = written(as_table)
    path = folder / "recording.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    assert reason in said(folder)


def test_a_table_and_a_file_that_is_none(written):
    folder = written(as_table)
    assert spikes_of(load_sound(folder / "recording.toml")) == spikes_of(made())
    assert "expected a folder with run.json" in said(folder / "spikes-900-0.dat")


def test_files_and_folders_of_runs_are_found(written, tmp_path):
    folder = written(as_pickle)
    assert find_runs([folder / "data.pkl", folder]) == [folder / "data.pkl", folder]
    made().save(folder / "seed-1")
    assert find_runs([folder]) == [folder / "seed-1"]


# --- what a run's metadata say --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"warnings": "lost packets"}, "expected a list of texts"),
        ({"warnings": {"a": 1}}, "expected a list of texts"),
        ({"warnings": [1]}, "expected a list of texts"),
        ({"warnings": None}, "expected a list of texts"),
        ({"n_spikes": 3}, "'n_spikes' is 3"),
        ({"n_spikes": "600"}, "'n_spikes' is '600'"),
        ({"n_spikes": True}, "'n_spikes' is True"),
        ({"rates": {"E": 1.0}}, "the rate of E"),
        ({"rates": {"E": "fast"}}, "the rate of E"),
        ({"rates": [1]}, "'rates' is [1]"),
        ({"populations": {"E": 40.5, "I": 10}}, "a whole number"),
        ({"populations": {"E": "40", "I": 10}}, "a whole number"),
        ({"populations": {"E": True, "I": 10}}, "a whole number"),
        ({"populations": {"E": -1, "I": 10}}, "-1 neurons"),
        ({"populations": {"E": 10**12, "I": 10}}, "or fewer"),
        ({"populations": [1]}, "the number of neurons by label"),
        ({"duration_ms": "900"}, "expected a number"),
        ({"duration_ms": 0}, "it lasts from"),
        ({"warmup_ms": -5}, "it lasts from"),
    ],
)
def test_metadata_that_contradict_the_files(written, changes, reason):
    folder = written(as_ours)
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    comparison = validate(folder, "pd14-0.1-poisson")
    assert comparison.verdict is Verdict.UNDECIDED
    assert reason in comparison.reason


def test_spike_sources_may_fire_twice_in_a_step(written, tmp_path):
    trains = {
        p: Spikes(np.repeat(t, 2), np.repeat(n, 2)) for p, (t, n) in made().spike_trains.items()
    }
    twice = dataclasses.replace(made(), spike_trains=trains)
    twice.save(tmp_path / "neurons")
    assert "in one time step" in said(tmp_path / "neurons")
    about = {**twice.metadata, "n_neurons": SIZES["E"]}  # I are sources
    dataclasses.replace(twice, metadata=about).save(tmp_path / "sources")
    load_sound(tmp_path / "sources")


# --- odd but legal --------------------------------------------------------------------------------

ODD = {
    "no spikes": lambda rng, n: (np.empty(0), np.empty(0, np.int64)),
    "one spike": lambda rng, n: (np.array([500.0]), np.array([0])),
    "all at once": lambda rng, n: (np.full(n, 500.0), np.arange(n)),
    "one neuron": lambda rng, n: (np.arange(101.0, 1000.0, 5.0), np.zeros(180, np.int64)),
    "two steps": lambda rng, n: (np.repeat([500.0, 500.1], n), np.tile(np.arange(n), 2)),
    "the last step": lambda rng, n: (np.full(n, 1000.0), np.arange(n)),
}


@pytest.mark.parametrize("sizes", [SIZES, {"E": 1, "I": 1}])
@pytest.mark.parametrize("odd", ODD)
def test_odd_but_legal_data_have_a_verdict_without_warnings(odd, sizes, tmp_path, recwarn):
    rng = np.random.default_rng(1)
    trains = {label: by_time(*ODD[odd](rng, n)) for label, n in sizes.items()}
    for seed in range(6):
        about = {**made(seed).metadata}
        Recording(sizes, trains, about).save(tmp_path / "data" / str(seed))
    validation = examine(tmp_path / "data" / "0", tmp_path / "data")
    assert "could not be judged" not in validation.comparison.reason
    single = examine(tmp_path / "data" / "0", tmp_path / "data" / "1")
    assert "could not be judged" not in single.comparison.reason
    assert [str(w.message) for w in recwarn if "RuntimeWarning" in w.category.__name__] == []


# --- references -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.attrs.__setitem__("about", "[" * 100_000),
        lambda f: f.attrs.__setitem__("about", "[]"),
        lambda f: f.attrs.__setitem__("about", '{"name": "a"}'),
        lambda f: f.attrs.__setitem__("about", '{"name": "a", "n_neurons": {"E": -1}}'),
        lambda f: f.attrs.__setitem__("about", 3),
        lambda f: f.attrs.__delitem__("about"),
        lambda f: [f.__delitem__(name) for name in list(f)],
        lambda f: f.__delitem__("900/E/rate/means"),
        lambda f: f["900/E/rate/means"].__setitem__(0, np.nan),
        lambda f: f["900/E/rate/pairs"].__setitem__(0, -1.0),
        lambda f: f["900/E/rate/to_pool"].__setitem__(0, 2.0),
        lambda f: f["900/E/rate/pool"].__setitem__(0, 1e9),
        lambda f: f.move("900/E", "900/X"),
        lambda f: f.move("900", "long"),
        lambda f: f.move("900", "-3"),
        lambda f: f["900/E"].create_dataset("text", data="x"),
        lambda f: f.create_dataset("900/E/rate/more", shape=(10**12,), chunks=(1000,), dtype="f4"),
    ],
)
def test_a_reference_that_is_none(tmp_path, change):
    path = tmp_path / "reference.h5"
    runs = [measure(made(seed)) for seed in range(5)]
    Reference.of("made-up", {}, {DURATION: runs}).save(path)
    assert Reference.load(path).n_neurons == SIZES
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(OutputError, match=r"reference\.h5 is no readable reference"):
        Reference.load(path)
