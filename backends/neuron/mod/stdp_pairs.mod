COMMENT
Adjusts the weight of a synapse by pairs of spikes: PyNN's STDPMechanism as portable-cortex defines
it (portable_cortex/pynn/plasticity.py; Guetig et al. 2003, doi:10.1523/JNEUROSCI.23-09-03697.2003).
The weight changes in units of wmax, for one spike after the other, and stays between wmin and wmax.
A spike is transmitted with the weight as it is when the synapse sees it: this is written down, and
told to the connection when the spike arrives. Spikes that are seen at the same time are no pair, in whichever
order NEURON brings them.
ENDCOMMENT

NEURON {
    POINT_PROCESS PortableSTDP
    RANGE tau_plus, tau_minus, a_plus, a_minus, wmin, wmax, mu_plus, mu_minus, wait, allow_update_on_post
    POINTER wsyn
}

PARAMETER {
    tau_plus = 20 (ms)
    tau_minus = 20 (ms)
    a_plus = 0.01
    a_minus = 0.01
    wmin = 0
    wmax = 1
    mu_plus = 0
    mu_minus = 0
    wait = 0 (ms) : from when the synapse sees a spike until it arrives
    allow_update_on_post = 0
}

ASSIGNED {
    wsyn
    w
    before
    w_sent
    plus
    plus_before
    minus
    minus_before
    last_pre (ms)
    last_post (ms)
    told
}

INITIAL {
    plus = 0
    plus_before = 0
    minus = 0
    minus_before = 0
    last_pre = -1e9
    last_post = -1e9
    told = -1e99
}

FUNCTION power(base, exponent) {
    if (exponent == 0) {
        power = 1
    } else if (base <= 0) {
        power = 0
    } else {
        power = base^exponent
    }
}

NET_RECEIVE (sign) {
    LOCAL pairs
    if (wsyn != told) { : it was set
        w = wsyn / wmax
        told = wsyn
    }
    if (flag >= 2) { : a spike arrives; the flag holds its weight
        wsyn = (flag - 2) * wmax
        told = wsyn
    } else if (flag == 1) { : all spikes have come that are seen at that time
        net_send(wait - 2e-5, 2 + w_sent)
    } else if (sign < 0) {
        pairs = plus
        if (t - last_pre < 1e-5) {
            pairs = plus_before
        }
        pairs = pairs * exp(-(t - last_pre) / tau_plus)
        if (t - last_pre < 1e-5) {
            : the source's spike came first: what it made of the weight is made anew
            w = before
        }
        w = w + a_plus * power(1 - w, mu_plus) * pairs
        if (w > 1) {
            w = 1
        }
        if (t - last_pre < 1e-5) {
            before = w
            depress()
            transmit()
        }
        minus_before = minus * exp(-(t - last_post) / tau_minus)
        minus = minus_before + 1
        last_post = t
    } else {
        if (t - last_pre >= 1e-5) {
            plus_before = plus * exp(-(t - last_pre) / tau_plus)
            plus = plus_before
        }
        before = w
        depress()
        transmit()
        if (wait > 0) {
            net_send(2e-5, 1)
        }
        plus = plus + 1
        last_pre = t
    }
}

PROCEDURE depress() {
    LOCAL pairs
    pairs = minus * exp(-(t - last_post) / tau_minus)
    if (t - last_post < 1e-5) {
        pairs = minus_before
    }
    w = w - a_minus * power(w - wmin / wmax, mu_minus) * pairs
    if (w < wmin / wmax) {
        w = wmin / wmax
    }
}

PROCEDURE transmit() {
    w_sent = w
    if (wait <= 0) {
        wsyn = w * wmax
        told = wsyn
    }
}
