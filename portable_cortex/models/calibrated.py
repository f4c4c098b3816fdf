"""Constant currents with which other neurons fire as fast as those of `pd14`, outside of it.

Made by ``portable-cortex calibrate --neuron NAME --seed 1``, isolated neurons at the input of the
full network; rates agree to 5 % or better.
"""

CALIBRATED = "calibrated"

CURRENTS = {
    "eif_curr_exp": (0.0106, -0.0041, -0.0034, 0.0005, 0.0012, -0.0067, 0.0101, -0.008),
}
"""nA, as `IF_curr_exp` would get it, by population in the order of `parameters.PD14`."""
