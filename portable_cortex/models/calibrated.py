"""Constant currents with which other neurons fire as fast as those of `pd14`, outside of it.

Made by ``portable-cortex calibrate --neuron NAME --seed 1``, isolated neurons at the input of the
full network; rates agree to 3 % or better.
"""

CALIBRATED = "calibrated"

CURRENTS = {
    "adex_curr_exp": (0.0784, 0.0971, 0.1053, 0.1274, 0.1462, 0.1569, 0.0844, 0.1504),
    "amat2_curr_exp": (-0.0003, -0.001, -0.0015, -0.0042, -0.0047, -0.0037, -0.001, -0.0036),
    "eif_curr_exp": (0.0106, -0.0041, -0.0034, 0.0005, 0.0012, -0.0067, 0.0101, -0.008),
    "gif_cond_exp": (-0.3512, 0.1051, 0.2396, 0.4525, 0.5235, 0.3954, -0.0509, 0.3465),
    "gif_curr_exp": (-0.1269, 0.0078, 0.0428, 0.0913, 0.116, 0.1151, -0.048, 0.1018),
    "glif1_curr_alpha": (-0.0017, -0.0023, -0.0036, -0.0033, -0.0019, -0.0016, -0.0018, -0.0014),
    "glif3_curr_alpha": (-0.0004, 0.0061, 0.0077, 0.0145, 0.022, 0.0265, 0.0011, 0.025),
    "izhikevich_2003": (0.3437, 0.4626, 0.468, 0.4914, 0.5304, 0.5793, 0.367, 0.5708),
    "lif_cond_exp": (0.4511, 0.1905, 0.2198, 0.2711, 0.2539, 0.1515, 0.4786, 0.1345),
    "lif_curr_alpha": (-0.0017, -0.0023, -0.0036, -0.0033, -0.0019, -0.0016, -0.0018, -0.0014),
    "lif_curr_delta": (-0.0258, -0.0222, -0.0248, -0.0263, -0.025, -0.0216, -0.0262, -0.0204),
    "lif_escape_curr_exp": (-0.0117, -0.0123, -0.0098, -0.0028, 0.0, -0.0046, -0.0059, -0.0064),
    "mat2_curr_exp": (0.0037, 0.0195, 0.0252, 0.0424, 0.0588, 0.0704, 0.0073, 0.066),
}
"""nA, as `IF_curr_exp` would get it, by population in the order of `parameters.PD14`."""
