r"""The catalogue beside NEST's own neurons: the same parameters, the same input, and what differs.

    python benchmarks/neuron_natives.py                           # prints the table
    python benchmarks/neuron_natives.py --write docs/neurons.md   # renews it there

The reference interpreter carries out the model of the catalogue. A second of frozen input as in
neuron_sameness.py; models that fire by chance are compared without chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import clock
import nest
import numpy as np
from neuron_runs import (
    AMPLITUDES,
    DELAY,
    INPUTS,
    STEPS,
    STRENGTHS,
    Input,
    N,
    Response,
    in_reference,
    trains,
)
from neuron_runs import parameters as parameters_of
from neuron_sameness import DURATION, differences, renew

from portable_cortex.neurons import celltype, library

STEP = 0.1  # ms
MORE = 2.0  # ms, until NEST has handed over all samples
REFRACTORY = (2.0, 0.1, 1.0, 2.03, 3.75)  # ms; some neurons of NEST cannot be without
Parameters = Mapping[str, Any]
MEMBRANE = {"cm": "C_m", "v_rest": "E_L", "v_reset": "V_reset", "tau_refrac": "t_ref"}
THRESHOLD, TAU = {"v_thresh": "V_th"}, {"tau_m": "tau_m"}
SYNAPSES = {"tau_syn_E": "tau_syn_ex", "tau_syn_I": "tau_syn_in"}
REVERSAL = {"e_rev_E": "E_ex", "e_rev_I": "E_in"}
LEAKY = MEMBRANE | THRESHOLD | SYNAPSES | TAU
CONDUCTANCES = MEMBRANE | THRESHOLD | SYNAPSES | REVERSAL
ADAPTING = {"e_rev_sfa": "E_sfa", "e_rev_rr": "E_rr"}
ADAPTING |= {name: name for name in ("tau_sfa", "q_sfa", "tau_rr", "q_rr")}
ADEX = MEMBRANE | THRESHOLD | SYNAPSES | {
    "v_spike": "V_peak", "delta_T": "Delta_T", "tau_w": "tau_w", "a": "a", "b": "b",
}  # fmt: skip
HODGKIN = SYNAPSES | {
    "cm": "C_m", "gbar_Na": "g_Na", "gbar_K": "g_K", "g_leak": "g_L", "tau_refrac": "t_ref",
    "e_rev_Na": "E_Na", "e_rev_K": "E_K", "e_rev_leak": "E_L",
}  # fmt: skip
MAT = SYNAPSES | TAU | {"cm": "C_m", "v_rest": "E_L", "tau_refrac": "t_ref"}
MAT |= {name: name for name in ("omega", "alpha_1", "alpha_2", "tau_1", "tau_2")}
GLIF = THRESHOLD | {"cm": "C_m", "v_rest": "E_L", "tau_refrac": "t_ref"}
GIF = MEMBRANE | SYNAPSES | {"v_t_star": "V_T_star", "delta_v": "Delta_V"}
IZHIKEVICH = {name: name for name in "abcd"}


SAME = "the same"
NOTED = "the same; where t_ref is shorter than a spike, NEST notes the spike again a step later"
SOONER = "in NEST spikes that arrive move the potential a step sooner"
AFTER = (
    "NEST resets from the potential before the step that crosses, the catalogue from that after it"
)
INSIDE = (
    "NEST looks for the spike within the step (Runge-Kutta-Fehlberg 4(5)), and resets there; the "
    "catalogue does at its end"
)
MEAN = "NEST takes the mean of the current after a spike over the step"


def _leak(p: Parameters) -> dict[str, Any]:
    return {"g_L": p["cm"] / p["tau_m"]}


def _gif(p: Parameters) -> dict[str, Any]:
    return {**_leak(p), "lambda_0": 1e3 * p["lambda0"]}  # 1/s


def _glif(*flags: bool) -> Callable[[Parameters], dict[str, Any]]:
    def made(p: Parameters) -> dict[str, Any]:
        own = {
            "g": p["cm"] / p["tau_m"], "V_reset": p.get("v_reset", p["v_rest"]),
            "spike_dependent_threshold": flags[0], "after_spike_currents": flags[1],
            "adapting_threshold": flags[2], "tau_syn": [p["tau_syn_E"], p["tau_syn_I"]],
        }  # fmt: skip
        if flags[0]:
            own |= {"th_spike_add": p["a_s"], "th_spike_decay": p["b_s"],
                    "voltage_reset_fraction": p["f_v"], "voltage_reset_add": p["dv"]}  # fmt: skip
        if flags[1]:
            own |= {"asc_decay": [p["k_1"], p["k_2"]], "asc_r": [p["r_1"], p["r_2"]],
                    "asc_amps": [p["a_1"], p["a_2"]]}  # fmt: skip
        if flags[2]:
            own |= {"th_voltage_index": p["a_v"], "th_voltage_decay": p["b_v"]}
        return own

    return made


@dataclass(frozen=True)
class Native:
    """A neuron of NEST.

    Attributes
    ----------
    name : str
    names : dict
        Parameters of the catalogue, and what NEST calls them, which has the units of `form`.
    more : function, optional
        Further parameters of NEST, from those of the catalogue.
    ports : bool
        Whether receptors have numbers.
    finding : str
        How it differs.
    """

    name: str
    names: Mapping[str, str]
    more: Callable[[Parameters], dict[str, Any]] = lambda p: {}
    ports: bool = False
    finding: str = ""


NATIVES = {
    "lif_curr_exp": Native("iaf_psc_exp", LEAKY, finding=SAME),
    "lif_curr_alpha": Native("iaf_psc_alpha", LEAKY, finding=SAME),
    "lif_curr_delta": Native(
        "iaf_psc_delta",
        MEMBRANE | THRESHOLD | TAU,
        lambda p: {"refractory_input": False},
        finding=SAME,
    ),
    "lif_cond_exp": Native("iaf_cond_exp", CONDUCTANCES, _leak, finding=SAME),
    "lif_cond_alpha": Native("iaf_cond_alpha", CONDUCTANCES, _leak, finding=SAME),
    "lif_cond_exp_sfa_rr": Native(
        "iaf_cond_exp_sfa_rr", CONDUCTANCES | ADAPTING, _leak, finding=SAME
    ),
    "adex_curr_exp": Native("aeif_psc_exp", ADEX, _leak, finding=INSIDE),
    "adex_cond_exp": Native("aeif_cond_exp", ADEX | REVERSAL, _leak, finding=INSIDE),
    "adex_cond_alpha": Native("aeif_cond_alpha", ADEX | REVERSAL, _leak, finding=INSIDE),
    "mat2_curr_exp": Native("mat2_psc_exp", MAT, finding=SAME),
    "amat2_curr_exp": Native(
        "amat2_psc_exp", MAT | {"beta": "beta", "tau_v": "tau_v"}, finding=SAME
    ),
    "gif_curr_exp": Native("gif_psc_exp", GIF, _gif, finding=SOONER),
    "gif_cond_exp": Native("gif_cond_exp", GIF | REVERSAL, _gif, finding=SAME),
    "glif1_curr_alpha": Native("glif_psc", GLIF, _glif(False, False, False), True, finding=SAME),
    "glif2_curr_alpha": Native("glif_psc", GLIF, _glif(True, False, False), True, finding=AFTER),
    "glif3_curr_alpha": Native("glif_psc", GLIF, _glif(False, True, False), True, finding=MEAN),
    "glif4_curr_alpha": Native(
        "glif_psc", GLIF, _glif(True, True, False), True, finding=f"{AFTER}; {MEAN}"
    ),
    "glif5_curr_alpha": Native(
        "glif_psc", GLIF, _glif(True, True, True), True, finding=f"{AFTER}; {MEAN}"
    ),
    "hh_squid_curr_alpha": Native("hh_psc_alpha", HODGKIN, finding=NOTED),
    "hh_traub_cond_exp": Native(
        "hh_cond_exp_traub", HODGKIN | REVERSAL | {"v_offset": "V_T"}, finding=NOTED
    ),
    "izhikevich_2003": Native("izhikevich", IZHIKEVICH, finding=SAME),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", help="of the catalogue; all unless given")
    parser.add_argument("--write", type=Path, help="file with a table between marks, to renew")
    arguments = parser.parse_args()
    with clock.session():
        lines = ["| model | NEST's | spikes | NEST's | equal | largest difference of v | how |",
                 "|---|---|---|---|---|---|---|"]  # fmt: skip
        for model in arguments.models or NATIVES:
            lines.append(row(model))
            print(lines[-1], flush=True)
        if arguments.write:
            renew(arguments.write, "natives", "\n".join(lines))


def row(model: str) -> str:
    """Of the table."""
    native = NATIVES[model]
    given = INPUTS[model]
    if model != "izhikevich_2003" and "tau_refrac" not in given.parameters:
        given = replace(given, parameters={**given.parameters, "tau_refrac": REFRACTORY})
    expected = in_reference(model, given, DURATION, STEP, ["v"])
    try:
        own = natively(model, given)
    except nest.NESTError as error:
        return f"| {model} | {native.name} | | | | | {error} |"
    found = differences(own, expected, STEP)
    until = "" if found["first_ms"] is None else f", until {found['first_ms']:.1f} ms"
    return (
        f"| {model} | {native.name} | {sum(map(len, expected.spikes))} | {found['own']} | "
        f"{found['equal']} | {found['variables']['v']:.0e}{until} | {native.finding} |"
    )


def natively(model: str, given: Input) -> Response:
    """What NEST's own neurons do."""
    native = NATIVES[model]
    kind = celltype.cell_type("Model", library.load(model))
    p = {**kind.default_parameters, **parameters_of(kind, given)}
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.resolution = STEP
    cells = nest.Create(native.name, N)
    for k, cell in enumerate(cells):
        own = {name: value[k] if np.ndim(value) else value for name, value in p.items()}
        start = kind.initial_values(own, STEP)
        own = celltype.in_form(kind.neuron, own)
        values = {theirs: float(own[ours]) for ours, theirs in native.names.items()}
        values |= native.more(own)
        values |= {"U_m": float(start["u"])} if "u" in start else {}
        cell.set({**values, "V_m": float(start["v"])})
    weight = 1.0 if model in ("izhikevich_2003", "lif_curr_delta") else 1e3
    for port, (train, largest) in enumerate(
        zip(trains(len(given.weights), DURATION), given.weights, strict=True)
    ):
        sign = -1.0 if port == 1 and kind.conductance_based else 1.0
        source = nest.Create("spike_generator", params={"spike_times": np.round(train, 9)})
        for cell, strength in zip(cells, STRENGTHS, strict=True):
            synapse = {"weight": sign * weight * largest * strength, "delay": DELAY}
            synapse |= {"receptor_type": port + 1} if native.ports else {}
            nest.Connect(source, cell, syn_spec=synapse)
    recorder = nest.Create("spike_recorder")
    meter = nest.Create("multimeter", params={"interval": STEP, "record_from": ["V_m"]})
    nest.Connect(cells, recorder)
    nest.Connect(meter, cells)
    inject(cells, 1e3 * given.current, generator="I_e" not in cells[0].get())
    events, samples = recorder.events, meter.events
    first = cells[0].global_id
    v = np.zeros((round(DURATION / STEP), N))
    at = np.rint(samples["times"] / STEP).astype(int) - 1
    within = at < len(v)
    v[at[within], samples["senders"][within] - first] = samples["V_m"][within]
    steps = np.rint(events["times"] / STEP).astype(int)
    senders = np.where(steps <= len(v), events["senders"] - first, -1)
    return Response([np.sort(steps[senders == k]) for k in range(N)], {"v": v})


def inject(cells: Any, current: float, generator: bool) -> None:
    """Simulate, with the current that changes."""
    times = [round(part * DURATION, 6) for part in STEPS]
    amplitudes = [current * part for part in AMPLITUDES]
    if generator:  # what it sends in a step flows in the next one
        early = [time - STEP for time in times]
        params = {"amplitude_times": np.round(early, 6), "amplitude_values": amplitudes}
        nest.Connect(
            nest.Create("step_current_generator", params=params), cells,
            syn_spec={"delay": STEP},
        )  # fmt: skip
        nest.Simulate(DURATION + MORE)
        return
    now = 0.0
    for time, amplitude in zip([*times, DURATION + MORE], [0.0, *amplitudes], strict=True):
        cells.I_e = amplitude
        nest.Simulate(time - now)
        now = time


if __name__ == "__main__":
    main()
