"""SONATA files of other programs: converted, or refused in one sentence that says what is there."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from portable_cortex import Recording, Signal, Spikes
from portable_cortex.errors import OutputError
from portable_cortex.recording.sonata import (
    read_signals,
    read_spikes,
    to_milliseconds,
    write_signals,
)

TIMES = np.array([100.1, 120.0, 120.0, 149.9])
IDS = np.array([3, 0, 1, 3])


@pytest.fixture
def folder(tmp_path):
    about = {"warmup_ms": 100.0, "duration_ms": 50.0, "timestep_ms": 0.1, "populations": {"E": 4}}
    (tmp_path / "run.json").write_text(json.dumps(about))
    return tmp_path


def write(folder, times=TIMES, ids=IDS, units="ms", sorting=None, name="E", **options):
    with h5py.File(folder / "spikes.h5", "w") as file:
        group = file.create_group(f"spikes/{name}")
        data = group.create_dataset("timestamps", data=times, **options)
        group.create_dataset("node_ids", data=ids, **options)
        if units is not None:
            data.attrs["units"] = units
        if sorting is not None:
            group.attrs["sorting"] = sorting


def said(folder):
    with pytest.raises(OutputError) as refused:
        Recording.load(folder)
    assert "spikes.h5" in str(refused.value)
    return str(refused.value)


def assert_read(folder):
    spikes = Recording.load(folder).spikes("E")
    np.testing.assert_allclose(spikes.times, TIMES, rtol=0, atol=1e-9)
    assert spikes.neurons.tolist() == IDS.tolist()
    assert spikes.neurons.dtype == np.int64


@pytest.mark.parametrize(
    ("times", "units"),
    [
        (TIMES, None),
        (TIMES, np.bytes_(b"ms")),
        (TIMES, ["ms"]),
        (TIMES, "milliseconds"),
        (TIMES / 1e3, "s"),
        (TIMES * 1e3, "us"),
        (TIMES * 1e3, "µs"),
        (np.rint(TIMES * 1e3).astype(np.int32), "us"),
        (np.rint(TIMES * 10).astype(np.int64), "0.1 ms"),
        (np.rint(TIMES * 10).astype(np.uint16), "0.1*ms"),
        (TIMES.astype(np.float32), "ms"),
        (TIMES.astype(np.longdouble), "ms"),
    ],
)
def test_units_and_types_of_times(folder, times, units):
    write(folder, times=times, units=units)
    assert_read(folder)


@pytest.mark.parametrize(
    "ids", [IDS.astype(t) for t in (np.int8, np.uint32, np.uint64, np.float64, np.float32)]
)
def test_types_of_ids(folder, ids):
    write(folder, ids=ids)
    assert_read(folder)


@pytest.mark.parametrize("options", [{"chunks": (2,)}, {"compression": "gzip", "shuffle": True}])
def test_chunks_and_compression(folder, options):
    write(folder, **options)
    assert_read(folder)


def test_order(folder):
    order = np.argsort(IDS, kind="stable")
    write(folder, times=TIMES[order], ids=IDS[order], sorting="by_id")
    assert_read(folder)
    write(folder, times=TIMES[::-1], ids=IDS[::-1])
    assert_read(folder)
    write(folder, times=TIMES[::-1], ids=IDS[::-1], sorting=0)
    assert_read(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"units": "steps"}, "in units of 'steps': expected ms"),
        ({"units": "mV"}, "in units of 'mV'"),
        ({"units": "nan ms"}, "in units of"),
        ({"units": "0 ms"}, "in units of"),
        ({"units": "1e999 ms"}, "in units of"),
        ({"units": 3}, "is no text"),
        ({"units": "\x1b[31m"}, r"\x1b[31m"),
        ({"times": np.array([101, 120, 120, 149])}, "longer than the simulation's time step"),
        ({"times": np.array([101, 120, 120, 149]), "units": None}, "states no units"),
        ({"times": TIMES.astype(np.float16)}, "ms apart"),
        ({"times": (TIMES * 1e5).astype(np.float32)}, "ms apart"),
        ({"times": np.array(["a", "b", "c", "d"], "S")}, "expected numbers"),
        ({"times": TIMES > 0}, "expected numbers"),
        ({"times": TIMES + 0j}, "expected numbers"),
        ({"times": TIMES[:, None], "ids": IDS[:, None]}, "the shape (4, 1)"),
        ({"times": 120.0}, "the shape ()"),
        ({"times": h5py.Empty("f8")}, "the shape None"),
        ({"times": np.array([100.1, np.nan, 120.0, 149.9])}, "no finite numbers"),
        ({"times": np.array([100.1, np.inf, 120.0, 149.9])}, "no finite numbers"),
        ({"ids": IDS + 0.6}, "other values than whole numbers"),
        ({"ids": IDS - 1}, "other values than whole numbers"),
        ({"ids": np.array([0, 1, 2, 2**63 + 5], np.uint64)}, "other values than whole numbers"),
        ({"ids": np.array([0, 1, np.nan, 2])}, "other values than whole numbers"),
        ({"ids": IDS[:3]}, "4 timestamps of 3 node_ids"),
        ({"sorting": "by_id"}, "sorted by_id, and is not"),
        ({"sorting": 2, "times": TIMES[::-1]}, "sorted by_time, and is not"),
        ({"sorting": "by_luck"}, "expected none, by_id, by_time"),
        ({"name": "e"}, "the populations e, and run.json E"),
        ({"name": "All"}, "the populations All, and run.json E"),
    ],
)
def test_what_is_refused(folder, changes, reason):
    write(folder, **changes)
    assert reason in said(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f["spikes"].create_dataset("version", data=1), "/spikes/version is no group"),
        (lambda f: f["spikes"].create_dataset("gids", data=IDS), "the layout before SONATA 1.0"),
        (lambda f: f["spikes"].create_group("thalamus"), "there is no /spikes/thalamus/timestamps"),
        (lambda f: f["spikes/E"].create_dataset("weights", data=IDS), "also has weights"),
        (lambda f: f["spikes/E"].__delitem__("node_ids"), "there is no /spikes/E/node_ids"),
        (lambda f: f.__delitem__("spikes"), "there is no /spikes"),
    ],
)
def test_strays(folder, change, reason):
    write(folder)
    with h5py.File(folder / "spikes.h5", "r+") as file:
        change(file)
    assert reason in said(folder)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"shape": (10**12,), "chunks": (1 << 16,)}, "claims 1,000,000,000,000 values"),
        ({"shape": (10**12,), "chunks": (1 << 16,), "compression": "gzip"}, "claims 1,000"),
        ({"shape": (3 * 10**9,)}, "the file has 0 bytes of them"),
        ({"shape": (100,), "external": [("/etc/hostname", 0, 800)]}, "lie in other files"),
    ],
)
def test_what_a_file_claims_is_checked_before_it_is_read(folder, options, reason):
    write(folder)
    with h5py.File(folder / "spikes.h5", "r+") as file:
        del file["spikes/E/timestamps"]
        file["spikes/E"].create_dataset("timestamps", dtype="f8", **options)
    assert reason in said(folder)


def test_a_chunk_that_is_missing(folder):
    write(folder, chunks=(2,), maxshape=(None,))
    with h5py.File(folder / "spikes.h5", "r+") as file:
        for name in ("timestamps", "node_ids"):
            file[f"spikes/E/{name}"].resize((9,))
    assert "claims 9 values" in said(folder)


def test_links_lead_nowhere(folder):
    for link in (h5py.SoftLink("/spikes/E"), h5py.ExternalLink("/etc/passwd", "/a")):
        write(folder)
        with h5py.File(folder / "spikes.h5", "r+") as file:
            file["spikes/link"] = link
        assert "is a link to another place" in said(folder)


def test_units_of_time():
    assert to_milliseconds("2.5e-1 s") == 250.0
    for text in ("", "ms ms", "1__0 ms", "- ms", "1..5 ms", "ms\x00", "-1 ms", "٣ ms"):
        assert to_milliseconds(text) is None


# --- signals --------------------------------------------------------------------------------------


def with_signals(folder, change):
    path = folder / "signals.h5"
    values = np.arange(6.0).reshape(3, 2)
    write_signals(path, {("E", "v"): Signal(values, np.array([0, 2]), 100.0, 0.1, "mV")})
    with h5py.File(path, "r+") as file:
        change(file["report/E/v"])
    return path


def test_units_of_a_report(folder):
    def seconds(group):
        group["mapping/time"][...] = group["mapping/time"][...] / 1e3
        group["mapping/time"].attrs["units"] = "s"

    (signal,) = read_signals(with_signals(folder, seconds)).values()
    assert (signal.t_start, signal.interval) == (pytest.approx(100.0), pytest.approx(0.1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda g: g["mapping/time"].attrs.__setitem__("units", "years"), "unit of time"),
        (lambda g: g["mapping/time"].__setitem__(2, 0.0), "has 3 samples"),
        (lambda g: g["mapping/time"].__setitem__(1, np.nan), "unit of time"),
        (lambda g: g["mapping/time"].__setitem__(1, 200.0), "has 3 samples"),
        (lambda g: g["mapping/node_ids"].__setitem__(1, 0), "of 1 neurons"),
        (lambda g: g["data"].attrs.__delitem__("units"), "states no units"),
        (lambda g: g.__delitem__("mapping"), "there is no"),
        (lambda g: g.file.create_dataset("report/E/stray", data=1), "is no group"),
    ],
)
def test_reports_that_are_refused(folder, change, reason):
    with pytest.raises(OutputError, match=r"signals\.h5 is no readable SONATA report") as refused:
        read_signals(with_signals(folder, change))
    assert reason in str(refused.value)


def test_what_a_report_claims(folder):
    def claim(group):
        del group["data"]
        data = group.create_dataset("data", (10**9, 2), "f8", chunks=(1000, 2))
        data.attrs["units"] = "mV"

    with pytest.raises(OutputError, match="claims 2,000,000,000 values"):
        read_signals(with_signals(folder, claim))


def test_spikes_are_counted_anew_when_they_are_saved(tmp_path):
    about = {"warmup_ms": 100.0, "duration_ms": 50.0, "n_spikes": 99, "rates": {"E": 7.0}}
    Recording({"E": 4}, {"E": Spikes(TIMES, IDS)}, about).save(tmp_path)
    loaded = Recording.load(tmp_path)
    assert loaded.metadata["n_spikes"] == 4
    assert loaded.metadata["rates"] == loaded.rates()
    assert read_spikes(tmp_path / "spikes.h5").keys() == {"E"}
