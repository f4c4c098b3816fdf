"""Time and energy of runs, with labels."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from portable_cortex import Energy, Recording, run
from portable_cortex.errors import InvalidValueError, OutputError
from portable_cortex.validation.cost import as_dict, cost_of

SETTINGS = {"model": "brunel2000", "backend": "mock", "scale": 0.02, "warmup": 10.0}


@pytest.fixture(scope="module")
def recorded():
    return run(**SETTINGS, duration=200.0)


@pytest.fixture(scope="module")
def fast():
    return run(**SETTINGS, duration=200.0, record_spikes=False, seed=3)


def with_energy(recording, *energies):
    return replace(
        recording, metadata={**recording.metadata, "energy": [vars(e) for e in energies]}
    )


OUTLET = Energy(12.0, "measured", "outlet", "trace", "idle power included")
BOARDS = Energy(3.0, "modelled", "boards", "machine")


def test_real_time_factors(recorded):
    cost = cost_of(recorded)
    phases = recorded.metadata["phases_s"]
    assert set(cost.real_time_factors) == set(phases)
    assert cost.real_time_factor == pytest.approx(recorded.metadata["real_time_factor"])
    assert cost.real_time_factors["connect"] == pytest.approx(phases["connect"] / 0.2)
    assert cost.real_time_factors["warmup"] == pytest.approx(phases["warmup"] / 0.01)
    assert cost.energies == ()


def test_core_seconds(recorded):
    about = {**recorded.metadata, "options": {"threads": 3}, "processes": 2}
    about["phases_s"] = {**about["phases_s"], "simulate": 0.5}
    cost = cost_of({**about, "cpu_s": {"simulate": 2.0}})
    assert cost.core_seconds == pytest.approx(10.0)  # 2 s of processor time for 0.2 s
    assert cost.core_seconds_held == pytest.approx(15.0)  # 6 threads, real-time factor 2.5
    used, held = (f for f in cost.figures() if f.name.startswith("core-seconds"))
    assert (used.value, held.value) == (cost.core_seconds, cost.core_seconds_held)
    assert "on average 4 of 6 threads" in held.note
    free = cost_of({**about, "cpu_s": {"simulate": 2.9}})
    assert [f.note for f in free.figures() if f.name.startswith("core-seconds")] == ["", ""]


def test_runs_of_older_versions_do_not_say_their_core_seconds(recorded):
    older = {k: v for k, v in recorded.metadata.items() if k != "cpu_s"}
    cost = cost_of(older)
    assert (cost.core_seconds, cost.threads, cost.core_seconds_held) == (None, None, None)
    assert not any(f.name.startswith("core-seconds") for f in cost.figures())


def test_threads_that_built_the_network_of_a_gpu_are_not_held(recorded):
    about = {**recorded.metadata, "options": {"threads": 3, "device": "cuda"}}
    cost = cost_of({**about, "cpu_s": {"simulate": 2.0}})
    assert (cost.threads, cost.core_seconds_held) == (None, None)


def test_energy_per_synaptic_event(recorded):
    cost = cost_of(with_energy(recorded, OUTLET, BOARDS))
    events = recorded.metadata["synaptic_events"]
    assert cost.energies == (OUTLET, BOARDS)
    assert cost.energy_per_event(OUTLET) == pytest.approx(12e6 / events)
    assert cost.events_from == "of this run"


def test_figures_have_labels(recorded):
    figures = cost_of(with_energy(recorded, OUTLET, BOARDS)).figures()
    per_event = [f for f in figures if f.name == "energy per synaptic event"]
    assert [(f.kind, f.scope, f.unit) for f in per_event] == [
        ("measured", "outlet", "uJ"),
        ("modelled", "boards", "uJ"),
    ]
    assert per_event[0].note == "trace: idle power included; events of this run"
    assert {f.name for f in figures} >= {"real-time factor, simulate", "peak memory", "energy"}
    assert all(f.kind in ("measured", "modelled", "assumed") and f.scope for f in figures)


def test_without_spikes_the_energy_per_event_is_unknown(fast):
    cost = cost_of(with_energy(fast, OUTLET))
    assert cost.synaptic_events is None
    assert cost.energy_per_event(OUTLET) is None
    (figure,) = (f for f in cost.figures() if f.name == "energy per synaptic event")
    assert figure.value is None
    assert "spikes were not recorded" in figure.note


def test_events_of_another_run(fast, recorded):
    cost = cost_of(with_energy(fast, OUTLET), events_from=recorded)
    assert cost.synaptic_events == recorded.metadata["synaptic_events"]
    assert cost.events_from == "of another run of the same settings (mock, seed 1)"
    # its own events go first
    assert cost_of(recorded, events_from=recorded).events_from == "of this run"


def test_events_of_other_settings_are_refused(fast, recorded):
    longer = run(**SETTINGS, duration=300.0)
    with pytest.raises(InvalidValueError, match=r"duration_ms \(200.0, 300.0\)"):
        cost_of(fast, events_from=longer)
    other = run(**{**SETTINGS, "scale": 0.04}, duration=200.0)
    with pytest.raises(InvalidValueError, match=r"parameters .*n_synapses"):
        cost_of(fast, events_from=other)
    with pytest.raises(InvalidValueError, match="recorded its spikes"):
        cost_of(fast, events_from=fast)


def test_a_run_without_spikes_or_synapses_has_no_energy_per_event(recorded):
    silent = {**recorded.metadata, "synaptic_events": 0}
    assert cost_of(silent).energy_per_event(OUTLET) is None


def test_no_warm_up():
    assert "warmup" not in cost_of(run(**{**SETTINGS, "warmup": 0.0})).real_time_factors


def test_energies_that_came_after_the_run(recorded):
    assert cost_of(with_energy(recorded, BOARDS), energies=[OUTLET]).energies == (BOARDS, OUTLET)


def test_a_saved_run_costs_the_same(recorded, tmp_path):
    folder = with_energy(recorded, OUTLET).save(tmp_path / "run")
    cost = cost_of(Recording.load(folder))
    assert cost == cost_of(json.loads((folder / "run.json").read_text()))
    assert cost == cost_of(with_energy(recorded, OUTLET))


def test_what_a_portal_has_counted(recorded):
    usage = {"value": 12.5, "units": "core-hours"}
    cost = cost_of({**recorded.metadata, "portal": {"job": 7, "resource_usage": usage}})
    (figure,) = (f for f in cost.figures() if f.name == "resource usage")
    assert (figure.value, figure.unit, figure.kind) == (12.5, "core-hours", "measured")
    assert json.loads(json.dumps(as_dict(cost)))["charge"]["value"] == 12.5
    for portal in ({"job": 7}, {"resource_usage": None}, None, []):
        assert cost_of({**recorded.metadata, "portal": portal}).charge is None
    with pytest.raises(OutputError, match="no complete account"):
        cost_of({**recorded.metadata, "portal": {"resource_usage": {"value": "much"}}})


def test_for_json(recorded):
    content = json.loads(json.dumps(as_dict(cost_of(with_energy(recorded, OUTLET)))))
    assert content["energies"][0]["scope"] == "outlet"
    assert content["energies"][0]["per_synaptic_event_uJ"] > 0
    assert content["synaptic_events"] == recorded.metadata["synaptic_events"]


@pytest.mark.parametrize(
    "damage",
    [
        {"phases_s": None},
        {"phases_s": {"simulate": "long"}},
        {"duration_ms": None},
        {"duration_ms": 0.0},
        {"energy": None},
        {"energy": [{"joules": 1.0}]},
        {"energy": [{"joules": 1.0, "kind": "guessed", "scope": "outlet"}]},
        {"peak_memory_bytes": None},
        {"peak_memory_bytes": float("inf")},
        {"phases_s": ["simulate"]},
        {"cpu_s": None},
        {"cpu_s": {"connect": 1.0}},
        {"options": {"threads": "many"}},
        {"phases_s": {"connect": 1.0}},
        {"phases_s": {"simulate": float("nan")}},
        {"synaptic_events": "many"},
        {"energy": [{"joules": "much", "kind": "measured", "scope": "outlet"}]},
        {"energy": [5]},
    ],
)
def test_damaged_metadata(recorded, damage):
    with pytest.raises(OutputError, match="no complete account"):
        cost_of({**recorded.metadata, **damage})


def test_incomplete_metadata(recorded):
    for key in ("phases_s", "synaptic_events", "energy"):
        about = {k: v for k, v in recorded.metadata.items() if k != key}
        with pytest.raises(OutputError, match=key):
            cost_of(about)


def test_events_of_a_run_as_it_is_in_memory_and_as_it_was_saved(tmp_path):
    # parameters that are tuples come back as lists
    settings = {"backend": "mock", "scale": 0.01, "warmup": 0.0, "duration": 20.0}
    fast = run(**settings, record_spikes=False)
    saved = Recording.load(run(**settings).save(tmp_path / "run"))
    assert cost_of(fast, events_from=saved).synaptic_events > 0
