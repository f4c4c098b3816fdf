"""Files of a run: what they hold, that it comes back unchanged, and that none is half-written."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portable_cortex import Recording, Signal, Spikes, run
from portable_cortex.errors import OutputError, OutputExistsError, UnknownNameError
from portable_cortex.recording import by_time

NAMES = st.text("ABCxyz 0123456789_-äβ", min_size=1, max_size=8).filter(str.strip)
TIMES = st.floats(0, 1e6, allow_nan=False)


def metadata(sizes, **extra):
    return {"warmup_ms": 100.0, "duration_ms": 50.0, "populations": dict(sizes), **extra}


def small(**extra):
    """Two populations, one of them silent, and a signal."""
    sizes = {"E": 4, "I": 2}
    spikes = {
        "E": Spikes(np.array([100.1, 120.0, 120.0, 150.0]), np.array([3, 0, 1, 3])),
        "I": Spikes(np.empty(0), np.empty(0, dtype=np.int64)),
    }
    values = np.array([[-65.0, -64.5], [-65.5, -64.0], [-66.0, -63.5]])
    signals = {("E", "v"): Signal(values, np.array([0, 2]), 100.0, 0.1, "mV")}
    return Recording(sizes, spikes, metadata(sizes, **extra), signals)


def assert_equal(one, other):
    assert dict(one.metadata) == dict(other.metadata)
    assert list(one.n_neurons.items()) == list(other.n_neurons.items())
    assert list(one.spike_trains) == list(other.spike_trains)
    for label, (times, neurons) in one.spike_trains.items():
        assert np.array_equal(times, other.spikes(label).times)
        assert np.array_equal(neurons, other.spikes(label).neurons)
    assert set(one.signals) == set(other.signals)
    for key, signal in one.signals.items():
        again = other.signals[key]
        assert np.array_equal(signal.values, again.values)
        assert np.array_equal(signal.neurons, again.neurons)
        assert signal[2:] == again[2:]


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@st.composite
def recordings(draw):
    sizes = draw(st.dictionaries(NAMES, st.integers(1, 50), min_size=1, max_size=4))
    spikes, signals = {}, {}
    for label, n in sizes.items():
        fired = draw(st.lists(st.tuples(TIMES, st.integers(0, n - 1)), max_size=20))
        times, neurons = zip(*fired, strict=True) if fired else ((), ())
        spikes[label] = by_time(np.array(times, float), np.array(neurons, np.int64))
        if draw(st.booleans()):
            shape = draw(st.tuples(st.integers(1, 5), st.integers(1, n)))
            values = np.random.default_rng(draw(st.integers(0, 99))).normal(size=shape)
            neurons = np.arange(shape[1])
            signals[label, "v"] = Signal(values, neurons, draw(TIMES), 0.1, "mV")
    return Recording(sizes, spikes, metadata(sizes, model=draw(NAMES)), signals)


# --- round trip ---


@settings(derandomize=True, max_examples=40)
@given(recordings())
def test_what_is_saved_comes_back(saved):
    with tempfile.TemporaryDirectory() as folder:
        saved.save(folder)
        assert_equal(Recording.load(folder), saved)


def test_many_spikes_come_back(tmp_path):
    # enough of them to be compressed
    rng = np.random.default_rng(1)
    spikes = by_time(rng.uniform(100, 150, 20_000), rng.integers(0, 9, 20_000))
    saved = Recording({"E": 9}, {"E": spikes}, metadata({"E": 9}))
    assert_equal(Recording.load(saved.save(tmp_path)), saved)


def test_order_of_populations_is_the_models(tmp_path):
    sizes = {"Z": 1, "A": 2, "M": 3}
    nothing = Spikes(np.empty(0), np.empty(0, dtype=np.int64))
    Recording(sizes, dict.fromkeys(sizes, nothing), metadata(sizes)).save(tmp_path)
    loaded = Recording.load(tmp_path)
    assert loaded.populations == ("Z", "A", "M")
    assert list(loaded.rates()) == ["Z", "A", "M"]


def test_a_layer_may_be_called_by_its_usual_name(tmp_path):
    # HDF5 takes the slash for a path
    sizes = {"L2/3E": 4}
    spikes = {"L2/3E": Spikes(np.array([101.0]), np.array([2]))}
    saved = Recording(sizes, spikes, metadata(sizes))
    assert_equal(Recording.load(saved.save(tmp_path)), saved)


def test_run_without_recorded_spikes_comes_back(tmp_path):
    sizes = {"E": 4}
    saved = Recording(sizes, {}, metadata(sizes))
    assert_equal(Recording.load(saved.save(tmp_path)), saved)


def test_a_real_run_comes_back(tmp_path):
    saved = run(
        model="brunel2000", backend="mock", scale=0.01, warmup=10.0, duration=40.0, record=["v:E:3"]
    )
    loaded = Recording.load(saved.save(tmp_path, figure=True))
    assert_equal(loaded, saved)
    assert loaded.rates() == saved.metadata["rates"]
    assert sorted(contents(tmp_path)) == ["activity.png", "run.json", "signals.h5", "spikes.h5"]
    assert (tmp_path / "activity.png").read_bytes().startswith(b"\x89PNG")


def test_parameters_may_be_numpy_numbers(tmp_path):
    saved = run(
        model="brunel2000", backend="mock", warmup=0.0, duration=1.0,
        scale=np.float32(0.03125), g=np.int64(4),
    )  # fmt: skip
    saved.save(tmp_path)
    parameters = json.loads((tmp_path / "run.json").read_text())["parameters"]
    assert (parameters["scale"], parameters["g"]) == (0.03125, 4)


def test_nothing_is_drawn_where_nothing_was_recorded(tmp_path):
    recording = Recording({"E": 4}, {}, metadata({"E": 4}))
    recording.save(tmp_path, figure=True)
    assert not (tmp_path / "activity.png").exists()
    with pytest.raises(OutputError, match="nothing to draw"):
        recording.plot()


# --- questions to a recording ---


def test_rates_and_times():
    asked = small()
    assert (asked.t_start, asked.t_stop) == (100.0, 150.0)
    assert asked.rates() == {"E": pytest.approx(4 / (4 * 0.05)), "I": 0.0}
    assert asked.signal("E").units == "mV"


def test_unknown_names_list_the_recorded_ones():
    with pytest.raises(UnknownNameError, match=r"'X'.*E, I"):
        small().spikes("X")
    with pytest.raises(UnknownNameError, match=r"'v:I'.*v:E"):
        small().signal("I")


def test_to_neo():
    block = small().to_neo()
    (segment,) = block.segments
    trains = list(segment.spiketrains)
    owners = [
        (t.annotations["source_population"], int(t.annotations["source_index"])) for t in trains
    ]
    assert owners == [("E", 0), ("E", 1), ("E", 2), ("E", 3), ("I", 0), ("I", 1)]
    times = [train.rescale("ms").magnitude.tolist() for train in trains]
    assert times == [[120.0], [120.0], [], [100.1, 150.0], [], []]
    assert {float(t.t_start.rescale("ms")) for t in trains} == {100.0}
    assert {float(t.t_stop.rescale("ms")) for t in trains} == {150.0}

    (signal,) = segment.analogsignals
    assert signal.name == "v"
    assert signal.annotations["source_population"] == "E"
    assert signal.array_annotations["channel_index"].tolist() == [0, 2]
    assert signal.magnitude.shape == (3, 2)
    assert str(signal.units.dimensionality) == "mV"
    assert float(signal.t_start.rescale("ms")) == 100.0
    assert float(signal.sampling_period.rescale("ms")) == pytest.approx(0.1)


def test_to_neo_does_not_mind_the_last_spike():
    # 0.7 + 0.1 is less than 0.8 in floating point
    sizes = {"E": 1}
    about = {"warmup_ms": 0.7, "duration_ms": 0.1, "populations": sizes}
    block = Recording(sizes, {"E": Spikes(np.array([0.8]), np.array([0]))}, about).to_neo()
    (train,) = block.segments[0].spiketrains
    assert train.rescale("ms").magnitude == pytest.approx([0.8])


# --- file formats ---


def test_spike_file_is_sonata(tmp_path):
    small().save(tmp_path)
    with h5py.File(tmp_path / "spikes.h5") as file:
        assert file.attrs["magic"] == 0x0A7A
        assert file.attrs["magic"].dtype == np.uint32
        assert file.attrs["version"].tolist() == [0, 1]
        assert file.attrs["version"].dtype == np.uint32
        assert sorted(file["spikes"]) == ["E", "I"]
        group = file["spikes/E"]
        assert group["timestamps"][:].tolist() == [100.1, 120.0, 120.0, 150.0]
        assert group["timestamps"].dtype == np.float64
        assert group["timestamps"].attrs["units"] == "ms"
        assert group["node_ids"][:].tolist() == [3, 0, 1, 3]
        assert group["node_ids"].dtype == np.uint64
        meaning = h5py.check_enum_dtype(group.attrs.get_id("sorting").dtype)
        assert meaning == {"none": 0, "by_id": 1, "by_time": 2}
        assert group.attrs["sorting"] == meaning["by_time"]
        assert file["spikes/I/timestamps"].shape == (0,)


def test_signal_file_is_a_sonata_report(tmp_path):
    small().save(tmp_path)
    with h5py.File(tmp_path / "signals.h5") as file:
        assert file.attrs["magic"] == 0x0A7A
        (report,) = file["report/E"].values()
        assert report["data"].shape == (3, 2)
        assert report["data"].attrs["units"] == "mV"
        assert report["mapping/time"][:] == pytest.approx([100.0, 100.3, 0.1])
        assert report["mapping/time"].attrs["units"] == "ms"
        assert report["mapping/node_ids"][:].tolist() == [0, 2]
        assert report["mapping/node_ids"].dtype == np.uint64
        assert report["mapping/index_pointer"][:].tolist() == [0, 1, 2]


def test_spikes_of_other_writers_are_sorted(tmp_path):
    small().save(tmp_path)
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        file["spikes/E/timestamps"] = [130.0, 110.0, 110.0, 120.0]
        file["spikes/E/node_ids"] = np.array([0, 2, 1, 3], dtype=np.uint32)
    times, neurons = Recording.load(tmp_path).spikes("E")
    assert times.tolist() == [110.0, 110.0, 120.0, 130.0]
    assert neurons.tolist() == [1, 2, 3, 0]
    assert neurons.dtype == np.int64


def test_run_json_is_strict_json(tmp_path):
    saved = run(model="brunel2000", backend="mock", scale=0.01, warmup=0.0, duration=10.0)
    saved.save(tmp_path)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    about = json.loads(text, parse_constant=refuse)
    assert about["populations"] == {"E": 100, "I": 25}
    assert about == json.loads(json.dumps(dict(saved.metadata)))


def test_what_json_cannot_hold_is_an_error_that_leaves_nothing(tmp_path):
    with pytest.raises(OutputError):
        small(parameters={"g": float("nan")}).save(tmp_path)
    assert contents(tmp_path) == {}


# --- damaged and missing files ---


def test_load_of_a_missing_folder(tmp_path):
    with pytest.raises(OutputError, match=r"nowhere holds no run"):
        Recording.load(tmp_path / "nowhere")


def test_load_of_a_folder_without_spikes(tmp_path):
    small().save(tmp_path)
    (tmp_path / "spikes.h5").unlink()
    with pytest.raises(OutputError, match=r"spikes\.h5"):
        Recording.load(tmp_path)


@pytest.mark.parametrize("name", ["spikes.h5", "signals.h5"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_load_of_a_truncated_file(tmp_path, name, part):
    small().save(tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(part * len(data))])
    with pytest.raises(OutputError, match=name.replace(".", r"\.")):
        Recording.load(tmp_path)


@pytest.mark.parametrize("name", ["spikes.h5", "signals.h5", "run.json"])
def test_load_of_a_damaged_file_raises_nothing_else(tmp_path, name):
    small().save(tmp_path)
    data = (tmp_path / name).read_bytes()
    refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[rng.integers(0, damaged.size, 30)] = rng.integers(0, 256, 30)
        (tmp_path / name).write_bytes(damaged.tobytes())
        try:
            Recording.load(tmp_path)  # what was hit may not matter
        except OutputError:
            refused += 1
    assert refused > 5


@pytest.mark.parametrize("name", ["spikes.h5", "signals.h5"])
def test_load_of_another_hdf5_file(tmp_path, name):
    small().save(tmp_path)
    for make in (
        lambda file: file.create_dataset("something", data=[1.0]),
        lambda file: file.create_dataset("spikes/E", data=[1.0]),
        lambda file: file.create_dataset("report/E/v", data=[1.0]),
        lambda file: file.create_dataset("spikes", data=[1.0]),
        lambda file: file.create_dataset("report", data=[1.0]),
    ):
        with h5py.File(tmp_path / name, "w") as file:
            make(file)
        with pytest.raises(OutputError, match=name.replace(".", r"\.")):
            Recording.load(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"populations": {}}', '{"populations": {"E": "x"}}',
             '{"populations": {"E": 1}, "warmup_ms": "x", "duration_ms": 1}', "\xff"]
)  # fmt: skip
def test_load_of_a_damaged_run_json(tmp_path, text):
    small().save(tmp_path)
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(OutputError, match=r"run\.json is damaged"):
        Recording.load(tmp_path)


# --- an existing run ---


def test_save_keeps_an_existing_run(tmp_path):
    small().save(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        small(note="another").save(tmp_path)
    assert contents(tmp_path) == before


def test_overwrite_leaves_nothing_of_the_old_run(tmp_path):
    small().save(tmp_path, figure=True)
    (tmp_path / "notes.txt").write_text("mine")
    new = Recording({"N": 1}, {"N": Spikes(np.array([101.0]), np.array([0]))}, metadata({"N": 1}))
    new.save(tmp_path, overwrite=True)
    # the user's own file is none of the run's
    assert sorted(contents(tmp_path)) == ["notes.txt", "run.json", "spikes.h5"]
    assert_equal(Recording.load(tmp_path), new)


def test_save_creates_the_folders_above(tmp_path):
    assert small().save(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert_equal(Recording.load(tmp_path / "a" / "b"), small())


def test_save_into_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="is no folder"):
            small().save(folder)
    assert contents(tmp_path) == {"file": b"mine"}


# --- writes that fail half-way ---

LIMITED = textwrap.dedent(
    """
    import resource, sys
    import numpy as np
    from portable_cortex import Recording, Signal, Spikes
    from portable_cortex.errors import OutputError

    folder, limit = sys.argv[1], int(sys.argv[2])
    n = 100_000
    rng = np.random.default_rng(1)
    sizes = {"E": 1000, "I": 10}
    spikes = {
        "E": Spikes(np.sort(rng.random(n) * 1000), rng.integers(0, 1000, n)),
        "I": Spikes(np.empty(0), np.empty(0, np.int64)),
    }
    signals = {("E", "v"): Signal(rng.random((20_000, 10)), np.arange(10), 0.0, 0.1, "mV")}
    about = {"warmup_ms": 0.0, "duration_ms": 1000.0, "populations": sizes}
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        Recording(sizes, spikes, about, signals).save(folder, overwrite=True)
    except OutputError as error:
        print(error)
    else:
        print("saved")
    """
)


@pytest.mark.parametrize("limit", [0, 3_000, 300_000, 800_000])
def test_full_disk(tmp_path, limit):
    # A limit for the size of a file stands for the full disk. Without one the spikes need 0.7 MB
    # and the signals 1.4 MB: it is hit at once, early and late in the former, and in the latter.
    folder = tmp_path / "run"
    small().save(folder)
    before = contents(folder)
    command = [sys.executable, "-c", LIMITED, str(folder), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "the disk is full" in done.stdout
    # the old run is still there, and no part of the new one
    assert contents(folder) == before
    assert (done.returncode, done.stderr) == (0, "")


def test_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(path, spikes):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("portable_cortex.recording.sonata.write_spikes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small().save(tmp_path / "run")
    assert [p for p in tmp_path.rglob("*") if p.is_file() or ".partial" in p.name] == []


def test_interrupted_overwrite_keeps_the_old_run(tmp_path, monkeypatch):
    small().save(tmp_path, figure=True)
    before = contents(tmp_path)

    def interrupted(path, signals):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("portable_cortex.recording.sonata.write_signals", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small(note="new").save(tmp_path, overwrite=True, figure=True)
    assert contents(tmp_path) == before
