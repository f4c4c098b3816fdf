"""Networks in the SONATA format: written, read again, read by others, and refused in a sentence."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from pyNN.standardmodels import cells

from portable_cortex import Recording, run
from portable_cortex.cli.commands import command
from portable_cortex.errors import ModelError, ModelWarning, OutputExistsError, PortableCortexError
from portable_cortex.models.loader import load_model
from portable_cortex.models.sonata.templates import GENERATOR, TEMPLATES, recovered
from portable_cortex.networks import export, sonata_writer
from portable_cortex.neurons import library

MINE = '''
"""Neurons of three types that spikes at given times drive, with views and an assembly."""
import numpy as np
from pyNN.parameters import Sequence

def build(sim, n=60, seed=1):
    rng = np.random.default_rng(seed)
    trains = [Sequence(np.unique(np.round(rng.uniform(0.1, 100, 60), 1))) for _ in range(n)]
    source = sim.Population(n, sim.SpikeSourceArray(spike_times=trains), label="tha.lamus β")
    e = sim.Population(n, sim.IF_curr_exp(tau_m=10.0, tau_syn_E=0.5, i_offset=0.2), label="E")
    i = sim.Population(
        n // 4, sim.IF_curr_alpha(v_thresh=-52.0, i_offset=0.001 * np.arange(n // 4)), label="any"
    )
    c = sim.Population(10, sim.IF_cond_exp(tau_m=13.0), label="C")
    r = sim.NumpyRNG(seed=seed)
    e.initialize(v=sim.RandomDistribution("uniform", low=-65, high=-50, rng=r))
    drawn = sim.RandomDistribution("normal_clipped", mu=0.6, sigma=0.1, low=0, high=2, rng=r)
    later = sim.RandomDistribution("uniform", low=0.5, high=3, rng=r)
    some = sim.FixedProbabilityConnector(0.2, rng=r)
    few = sim.FixedNumberPreConnector(10, rng=r)
    static = sim.StaticSynapse
    sim.Projection(source, e, few, static(weight=drawn, delay=1.5), receptor_type="excitatory")
    sim.Projection(e, i, some, static(weight=1.0, delay=later))
    back = sim.Projection(
        i, e[10:40], some, static(weight=-0.5, delay=1.0), receptor_type="inhibitory"
    )
    weights = np.array(back.get("weight", "list", with_address=False))
    back.set(weight=(weights * 0.77).tolist())
    sim.Projection(e[:30] + i, c, some, static(weight=0.02, delay=1.0))
    sim.Projection(i, c, some, static(weight=0.04, delay=1.0), receptor_type="inhibitory")
    return {"E": e, "inhibitory neurons": i, "C": c}
'''


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "mine.py"
    path.write_text(MINE, "utf-8")
    return path


@pytest.fixture(scope="module")
def network(mine, tmp_path_factory):
    """The folder of the network of `MINE`."""
    return export(mine, tmp_path_factory.mktemp("network"), duration=100.0).file.parent


@pytest.fixture
def copy(network, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(network, tmp_path / "copy")


def short(model, backend="builtin", **others):
    return run(model=model, backend=backend, warmup=0.0, duration=100.0, **others)


def assert_same(one: Recording, other: Recording) -> None:
    assert list(one.populations) == list(other.populations)
    for label in one.populations:
        a, b = one.spikes(label), other.spikes(label)
        assert a.times.size > 10
        np.testing.assert_allclose(a.times, b.times, rtol=0, atol=1e-9)
        assert a.neurons.tolist() == b.neurons.tolist()


def assert_same_trains(one: Recording, other: Recording) -> None:
    for label in one.populations:
        assert one.spikes(label).times.tolist() == other.spikes(label).times.tolist()


def columns(folder) -> dict[str, np.ndarray]:
    """All data of all files of HDF5."""
    found = {}
    for path in sorted((folder / "network").glob("*.h5")):
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item, path=path: (
                    found.update({f"{path.name}/{name}": item[...]})
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
    return found


@pytest.mark.parametrize("backend", ["builtin", "nest"])
def test_the_network_is_the_same_when_it_is_read_again(mine, network, backend):
    if backend == "nest":
        pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    assert_same(
        short(mine, backend, realisation="shared"), short(network / "network.json", backend)
    )


def test_a_network_that_was_read_is_written_as_it_was(network, tmp_path):
    again = export(network / "network.json", tmp_path / "again")
    one, other = columns(network), columns(again.file.parent)
    assert sorted(one) == sorted(other)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_values_that_differ_in_many_neurons_are_of_nodes(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(sonata_writer, "MOST_TYPES", 20)
    written = export(mine, tmp_path, duration=100.0)
    assert any("V_m of E" in note and "BMTK do not" in note for note in written.notes)
    assert "neurons.h5/nodes/E/0/dynamics_params/V_m" in columns(tmp_path)
    assert "neurons.h5/nodes/inhibitory_neurons/0/dynamics_params/I_e" not in columns(tmp_path)
    assert_same(short(mine, realisation="shared"), short(written.file))


def test_poisson_sources_are_generators(tmp_path):
    written = export("brunel2000", tmp_path, parameters={"scale": 0.01})
    assert written.n_sources == written.n_neurons == 125
    assert any("equal in statistics" in note for note in written.notes)
    table = (tmp_path / "network" / "generators_types.csv").read_text().splitlines()
    assert table[1].split()[2] == "point_process"
    assert f"nest:{GENERATOR}" in table[1]
    rates = [
        run(model=m, warmup=100.0, duration=500.0, **p).metadata["rates"]["E"]
        for m, p in (("brunel2000", {"scale": 0.01}), (written.file, {}))
    ]
    assert rates[0] == pytest.approx(rates[1], rel=0.1)


def test_a_model_that_records_and_its_odd_path(tmp_path):
    (tmp_path / "my $models").mkdir()
    path = tmp_path / "my $models" / "m.py"
    path.write_text(
        "def build(sim):\n"
        "    cells = sim.Population(2, sim.IF_curr_exp(i_offset=1.5), label='cells')\n"
        "    cells.record('v')\n"
        "    return {'cells': cells}\n"
    )
    written = export(path, tmp_path / "out")
    assert any("records v of cells" in note for note in written.notes)
    with pytest.warns(UserWarning, match="records v of cells, which is not kept"):
        model = short(path)
    assert_same_trains(model, short(written.file))


def test_given_spikes_are_written_where_they_are_here(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(
        "def build(sim):\n"
        "    given = sim.SpikeSourceArray(spike_times=[0.0, 1.04, 1.2])\n"
        "    source = sim.Population(1, given, label='given')\n"
        "    cells = sim.Population(1, sim.IF_curr_exp(), label='cells')\n"
        "    sim.Projection(source, cells, sim.AllToAllConnector(), sim.StaticSynapse(weight=1.0))\n"  # noqa: E501
        "    return {'cells': cells}\n"
    )
    written = export(path, tmp_path / "out")
    assert any("spikes at 0 ms" in note for note in written.notes)
    with h5py.File(tmp_path / "out" / "inputs" / "spikes.h5") as file:
        assert file["spikes/given/timestamps"][...].tolist() == [0.0, 1.1, 1.2]


def test_models_in_nestml_go_with_the_network(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(
        "import numpy as np\n"
        "def build(sim):\n"
        "    kind = sim.nestml_cell_type('Adaptive', 'adex_cond_exp')\n"
        "    cells = sim.Population(20, kind(i_offset=0.7 + 0.02 * np.arange(20)), label='cells')\n"
        "    some = sim.FixedProbabilityConnector(0.3, rng=sim.NumpyRNG(seed=1))\n"
        "    for receptor in kind.receptor_types:\n"
        "        sim.Projection(cells, cells, some, sim.StaticSynapse(weight=0.002, delay=1.5),\n"
        "                       receptor_type=receptor)\n"
        "    return {'cells': cells}\n"
    )
    written = export(path, tmp_path / "out", duration=100.0)
    assert len(list((tmp_path / "out" / "components").glob("*.nestml"))) == 1
    assert any("models in NESTML" in note for note in written.notes)
    assert_same(short(path, realisation="shared"), short(written.file))


def test_nodes_of_a_model_in_nestml_have_its_defaults_where_they_have_no_value(foreign):
    (foreign / "models" / "adex.nestml").write_text(library.source("adex_cond_exp"))
    (foreign / "models" / "exc.json").write_text('{"i_offset": 0.8}')
    table = foreign / "network" / "n.csv"
    table.write_text(
        table.read_text()
        .replace("nest:iaf_psc_exp", "nest:adex")
        .replace("nest:iaf_psc_alpha", "nest:adex")
    )
    with h5py.File(foreign / "network" / "n.h5", "r+") as file:
        del file["nodes/v1/0/dynamics_params"]
    circuit = json.loads((foreign / "circuit.json").read_text())
    circuit["networks"]["edges"] = []
    (foreign / "circuit.json").write_text(json.dumps(circuit))
    spikes = short(foreign / "simulation.json").spikes("v1")
    assert set(spikes.neurons.tolist()) == {0, 2, 4}


def test_weights_come_back_exactly():
    weights = np.random.default_rng(1).normal(0.0878, 0.01, 10_000)
    for values in (weights.astype(np.float32).astype(float), np.round(weights, 5)):
        assert np.array_equal(recovered(values * 1e3, 1e3), values)
    assert np.array_equal(recovered(weights * 1e3, 1e3) * 1e3, weights * 1e3)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template.cell)
def test_parameters_of_each_cell_come_back(template):
    standard = getattr(cells, template.cell)
    draw = np.random.default_rng(2)
    values = {
        n: np.round(v * draw.uniform(0.5, 2, 9), 4) for n, v in standard.default_parameters.items()
    }
    native = {**template.to_nest(values), "V_m": np.full(9, -61.0)}
    assert set(native) <= set(template.defaults)
    back = template.to_pynn(native, 9, "file")
    assert back.pop("v").tolist() == [-61.0] * 9
    assert sorted(back) == sorted(values)
    for name, expected in values.items():
        np.testing.assert_array_equal(back[name], expected, name)


# --- what others read -----------------------------------------------------------------------------


def test_defaults_are_those_of_nest():
    nest = pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    for template in TEMPLATES.values():
        defaults = nest.GetDefaults(template.model)
        for name, value in {**template.defaults, **template.ignored}.items():
            assert defaults[name] == value, (template.model, name)


# NEST's class, and what its kernel does with edges where it was built without HDF5 (as wheels are)
NESTS_READER = """
import sys, h5py, nest, numpy as np
from nest.lib import hl_api_sonata

def connect(specs, hyperslab_size):
    for entry in specs["edges"]:
        with h5py.File(entry["edges_file"]) as file:
            for group in file["edges"].values():
                ids = [
                    np.array(specs["nodes"][group[end].attrs["node_population"]].tolist())[group[end]]
                    for end in ("source_node_id", "target_node_id")
                ]
                (kind,) = set(group["edge_type_id"][...].tolist())
                model = entry["syn_specs"][str(kind)]["synapse_model"]
                names = {"weight": "syn_weight", "delay": "delay"}
                values = {name: group[f"0/{column}"][...] for name, column in names.items()}
                nest.Connect(*ids, "one_to_one", {"synapse_model": model, **values})

if not hl_api_sonata.have_hdf5:
    hl_api_sonata.have_hdf5 = True
    hl_api_sonata.nestkernel.llapi_connect_sonata = connect
network = nest.SonataNetwork(sys.argv[1])
recorders = {}
for name, nodes in network.BuildNetwork().items():
    recorders[name] = nest.Create("spike_recorder")
    nest.Connect(nodes, recorders[name])
network.Simulate()
with h5py.File(sys.argv[2], "w") as file:
    for name, recorder in recorders.items():
        first = network.node_collections[name][0].global_id
        file[f"spikes/{name}/timestamps"] = recorder.events["times"]
        file[f"spikes/{name}/node_ids"] = np.array(recorder.events["senders"]) - first
"""
BMTK = """
import sys
from bmtk.simulator import pointnet
configuration = pointnet.Config.from_json(sys.argv[1])
configuration.build_env()
network = pointnet.PointNetwork.from_config(configuration)
pointnet.PointSimulator.from_config(configuration, network).run()
"""


def assert_spikes(path, recording: Recording) -> None:
    with h5py.File(path) as file:
        for label in recording.populations:
            spikes = recording.spikes(label)
            group = file["spikes"][label.replace(" ", "_")]
            times = np.round(group["timestamps"][...], 6)
            order = np.lexsort((group["node_ids"][...], times))
            assert times[order].tolist() == np.round(spikes.times, 6).tolist()
            assert group["node_ids"][...][order].tolist() == spikes.neurons.tolist()


def test_nests_own_reader_has_the_same_spikes(mine, network, tmp_path):
    pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    pytest.importorskip("pandas", reason="NEST's reader of SONATA needs pandas: pip install pandas")
    out = tmp_path / "spikes.h5"
    subprocess.run(
        [sys.executable, "-c", NESTS_READER, network / "network.json", out],
        check=True,
        capture_output=True,
    )
    assert_spikes(out, short(mine, "nest", realisation="shared"))


def test_bmtk_has_the_same_spikes(mine, copy):
    python = os.environ.get("BMTK_PYTHON")
    if not python:
        pytest.skip(
            "BMTK_PYTHON names no Python with BMTK: make one with python -m venv bmtk && "
            "bmtk/bin/pip install bmtk nest-simulator 'setuptools<81', and set BMTK_PYTHON to "
            "bmtk/bin/python"
        )
    pytest.importorskip("nest", reason="NEST is not installed: pip install nest-simulator")
    subprocess.run([python, "-c", BMTK, "network.json"], check=True, capture_output=True, cwd=copy)
    assert_spikes(copy / "output" / "spikes.h5", short(mine, "nest", realisation="shared"))


# --- what others write ----------------------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path):
    """A network as other programs write it: two files, one population of two models."""
    (tmp_path / "network").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "circuit.json").write_text(
        json.dumps(
            {
                "manifest": {"$NET": "${configdir}/network", "$MODELS": "models"},
                "components": {"point_neuron_models_dir": "$MODELS"},
                "networks": {
                    "nodes": [
                        {"nodes_file": "$NET/n.h5", "node_types_file": "$NET/n.csv"},
                        {"nodes_file": "$NET/lgn.h5", "node_types_file": "$NET/lgn.csv"},
                    ],
                    "edges": [{"edges_file": "$NET/e.h5", "edge_types_file": "$NET/e.csv"}],
                },
            }
        )
    )
    (tmp_path / "simulation.json").write_text(
        json.dumps(
            {
                "network": "circuit.json",
                "run": {"tstop": 100.0, "dt": 0.1},
                "inputs": {
                    "a": {
                        "input_type": "spikes",
                        "module": "h5",
                        "input_file": "spikes.h5",
                        "node_set": "lgn",
                    }
                },
            }
        )
    )
    (tmp_path / "network" / "n.csv").write_text(
        "node_type_id model_type model_template dynamics_params ei\n"
        "7 point_neuron nest:iaf_psc_exp exc.json e\n"
        '9 point_process nest:iaf_psc_alpha "inh.json"  i\n'
    )
    (tmp_path / "network" / "lgn.csv").write_text("node_type_id model_type\n1 virtual\n")
    (tmp_path / "network" / "e.csv").write_text(
        "edge_type_id target_query syn_weight delay model_template\n"
        "1 ei=='e' 900.0 1.5 static_synapse\n"
        "2 NULL 3000.0 2.0 static_synapse\n"
        "3 NULL -40.0 NULL static_synapse\n"
    )
    (tmp_path / "models" / "exc.json").write_text('{"C_m": 200.0, "tau_m": 15.0}')
    (tmp_path / "models" / "inh.json").write_text("{}")
    with h5py.File(tmp_path / "network" / "n.h5", "w") as file:
        file["nodes/v1/node_type_id"] = np.array([7, 9, 7, 9, 7])
        file["nodes/v1/node_group_id"] = np.zeros(5, int)
        file["nodes/v1/node_group_index"] = np.array([4, 3, 2, 1, 0])
        file["nodes/v1/0/x"] = np.zeros(5)
        file["nodes/v1/0/dynamics_params/V_m"] = np.array([-60.0, -61.0, -62.0, -63.0, -64.0])
    with h5py.File(tmp_path / "network" / "lgn.h5", "w") as file:
        file["nodes/lgn/node_type_id"] = np.ones(2, int)
    with h5py.File(tmp_path / "network" / "e.h5", "w") as file:
        for name, source, ids in (
            ("lgn_to_v1", "lgn", ([0, 1, 1], [0, 1, 2], [1, 2, 1])),
            ("v1_to_v1", "v1", ([0, 1, 3], [1, 4, 2], [2, 3, 3])),
        ):
            ends = ("source_node_id", source), ("target_node_id", "v1"), ("edge_type_id", None)
            for (column, population), values in zip(ends, ids, strict=True):
                data = file.create_dataset(f"edges/{name}/{column}", data=np.array(values))
                if population:
                    data.attrs["node_population"] = population
    with h5py.File(tmp_path / "spikes.h5", "w") as file:
        file["spikes/timestamps"] = np.array([20.0, 10.0, 10.0])
        file["spikes/gids"] = np.array([1, 0, 1])
    return tmp_path


def test_a_network_of_others_is_what_its_files_say(foreign):
    again = export(foreign / "simulation.json", foreign / "out")
    assert again.n_neurons, again.n_synapses == (5, 6)
    found = columns(foreign / "out")
    edges = {
        name.split("/")[2]: [
            found[name.replace("source_node_id", column)].tolist()
            for column in ("source_node_id", "target_node_id", "0/syn_weight", "0/delay")
        ]
        for name in found
        if name.endswith("source_node_id")
    }
    assert edges == {
        "lgn_to_v1_iaf_psc_exp": [[0, 1], [0, 1], [900.0, 900.0], [1.5, 1.5]],
        "lgn_to_v1_iaf_psc_alpha": [[1], [0], [3000.0], [2.0]],
        "v1_iaf_psc_exp_to_v1_iaf_psc_alpha": [[0], [0], [3000.0], [2.0]],
        "v1_iaf_psc_alpha_to_v1_iaf_psc_exp": [[0, 1], [2, 1], [-40.0, -40.0], [1.0, 1.0]],
    }
    potentials = {
        name: [json.loads(p.read_text())["V_m"] for p in sorted(folder)]
        for name in ("exp", "alpha")
        if (folder := (foreign / "out" / "components").glob(f"*_psc_{name}.json"))
    }
    assert potentials == {"exp": [-64.0, -62.0, -60.0], "alpha": [-63.0, -61.0]}


def test_a_network_of_others_runs(foreign):
    spikes = short(foreign / "simulation.json").spikes("v1 iaf_psc_alpha")
    assert spikes.neurons.tolist()[0] == 0
    assert spikes.times[0] == pytest.approx(13.8)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("circuit.json", ': "$MODELS"', ': "$NOWHERE"', "manifest has no"),
        ("circuit.json", "n.csv", "m.csv", "there is no file"),
        ("circuit.json", '"networks"', '"nets"', "networks.nodes names no file"),
        ("simulation.json", "spikes", "current_clamp", "current_clamp.*expected spikes"),
        ("simulation.json", '"lgn"', '"v2"', "no spikes of lgn"),
        ("simulation.json", '"lgn"', '"v1"', "spikes of v1, which are no|no spikes of lgn"),
        ("simulation.json", '"dt": 0.1', '"dt": -1', "run.dt must be"),
        ("simulation.json", '"dt": 0.1', '"tstart": 50', "a simulation is one from 0 ms"),
        ("circuit.json", '"edges": [', '"gap_juncs": [', "networks.gap_juncs is not understood"),
        ("network/e.csv", "target_query", "is_gap_junction", "gap junctions are not understood"),
        ("simulation.json", '"run"', '"target_simulator": "NEURON", "run"', "NEURON"),
        ("network/n.csv", "point_neuron", "biophysical", "model_type is biophysical"),
        ("network/n.csv", "nest:iaf_psc_exp", "nest:glif_psc", "no neuron that all backends have"),
        ("network/n.csv", "nest:iaf_psc_exp", "nrn:IntFire1", "expected nest:MODEL"),
        ("network/n.csv", "9 ", "7 ", "stands there twice"),
        ("network/n.csv", "9 ", "8 ", "no node_type_id 9"),
        ("network/n.csv", " ei", " model_processing", "model_processing changes"),
        ("network/n.csv", " e\n", "\n", "row 2 has 4 fields"),
        ("models/exc.json", "tau_m", "tau_membrane", "tau_membrane of nest:iaf_psc_exp"),
        ("models/exc.json", "15.0", '"long"', "tau_m must be a number"),
        ("models/exc.json", "15.0", "-15.0", "tau_m must be a number above 0"),
        ("network/e.csv", "static_synapse", "stdp_synapse", "expected static_synapse"),
        ("network/e.csv", "target_query", "weight_function", "weight_function changes"),
        ("network/e.csv", "target_query", "nsyns", "nsyns must be a number"),
        ("network/e.csv", "2 NULL", "2 4", None),
        ("network/e.csv", "3000.0", "NULL", "have no syn_weight"),
        ("network/e.csv", "3000.0", "strong", "syn_weight must be a number"),
    ],
)
def test_what_is_not_understood_is_a_sentence(foreign, file, old, new, said):
    path = foreign / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    if said is None:  # a column that anybody may add
        short(foreign / "simulation.json", "mock")
        return
    with pytest.raises(PortableCortexError, match=said):
        short(foreign / "simulation.json", "builtin" if "-15" in new else "mock")


@pytest.mark.parametrize(
    ("file", "name", "values", "said"),
    [
        ("n.h5", "nodes/v1/0/model_template", np.zeros(5), "model_template changes what nodes are"),
        ("n.h5", "nodes/v1/node_id", np.array([1, 2, 3, 4, 5]), "node_id is not 0, 1, 2"),
        ("n.h5", "nodes/v1/0/dynamics_params/V_m", np.zeros(2), "V_m has no value 4"),
        ("e.h5", "edges/v1_to_v1/target_node_id", np.array([1, 2, 5]), "attribute node_population"),
        ("e.h5", "edges/v1_to_v1/edge_type_id", np.array([1, 2, 5]), "no edge_type_id 5"),
        ("e.h5", "edges/v1_to_v1/edge_type_id", np.array([1, 2]), "different lengths"),
        ("n.h5", "nodes/v1/node_group_id", np.array([0, 1, 0, 0, 0]), "has no group 1, which some"),
        ("n.h5", "nodes/v1/0/dynamics_params/V_m", np.full(5, np.nan), "that are no numbers"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_are_a_sentence(foreign, file, name, values, said):
    with h5py.File(foreign / "network" / file, "r+") as opened:
        if name in opened:
            del opened[name]
        opened[name] = values
    with pytest.raises(ModelError, match=rf"{file}.*({said})|({said}).*{file}"):
        short(foreign / "simulation.json", "mock")


def test_what_is_stated_and_does_nothing_is_said(foreign):
    path = foreign / "simulation.json"
    content = json.loads(path.read_text())
    content["conditions"] = {"celsius": 34.0}
    content["reports"] = {"v": {"variable_name": "V_m"}, "w": {"enabled": False}}
    path.write_text(json.dumps(content))
    with h5py.File(foreign / "network" / "n.h5", "r+") as file:
        file["nodes/v1/0/I_e"] = np.full(5, 500.0)
    with pytest.warns(ModelWarning) as warned:
        short(path, "mock")
    notes = [str(warning.message) for warning in warned]
    for said in ("used here: conditions.celsius", "here: I_e of v1", "made here: reports.v;"):
        assert sum(said in note for note in notes) == 1, said
    assert not any("--warmup 0" in note for note in notes)


@pytest.mark.parametrize(("warmup", "duration"), [(50.0, 50.0), (0.0, 200.0)])
def test_a_run_that_is_not_the_simulation_of_the_file_says_so(foreign, warmup, duration):
    with pytest.warns(UserWarning, match=r"from 0 to 100 ms .*--warmup 0 --duration 100 makes"):
        run(model=foreign / "simulation.json", backend="mock", warmup=warmup, duration=duration)


def test_folders_beside_a_circuit_are_no_values_of_it(foreign):
    """Names in a configuration that another one names are files only where files are asked for."""
    (foreign / "spikes").mkdir()
    (foreign / "lgn").mkdir()
    outer = foreign / "outer.json"
    outer.write_text(json.dumps({"network": "circuit.json", "simulation": "simulation.json"}))
    assert_same_trains(short(outer), short(foreign / "simulation.json"))


def test_one_model_is_one_population_by_both_of_its_names(foreign):
    path = foreign / "network" / "n.csv"
    path.write_text(path.read_text().replace("nest:iaf_psc_alpha", "nest:iaf_psc_exp"))
    assert list(short(foreign / "simulation.json", "mock").populations) == ["v1"]


def test_a_column_label_of_others_names_nothing(foreign):
    path = foreign / "network" / "n.csv"
    path.write_text(path.read_text().replace(" ei\n", " label\n").replace(" i\n", " e\n"))
    assert all(p.startswith("v1 ") for p in short(foreign / "simulation.json", "mock").populations)


def test_a_circuit_without_its_inputs_is_a_sentence(foreign):
    with pytest.raises(ModelError, match="whose nodes are virtual: take the configuration of the"):
        short(foreign / "circuit.json", "mock")


def test_damaged_files_are_sentences(copy):
    """Bytes of each file are changed or cut, at places that are drawn."""
    draw, said = random.Random(1), []
    files = [path for path in sorted(copy.rglob("*")) if path.is_file()]
    files = [p for p in files if p.suffix != ".json" or p.name in ("network.json", "100_E.json")]
    for number in range(45):
        path = files[number % len(files)]
        whole = path.read_bytes()
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 4, 30])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged if number % 3 else whole[: draw.randrange(len(whole))])
        try:
            short(copy / "network.json", "mock")
        except PortableCortexError as error:
            said.append(str(error))
        finally:
            path.write_bytes(whole)
    assert len(said) > 15
    assert not [text for text in said if "\n" in text]


# --- what cannot be written -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sim.Population(2, sim.HH_cond_exp())", "HH_cond_exp cannot be written"),
        ("sim.DCSource(amplitude=0.1).inject_into(cells)", "DCSource cannot be.*i_offset"),
        ("cells.initialize(isyn_exc=0.5)", "begins with isyn_exc = 0.5"),
        (
            "sim.Projection(sim.Population(1, sim.SpikeSourcePoisson(rate=9.0)), cells, "
            "sim.AllToAllConnector())",
            "several synapses, which get the same spikes",
        ),
        (
            "sim.Projection(cells, cells, sim.AllToAllConnector(), sim.TsodyksMarkramSynapse())",
            "TsodyksMarkramSynapse cannot be written",
        ),
    ],
)
def test_what_has_no_meaning_there_is_a_sentence(tmp_path, code, said):
    path = tmp_path / "model.py"
    path.write_text(
        "def build(sim):\n"
        "    cells = sim.Population(3, sim.IF_curr_exp(), label='cells')\n"
        f"    {code}\n"
        "    return {'cells': cells}\n"
    )
    with pytest.raises(PortableCortexError, match=said):
        export(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- the command ----------------------------------------------------------------------------------


def test_the_command(tmp_path, capsys):
    arguments = ["export", "--model", "brunel2000", "--scale", "0.01", "--out", str(tmp_path / "n")]
    assert command(arguments) == 0
    said = capsys.readouterr()
    assert "125 neurons, 125 sources, 1,625 synapses" in said.out
    assert "Note: Poisson sources" in said.err
    with pytest.raises(OutputExistsError, match="already holds a network"):
        command(arguments)
    assert command([*arguments, "--overwrite", "--seed", "2"]) == 0
    assert sorted(p.name for p in (tmp_path / "n").iterdir()) == [
        "components", "inputs", "network", "network.json",
    ]  # fmt: skip
    assert json.loads((tmp_path / "n" / "network.json").read_text())["portable_cortex"]["seed"] == 2


def test_a_network_is_known_by_all_its_files(copy):
    before = load_model(copy / "network.json").sha256
    with h5py.File(copy / "network" / "edges.h5", "r+") as file:
        group = next(iter(file["edges"].values()))
        group["0/syn_weight"][0] += 1.0
    assert load_model(copy / "network.json").sha256 != before
