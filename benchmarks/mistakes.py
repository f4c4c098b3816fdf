"""PD14 with one deliberate mistake: a model file, for finding out what the validation can see.

    portable-cortex run --model benchmarks/mistakes.py --param mistake=weights_2_percent

Each is a mistake that implementations of this network have made, or could make.
"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from portable_cortex.errors import UnknownNameError
from portable_cortex.models import pd14 as model
from portable_cortex.models.parameters import PD14
from portable_cortex.models.scaling import scale as scale_circuit

MISTAKES = {
    "none": "an honest network of another seed",
    "shortcut_synapse_numbers": "C Npre Npost synapses instead of the logarithmic formula (-4.7 %)",
    "floored_in_degrees": "in-degrees rounded down to whole numbers (-0.1 % at full scale)",
    "rounded_probabilities": "connection probabilities rounded to three decimals",
    "merged_multapses": "one synapse for each connected pair (-4.7 %)",
    "weights_2_percent": "all recurrent weights 2 % too strong",
    "l4e_l23e_sd": "relative SD of L4E→L23E weights 0.05 instead of 0.1",
    "l4e_l23e_weight": "L4E→L23E weights not doubled",
    "inhibitory_delay": "inhibitory delay 0.8 instead of 0.75 ms",
    "truncated_delays": "delays truncated to the time grid instead of rounded (-0.05 ms)",
    "one_step_late": "every spike arrives one time step late",
    "no_delay_variance": "all delays equal to their mean",
    "other_initial_potentials": "initial potentials of the original variant",
    "background_1_percent": "background rate 1 % too high",
}


def build(
    sim: Any, *, mistake: str = "none", scale: float = 0.1, drive: str = "poisson", seed: int = 1
) -> dict[str, Any]:
    """Build PD14 with a mistake from `MISTAKES`."""
    if mistake not in MISTAKES:
        raise UnknownNameError("mistake", mistake, MISTAKES)

    def projection(
        pre: Any, post: Any, connector: Any, synapse: Any, label: str, **rest: Any
    ) -> Any:
        if not label.startswith("background"):
            connector, synapse = _altered(sim, mistake, pre, post, connector, synapse, label)
        return sim.Projection(pre, post, connector, synapse, label=label, **rest)

    class Altered(SimpleNamespace):
        Projection = staticmethod(projection)

        def __getattr__(self, name: str) -> Any:
            return getattr(sim, name)

    circuit = PD14
    if mistake == "rounded_probabilities":
        rounded = tuple(tuple(round(c, 3) for c in row) for row in PD14.probabilities)
        circuit = dataclasses.replace(PD14, probabilities=rounded)
    elif mistake == "inhibitory_delay":
        circuit = dataclasses.replace(PD14, delay_inh=0.8)
    elif mistake == "l4e_l23e_weight":
        circuit = dataclasses.replace(PD14, l4e_l23e=1.0)
    v0 = "original" if mistake == "other_initial_potentials" else "optimized"
    with (
        mock.patch.object(model, "PD14", circuit),
        mock.patch.object(model, "scale_circuit", lambda *args: _scaled(mistake, *args)),
    ):
        return model.build(Altered(), scale=scale, drive=drive, v0=v0, seed=seed)


def _scaled(mistake: str, circuit: Any, n_scale: float, k_scale: float, drive: str) -> Any:
    scaled = scale_circuit(circuit, n_scale, k_scale, drive)
    sizes = np.array(circuit.sizes, dtype=float)
    if mistake == "shortcut_synapse_numbers":
        full = np.array(circuit.probabilities) * np.outer(sizes, sizes)
        return dataclasses.replace(
            scaled, synapses=np.round(full * n_scale * k_scale).astype(np.int64)
        )
    if mistake == "floored_in_degrees":
        targets = np.array(scaled.sizes)[:, np.newaxis]
        return dataclasses.replace(scaled, synapses=scaled.synapses // targets * targets)
    if mistake == "weights_2_percent":
        return dataclasses.replace(scaled, weights=scaled.weights * 1.02)
    if mistake == "background_1_percent":
        more = tuple(k * 1.01 for k in scaled.k_ext)
        return dataclasses.replace(scaled, k_ext=more)
    return scaled


def _altered(
    sim: Any, mistake: str, pre: Any, post: Any, connector: Any, synapse: Any, label: str
) -> tuple[Any, Any]:
    if mistake == "merged_multapses":
        pairs = pre.size * post.size
        connector = sim.FixedProbabilityConnector(1 - (1 - 1 / pairs) ** connector.n)
    weight, delay = (synapse.parameter_space[name].base_value for name in ("weight", "delay"))
    changed: dict[str, dict[str, float]] = {"weight": {}, "delay": {}}
    if mistake == "l4e_l23e_sd" and label == "L4E→L23E":
        changed["weight"] = {"sigma": weight.parameters["sigma"] / 2}
    elif mistake == "truncated_delays":
        changed["delay"] = {"mu": delay.parameters["mu"] - 0.5 * sim.get_time_step()}
    elif mistake == "one_step_late":
        step = sim.get_time_step()
        p = delay.parameters
        changed["delay"] = {"mu": p["mu"] + step, "low": p["low"] + step}
    elif mistake == "no_delay_variance":
        changed["delay"] = {"sigma": 0.0}
    new = {
        name: sim.RandomDistribution(
            "normal_clipped", **{**value.parameters, **changed[name]}, rng=value.rng
        )
        for name, value in (("weight", weight), ("delay", delay))
    }
    return connector, sim.StaticSynapse(**new)
