"""A neuron model in NESTML does on every backend what the reference says."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from neuron_chance import SIZE, intervals
from neuron_runs import CHANCE, INPUTS, Input, in_reference, on_backend

import portable_cortex
from portable_cortex.errors import SimulationError
from portable_cortex.neurons import celltype, library

BACKENDS = ("builtin", "nest", "brian2", "neuron")
OPTIONS = {"brian2": {"mode": "runtime", "target": "numpy"}}  # compiling takes longer than running
DURATION, STEP = 200.0, 0.1
TOLERANCE = {"solver": 1e-3}  # of the range of a variable; beside the exact solution
LATE_BY = 0.01  # steps: a solver may be so late on a spike's upstroke, and early
USUAL = ("adex_curr_exp", "glif5_curr_alpha", "mat2_curr_exp")  # a solver, convolutions, neither
MODELS = [name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in INPUTS]


RUNAWAY = """
model runaway_neuron:
    state:
        v mV = -1 mV
    equations:
        v' = v**2 / (1 mV * 1 ms)
    input:
        spikes <- spike
    output:
        spike
    update:
        integrate_odes()
    onReceive(spikes):
        v += 1 mV * spikes * 1 s
    onCondition(v < -100 mV):
        emit_spike()
"""


PHASES = """
model phases_neuron:
    state:
        v mV = 0 mV
        w mV = 0 mV
        refr_t ms = 0 ms
    equations:
        v' = -v / tau
        w' = {w}
        refr_t' = -1
    parameters:
        tau ms = 10 ms
        tau_refrac ms = 2 ms
    input:
        spikes <- spike
    output:
        spike
    update:
        if refr_t > 0:
            integrate_odes({running}, refr_t)
        else:
            integrate_odes({over})
    onReceive(spikes):
        v += 1 mV * spikes * 1 s
    onCondition(refr_t <= 0 and v + w > 2 mV):
        v = 0 mV
        w += 1 mV
        refr_t = tau_refrac
        emit_spike()
"""
SENDS = """
model sends_neuron:
    state:
        v mV = half
        w mV = 1 mV
        count integer = 0
    equations:
        v' = {rise}
    parameters:
        tau ms = 10 ms
        period ms = 7 ms
    internals:
        half mV = w / 2
    input:
        spikes <- spike
    output:
        spike
    update:
        integrate_odes()
        if count >= steps(period):
            if v > 1 mV:
                emit_spike()
                v -= 1 mV
            count = 0
        else:
            count += 1
    onReceive(spikes):
        v += 1 mV * spikes * 1 s
{late}"""
LATE = """
    onCondition(v > 4 mV):
        v = 0 mV
        emit_spike()
"""


CURVED = "-w**2 / (1 mV * 10 ms)"


@functools.cache
def expected(model):
    """Of the reference, which takes longer than most backends."""
    record = celltype.state_names(library.load(model))
    return in_reference(model, INPUTS[model], DURATION, STEP, record)


def simulator(backend):
    return portable_cortex.simulator(backend, options=OPTIONS.get(backend, {}))


def test_every_model_of_the_catalogue_has_its_input():
    assert set(INPUTS) == set(library.catalogue())


def test_the_list_says_how_each_backend_advances_each_model(call):
    status, out, _ = call("neurons", "list")
    assert status == 0
    rows = {cells[1].strip(): cells[3:-1] for line in out.splitlines()
            if len(cells := line.split("│")) > 3 and cells[1].strip()}  # fmt: skip
    assert set(library.catalogue()) == set(rows)
    for name, cells in rows.items():
        assert {cell.strip() for cell in cells} == {library.load(name).solution}
    assert rows["izhikevich_2003"][0].strip() == "as written"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_does_what_the_reference_says(backend, model):
    reference = expected(model)
    sim = simulator(backend)
    sim.setup(timestep=STEP)
    cells = sim.nestml_cell_type("Cells", model)
    own = on_backend(sim, cells, INPUTS[model], DURATION, STEP, list(reference.variables))
    sim.end()
    assert model in CHANCE or sum(map(len, reference.spikes)) > 10
    for spikes, wanted in zip(own.spikes, reference.spikes, strict=True):
        assert spikes.tolist() == wanted.tolist()
    for name, values in reference.variables.items():
        tolerance = np.full(values.shape, TOLERANCE.get(cells.neuron.solution, 1e-9))
        tolerance *= np.ptp(values)
        if cells.neuron.solution == "solver":
            changes = np.abs(np.diff(values, axis=0, prepend=values[:1], append=values[-1:]))
            tolerance += LATE_BY * np.maximum(changes[:-1], changes[1:])
        assert (np.abs(own.variables[name] - values) <= tolerance).all(), name


@pytest.mark.slow
@pytest.mark.parametrize("model", CHANCE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_intervals_are_as_likely_as_the_formula_says(backend, model):
    sim = simulator(backend)
    cells = sim.nestml_cell_type("Cells", model)
    assert min(intervals(sim, cells, model, STEP)) > SIZE


@pytest.mark.parametrize(
    "backend", [pytest.param(b, marks=pytest.mark.slow) if b in ("nest", "neuron") else b
                for b in BACKENDS]
)  # fmt: skip
def test_equations_that_run_away_are_an_error(backend):
    sim = simulator(backend)
    sim.setup(timestep=STEP)
    cells = sim.nestml_cell_type("Runaway", RUNAWAY)
    sim.Population(2, cells(), label="calm")
    wild = sim.Population(3, cells(), label="wild")
    wild.initialize(v=[-1.0, 2.0, -1.0])
    with pytest.raises(SimulationError, match=r"v of cell 1 of population wild was \S+ at"):
        sim.run(20.0)
    sim.end()


@pytest.mark.parametrize(
    ("running", "over"), [("w", "v"), ("v", "v, w"), ("w", "v, w"), ("v, w", "v, w")]
)
@pytest.mark.parametrize(
    "backend", [pytest.param(b, marks=pytest.mark.slow) if b in ("nest", "neuron") else b
                for b in BACKENDS]
)  # fmt: skip
def test_a_solver_may_be_needed_in_one_phase_and_not_in_the_other(backend, running, over):
    model = PHASES.format(w=CURVED, running=running, over=over)
    given = Input((1.0,), 0.0)
    reference = in_reference(model, given, DURATION, STEP, ["v", "w"])
    sim = simulator(backend)
    sim.setup(timestep=STEP)
    own = on_backend(sim, sim.nestml_cell_type("Phases", model), given, DURATION, STEP, ["v", "w"])
    sim.end()
    assert sum(map(len, reference.spikes)) > 20
    for spikes, wanted in zip(own.spikes, reference.spikes, strict=True):
        assert spikes.tolist() == wanted.tolist()
    for name, values in reference.variables.items():
        assert np.abs(own.variables[name] - values).max() < 1e-3 * np.ptp(values), name


@pytest.mark.parametrize("late", ["", LATE], ids=["only", "also"])
@pytest.mark.parametrize(
    "rise", ["-v / tau", "-v * exp(v / (10 mV)) / tau"], ids=["exact", "solver"]
)
@pytest.mark.parametrize(
    "backend", [pytest.param(b, marks=pytest.mark.slow) if b in ("nest", "neuron") else b
                for b in BACKENDS]
)  # fmt: skip
def test_spikes_may_be_sent_anywhere_in_a_step(backend, rise, late):
    """And a variable may begin with what is computed from another."""
    model = SENDS.format(rise=rise, late=late)
    given = Input((1.5,), 0.0)
    reference = in_reference(model, given, DURATION, STEP, ["v", "count"])
    sim = simulator(backend)
    sim.setup(timestep=STEP)
    kind = sim.nestml_cell_type("Sends", model)
    own = on_backend(sim, kind, given, DURATION, STEP, ["v", "count"])
    sim.end()
    assert sum(map(len, reference.spikes)) > 20
    for spikes, wanted in zip(own.spikes, reference.spikes, strict=True):
        assert spikes.tolist() == wanted.tolist()
    assert np.abs(own.variables["count"] - reference.variables["count"]).max() == 0
    assert np.abs(own.variables["v"] - reference.variables["v"]).max() < 1e-3


VARIETY = """
model variety_neuron:
    state:
        v V = v_rest
        s real = 0
        n integer = 0
        beats real = 0
        flips boolean = false
        busy ms = 0 ms
        refractory ms = 0 ms
    equations:
        kernel double = exp(-t / tau_s)
        recordable inline g_max uS = cm / tau_m
        v' = (v_rest - v) * (1 + s) / tau_m + (i_stim + convolve(double, dend) * (1 pA)) / cm \\
            + 0.2 * (v_e - v) * soma
        s' = (0.3 * (1 + cos(t / tau_s)) - s) / tau_s
        busy' = -1
        refractory' = -1
    parameters:
        tau_m ms = 10 ms
        tau_s ms = 3 ms
        cm nF = 0.25 nF
        v_rest mV = -65 mV
        v_e mV = 0 mV
        tau_refrac ms = 2 ms
    input:
        dend <- spike
        soma <- spike
        i_stim nA <- continuous
    output:
        spike
    update:
        if refractory > 0 ms:
            integrate_odes(s, busy, refractory)
        else:
            integrate_odes(v, s, busy)
        n = (n - 1) / 2 + n % 3 - 7
        beats = round(sin(t / tau_m) * 2.5) + ceil(s) * floor(v / (1 mV))
        flips = busy > 0 ms and not flips
    onReceive(dend):
        busy = max(busy, 0 ms) + 0.3 ms
    onCondition(refractory <= 0 ms and v + i_stim * (1 kOhm) > -0.055 V and t > 5 ms):
        v = v_rest
        refractory = tau_refrac
        emit_spike()
"""


@pytest.mark.parametrize(
    "backend", [pytest.param(b, marks=pytest.mark.slow) if b in ("nest", "neuron") else b
                for b in BACKENDS]
)  # fmt: skip
def test_what_people_write_is_the_same_everywhere(backend):
    """Pulses in equations, the time, integers, timers, units, currents in conditions."""
    given = Input((300.0, 0.1), 0.2, {"v_rest": (-65.0, -66.0, -64.0, -65.0, -63.0)})
    record = ["v", "s", "n", "beats", "flips", "g_max"]
    reference = in_reference(VARIETY, given, DURATION, STEP, record)
    sim = simulator(backend)
    sim.setup(timestep=STEP)
    kind = sim.nestml_cell_type("Variety", VARIETY)
    own = on_backend(sim, kind, given, DURATION, STEP, record)
    assert sum(map(len, reference.spikes)) > 50
    for spikes, wanted in zip(own.spikes, reference.spikes, strict=True):
        assert spikes.tolist() == wanted.tolist()
    for name, values in reference.variables.items():
        tolerance = 1e-4 * np.ptp(values) if name in ("v", "s") else 1e-12
        assert np.abs(own.variables[name] - values).max() <= tolerance, name
    assert kind.default_parameters["tau_m"] == 10.0
    cells = sim.Population(2, kind(v_rest=[-65.0, -70.0]))
    assert np.allclose(cells.initial_values["v"].evaluate(), [-0.065, -0.070])
    sim.end()
