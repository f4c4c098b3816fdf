TITLE Current into a neuron that is integrated on the time grid, in the terms of NEURON's IClamp

NEURON {
    POINT_PROCESS GridClamp
    RANGE delay, dur, amp, i
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
    i (nA)                    : as recorded
}

BEFORE BREAKPOINT {           : in the middle of a step
    i = 0
    if (t >= delay && t < delay + dur) {
        i = amp
    }
    target = target + i
}
