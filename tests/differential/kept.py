"""Programs that found a difference once, each with what it was."""

from __future__ import annotations

from .program import (
    Connect,
    Create,
    Data,
    Get,
    GetParameters,
    Initialize,
    Inject,
    Join,
    Program,
    Random,
    Record,
    Reset,
    Run,
    SetParameters,
    Setup,
    SpikeCounts,
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
    # the first sample after clearing is of the state as it was set
    "set_then_cleared": (
        Setup(timestep=0.5, min_delay=2.5, threads=2),
        Create("p0", 3, "IF_curr_exp", (("tau_m", 20.0), ("tau_syn_E", 0.5), ("cm", 0.25))),
        Record("p0", ("v",)),
        Run(11.5),
        Initialize("p0", (("v", -58.25),)),
        Data("p0", clear=True),
        Data("p0"),
    ),
    # the first sample of a recording between runs is of its beginning
    "recorded_then_set": (
        Setup(max_delay=1.0),
        Create("p0", 5, "IF_curr_alpha"),
        Run(4.0),
        Record("p0", ("v",), 0.5),
        Initialize("p0", (("v", -60.0),)),
        Data("p0"),
    ),
    # variables asked for by name, also of earlier segments
    "variable_of_a_segment": (
        Setup(timestep=0.5),
        Create("p0", 2, "IF_curr_exp", (("i_offset", 1.3),)),
        View("v0", "p0", ("mask", False, True)),
        Record("v0", ("v", "spikes")),
        Run(12.5),
        Reset(),
        Data("v0", variables=("v",)),
        Data("p0", variables=("spikes",)),
    ),
    # a view has its own cells in earlier segments, too
    "view_after_reset": (
        Setup(timestep=0.5),
        Create("p0", 3, "IF_curr_exp", (("i_offset", 1.3),)),
        Record("p0", ("v", "spikes")),
        View("v0", "p0", ("slice", 1, 2, None)),
        Run(20.0),
        Reset(),
        Data("v0"),
    ),
    # two views of one population in an assembly, cleared
    "assembly_cleared": (
        Setup(timestep=0.5),
        Create("p0", 4, "IF_curr_exp", (("i_offset", 1.3),)),
        View("v0", "p0", ("list", 3, 2)),
        View("v1", "p0", ("slice", 0, 1, None)),
        Join("a0", ("v0", "v1")),
        Record("a0", ("v", "spikes")),
        Run(20.0),
        SpikeCounts("a0"),
        Data("a0", clear=True),
        Run(5.0),
        Data("a0"),
    ),
    # spikes counted of cells that are not recorded, and data of those
    "counts_of_nothing": (
        Setup(timestep=0.5),
        Create("p0", 2, "IF_curr_exp"),
        View("v0", "p0", ("slice", 0, 1, None)),
        View("v1", "p0", ("slice", 1, 2, None)),
        Record("v0", ("spikes",)),
        Run(2.0),
        SpikeCounts("v1"),
        Data("v1"),
        Data("p0"),
    ),
    # spikes that are recorded after samples were
    "spikes_recorded_later": (
        Setup(timestep=0.5, min_delay=0.5),
        Create("p0", 5, "IF_curr_exp", (("cm", 0.25),)),
        Record("p0", ("v",)),
        Run(3.0),
        Record("p0", ("spikes",)),
        Data("p0"),
    ),
    # times of Poisson sources between points of the grid, and views of them
    "poisson_times": (
        Setup(min_delay=0.5),
        Create(
            "p0", 4, "SpikeSourcePoisson",
            (("rate", (900.0, 0.0, 200.0, 900.0)), ("start", 0.85), ("duration", 9.0)),
        ),
        Record("p0", ("spikes",)),
        View("v0", "p0", ("slice", 0, 3, None)),
        Run(20.0),
        GetParameters("v0", "rate"),
        Data("p0"),
    ),
    # rates of some of the sources, between runs
    "rates_of_a_view": (
        Setup(timestep=1.0),
        Create("p0", 4, "SpikeSourcePoisson", (("rate", 1000.0),)),
        Record("p0", ("spikes",)),
        View("v0", "p0", ("list", 2, 1)),
        Run(21.0),
        SetParameters("v0", (("rate", 0.0),)),
        Run(20.0),
        GetParameters("p0", "rate"),
        Data("p0"),
    ),
    # a parameter that not all cells of an assembly have
    "parameter_of_some": (
        Setup(),
        Create("p0", 2, "SpikeSourceArray", (("spike_times", (4.0,)),)),
        Create("p1", 2, "SpikeSourcePoisson"),
        Join("a0", ("p0", "p1")),
        GetParameters("a0", "spike_times"),
    ),
    # views of views, slices with steps, and slices that end beyond the cells
    "view_of_view": (
        Setup(),
        Create("p0", 5, "IF_curr_exp", (("i_offset", 1.3),)),
        View("v0", "p0", ("slice", 0, 3, 2)),
        View("v1", "v0", ("slice", 0, 9, None)),
        Connect("c0", "v1", "p0", "AllToAllConnector", (), 0.5, 1.0),
        Connect("c1", "p0", "v1", "AllToAllConnector", (), 0.5, 1.0),
        SetParameters("v1", (("tau_m", 10.0),)),
        Record("v1", ("v", "spikes")),
        Run(20.0),
        Data("v1"),
        Get("c0"),
        Get("c1"),
    ),
    # a draw for one cell
    "one_draw": (
        Setup(),
        Create("p0", 1, "IF_cond_exp"),
        SetParameters("p0", (("cm", Random("uniform", (("low", 0.25), ("high", 1.25)))),)),
        GetParameters("p0", ("cm", "tau_m")),
    ),
    # objects of a network that has ended
    "old_view": (
        Setup(),
        Create("p0", 5, "IF_curr_exp"),
        View("v0", "p0", ("list", 1, 0)),
        Setup(),
        Create("p1", 5, "IF_curr_exp"),
        GetParameters("v0", "tau_m"),
    ),
    "old_cells_set": (
        Setup(),
        Create("p0", 5, "IF_cond_exp"),
        Setup(threads=2),
        SetParameters("p0", (("tau_m", 10.0),)),
    ),
    "old_synapses": (
        Setup(),
        Create("p0", 2, "IF_curr_exp"),
        Connect("c0", "p0", "p0", "OneToOneConnector", (), 1.0, 1.0),
        Setup(),
        Create("p1", 2, "IF_curr_exp"),
        Get("c0"),
    ),
    # alpha-shaped synapses keep their slope, not what they rise to
    "alpha_slope": (
        Setup(),
        Create("p0", 2, "IF_curr_alpha", (("v_thresh", 0.0),)),
        Create("p1", 1, "SpikeSourceArray", (("spike_times", (1.0,)),)),
        Connect("c0", "p1", "p0", "AllToAllConnector", (), 1.0, 1.0),
        Record("p0", ("v",)),
        Run(2.4),
        SetParameters("p0", (("tau_syn_E", 5.0),)),
        Run(10.0),
        Data("p0"),
    ),
}  # fmt: skip
