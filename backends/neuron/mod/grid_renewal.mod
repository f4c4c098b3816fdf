TITLE Renewal process whose spikes lie on the time grid

COMMENT
    Intervals are a dead time and a number of the gamma distribution, whose shape is 1 for a Poisson
    process. The process is in equilibrium when it starts: its rate is the same from there on. What
    falls into a step is sent at its end. Each source has its own random stream.

    Gamma numbers: Marsaglia & Tsang (2000), doi:10.1145/358407.358414. The time from any moment to
    the next spike of a process in equilibrium: Cox (1962), Renewal Theory, section 5.
ENDCOMMENT

NEURON {
    ARTIFICIAL_CELL GridRenewal
    RANGE dead, shape, scale, start, stop, grid
    RANDOM stream
}

PARAMETER {
    dead = 0 (ms)
    shape = 1
    scale = 1e12 (ms)
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
    next = start + first()
    if (next <= stop) {
        net_send(end_of_step(), era)
    }
}

FUNCTION gamma(a) {
    LOCAL b, d, c, z, v, going
    b = a
    if (a < 1) { b = a + 1 }
    d = b - 1 / 3
    c = 1 / sqrt(9 * d)
    going = 1
    while (going) {
        z = random_normal(stream)
        v = (1 + c * z) ^ 3
        if (v > 0) {
            if (log(1 - random_uniform(stream)) < 0.5 * z * z + d - d * v + d * log(v)) {
                going = 0
            }
        }
    }
    gamma = d * v
    if (a < 1) { gamma = gamma * (1 - random_uniform(stream)) ^ (1 / a) }
}

FUNCTION interval() (ms) {
    interval = dead + scale * gamma(shape)
}

FUNCTION first() (ms) {       : from now, in equilibrium
    if (random_uniform(stream) * (dead + shape * scale) < dead) {
        first = dead * random_uniform(stream) + scale * gamma(shape)
    } else {
        first = scale * gamma(shape + 1) * random_uniform(stream)
    }
}

FUNCTION end_of_step() (ms) { : from now
    LOCAL wait
    wait = ceil(next / grid - 1e-9) * grid - t
    if (wait < 0) { wait = 0 }
    end_of_step = wait
}

NET_RECEIVE (w) {
    if (flag == 0) {          : other parameters
        era = era + 1
        next = t
        if (next < start) { next = start }
        next = next + first()
        if (next <= stop) {
            net_send(end_of_step(), era)
        }
    } else if (flag == era) {
        while (next <= t + 1e-6 && next <= stop) {
            net_event(t)
            next = next + interval()
        }
        if (next <= stop) {
            net_send(end_of_step(), era)
        }
    }
}
