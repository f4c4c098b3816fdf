"""An sPyNNaker script that a test runs: every type of cell of which there is a program."""

import json
import sys

import numpy as np
import spynnaker.pyNN as sim  # noqa: N813

extra = sim.extra_models
CELLS = {
    "IF_curr_exp": sim.IF_curr_exp(i_offset=1.0),
    "IF_cond_exp": sim.IF_cond_exp(i_offset=1.0),
    "IF_curr_alpha": sim.IF_curr_alpha(i_offset=1.0, tau_syn_E=5.0),
    "IF_curr_delta": sim.IF_curr_delta(i_offset=1.0),
    "Izhikevich": sim.Izhikevich(i_offset=10.0),
    "Izhikevich_cond": extra.Izhikevich_cond(i_offset=10.0),
    "IF_curr_dual_exp": extra.IF_curr_dual_exp(i_offset=1.0),
    "IF_curr_exp_sEMD": extra.IF_curr_exp_sEMD(i_offset=1.0),
    "IFCurrDeltaCa2Adaptive": extra.IFCurrDeltaCa2Adaptive(i_offset=1.0),
    "IFCurrExpCa2Adaptive": extra.IFCurrExpCa2Adaptive(i_offset=1.0),
    "IFCondExpStoc": extra.IFCondExpStoc(i_offset=1.0),
    "Izhikevich_cond_dual": extra.Izhikevich_cond_dual(i_offset=10.0),
    "IFCurrDeltaFixedProb": extra.IFCurrDeltaFixedProb(i_offset=2.0),
    "StocExp": extra.StocExp(bias=5.0),
    "StocExpStable": extra.StocExpStable(bias=5.0),
    "StocSigma": extra.StocSigma(bias=-5.0),
    "IFTruncDelta": extra.IFTruncDelta(i_offset=2.0),
}
sim.setup(timestep=1.0)
source = sim.Population(1, sim.SpikeSourceArray([[100.0]]))
cells = {}
for name, model in CELLS.items():
    cells[name] = sim.Population(2, model)
    cells[name].record(["spikes", "v"])
    sim.Projection(
        source,
        cells[name],
        sim.FromListConnector([(0, 1)]),
        sim.StaticSynapse(weight=0.5, delay=1.0),
    )
sim.run(200.0)
result = {}
for name, population in cells.items():
    segment = population.get_data().segments[0]
    v = segment.filter(name="v")[0].magnitude
    result[name] = {
        "spikes": len(segment.spiketrains[0]),
        "finite": bool(np.isfinite(v).all()),
        "moved": float(np.abs(v[100:, 1] - v[100:, 0]).max()),
        "same": bool((v[:100, 0] == v[:100, 1]).all()),
        "first": v[:3, 0].tolist(),
    }
sim.end()
with open(sys.argv[1], "w") as file:  # noqa: PTH123
    json.dump(result, file)
