"""PyNN's pair rules in NEURON, by a mechanism of ours (``mod/stdp_pairs.mod``).

PyNN's own mechanisms differ from one another, and from its definition: two do not keep the weight
within its bounds, Guetig's has other units, and a spike is transmitted with the weight at which the
next one has left it.
"""

from __future__ import annotations

from typing import Any

from pyNN.standardmodels import build_translations

from portable_cortex.pynn.plasticity import EXPONENTS

from ._pynn import pynn_neuron

MODEL = "PortableSTDP"
RULE = {"tau_plus": "tau_plus", "tau_minus": "tau_minus", "A_plus": "a_plus", "A_minus": "a_minus"}
BOUNDS = {"w_max": "wmax", "w_min": "wmin"}
POWERS = {"mu_plus": "mu_plus", "mu_minus": "mu_minus"}
NATIVE = (*RULE.values(), *POWERS.values())
"""Parameters of the mechanism that PyNN's have not."""


def _part(name: str, names: dict[str, str], **own: Any) -> type:
    base = getattr(pynn_neuron, name)
    translations = build_translations(*names.items())
    return type(name, (base,), {"__doc__": base.__doc__, "translations": translations, **own})


PAIR_RULES = {
    "SpikePairRule": _part("SpikePairRule", RULE, possible_models={MODEL}),
    "GutigWeightDependence": _part(
        "GutigWeightDependence", {**BOUNDS, **POWERS}, possible_models={MODEL}
    ),
    **{
        name: _part(
            name,
            BOUNDS,
            # Vogels' rule is additive, too, and has a mechanism of PyNN's
            possible_models={MODEL, *({"StdwaVogels2011"} if not any(powers) else ())},
            extra_parameters=dict(zip(POWERS, powers, strict=True)) if any(powers) else {},
        )
        for name, powers in EXPONENTS.items()
    },
}
