"""An sPyNNaker script that a test runs: every rule of plasticity of which there is a program."""

import json
import sys

import spynnaker.pyNN as sim  # noqa: N813

extra = sim.extra_models
sim.setup(timestep=1.0)
PAIR = {"tau_plus": 20.0, "tau_minus": 20.0, "A_plus": 0.1, "A_minus": 0.12}
TRIPLET = {"tau_plus": 17.0, "tau_minus": 34.0, "tau_x": 101.0, "tau_y": 114.0}


def additive():
    """One for each mechanism, which writes its amplitudes into it."""
    return sim.AdditiveWeightDependence(w_min=0.0, w_max=2.0)


def multiplicative():
    return sim.MultiplicativeWeightDependence(w_min=0.0, w_max=2.0)


RULES = {
    "pair, additive": (sim.SpikePairRule(**PAIR), additive()),
    "pair, multiplicative": (sim.SpikePairRule(**PAIR), multiplicative()),
    "nearest pair, additive": (extra.SpikeNearestPairRule(**PAIR), additive()),
    "nearest pair, multiplicative": (extra.SpikeNearestPairRule(**PAIR), multiplicative()),
    "triplet": (
        extra.PfisterSpikeTriplet(**TRIPLET, A_plus=0.1, A_minus=0.12),
        extra.WeightDependenceAdditiveTriplet(w_max=2.0),
    ),
    "Vogels 2011": (extra.Vogels2011Rule(alpha=0.1, tau=20.0, A_plus=0.1, A_minus=0.1), additive()),
    "recurrent, dual": (
        extra.RecurrentRule(dual_fsm=True, A_plus=0.1, A_minus=0.1),
        multiplicative(),
    ),
    "recurrent": (extra.RecurrentRule(dual_fsm=False, A_plus=0.1, A_minus=0.1), multiplicative()),
}


def driven(name):
    """Neurons, the first of which fires after the first input, the second before the second."""
    cells = sim.Population(2, sim.IF_curr_exp(tau_refrac=100.0), label=name)
    sim.Projection(
        trigger, cells, sim.OneToOneConnector(), sim.StaticSynapse(weight=60.0, delay=1.0)
    )
    cells.record("spikes")
    return cells


source = sim.Population(2, sim.SpikeSourceArray([[50.0, 150.0], [70.0, 150.0]]))
trigger = sim.Population(2, sim.SpikeSourceArray([[53.0], [63.0]]))
cells = {name: driven(name) for name in [*RULES, "rewarded", "changeable"]}
projections = {
    name: sim.Projection(
        source,
        cells[name],
        sim.OneToOneConnector(),
        sim.STDPMechanism(timing, weight, weight=1.0, delay=1.0),
    )
    for name, (timing, weight) in RULES.items()
}
projections["rewarded"] = sim.Projection(
    source,
    cells["rewarded"],
    sim.OneToOneConnector(),
    sim.STDPMechanism(sim.SpikePairRule(**PAIR), additive(), weight=1.0, delay=1.0),
)
sim.Projection(
    sim.Population(2, sim.SpikeSourceArray([[90.0], [90.0]])),
    cells["rewarded"],
    sim.OneToOneConnector(),
    extra.Neuromodulation(weight=1.0, tau_c=200.0, tau_d=20.0, w_max=2.0),
    receptor_type="reward",
)
projections["changeable"] = sim.Projection(
    source,
    cells["changeable"],
    sim.OneToOneConnector(),
    extra.WeightChangeable(0.0, 2.0, weight=1.0),
)
sim.Projection(
    sim.Population(2, sim.SpikeSourceArray([[90.0], []])),
    cells["changeable"],
    sim.OneToOneConnector(),
    extra.WeightChanger(weight_change=0.25, projection=projections["changeable"]),
)
sim.run(200.0)
result = {
    name: {
        "weights": [w for _, _, w in projection.get("weight", "list")],
        "spikes": [
            train.magnitude.tolist()
            for train in cells[name].get_data("spikes").segments[0].spiketrains
        ],
    }
    for name, projection in projections.items()
}
sim.end()
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)
