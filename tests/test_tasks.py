"""What a network does with its input: each task measures what it says, and is repeatable."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import missing

from portable_cortex import Experiment, Spikes
from portable_cortex.errors import InvalidValueError, OutputExistsError, UnsupportedError
from portable_cortex.validation.tasks import (
    Streams,
    classify_templates,
    compare_twins,
    judge,
    respond_to_pulses,
    separate_inputs,
)
from portable_cortex.validation.tasks.inputs import of_trial, templates, with_streams
from portable_cortex.validation.tasks.readout import filtered, kappa
from portable_cortex.validation.tasks.templates import questions
from portable_cortex.validation.verdict import Verdict

QUICK = Experiment(parameters={"scale": 0.03}, warmup=40.0)

RELAY = """
def build(sim, seed=1):
    cells = {}
    for label in ("L4E", "L23E", "L5E"):
        cell = sim.IF_curr_exp(tau_m=10.0, tau_syn_E=0.5, cm=0.25)
        cells[label] = sim.Population(40, cell, label=label)
    return cells
"""


# --- inputs -----------------------------------------------------------------------------------


def test_templates_have_the_rate_and_stay_in_their_segments():
    streams = Streams(segments=40)
    known = templates(streams, seed=1)
    sizes = [template[0].size for stream in known for pair in stream for template in pair]
    assert np.mean(sizes) == pytest.approx(40 * 20e-3 * 30, rel=0.05)
    choices = np.zeros((2, 40), int)
    rng = np.random.default_rng(3)
    first, second = (of_trial(streams, known, choices, rng, 100.0, 0.1) for _ in range(2))
    assert [len(stream) for stream in first] == [40, 40]
    shifts = []
    for a, b in zip(first[0], second[0], strict=True):
        assert ((a >= 100.0) & (a <= 100.0 + streams.duration)).all()
        np.testing.assert_allclose(a / 0.1, np.round(a / 0.1), atol=1e-6)
        if a.size == b.size:
            shifts.append(np.sort(a) - np.sort(b))
    # two independent jitters of 1 ms
    assert np.std(np.concatenate(shifts)) == pytest.approx(np.sqrt(2), rel=0.15)


def test_choices_decide_which_template_it_is():
    streams = Streams(segments=2, jitter=0.0)
    known = templates(streams, seed=1)
    rng = np.random.default_rng(1)
    found = [
        of_trial(streams, known, np.array(chosen), rng, 0.0, 0.1)
        for chosen in ([[0, 0], [0, 0]], [[0, 1], [0, 0]])
    ]
    early = [np.concatenate([t[t < 29.9] for t in trial[0]]) for trial in found]
    late = [np.concatenate([t[t > 30.1] for t in trial[0]]) for trial in found]
    np.testing.assert_array_equal(*early)
    assert late[0].size != late[1].size or (late[0] != late[1]).any()
    for a, b in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_stream_depolarises_as_it_says(tmp_path):
    """By 1 mV on average, whatever the number of its synapses."""
    (tmp_path / "relay.py").write_text(RELAY)
    from portable_cortex import RecordRequest
    from portable_cortex.experiment import execute_trials
    from portable_cortex.sweep.trials import OfTrials
    from portable_cortex.validation.tasks._trials import adapted

    streams = Streams(segments=60)
    experiment = Experiment(
        model=tmp_path / "relay.py",
        warmup=50.0,
        record=[RecordRequest("v", label, 40) for label in ("L4E", "L5E")],
    )
    experiment, resolved = adapted(
        experiment, streams.duration, lambda model: with_streams(model, streams)
    )
    known = templates(streams, seed=1)
    choices = np.random.default_rng(1).integers(0, 2, (2, streams.segments))

    def change(number, populations):
        rng = np.random.default_rng(2)
        trains = of_trial(streams, known, choices, rng, experiment.warmup, 0.1)
        populations["stream 1"].set(spike_times=[list(t) for t in trains[0]])

    (trial,) = execute_trials(resolved, [1], OfTrials(None, 1), change)
    for label in ("L4E", "L5E"):
        rise = trial.signals[label, "v"].values.mean() - -65.0
        assert rise == pytest.approx(1.0, rel=0.2)


# --- readout ----------------------------------------------------------------------------------


def test_the_filter_is_exponential():
    spikes = Spikes(np.array([1.0, 4.0, 9.0, 12.0]), np.array([0, 2, 0, 1]))
    expected = [np.exp(-9 / 3) + np.exp(-1 / 3), 0.0, np.exp(-6 / 3)]
    np.testing.assert_allclose(filtered(spikes, 3, 10.0, 3.0), expected)


def test_kappa_is_0_for_noise_and_1_for_what_is_plain():
    rng = np.random.default_rng(1)
    labels = rng.random(600) < 0.5
    noise = rng.normal(size=(600, 50))
    assert abs(kappa(noise, labels, 500)) < 0.25
    assert kappa(noise + 5 * labels[:, np.newaxis], labels, 500) == 1.0
    assert np.isnan(kappa(noise, np.zeros(600, bool), 500))
    assert kappa(np.zeros((600, 3)), labels, 500) == 0.0


def test_answers_are_those_of_the_choices():
    rng = np.random.default_rng(1)
    choices = rng.integers(0, 2, (50, 2, 4))
    found = questions(choices)
    assert len(found) == 3 + 2 * 3
    np.testing.assert_array_equal(found["stream 2, 3 before"], choices[:, 1, 0] == 1)
    np.testing.assert_array_equal(found["both alike"], choices[:, 0, 3] == choices[:, 1, 3])


# --- the tasks --------------------------------------------------------------------------------


def test_a_network_that_relays_its_input_tells_templates_apart(tmp_path):
    """Strong input and no noise: the last template is plain, the one long before it is gone."""
    (tmp_path / "relay.py").write_text(RELAY)
    streams = Streams(segments=3, potential=12.0)
    experiment = Experiment(model=tmp_path / "relay.py", warmup=10.0)
    found = classify_templates(experiment, 120, streams=streams)
    assert found.training == 100
    assert set(found.kappa) == {"L23E", "L5E"}
    assert found.kappa["L5E"]["stream 1"] > 0.8
    assert found.kappa["L23E"]["stream 2"] > 0.6
    assert abs(found.kappa["L5E"]["stream 2"]) < 0.6  # it does not go there
    json.dumps(found.to_dict())


def test_trials_that_are_over_are_kept(tmp_path):
    file, streams = tmp_path / "kept.npz", Streams(segments=1)
    whole = classify_templates(QUICK, 30, streams=streams)
    classify_templates(QUICK, 24, streams=streams, file=file)
    with np.load(file) as content:
        assert content["L23E"].shape[0] == 24
    again = classify_templates(QUICK, 30, streams=streams, file=file)
    assert again.kappa == whole.kappa
    with pytest.raises(OutputExistsError, match="another experiment"):
        classify_templates(replace(QUICK, seed=2), 30, streams=streams, file=file)


@pytest.mark.parametrize("backend", ["builtin", "neuron"])
def test_twins_grow_apart(backend):
    if obstacle := missing(backend):
        pytest.skip(obstacle)
    found = compare_twins(replace(QUICK, backend=backend), 3, duration=100.0)
    assert len(found.times) == len(found.distance) == 20
    assert 0 < found.deviating[0] < np.mean(found.deviating[-4:])
    assert found.distance[0] < 0.5
    assert 0.6 < np.mean(found.distance[-5:]) < 1.4
    assert found.half < 80


@pytest.mark.parametrize("backend", ["builtin", "neuron"])
def test_twins_without_an_extra_spike_are_the_same(backend, monkeypatch):
    """What grows is the spike, and nothing of the simulator's."""
    if obstacle := missing(backend):
        pytest.skip(obstacle)
    monkeypatch.setattr("portable_cortex.validation.tasks.twins.KICK", 0.0)
    found = compare_twins(replace(QUICK, backend=backend), 2, duration=50.0)
    assert set(found.deviating) == {0.0}
    assert found.same_again == 2


def test_patterns_are_told_apart_while_they_are_there():
    """And chaos does not let it last."""
    found = separate_inputs(QUICK, 6, duration=60.0, streams=Streams(segments=1, potential=6.0))
    assert max(found.accuracy) > 0.9
    assert max(found.separability) > 0.05
    assert found.separability[-1] < max(found.separability)
    assert all(-1 <= s <= 1 for s in found.separability)


def test_pulses_reach_layer_4_before_layer_23():
    found = respond_to_pulses(replace(QUICK, parameters={"scale": 0.1}, warmup=200.0), 20)
    assert found.order.index("L4E") < found.order.index("L23E")
    response = found.responses["L4E"]
    assert 0 < response["onset"] < response["peak_time"] < response["recovery"] < 40
    assert response["peak"] > 3 * response["baseline"]
    assert response["undershoot"] < 1
    assert len(found.rates["L4E"]) == 200


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: classify_templates(QUICK, 5), InvalidValueError, "24 trials or more, not 5"),
        (lambda: separate_inputs(QUICK, 2), InvalidValueError, "4 trials of a class or more"),
        (lambda: compare_twins(QUICK, 1), InvalidValueError, "2 pairs or more, not 1"),
        (lambda: respond_to_pulses(QUICK, 3), InvalidValueError, "10 pulses or more, not 3"),
        (
            lambda: respond_to_pulses(replace(QUICK, model="brunel2000", parameters={})),
            UnsupportedError,
            "takes no thalamic_pulses",
        ),
        (
            lambda: classify_templates(replace(QUICK, model="brunel2000", parameters={})),
            UnsupportedError,
            "stream 1 goes to L23E.*the network has E, I",
        ),
        (
            lambda: classify_templates(replace(QUICK, backend="mock"), 30),
            UnsupportedError,
            "backend 'mock' simulates none",
        ),
        (
            lambda: respond_to_pulses(replace(QUICK, backend="coarse"), 10),
            UnsupportedError,
            "backend 'coarse' simulates none",
        ),
        (
            lambda: compare_twins(QUICK, 2, target="L9E"),
            UnsupportedError,
            "goes to L9E, and the network has L23E",
        ),
        (
            lambda: compare_twins(replace(QUICK, backend="nest"), 2),
            UnsupportedError,
            "nest backend cannot run trials",
        ),
    ],
)
def test_what_cannot_be(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_what_is_no_number_is_null_in_the_file(call, tmp_path):
    """Which is strict JSON, also where neurons are silent."""
    command = "task pulses --model interneurons --trials 10 --warmup 50 --out here".split()
    status, said, _ = call(*command)
    assert status == 0
    assert "none" in said
    text = (tmp_path / "here" / "seed-1" / "task.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    silent = found["responses"]["L23SOM"]  # before the pulse
    assert (silent["baseline"], silent["undershoot"]) == (0.0, None)
    assert found["responses"]["L4E"]["onset"] > 0
    assert call(*command)[1] == said  # read again


def seed(rng, half=20.0, kappa=0.9):
    return {
        "twins": {
            "pairs": 20,
            "half": half + rng.normal(),
            "distance": [*np.linspace(0, 1, 8), 0.9 + 0.02 * rng.normal(), None],
            "deviating": [3 + rng.normal()],
        },
        "templates": {
            "trials": 60,
            "training": 50,
            "kappa": {"L5E": {"stream 1": kappa + 0.02 * rng.normal(), "both alike": None}},
        },
    }


def test_seeds_are_judged_against_seeds():
    rng = np.random.default_rng(1)
    here, there, late = ([seed(rng, h) for _ in range(6)] for h in (20.0, 20.0, 40.0))
    for task in ("twins", "templates"):
        found = judge(task, [s[task] for s in here], [s[task] for s in there])
        assert found.verdict is Verdict.AGREES, found
        assert all(0 < c.detectable < 10 for c in found.contrasts if np.isfinite(c.p_adjusted))
    found = judge("twins", [s["twins"] for s in late], [s["twins"] for s in there])
    assert found.verdict is Verdict.DIFFERS
    assert [c.name for c in found.contrasts if c.differs] == [
        "half as far apart as independent trials after (ms)"
    ]
    few = judge("twins", [s["twins"] for s in here[:4]], [s["twins"] for s in there])
    assert few.verdict is Verdict.UNDECIDED
    assert "4 seeds here and 6 there: 5 or more" in few.reason
    with pytest.raises(InvalidValueError, match="20 trials here, 30 there"):
        judge("twins", [here[0]["twins"]], [{**here[0]["twins"], "pairs": 30}])


def test_what_only_one_group_has_is_said():
    rng = np.random.default_rng(3)

    def group(onset, *more):
        response = {"peak": 50.0, "baseline": 5.0}
        return [
            {
                "pulses": 20,
                "responses": {
                    label: {name: rng.normal(value, 0.1) for name, value in response.items()}
                    | {"onset": onset}
                    for label in ("L4E", *more)
                },
            }
            for _ in range(6)
        ]

    found = judge("pulses", group(None), group(2.0))
    assert found.verdict is Verdict.AGREES
    assert found.untested == ("L4E, onset (ms)",)
    for here, there in ((("L6E",), ()), ((), ("L6E",))):
        with pytest.raises(InvalidValueError, match="only one of the two has L6E"):
            judge("pulses", group(2.0, *here), group(2.0, *there))


def test_honest_seeds_are_not_called_different():
    rng = np.random.default_rng(2)
    groups = [[seed(rng)["twins"] for _ in range(5)] for _ in range(400)]
    alarms = sum(
        judge("twins", a, b).verdict is Verdict.DIFFERS
        for a, b in zip(groups[::2], groups[1::2], strict=True)
    )
    assert alarms <= 5  # of 200, at 0.01


def test_the_command_judges(call, tmp_path):
    command = "task twins --scale 0.02 --trials 2 --warmup 20 --out".split()
    assert call(*command, "here", "--seeds", "1-5")[0] == 0
    status, said, _ = call(*command, "here", "--seeds", "1-5", "--against", "here")
    assert status == 0
    assert "Agrees: none of " in said
    for k in range(1, 6):
        source = tmp_path / "here" / f"seed-{k}" / "task.json"
        content = json.loads(source.read_text())
        content["distance"] = [d + 5 for d in content["distance"]]
        content["experiment"]["backend"] = "other"
        target = tmp_path / "there" / f"seed-{k}"
        target.mkdir(parents=True)
        (target / "task.json").write_text(json.dumps(content))
    status, said, _ = call(*command, "here", "--seeds", "1-5", "--against", "there")
    assert status == 1
    assert "Differs: 1 of " in said
    assert "backend: builtin here, other there" in said
    written = json.loads((tmp_path / "here" / "verdict.json").read_text())
    assert written["verdict"] == "Differs"
    status, said, _ = call(*command, "here", "--seeds", "1-4", "--against", "there")
    assert status == 2
    assert "Could not tell: 4 seeds here and 5 there" in said
    for wrong, match in (("nowhere", "a folder that this command wrote"), ("here", "of the task")):
        status, _, complaint = call("task", "pulses", "--against", wrong)
        assert status == 2
        assert match in complaint


def test_the_command(call, tmp_path):
    command = "task twins --scale 0.02 --trials 2 --warmup 20 --seeds 1-2 --out here".split()
    status, said, _ = call(*command)
    assert status == 0
    assert "2 pairs of networks that differ in one spike" in said
    assert (tmp_path / "here" / "task.png").stat().st_size > 10_000
    before = (tmp_path / "here" / "seed-1" / "task.json").read_text()
    status, again, _ = call(*command)
    assert status == 0
    assert "building the network" not in again  # they are there
    assert (tmp_path / "here" / "seed-1" / "task.json").read_text() == before
    status, _, complaint = call(*command, "--trials", "3")
    assert status == 2
    assert "another experiment" in complaint
    status, _, complaint = call("task", "chess")
    assert status == 2
    assert "pulses" in complaint
