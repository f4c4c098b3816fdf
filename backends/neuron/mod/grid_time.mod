TITLE What belongs to the present between two runs

COMMENT
NEURON looks for spikes, and delivers what is due at a point of time, in the beginning of the step
that follows. Between two runs the present has to be complete.
ENDCOMMENT

NEURON {
    SUFFIX nothing
}

VERBATIM
extern void deliver_net_events(NrnThread*);
extern void nrn_deliver_events(NrnThread*);
extern void verify_structure();
extern void nrn_solver_prepare();
ENDVERBATIM

PROCEDURE portable_complete(thresholds) {
VERBATIM
    if (_lthresholds) {       // cells whose spikes are crossings that NEURON watches
        deliver_net_events(nrn_threads);
    } else {                  // without shifting the bins of the queue
        const double now = nrn_threads->_t;
        nrn_threads->_t = now + 0.25 * nrn_threads->_dt;
        nrn_deliver_events(nrn_threads);
        nrn_threads->_t = now;
    }
ENDVERBATIM
}

PROCEDURE portable_prepare() { : new records and mechanisms take part from the present on
VERBATIM
    verify_structure();
    nrn_solver_prepare();
ENDVERBATIM
}
