"""Programs that found a difference once, each with what it was."""

from __future__ import annotations

from .program import (
    Connect,
    Create,
    Data,
    Get,
    Initialize,
    Inject,
    Program,
    Record,
    Run,
    Setup,
    View,
)  # fmt: skip

KEPT: dict[str, Program] = {
    # a run of half a step more: to the next point of the grid
    "half_step": (Setup(timestep=1.0), Run(time=2.5)),
    # values of a connection set
    "csa_values": (
        Setup(timestep=0.5),
        Create("p0", 4, "IF_curr_exp"),
        Create("p1", 2, "SpikeSourceArray", (("spike_times", ((), (2.5, 21.0))),)),
        View("v0", "p0", ("slice", 3, 4, 2)),
        Connect("c0", "p1", "v0", "CSAConnector", (("cset", ("full", 1.875, 2.0)),), 1.0, 4.0),
        Get("c0"),
    ),
    # no cell is connected to itself
    "total_autapses": (
        Setup(),
        Create("p0", 3, "IF_curr_exp"),
        Connect(
            "c0", "p0", "p0", "FixedTotalNumberConnector",
            (("n", 60), ("with_replacement", True), ("allow_self_connections", False)), 0.125,
            "0.5 + 0.05*d",
        ),
    ),
    # a matrix of delays between points of the grid
    "delay_half": (
        Setup(),
        Create("p0", 2, "IF_curr_exp"),
        Connect("c0", "p0", "p0", "AllToAllConnector", (), 1.0, ((1.0, 0.575), (0.45, 0.825))),
        Get("c0"),
    ),
    # refractory times that differ from cell to cell, and callbacks
    "step_and_callbacks": (
        Setup(min_delay=0.1, max_delay=1.0),
        Create("p0", 4, "IF_curr_exp", (("tau_syn_E", (5.0, 0.5, 2.0, 2.0)), ("i_offset", 1.3))),
        Record("p0", ("v",)),
        Inject("i0", "StepCurrentSource", (("times", (2.0,)), ("amplitudes", (1.25,))), "p0"),
        Run(4.4),
        Run(1.6, every=0.5),
        Run(3.2),
        Data("p0"),
    ),
    # recording that starts between runs
    "late_recording": (
        Setup(timestep=1.0),
        Create("p0", 2, "IF_curr_exp", (("i_offset", 1.3),)),
        View("v0", "p0", ("slice", 1, 2, None)),
        Run(8.0),
        Record("v0", ("spikes", "v")),
        Data("p0"),
        Run(30.0),
        Data("p0"),
    ),
    # the order of synapses, with two threads
    "order": (
        Setup(threads=2),
        Create("p0", 3, "IF_curr_exp"),
        Connect("c0", "p0", "p0", "AllToAllConnector", (), -0.125, 0.5),
        Get("c0"),
    ),
    # initial values of views
    "initialize_view": (
        Setup(),
        Create("p0", 4, "IF_curr_exp", (), (("v", (-58.25, -60.0, -60.0, -60.0)),)),
        View("v0", "p0", ("mask", False, True, False, True)),
        Initialize("v0", (("v", -72.0),)),
        Record("p0", ("v",)),
        Run(2.0),
        Data("p0"),
    ),
    # a current from the beginning
    "current_at_zero": (
        Setup(timestep=0.5),
        Create("p0", 1, "IF_curr_exp"),
        Record("p0", ("v",)),
        Inject("i0", "DCSource", (("amplitude", 0.5),), "p0"),
        Run(2.0),
        Data("p0"),
    ),
}  # fmt: skip
