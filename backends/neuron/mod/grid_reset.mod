TITLE Threshold and reset of an integrate-and-fire neuron, at the end of each step

COMMENT
NEURON itself watches for crossings of the threshold, and finds them in the step that follows: the
potential in between would be above it, and a neuron that is reset to a value above the threshold
would be silent. `vm` is the potential of the segment. While a neuron is refractory, it stays where
it has been reset to.
ENDCOMMENT

NEURON {
    POINT_PROCESS GridReset
    RANGE vthresh, vreset, trefrac, left
    POINTER vm
}

UNITS {
    (mV) = (millivolt)
}

PARAMETER {
    vthresh = -50 (mV)
    vreset = -65 (mV)
    trefrac = 0.1 (ms)        : a whole number of steps
}

ASSIGNED {
    dt (ms)
    vm (mV)
    held (mV)
    left                      : steps of refractoriness that are left
}

INITIAL {
    left = 0
}

BREAKPOINT {
    SOLVE advance METHOD after_cvode
}

PROCEDURE advance() {
    if (left > 0) {
        left = left - 1
        vm = held
    } else if (vm >= vthresh) {
        left = floor(trefrac / dt + 0.5)
        held = vreset
        vm = held
VERBATIM
        // what net_event(t) means in NET_RECEIVE, the only block in which NMODL has it
        net_event(_ppvar[1].get<Point_process*>(), t);
ENDVERBATIM
    }
}

NET_RECEIVE (w) {
    net_event(t)              : never comes; tells NEURON that this mechanism sends spikes
}
