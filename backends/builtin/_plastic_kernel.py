"""The time loop's part for plastic synapses, compiled; what they are is in `_plastic`.

Nodes of rows with Tsodyks and Markram's synapses hold the part of the weight that is transmitted;
those of rows with pair rules how much the spikes before count, at the time of the last of them; and
those of rows with stochastic synapses how many spikes of the step were before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._functions import uniform
from ._llvm import compiled, from_bits, inlined, prefetch, word

PAIRS, SHORT_TERM, STOCHASTIC = range(3)  # kinds of rules
FOLLOWED, DELIVERED = 1, 2  # flags of a node: its row's next spike came soon; it has arrived
WAITING = 1024  # segments that are looked up together
AHEAD, SOON = 16, 8  # segments that are on their way to the cache, and their targets' lines
LINES = 1  # of their targets, as far as the cache is asked for them; twice as many of the weights
NEXT = 8  # synapses later, whose target is on its way
PENDING = 64  # spikes of a target that are looked at together
LINE = 64 // 4  # numbers of what is kept of a target: its last spikes, in one line of the cache
RECENT = 5  # how many: their steps first,
OLDER = RECENT  # then the number of the node of the spike before these,
COUNTED, HALF = 3, 64 // 8  # then, as numbers twice as wide, of which there are 8, their traces
NEVER = -(1 << 30)  # step of a target that has not fired
UNKNOWN = NEVER - 1  # of one whose spikes nobody asks for
ZERO: Any = np.int64(0)
FAR = 1 << 62  # a step that there is none


@compiled
def send(cells: Any, step: int, part: Any, shared: Any) -> None:
    """Write down the spikes of one step, for the rows of the cells."""
    if part is None:
        return
    slot = step % part.sent_ends.shape[0]
    n = part.counts[0]
    part.sent_ends[slot, 0] = n
    for i in range(cells.size):
        for row in range(shared.rows[cells[i]], shared.rows[cells[i] + 1]):
            last = part.last[row]
            since = np.float64(step - last)
            rule = shared.rules[shared.rule_of[row]]
            node = part.sent[n]
            node.row = row
            node.previous = last
            node.flags = 0
            if rule.kind == PAIRS:
                node.value = 0.0
                if last >= 0:
                    if step - last <= shared.silence:
                        node.value = part.states[row, 0]
                        if part.last_node[row] >= 0:
                            part.sent[part.last_node[row]].flags |= FOLLOWED
                    part.states[row, 0] *= math.exp(-since * rule.plus)
                part.states[row, 0] += 1.0
            elif rule.kind == STOCHASTIC:
                part.states[row, 0] = part.states[row, 0] + 1.0 if last == step else 0.0
                node.value = part.states[row, 0]
            else:
                node.value = _released(part.states[row], since, last >= 0, rule)
            part.last[row] = step
            part.last_node[row] = n
            n += 1
    part.counts[0] = n
    part.sent_ends[slot, 1] = n


@compiled
def _released(state: Any, since: float, has_fired: bool, rule: Any) -> float:
    """What a spike transmits of the weight; state: u, what is active, what is inactive."""
    if has_fired:
        by_current, by_recovery = math.exp(-since * rule.current), math.exp(-since * rule.recovery)
        lost = since * rule.current * by_current
        if abs(rule.recovery - rule.current) > 1e-9 * rule.recovery:
            lost = (by_current - by_recovery) / (rule.recovery / rule.current - 1.0)
        state[2] = state[2] * by_recovery + state[1] * lost
        state[1] *= by_current
        # an infinite number times 0 is none
        state[0] *= math.exp(-since * rule.facilitation) if rule.facilitation < np.inf else 0.0
    state[0] += rule.use * (1.0 - state[0])
    released = state[0] * (1.0 - state[1] - state[2])
    state[1] += released
    return float(released)


@compiled
def fire(cells: Any, step: int, part: Any, shared: Any) -> None:
    """Write down the spikes of the part's neurons, for the synapses onto them."""
    if part is None:
        return
    n = part.counts[1]
    n_traces = shared.traces.size
    for trace in range(n_traces):
        for i in range(cells.size):
            place = np.int64(part.places[cells[i]])
            if place < 0:
                continue
            steps, counted = _line(part.recent, part.counted, trace * part.n_places + place)
            if steps[0] == UNKNOWN:
                continue
            if steps[RECENT - 1] >= 0:  # it is no longer one of the last
                node = part.fired[n]
                node.step, node.trace = steps[RECENT - 1], counted[RECENT - 1]
                node.previous = steps[OLDER]
                steps[OLDER] = n
                n += 1
            for k in range(RECENT - 1, 0, -1):
                steps[k], counted[k] = steps[k - 1], counted[k - 1]
            since = np.float64(step - steps[1])
            left = math.exp(-since * shared.traces[trace]) if steps[1] >= 0 else 0.0
            steps[0], counted[0] = step, 1.0 + counted[1] * left
    part.counts[1] = n


@inlined
def _line(recent: Any, counted: Any, number: Any) -> Any:
    """Steps of the last spikes of a target, and their traces."""
    begin, half = np.uint64(number) * np.uint64(LINE), np.uint64(number) * np.uint64(HALF)
    traces = half + np.uint64(COUNTED)
    return recent[begin : begin + np.uint64(LINE)], counted[traces : half + np.uint64(HALF)]


@compiled
def _decay(steps: Any, rate: float, table: Any) -> Any:
    """What is left after a whole number of steps."""
    if steps < table.size:
        return table[np.uint64(steps)]
    return math.exp(-np.float64(steps) * rate)


@compiled
def _power(base: float, exponent: float) -> float:
    if exponent == 0.0:
        return 1.0
    if exponent == 1.0:
        return base
    return float(max(base, 0.0) ** exponent)


@compiled
def _facilitated(
    weight: float, steps: Any, least: int, until: int, since: int, value: float, rule: Any,
    table: Any, fired: Any, pending: Any,
) -> float:  # fmt: skip
    """The weight after a target's spikes from one step to another, in their order.

    `value` is how much the source's spikes count at step `since`.
    """
    n_after = n = 0
    k = 0
    step: Any = ZERO
    older: Any = np.int64(steps[OLDER])
    while True:
        if k < RECENT:
            step = np.int64(steps[k])
            k += 1
        elif older >= 0:
            step, older = np.int64(fired[older].step), np.int64(fired[older].previous)
        else:
            break
        if step < least or step < 0:
            break
        n_after += step > until
        n += step <= until
    done = 0
    while done < n:  # the oldest of them first, some at a time
        first = n_after + max(0, n - done - PENDING)
        some = n_after + n - done - first
        k, older = 0, np.int64(steps[OLDER])
        for number in range(first + some):
            if k < RECENT:
                step = np.int64(steps[k])
                k += 1
            else:
                step, older = np.int64(fired[older].step), np.int64(fired[older].previous)
            if number >= first:
                pending[some - 1 - (number - first)] = step
        for k in range(some):
            pairs = value * _decay(pending[k] - since, rule.plus, table)
            weight += rule.a_plus * _power(1.0 - weight, rule.mu_plus) * pairs
            weight = min(weight, 1.0)
        done += some
    return weight


@compiled
def _last(steps: Any, counted: Any, until: int, fired: Any) -> Any:
    """Step of the last spike of a target up to a step, -1 if there was none, and its trace."""
    for k in range(RECENT):
        if steps[k] <= until:
            return np.int64(steps[k]), counted[k]
    older = np.int64(steps[OLDER])
    while older >= 0:
        if fired[older].step <= until:
            return np.int64(fired[older].step), fired[older].trace
        older = np.int64(fired[older].previous)
    return np.int64(-1), 0.0


@compiled
def _changed(
    weight: float, steps: Any, counted: Any, least: int, until: int, last: int, since: int,
    value: float, counts: float, rule: Any, plus: Any, minus: Any, fired: Any, pending: Any,
) -> float:  # fmt: skip
    """The weight after any number of a target's spikes and one of the source."""
    if steps[0] < 0:
        return weight
    weight = _facilitated(weight, steps, least, until, since, value, rule, plus, fired, pending)
    before, trace = _last(steps, counted, last, fired)
    if before >= 0:
        pairs = counts * trace * _decay(until - before, rule.minus, minus)
        weight -= rule.a_minus * _power(weight - rule.lowest, rule.mu_minus) * pairs
    return float(max(weight, rule.lowest))


@compiled
def _any_pairs(
    into: Any, targets: Any, weights: Any, begin: int, end: int, node: Any, rule: Any, lag: Any,
    window: Any, base: Any, recent: Any, counted: Any, fired: Any, pending: Any, plus: Any,
    minus: Any,
) -> None:  # fmt: skip
    """Let a spike arrive at the synapses of a segment that have any pair rule."""
    least, until, last, since = window
    value, counts = node.value * lag.plus, lag.minus
    for i in range(np.uint64(begin), np.uint64(end)):
        target = np.uint64(targets[i])
        steps, traces = _line(recent, counted, base + target)
        weight = _changed(
            weights[i], steps, traces, least, until, last, since, value, counts, rule, plus, minus,
            fired, pending,
        )  # fmt: skip
        weights[i] = weight
        into[target] += into.dtype.type(weight * rule.scale)


@inlined
def _window(node: Any, step: int, lag: Any) -> Any:
    """Steps of a target's spikes that make pairs with the source's spikes of before and of now.

    The first and the last that come after those of before; the last that comes before the one of
    now; and when those of before are seen.
    """
    until, since = step + lag.until, np.int64(node.previous) + lag.after
    least = max(since + lag.tie_plus, 0) if node.value > 0.0 else FAR
    return least, until, until - lag.tie_minus, since


@inlined
def _pairs(
    into: Any, targets: Any, weights: Any, begin: int, end: int, node: Any, rule: Any, lag: Any,
    window: Any, base: Any, recent: Any, counted: Any, fired: Any, pending: Any, plus: Any,
    minus: Any,
) -> None:  # fmt: skip
    """The same for rules whose powers are 0 or 1, with tables of what decays.

    There is nearly no branch in it: what a target has done cannot be foretold.
    """
    # numbers, which are looked up once: arrays might be the same
    scale, lowest, mu_plus, mu_minus = rule.scale, rule.lowest, rule.mu_plus, rule.mu_minus
    offset = -lowest if mu_minus > 0.0 else 1.0  # what is left to a bound: 1, or a difference
    least, until, last, since = window
    none, oldest = since + (plus.size - 1), until - (minus.size - 1)  # steps that count as 0
    value, counts = rule.a_plus * (node.value * lag.plus), rule.a_minus * lag.minus
    for i in range(np.uint64(begin), np.uint64(end)):
        target = np.uint64(targets[i])
        weight = weights[i]
        ahead = np.uint64(targets[i + np.uint64(NEXT)])
        prefetch(recent, base + ahead * np.uint64(LINE))
        at = base + target * np.uint64(LINE)
        first = at + np.uint64(recent[at] > until)
        s0, s1 = np.int64(recent[first]), np.int64(recent[first + np.uint64(1)])
        if s0 > until or recent[first + np.uint64(2)] >= least:  # more than two pairs
            weight, is_done = _earlier(
                weight, at, first, least, until, last, since, value, node, lag, rule, recent,
                counted, fired, pending, plus, minus,
            )  # fmt: skip
            if is_done:
                weights[i] = weight
                into[target] += into.dtype.type(weight * scale)
                continue
        earlier = value * plus[np.uint64((s1 if s1 >= least else none) - since)]
        later = value * plus[np.uint64((s0 if s0 >= least else none) - since)]
        # written so that little waits for the weight
        weight = min(weight * (1.0 - mu_plus * earlier) + earlier, 1.0)
        weight = min(weight * (1.0 - mu_plus * later) + later, 1.0)
        number = np.uint64(s0 > last) + first
        before = np.int64(recent[number])
        trace = from_bits(word(recent, np.uint64(2) * number - at + np.uint64(2 * COUNTED)))
        pairs = counts * trace * minus[np.uint64(until - max(before, oldest))]
        weight = max(weight * (1.0 - mu_minus * pairs) - offset * pairs, lowest)
        weights[i] = weight
        into[target] += into.dtype.type(weight * scale)


@compiled
def _earlier(
    weight: float, at: Any, first: Any, least: int, until: int, last: int, since: int,
    value: float, node: Any, lag: Any, rule: Any, recent: Any, counted: Any, fired: Any,
    pending: Any, plus: Any, minus: Any,
) -> Any:  # fmt: skip
    """The weight after a target's spikes before the last two; or after all of them, and whether.

    The target's last spike that counts is number `first`.
    """
    k: Any = first + np.uint64(2)
    while k < at + np.uint64(RECENT) and recent[k] >= least:
        k += np.uint64(1)
    if recent[first] > until or k == at + np.uint64(RECENT):  # perhaps more than are kept together
        steps, traces = _line(recent, counted, at // np.uint64(LINE))
        weight = _changed(
            weight, steps, traces, least, until, last, since, node.value * lag.plus, lag.minus,
            rule, plus, minus, fired, pending,
        )  # fmt: skip
        return weight, True
    while k > first + np.uint64(2):
        k -= np.uint64(1)
        pairs = value * plus[np.uint64(recent[k] - since)]
        weight = min(weight * (1.0 - rule.mu_plus * pairs) + pairs, 1.0)
    return weight, False


@compiled
def _settle(
    begin: int, end: int, step: int, node: Any, rule: Any, lag: Any, part: Any, shared: Any
) -> None:
    """Let synapses of a row that has been silent for long see what their targets did since."""
    value = 1.0
    if node.previous >= 0:
        value += node.value * math.exp(-np.float64(step - node.previous) * rule.plus)
    value *= lag.plus
    since = step + lag.after
    least, until = max(since + lag.tie_plus, 0), step + shared.silence + lag.until
    table = shared.tables[rule.plus_table]
    base = rule.trace * part.n_places
    for i in range(begin, end):
        weight = part.weights[i]
        part.kept[i] = weight
        steps, _ = _line(part.recent, part.counted, base + part.targets[i])
        if steps[0] >= least:
            part.weights[i] = _facilitated(
                weight, steps, least, until, since, value, rule, table, part.fired,
                part.waiting[3],
            )  # fmt: skip


@compiled
def _deliver(arrivals: Any, n: int, part: Any, shared: Any) -> None:
    """Let spikes arrive through segments that are far apart in memory: ask for them in time."""
    begins, ends, which, pending = part.waiting
    targets, weights, fired, sent = part.targets, part.weights, part.fired, part.sent
    recent, counted, tables = part.recent, part.counted, shared.tables
    for j in range(n + AHEAD):
        if j < n:
            for line in range(LINES + 1):
                prefetch(targets, begins[j] + 16 * line)
            for line in range(2 * LINES + 1):
                prefetch(weights, begins[j] + 8 * line)
        soon = j - SOON
        if 0 <= soon < n:
            rule = shared.rules[which[soon, 3]]
            if rule.kind == PAIRS:
                first = np.uint64(rule.trace * part.n_places * LINE)
                at = np.uint64(begins[soon])
                for k in range(NEXT):
                    target = np.uint64(targets[at + np.uint64(k)])
                    prefetch(recent, first + target * np.uint64(LINE))
        if j < AHEAD:
            continue
        begin, end, step = begins[j - AHEAD], ends[j - AHEAD], which[j - AHEAD, 1]
        node, column, number = sent[which[j - AHEAD, 0]], which[j - AHEAD, 2], which[j - AHEAD, 3]
        rule = shared.rules[number]
        into = arrivals[rule.receptor]
        if rule.kind == PAIRS:
            part.settled[node.row, column] = 0
            lag = shared.lags[number, column]
            window = _window(node, step, lag)
            plus, minus = tables[rule.plus_table], tables[rule.minus_table]
            if rule.is_simple:
                _pairs(
                    into, targets, weights, begin, end, node, rule, lag, window,
                    np.uint64(rule.trace * part.n_places * LINE), recent, counted, fired,
                    pending, plus, minus,
                )  # fmt: skip
            else:
                _any_pairs(
                    into, targets, weights, begin, end, node, rule, lag, window,
                    np.uint64(rule.trace * part.n_places), recent, counted, fired, pending,
                    plus, minus,
                )  # fmt: skip
        elif rule.kind == STOCHASTIC:
            for i in range(np.uint64(begin), np.uint64(end)):
                drawn = np.int64(node.value)
                if uniform(part.numbers[i], step, drawn, rule.key0, rule.key1) < rule.use:
                    into[np.uint64(targets[i])] += into.dtype.type(weights[i])
        else:
            value = node.value
            for i in range(np.uint64(begin), np.uint64(end)):
                into[np.uint64(targets[i])] += into.dtype.type(weights[i] * value)


@inlined
def _segment(offsets: Any, row: Any, column: Any) -> Any:
    """Where the synapses of a row begin that have a delay, and end."""
    row, column = np.uint64(row), np.uint64(column)
    return np.int64(offsets[row, column]), np.int64(offsets[row, column + np.uint64(1)])


@compiled
def receive(arrivals: Any, step: int, part: Any, shared: Any) -> None:
    """Let the spikes arrive whose delay ends now, and settle rows that have been silent since."""
    if part is None:
        return
    deliver(arrivals, step, part, shared)
    if shared.silence > 0:
        _settle_all(step, part, shared)


@compiled
def deliver(arrivals: Any, step: int, part: Any, shared: Any) -> None:
    """Let the spikes arrive whose delay ends in a step; the longest delays first."""
    begins, ends, which, _ = part.waiting
    n = 0
    for column in range(shared.steps.size - 1, -1, -1):
        sent = step - shared.steps[column]
        if sent < 0:
            continue
        slot = sent % part.sent_ends.shape[0]
        for j in range(part.sent_ends[slot, 0], part.sent_ends[slot, 1]):
            row = np.uint64(part.sent[j].row)
            begin, end = _segment(part.offsets, row, column)
            begins[n], ends[n] = begin, end
            which[n, 0], which[n, 1], which[n, 2], which[n, 3] = (
                j,
                sent,
                column,
                shared.rule_of[row],
            )
            # no branch: whether there are any cannot be foretold
            n += int(begin < end) & int(part.sent[j].flags & DELIVERED == 0)
            if n == WAITING:
                _deliver(arrivals, n, part, shared)
                n = 0
    _deliver(arrivals, n, part, shared)


@compiled
def _settle_all(step: int, part: Any, shared: Any) -> None:
    for column in range(shared.steps.size):
        sent = step - shared.steps[column] - shared.silence
        if sent < 0:
            continue
        slot = sent % part.sent_ends.shape[0]
        for j in range(part.sent_ends[slot, 0], part.sent_ends[slot, 1]):
            node = part.sent[j]
            if node.flags & FOLLOWED:
                continue
            row = np.int64(node.row)
            number = shared.rule_of[row]
            rule = shared.rules[number]
            begin, end = _segment(part.offsets, row, column)
            if begin < end and rule.kind == PAIRS:
                lag = shared.lags[number, column]
                _settle(begin, end, sent, node, rule, lag, part, shared)
                part.settled[row, column] = 1
