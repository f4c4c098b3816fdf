"""Power meters: counters that begin again, logs, what cannot be used, and meters in runs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import types
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portable_cortex import Energy, run
from portable_cortex.errors import InvalidValueError, MachineFileError, PowerMeterError
from portable_cortex.machine import load_machine
from portable_cortex.power import (
    NvmlSettings,
    PowerWarning,
    RaplMeter,
    RaplSettings,
    StatedSettings,
    TraceSettings,
    metered,
)
from portable_cortex.power.rapl import SHORTEST_PERIOD, counter_increase, find_zones
from portable_cortex.power.trace import integrate, read_trace

FAST = {"model": "brunel2000", "backend": "mock", "scale": 0.01, "warmup": 10.0, "duration": 40.0}


# --- rapl ---


@pytest.fixture
def tree(tmp_path):
    """A powercap tree of two packages, as Linux shows it; `tree[zone] = microjoules`."""

    class Tree(dict):
        root = tmp_path / "powercap"

        def __setitem__(self, zone, microjoules):
            super().__setitem__(zone, microjoules)
            # at once, as the kernel does it: a thread may be reading
            new = self.root / zone / "new"
            new.write_text(f"{microjoules}\n")
            new.replace(self.root / zone / "energy_uj")

        def add(self, zone, name, largest=999, microjoules=0):
            (self.root / zone).mkdir(parents=True)
            (self.root / zone / "name").write_text(f"{name}\n")
            (self.root / zone / "max_energy_range_uj").write_text(f"{largest}\n")
            self[zone] = microjoules

    tree = Tree()
    (tree.root / "intel-rapl").mkdir(parents=True)  # the driver itself has no counter
    tree.add("intel-rapl:0", "package-0")
    tree.add("intel-rapl:0:0", "core")
    tree.add("intel-rapl:0:1", "dram")
    tree.add("intel-rapl:1", "package-1", largest=499)
    tree.add("intel-rapl:2", "psys")
    tree.add("intel-rapl-mmio:0", "package-0")
    return tree


def test_packages_and_memory_are_summed_and_their_parts_are_not(tree):
    assert [zone.name for zone in find_zones(tree.root)] == ["package-0", "dram", "package-1"]
    meter = RaplMeter(tree.root, period=60)
    tree["intel-rapl:0"] = 100  # before the start: does not count
    meter.start()
    tree["intel-rapl:0"] = 150
    tree["intel-rapl:0:1"] = 7
    tree["intel-rapl:1"] = 30
    for zone in ("intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"):
        tree[zone] = 500
    energy = meter.stop()
    assert energy.joules == pytest.approx(87e-6)
    assert (energy.kind, energy.scope, energy.source) == (
        "measured", "2 packages + memory", "rapl"
    )  # fmt: skip
    assert "power supply" in energy.note


def test_one_package_without_memory(tree):
    for zone in ("intel-rapl:1", "intel-rapl:0:1"):
        shutil.rmtree(tree.root / zone)
    meter = RaplMeter(tree.root, period=60)
    meter.start()
    assert meter.stop().scope == "package"


def test_a_counter_that_begins_again(tree):
    tree["intel-rapl:1"] = 490
    meter = RaplMeter(tree.root, period=60)
    meter.start()
    tree["intel-rapl:1"] = 10
    assert meter.stop().joules == pytest.approx(20e-6)


def test_a_counter_that_begins_again_twice_is_seen_by_the_thread(tree):
    meter = RaplMeter(tree.root, period=0.01)
    meter.start()
    for microjoules in (400, 300, 200):  # 400 + 400 + 400, modulo 500
        tree["intel-rapl:1"] = microjoules
        deadline = time.monotonic() + 120
        while microjoules not in meter._last and time.monotonic() < deadline:
            time.sleep(0.01)
    assert meter.stop().joules == pytest.approx(1200e-6)


def test_a_meter_can_be_used_again_and_leaves_no_thread(tree):
    meter = RaplMeter(tree.root, period=0.01)
    for _ in range(2):
        meter.start()
        tree["intel-rapl:0"] += 40
        assert meter.stop().joules == pytest.approx(40e-6)
        assert not meter._thread.is_alive()


@given(st.integers(1, 10**12), st.lists(st.integers(0, 10**12), min_size=1), st.integers(0))
def test_wrap_around(largest, increases, start):
    increases = [value % (largest + 1) for value in increases]
    total = before = start % (largest + 1)
    seen = 0
    for increase in increases:
        total += increase
        after = total % (largest + 1)
        seen += counter_increase(before, after, largest)
        before = after
    assert seen == sum(increases)


def test_counters_are_looked_at_before_two_kilowatts_fill_them(tree):
    assert RaplMeter(tree.root).period == SHORTEST_PERIOD
    for zone in ("intel-rapl:0", "intel-rapl:0:1", "intel-rapl:1"):
        (tree.root / zone / "max_energy_range_uj").write_text("20000000000\n")
    assert RaplMeter(tree.root).period == pytest.approx(5.0)  # 20 kJ, 2 kW


def test_no_counters(tmp_path, tree):
    for root in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(PowerMeterError) as raised:
            RaplSettings(meter="rapl", root=root).open()
        for part in (str(root), "modprobe", "virtual machines"):
            assert part in str(raised.value)


def test_counters_of_parts_alone_are_none(tree):
    for zone in ("intel-rapl:0", "intel-rapl:1"):
        shutil.rmtree(tree.root / zone)
    with pytest.raises(PowerMeterError, match="no energy counters"):
        find_zones(tree.root)


@pytest.fixture
def unprivileged(tree):
    """The tree where anybody can reach it, as seen by somebody who may not read counters."""
    root = Path(tempfile.mkdtemp())
    shutil.copytree(tree.root, root, dirs_exist_ok=True)
    root.chmod(0o755)
    for counter in root.glob("*/energy_uj"):
        counter.chmod(0o400 if os.geteuid() == 0 else 0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield root
    os.seteuid(before)
    shutil.rmtree(root)


def test_missing_permission(unprivileged):
    with pytest.raises(PowerMeterError) as raised:
        RaplSettings(meter="rapl", root=unprivileged).open()
    message = str(raised.value)
    assert f"no permission to read {unprivileged}/intel-rapl:0/energy_uj" in message
    assert f"sudo chmod a+r {unprivileged}/intel-rapl:*/energy_uj" in message


@pytest.mark.parametrize("text", ["", "many", "-5", "1.5", "\xff"])
def test_a_counter_without_a_number(tree, text):
    (tree.root / "intel-rapl:1" / "energy_uj").write_bytes(text.encode("latin1"))
    with pytest.raises(PowerMeterError, match="intel-rapl:1/energy_uj"):
        RaplMeter(tree.root)


def test_a_counter_that_vanishes_while_it_is_watched(tree):
    meter = RaplMeter(tree.root, period=0.01)
    meter.start()
    (tree.root / "intel-rapl:1" / "energy_uj").unlink()
    meter._thread.join(60)
    tree["intel-rapl:1"] = 3
    with pytest.raises(PowerMeterError, match="intel-rapl:1/energy_uj cannot be read"):
        meter.stop()


@pytest.mark.parametrize(
    ("processor", "kind"),
    [("Intel(R) Xeon(R) Gold", "measured"), ("AMD EPYC 7702", "modelled")],
)
def test_counters_of_amd_are_modelled(tree, monkeypatch, processor, kind):
    monkeypatch.setattr(
        "portable_cortex.host.provenance.computer", lambda: {"processor": processor}
    )
    meter = RaplSettings(meter="rapl", root=tree.root).open()
    meter.start()
    assert meter.stop().kind == kind


# --- nvml ---


@pytest.fixture
def nvml(monkeypatch):
    """A pynvml of two GPUs; `nvml.millijoules` are their counters."""

    class NVMLError(Exception):
        pass

    fake = types.ModuleType("pynvml")
    fake.NVMLError = NVMLError
    fake.millijoules = [1000, 5000]
    fake.failing = set()

    def call(name, result):
        def function(*arguments):
            if name in fake.failing:
                raise NVMLError("Not Supported")
            return result(*arguments)

        setattr(fake, name, function)

    call("nvmlInit", lambda: None)
    call("nvmlDeviceGetCount", lambda: len(fake.millijoules))
    call("nvmlDeviceGetHandleByIndex", lambda number: number)
    call("nvmlDeviceGetTotalEnergyConsumption", lambda handle: fake.millijoules[handle])
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.mark.parametrize(
    ("devices", "joules", "scope"), [(None, 5.0, "2 GPU boards"), ([1], 3.0, "GPU board")]
)
def test_nvml(nvml, devices, joules, scope):
    meter = NvmlSettings(meter="nvml", devices=devices).open()
    nvml.millijoules[0] += 10_000  # before the start: does not count
    meter.start()
    nvml.millijoules = [nvml.millijoules[0] + 2000, nvml.millijoules[1] + 3000]
    energy = meter.stop()
    assert energy.joules == pytest.approx(joules)
    assert (energy.kind, energy.scope, energy.source) == ("measured", scope, "nvml")


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("nvmlInit", "NVIDIA driver"),
        ("nvmlDeviceGetTotalEnergyConsumption", "no readable energy counter .*Not Supported"),
    ],
)
def test_nvml_that_does_not_work(nvml, failing, said):
    nvml.failing.add(failing)
    with pytest.raises(PowerMeterError, match=said):
        NvmlSettings(meter="nvml").open()


@pytest.mark.parametrize("devices", [[2], [0, 7], []])
def test_a_gpu_that_is_not_there(nvml, devices):
    with pytest.raises(PowerMeterError, match="there are 2 GPUs, numbered from 0"):
        NvmlSettings(meter="nvml", devices=devices).open()


def test_nvml_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(PowerMeterError, match=r"pip install 'portable-cortex\[nvml\]'"):
        NvmlSettings(meter="nvml").open()


# --- trace ---


@pytest.fixture
def trace(tmp_path):
    def write(text, **settings):
        (tmp_path / "meter.csv").write_text(text, encoding="utf-8")
        return TraceSettings(meter="trace", path=tmp_path / "meter.csv", **settings)

    return write


SAMPLES = "time,watts\n100,50\n104,50\n108,90\n110,90\n"


@pytest.mark.parametrize(
    ("start", "stop", "joules"),
    [(100, 110, 660.0), (101, 103, 100.0), (105, 107, 140.0), (106, 109, 250.0), (103, 103, 0.0)],
)
def test_a_trace_is_integrated(trace, start, stop, joules):
    energy = trace(SAMPLES).energy(start, stop)
    assert energy.joules == pytest.approx(joules)
    assert (energy.kind, energy.scope, energy.source) == ("measured", "outlet", "trace")
    assert "idle power included" in energy.note


def test_idle_power_is_subtracted_and_said(trace):
    energy = trace(SAMPLES, idle_watts=20, scope="rack").energy(100, 110)
    assert energy.joules == pytest.approx(460.0)
    assert energy.scope == "rack"
    assert energy.note == "idle power of 20 W subtracted; samples at most 4 s apart"


def test_gaps_elsewhere_do_not_matter(trace):
    text = "time,watts\n0,1\n100,1\n101,1\n102,1\n500,1\n"
    assert "at most 1 s apart" in trace(text).energy(100.5, 101.5).note


@pytest.mark.parametrize(("start", "stop"), [(99, 105), (105, 110.5), (0, 1), (200, 300)])
def test_a_trace_that_does_not_cover_the_phase(trace, start, stop):
    with pytest.raises(PowerMeterError, match=r"meter\.csv covers 100\.000 to 110\.000, not the"):
        trace(SAMPLES).energy(start, stop)


def test_a_trace_without_samples_covers_nothing(trace):
    with pytest.raises(PowerMeterError, match="covers nothing"):
        trace("time,watts\n").energy(0, 1)


def test_times_in_iso_8601_with_further_columns(trace):
    settings = trace(
        "\ufeffvolts, watts, time\n"
        "230, 100, 2026-03-01T13:00:00+01:00\n"
        "230, 100, 2026-03-01T12:00:10Z\n"
    )
    begin = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    assert read_trace(settings.path)[0].tolist() == [begin, begin + 10]
    assert settings.energy(begin, begin + 10).joules == pytest.approx(1000.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns time and watts in its first line, not nothing"),
        ("seconds,power\n1,2\n", "columns time and watts in its first line, not seconds, power"),
        ("time,watts\n1,2\n2\n", "line 3"),
        ("time,watts\n1,many\n", "line 2.*many"),
        ("time,watts\n1,nan\n", "line 2.*nan"),
        ("time,watts\ninf,1\n", "line 2.*inf"),
        ("time,watts\nnoon,1\n", "line 2.*noon"),
        ("time,watts\n2026-03-01T12:00:00,1\n", r"line 2.*offset from UTC, e\.g\. .*Z"),
        ("time,watts\n2,1\n2,1\n", "line 3.*ascend"),
        ("time,watts\n2,1\n1,1\n", "line 3.*ascend"),
    ],
)
def test_a_trace_that_cannot_be_read(trace, text, said):
    settings = trace(text)
    for use in (settings.open, lambda: settings.energy(1, 2)):
        with pytest.raises(PowerMeterError, match=said) as raised:
            use()
        assert "meter.csv" in str(raised.value)


def test_a_trace_may_be_written_later_but_not_into_a_folder_that_is_not_there(tmp_path):
    TraceSettings(meter="trace", path=tmp_path / "later.csv").open()
    with pytest.raises(PowerMeterError, match="no folder"):
        TraceSettings(meter="trace", path=tmp_path / "nowhere" / "later.csv").open()
    with pytest.raises(PowerMeterError, match="cannot be read"):
        TraceSettings(meter="trace", path=tmp_path).open()


SERIES = st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1e4)), min_size=2, max_size=30).map(
    lambda rows: (np.cumsum([r[0] for r in rows]), np.array([r[1] for r in rows]))
)


@given(SERIES, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_parts_of_a_trace_add_up(series, first, second, third):
    times, watts = series
    a, b, c = times[0] + np.sort([first, second, third]) * (times[-1] - times[0])
    whole = integrate(times, watts, a, c)
    parts = integrate(times, watts, a, b) + integrate(times, watts, b, c)
    assert parts == pytest.approx(whole, rel=1e-9, abs=1e-6)
    assert (c - a) * watts.min() - 1e-6 <= whole <= (c - a) * watts.max() + 1e-6


@given(SERIES, st.floats(0, 1), st.floats(0, 1), st.floats(-10, 10), st.floats(0, 100))
def test_a_straight_line_is_integrated_exactly(series, first, second, slope, offset):
    times, _ = series
    a, b = times[0] + np.sort([first, second]) * (times[-1] - times[0])
    exact = slope * (b * b - a * a) / 2 + offset * (b - a)
    assert integrate(times, slope * times + offset, a, b) == pytest.approx(
        exact, rel=1e-7, abs=1e-3
    )


# --- stated, and around a block ---


def test_stated_power_is_assumed():
    meter = StatedSettings(meter="stated", watts=200, scope="package", utilisation=0.5).open()
    meter.start()
    time.sleep(0.05)
    energy = meter.stop()
    assert energy.joules >= 100 * 0.05
    assert (energy.kind, energy.scope, energy.source) == ("assumed", "package", "stated")
    assert energy.note == "200 W at a utilisation of 0.5"


def test_the_kind_of_an_energy_is_one_of_three():
    with pytest.raises(InvalidValueError, match="measured, modelled, assumed, not 'guessed'"):
        Energy(1.0, "guessed", "outlet")


def test_a_block_without_a_meter_is_timed():
    with metered(None) as found:
        time.sleep(0.02)
    begin, end = found.interval_unix
    assert end - begin >= 0.015
    assert found.energies == []


def test_the_thread_ends_where_the_block_fails(tree):
    meter = RaplMeter(tree.root, period=0.01)
    with pytest.raises(ZeroDivisionError), metered(meter):
        raise ZeroDivisionError
    assert not meter._thread.is_alive()


# --- machine files and runs ---


@pytest.fixture
def machine(tmp_path):
    def write(table):
        path = tmp_path / "mine.toml"
        path.write_text(f'description = "Mine"\n{table}\n', encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ('meter = "rapl"', RaplSettings),
        ('meter = "rapl"\nroot = "/sys/elsewhere"', RaplSettings),
        ('meter = "nvml"', NvmlSettings),
        ('meter = "nvml"\ndevices = [0, 2]', NvmlSettings),
        ('meter = "trace"\npath = "m.csv"\nidle_watts = 3\nscope = "rack"', TraceSettings),
        ('meter = "stated"\nwatts = 105\nscope = "package"\nutilisation = 0.7', StatedSettings),
    ],
)
def test_power_tables(machine, table, kind):
    assert isinstance(load_machine(machine(f"[power]\n{table}")).power, kind)


def test_the_machine_for_rapl():
    assert load_machine("rapl").power == RaplSettings(meter="rapl")
    assert load_machine("local").power is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[power]", ["[power]", "'meter' is required", "rapl, nvml, trace, stated"]),
        ('[power]\nmeter = "rpal"', ["'rpal'", "rapl, nvml, trace, stated", "did you mean 'rapl'"]),
        ("[power]\nmeter = 3", ["'3'", "rapl, nvml, trace, stated"]),
        ('[power]\nmeter = ["rapl"]', ["rapl, nvml, trace, stated"]),
        ('[power]\nmeter = "rapl"\nrot = "/x"', ["'rot'", "meter, root", "did you mean 'root'"]),
        ('[power]\nmeter = "rapl"\nroot = 3', ["'root'", "3"]),
        ('[power]\nmeter = "nvml"\ndevices = [-1]', ["devices.0", "greater than or equal to 0"]),
        ('[power]\nmeter = "nvml"\ndevices = 1', ["'devices'", "list", "1"]),
        ('[power]\nmeter = "trace"', ["'path' is required"]),
        ('[power]\nmeter = "trace"\npath = "x"\nidle_watts = -1', ["idle_watts", "-1"]),
        ('[power]\nmeter = "trace"\npath = "x"\nidle_watts = nan', ["idle_watts", "finite"]),
        ('[power]\nmeter = "stated"\nwatts = 5', ["'scope' is required"]),
        ('[power]\nmeter = "stated"\nwatts = 0\nscope = "x"', ["watts", "greater than 0"]),
        ('[power]\nmeter = "stated"\nwatts = "5"\nscope = "x"', ["watts", "number", "'5'"]),
        (
            '[power]\nmeter = "stated"\nwatts = 5\nscope = "x"\nutilisation = 70',
            ["utilisation", "less than or equal to 1", "70"],
        ),
        ("power = 3", ["'power'", "3"]),
    ],
)
def test_a_mistake_in_a_power_table(machine, table, said):
    with pytest.raises(MachineFileError) as raised:
        load_machine(machine(table))
    for part in ["mine.toml", *said]:
        assert part in str(raised.value)


def test_a_run_with_a_meter(machine, tmp_path):
    path = machine('[power]\nmeter = "stated"\nwatts = 100\nscope = "package"')
    recording = run(machine=path, **FAST)
    (energy,) = recording.metadata["energy"]
    seconds = recording.metadata["phases_s"]["simulate"]
    assert energy.pop("joules") == pytest.approx(100 * seconds, rel=0.5, abs=0.5)
    assert energy == {
        "kind": "assumed", "scope": "package", "source": "stated",
        "note": "100 W at a utilisation of 1",
    }  # fmt: skip
    saved = json.loads((recording.save(tmp_path / "out") / "run.json").read_text())
    assert saved["energy"] == recording.metadata["energy"]


def test_only_the_simulate_phase_is_measured(tree, machine, monkeypatch):
    from portable_cortex.backends.mock import MockBackend

    def simulate(self, sim, duration, progress):
        tree["intel-rapl:0"] += int(duration)
        sim.run(duration)

    monkeypatch.setattr(MockBackend, "simulate", simulate)
    recording = run(machine=machine(f'[power]\nmeter = "rapl"\nroot = "{tree.root}"'), **FAST)
    assert recording.metadata["energy"][0]["joules"] == pytest.approx(40e-6)


def test_the_backends_own_figure_stands_beside_the_meters(machine, monkeypatch):
    from portable_cortex.backends.mock import MockBackend

    monkeypatch.setattr(MockBackend, "energy", lambda self: Energy(7.0, "modelled", "boards"))
    path = machine('[power]\nmeter = "stated"\nwatts = 100\nscope = "package"')
    first, second = run(machine=path, **FAST).metadata["energy"]
    assert first["source"] == "stated"
    assert second == {
        "joules": 7.0, "kind": "modelled", "scope": "boards", "source": "mock", "note": ""
    }  # fmt: skip


def test_a_meter_that_cannot_be_used_is_refused_before_anything_is_built(machine, tmp_path):
    model = tmp_path / "mine.py"
    model.write_text("def build(sim):\n    raise SystemExit('built')\n")
    path = machine(f'[power]\nmeter = "rapl"\nroot = "{tmp_path}/none"')
    with pytest.raises(PowerMeterError, match="no energy counters"):
        run(model=model, backend="mock", machine=path)


def test_a_trace_that_is_written_after_the_run(machine, tmp_path):
    path = machine(f'[power]\nmeter = "trace"\npath = "{tmp_path}/meter.csv"')
    with pytest.warns(PowerWarning, match=r"energy of this run is unknown: .*meter\.csv"):
        recording = run(machine=path, **FAST)
    assert recording.metadata["energy"] == []
    begin, end = recording.metadata["simulate_interval_unix"]
    (tmp_path / "meter.csv").write_text(f"time,watts\n{begin - 1},50\n{end + 1},50\n")
    energy = load_machine(path).power.energy(begin, end)
    assert energy.joules == pytest.approx(50 * (end - begin))
