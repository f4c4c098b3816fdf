TITLE Source of spikes at listed times, which lie on the time grid

COMMENT
The times are a vector of NEURON's, in ascending order; several may be equal. An external event
means that the vector is another one: what lies in it up to now is past.
ENDCOMMENT

NEURON {
    ARTIFICIAL_CELL GridSpikes
}

ASSIGNED {
    index                     : of the next spike
    era                       : number of the vector; events of another era are void
    times
}

INITIAL {
    index = 0
    era = 1
    if (time() >= 0) {
        net_send(time() - t, era)
    }
}

NET_RECEIVE (w) {
    if (flag == 0) {
        index = 0
        era = era + 1
        while (time() >= 0 && time() <= t + 1e-6) {
            index = index + 1
        }
        if (time() >= 0) {
            net_send(time() - t, era)
        }
    } else if (flag == era) {
        while (time() >= 0 && time() <= t + 1e-6) {
            net_event(t)
            index = index + 1
        }
        if (time() >= 0) {
            net_send(time() - t, era)
        }
    }
}

PROCEDURE play() {            : a vector of times (ms), which must live as long
VERBATIM
    *(void**)(&times) = (void*)vector_arg(1);
ENDVERBATIM
}

FUNCTION time() (ms) {        : of the next spike, -1 for none
VERBATIM
    IvocVect* vector = *(IvocVect**)(&times);
    const int i = (int)index;
    _ltime = vector && i < vector_capacity(vector) ? vector_vec(vector)[i] : -1.;
ENDVERBATIM
}
