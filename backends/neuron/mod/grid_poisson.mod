TITLE Poisson source whose spikes lie on the time grid

COMMENT
    What falls into a step is sent at its end, several spikes at once if need be. Each source has
    its own random stream, so that its spikes do not depend on the process that holds it.
ENDCOMMENT

NEURON {
    ARTIFICIAL_CELL GridPoisson
    RANGE interval, start, stop, grid
    RANDOM stream
}

PARAMETER {
    interval = 1e12 (ms)      : mean
    start = 0 (ms)
    stop = 1e99 (ms)
    grid = 0.1 (ms)           : time step
}

ASSIGNED {
    next (ms)
    era                       : number of the parameters; events of another era are void
}

INITIAL {
    era = 1
    next = start + interval * random_negexp(stream)
    net_send(end_of_step(), era)
}

FUNCTION end_of_step() (ms) { : from now
    LOCAL wait
    wait = ceil(next / grid - 1e-9) * grid - t
    if (wait < 0) { wait = 0 }
    end_of_step = wait
}

NET_RECEIVE (w) {
    if (flag == 0) {          : other parameters: what is left of an interval is as long as a new one
        era = era + 1
        next = t
        if (next < start) { next = start }
        next = next + interval * random_negexp(stream)
        if (next <= stop) {
            net_send(end_of_step(), era)
        }
    } else if (flag == era) {
        while (next <= t + 1e-6 && next <= stop) {
            net_event(t)
            next = next + interval * random_negexp(stream)
        }
        if (next <= stop) {
            net_send(end_of_step(), era)
        }
    }
}
