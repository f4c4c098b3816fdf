TITLE Leaky integrate-and-fire neuron with exponential currents, integrated exactly on the time grid

COMMENT
    dV/dt   = -(V - v_rest)/tau_m + (i_e + i_i + i_offset + i_stim)/c_m
    di_x/dt = -i_x/tau_x + sum of weights times delta(t - arrival)

The equations are linear between spikes: a step multiplies the state by constants ("propagators",
Rotter & Diesmann 1999, doi:10.1007/s004220050570). They are computed where the parameters are
known, and set here. The membrane potential is held relative to v_rest.

Currents that arrive during a step are summed apart from the state. Weights of similar size and
24 bits add without rounding, so that the sum is the same in whichever order they arrive, and the
spikes are the same on any number of processes.

The Poisson drive has its own random stream. What falls into a step arrives at its end.
ENDCOMMENT

NEURON {
    POINT_PROCESS GridIFCurrExp
    RANGE v_init, v_rest, vm, u, theta, reset, refractory_steps, left
    RANGE i_e, i_i, i_e_init, i_i_init, i_offset, i_stim, new_e, new_i
    RANGE p_vv, p_ve, p_vi, p_vc, p_ee, p_ii
    RANGE tau, drive_weight, drive_interval, drive_start, drive_stop
    RANDOM drive
}

UNITS {
    (mV) = (millivolt)
    (nA) = (nanoamp)
}

PARAMETER {
    v_init = -65 (mV)
    v_rest = -65 (mV)
    i_e_init = 0 (nA)
    i_i_init = 0 (nA)
    theta = 15 (mV)           : threshold, from v_rest
    reset = 0 (mV)            : from v_rest
    refractory_steps = 1
    i_offset = 0 (nA)
    p_vv = 1                  : V to V
    p_ve = 0 (megohm)         : excitatory current to V
    p_vi = 0 (megohm)         : inhibitory current to V
    p_vc = 0 (megohm)         : constant current to V
    p_ee = 1
    p_ii = 1
    drive_weight = 0 (nA)
    drive_interval = 0 (ms)   : mean; 0 for no drive
    drive_start = 0 (ms)
    drive_stop = 1e99 (ms)
}

ASSIGNED {
    vm (mV)                   : as recorded, absolute
    u (mV)
    i_e (nA)
    i_i (nA)
    i_stim (nA)               : of electrodes, for one step
    new_e (nA)
    new_i (nA)
    left                      : steps of refractoriness that are left
    next (ms)                 : next input of the drive
    tau (ms)                  : of a synapse, which PyNN's plastic ones ask for
}

INITIAL {
    vm = v_init
    u = v_init - v_rest
    i_e = i_e_init
    i_i = i_i_init
    i_stim = 0
    new_e = 0
    new_i = 0
    left = 0
    start_drive(drive_start)
}

BREAKPOINT {
    SOLVE advance METHOD after_cvode
}

PROCEDURE start_drive(now (ms)) {
    if (drive_interval > 0) {
        next = now + drive_interval * random_negexp(drive)
    }
}

PROCEDURE advance() {
    LOCAL n
    i_e = i_e + new_e
    i_i = i_i + new_i
    new_e = 0
    new_i = 0
    if (left > 0) {
        left = left - 1
    } else {
        u = p_vv * u + p_ve * i_e + p_vi * i_i + p_vc * (i_offset + i_stim)
    }
    i_stim = 0
    i_e = p_ee * i_e
    i_i = p_ii * i_i
    if (i_e < 1e-300) { i_e = 0 }   : denormal numbers are slow
    if (i_i > -1e-300) { i_i = 0 }
    if (drive_interval > 0) {
        n = 0
        while (next <= t && next <= drive_stop) {
            n = n + 1
            next = next + drive_interval * random_negexp(drive)
        }
        if (drive_weight >= 0) {
            new_e = new_e + n * drive_weight
        } else {
            new_i = new_i + n * drive_weight
        }
    }
    if (u >= theta) {
        left = refractory_steps
        u = reset
VERBATIM
        // what net_event(t) means in NET_RECEIVE, the only block in which NMODL has it
        net_event(_ppvar[1].get<Point_process*>(), t);
ENDVERBATIM
    }
    vm = u + v_rest
}

NET_RECEIVE (w (nA)) {
    INITIAL {}
    if (flag == 0) {
        if (w >= 0) {
            new_e = new_e + w
        } else {
            new_i = new_i + w
        }
    } else {
        net_event(t)    : never comes; tells NEURON that this mechanism sends spikes
    }
}
