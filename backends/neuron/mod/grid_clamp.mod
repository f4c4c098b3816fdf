TITLE Current into a neuron that is integrated on the time grid, in the terms of NEURON's IClamp

NEURON {
    POINT_PROCESS GridClamp
    RANGE delay, dur, amp
    POINTER target
}

UNITS {
    (nA) = (nanoamp)
}

PARAMETER {
    delay = 0 (ms)
    dur = 0 (ms)
    amp = 0 (nA)
}

ASSIGNED {
    target (nA)
}

BEFORE BREAKPOINT {           : in the middle of a step
    if (t >= delay && t < delay + dur) {
        target = target + amp
    }
}
