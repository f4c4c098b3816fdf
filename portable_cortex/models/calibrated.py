"""Constant currents with which other neurons fire as fast as those of `pd14`, outside of it.

Made by ``portable-cortex calibrate --neuron NAME --seed 1``, isolated neurons at the input of the
full network; rates agree to 3 % or better.
"""

CALIBRATED = "calibrated"

CURRENTS = {
    "adex_curr_exp": (0.0784, 0.0971, 0.1053, 0.1274, 0.1462, 0.1569, 0.0844, 0.1504),
    "eif_curr_exp": (0.0106, -0.0041, -0.0034, 0.0005, 0.0012, -0.0067, 0.0101, -0.008),
    "gif_curr_exp": (-0.1269, 0.0078, 0.0428, 0.0913, 0.116, 0.1151, -0.048, 0.1018),
    "lif_curr_delta": (-0.0258, -0.0222, -0.0248, -0.0263, -0.025, -0.0216, -0.0262, -0.0204),
    "lif_escape_curr_exp": (-0.0117, -0.0123, -0.0098, -0.0028, 0.0, -0.0046, -0.0059, -0.0064),
    "mat2_curr_exp": (0.0037, 0.0195, 0.0252, 0.0424, 0.0588, 0.0704, 0.0073, 0.066),
}
"""nA, as `IF_curr_exp` would get it, by population in the order of `parameters.PD14`."""
