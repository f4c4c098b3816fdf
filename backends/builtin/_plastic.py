"""Plastic synapses: a second table beside that of the static ones, whose weights change.

What a synapse needs to know of its source is the same for all synapses of a source that have the
same parameters: they are a row, and the state of the row is kept once for each spike (a node), not
for each synapse. What it needs to know of its target is a list of the target's last spikes. So a
synapse has only its weight. It is looked at when a spike arrives, and once more when a row has been
silent for so long that its pairs no longer count: until then targets' spikes are remembered.

Each part of the network has its own copy of the sources' spikes, and the spikes of its own targets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _memory, _plastic_kernel
from ._plastic_kernel import (
    DELIVERED,
    HALF,
    LINE,
    NEVER,
    NEXT,
    OLDER,
    PAIRS,
    PENDING,
    RECENT,
    SHORT_TERM,
    STOCHASTIC,
    UNKNOWN,
    WAITING,
)
from ._synapses import Arrivals, joined

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Records = NDArray[np.void]

FORGOTTEN = 40.0  # time constants after which an exponential function counts as 0
CLOSE = 1e-6  # steps
BYTES = 64  # of a synapse, while the table is made, about
LONGEST_SILENCE = 1 << 22  # steps
TABLES = 1 << 22  # numbers in tables of exponential functions, at most

RULE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "kind",
            "receptor",
            "trace",
            "plus_table",
            "minus_table",
            "key0",
            "key1",
            "is_simple",  # a pair rule whose powers are 0 or 1, with tables
        )
    ]
    + [
        (name, np.float64)
        for name in (
            "scale",  # the unit of weights: w_max, or 1
            "lowest",  # in it
            "plus",  # 1 / tau_plus, of a step
            "minus",
            "a_plus",
            "a_minus",
            "mu_plus",
            "mu_minus",
            "use",  # Tsodyks and Markram's U, or the probability to transmit a spike
            "recovery",  # the inverses of time constants, of a step
            "facilitation",  # infinite: none
            "current",
        )
    ]
)
"""What synapses of a row have in common."""

LAG = np.dtype(
    [(name, np.int64) for name in ("after", "until")]
    + [(name, np.float64) for name in ("plus", "minus")]
    + [("tie_plus", np.int64), ("tie_minus", np.int64)]
)
"""For a rule and a delay, how much later a synapse sees its source's spikes than its target's.

Steps, up and down to the next whole number, what decays in the rest, and the least whole number of
steps that makes a pair.
"""

SENT = np.dtype([("row", np.int32), ("previous", np.int32), ("value", float), ("flags", np.int64)])
"""A spike of a row; step of the one before (-1: none); its value and flags: `_plastic_kernel`."""

NOBODY = np.empty(0, SENT)

FIRED = np.dtype([("step", np.int32), ("previous", np.int32), ("trace", float)])
"""A spike of a target; the number of the one before, -1 if there is none."""


class Part(NamedTuple):
    """What one part of the network has; see `_kernel.Mine`.

    ``sent`` and ``fired`` are filled from the beginning; ``counts`` says how far.
    """

    offsets: Any
    targets: Any
    numbers: I64  # within the projection, where any are stochastic
    weights: F64  # in units of the rule's scale
    kept: F64  # those that were transmitted last, of segments that are settled
    settled: NDArray[np.uint8]  # rows, columns
    last: I64  # steps; node of the row's last spike
    last_node: NDArray[np.int32]
    states: F64  # of rows
    sent: Records
    sent_ends: I64  # for each step of a ring: where its nodes begin, and end
    fired: Records
    recent: NDArray[np.int32]  # for each trace and neuron a line: see `_plastic_kernel`
    counted: F64  # the same, as float64
    counts: I64
    n_places: int
    places: NDArray[np.int32]  # of cells among the part's neurons, -1 elsewhere
    waiting: tuple[Any, Any, Any, Any]  # space


class Shared(NamedTuple):
    """What all parts read."""

    rows: I64  # of each cell; the next one's begin is the end
    rules: Records
    rule_of: NDArray[np.int32]
    steps: I64
    lags: Records  # rules, columns
    traces: F64  # 1 / tau_minus, of a step, of each trace of targets
    tables: F64  # exponential functions, rates and steps
    silence: int  # steps after which a row is settled


@dataclass
class Table:
    """All plastic synapses of a network.

    Attributes
    ----------
    shared : Shared
    parts : list of Part
    places, rows : list of arrays of int64
        For each plastic projection where its synapses are, all parts counted through, and in which
        row each is.
    starts : array of int64
        Where each part begins in this count.
    cells : sequence of arrays of int64
        For each part, the number of the cell at each place among its neurons.
    marks : list of lists of (int, int)
        For each part, steps, and how many spikes of its targets had been written down by then.
    most : list of (int, int)
        Nodes that a part can write in a step, for sources and for targets.
    time_constants : list of arrays
        For each projection, those of its targets' synaptic currents that were used, ms.
    """

    shared: Shared
    parts: list[Part]
    places: list[I64]
    rows: list[I64]
    starts: I64
    cells: Sequence[I64]
    marks: list[list[tuple[int, int]]]
    most: list[tuple[int, int]]
    time_constants: list[F64]

    # --- its weights ------------------------------------------------------------------------------

    def weights(self, number: int) -> F64:
        """Those of a projection with which its synapses transmitted last, nA or uS."""
        found = np.empty(self.places[number].size)
        for part, own, places in self._own(number):
            found[own] = part.weights[places]
            sizes = np.diff(part.offsets.astype(np.int64), axis=1)
            settled = np.repeat(part.settled.ravel(), sizes.ravel())[places] > 0
            found[np.flatnonzero(own)[settled]] = part.kept[places[settled]]
        return found * self._scales(number)

    def write(self, number: int, weights: F64) -> None:
        """Give the synapses of a projection other weights, nA or uS."""
        values = weights / self._scales(number)
        for part, own, places in self._own(number):
            part.weights[places] = part.kept[places] = values[own]

    def _own(self, number: int) -> Iterator[tuple[Part, NDArray[np.bool_], I64]]:
        """For each part, which synapses of a projection are there, and where."""
        place = self.places[number]
        for part, begin in zip(self.parts, self.starts, strict=False):
            own = (place >= begin) & (place < begin + part.weights.size)
            yield part, own, place[own] - begin

    def _scales(self, number: int) -> F64:
        scales: F64 = self.shared.rules["scale"][self.shared.rule_of[self.rows[number]]]
        return scales

    # --- time -------------------------------------------------------------------------------------

    @property
    def longest(self) -> int:
        """The longest delay, steps."""
        return int(self.shared.steps.max(initial=1))

    def _on_way(self, part: Part, now: int) -> Records:
        """Nodes of which a synapse may not have had the spike yet."""
        slots = np.arange(max(0, now - self.longest + 1), now + 1) % part.sent_ends.shape[0]
        ends = part.sent_ends[slots]
        ends = ends[ends[:, 1] > ends[:, 0]]
        return part.sent[int(ends[:, 0].min()) : int(ends[:, 1].max())] if ends.size else NOBODY

    def looks_ahead(self, now: int) -> bool:
        """Whether weights of spikes that are on their way depend on spikes to come."""
        on_way = any(self._on_way(part, now).size for part in self.parts)
        return on_way and bool(np.any(self.shared.lags["until"] > 0))

    def take_off(self, now: int, kind: Any, n_receptors: int) -> Arrivals:
        """What spikes that are on their way will bring; they are no longer."""
        none = np.empty(0, np.int64)
        found = [Arrivals(none, none, none, np.empty(0))]
        for part, cells in zip(self.parts, self.cells, strict=True):
            for step in range(now + 1, now + self.longest + 1):
                into = np.zeros((n_receptors, cells.size), kind)
                _plastic_kernel.deliver(into, step, part, self.shared)
                receptors, places = np.nonzero(into)
                steps = np.full(places.size, step)
                weights = into[receptors, places].astype(float)
                found.append(Arrivals(steps, receptors, cells[places], weights))
            self._on_way(part, now)["flags"] |= DELIVERED
        return joined(found)

    def send(self, step: int, cells: I64) -> None:
        """Take in spikes of a step that the time loop does not have."""
        self.make_room(step, 1)
        for part in self.parts:
            _plastic_kernel.send(cells.astype(np.int32), step, part, self.shared)

    def make_room(self, now: int, n_steps: int) -> None:
        """Forget spikes that no synapse will ask for, and have room for those of some steps."""
        for number, part in enumerate(self.parts):
            _trim_sent(part, now)
            marks = self.marks[number]  # how many nodes there were, and when
            marks.append((now, int(part.counts[1])))
            oldest = now - self.shared.silence - 4 * self.longest - 4
            n_past = sum(step <= oldest for step, _ in marks)
            if n_past:
                first = marks[n_past - 1][1]
                _trim_fired(part, first)
                marks[:] = [(step, n - first) for step, n in marks[n_past - 1 :]]
            (n_sent, n_fired), (most_sent, most_fired) = part.counts, self.most[number]
            self.parts[number] = part._replace(
                sent=_grown(part.sent, int(n_sent), most_sent * n_steps),
                fired=_grown(part.fired, int(n_fired), most_fired * n_steps),
            )

    # --- as arrays --------------------------------------------------------------------------------

    def capture(self) -> dict[str, NDArray[Any]]:
        """All that changes, by name."""
        found = {}
        for number, part in enumerate(self.parts):
            n_sent, n_fired = part.counts
            filled = {"sent": part.sent[:n_sent], "fired": part.fired[:n_fired]}
            for name, values in {**{n: getattr(part, n) for n in CHANGING}, **filled}.items():
                found[f"plastic_{number}_{name}"] = np.array(_plain(values))
        return found

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take what `capture` gave."""
        for number, part in enumerate(self.parts):
            for name in CHANGING:
                own = getattr(part, name)
                own[:] = np.asarray(state[f"plastic_{number}_{name}"]).view(own.dtype)
            self.parts[number] = part._replace(
                sent=np.array(state[f"plastic_{number}_sent"]).view(SENT),
                fired=np.array(state[f"plastic_{number}_fired"]).view(FIRED),
            )
            self.marks[number].clear()

    def fixed(self) -> list[NDArray[Any]]:
        """All that does not change."""
        shared = self.shared
        arrays = [shared.rows, shared.rules, shared.rule_of, shared.steps, shared.lags]
        return [
            *(_plain(array) for array in arrays),
            *(array for part in self.parts for array in (part.offsets, part.targets)),
        ]


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Records as bytes."""
    return values.view(np.uint8) if values.dtype.names else values


def _grown(nodes: Records, n: int, more: int) -> Records:
    if n + more <= nodes.size:
        return nodes
    larger = _memory.sparse((2 * (n + more),), nodes.dtype)
    larger[:n] = nodes[:n]
    return larger


CHANGING = (
    "weights", "kept", "settled", "last", "last_node", "states", "sent_ends", "recent",
    "counts",
)  # fmt: skip


def _trim_sent(part: Part, now: int) -> None:
    """Move the nodes that are left to the beginning."""
    n = int(part.counts[0])
    part.sent_ends[(now + 1) % part.sent_ends.shape[0]] = 0  # written next
    filled = part.sent_ends[:, 1] > part.sent_ends[:, 0]
    first = int(part.sent_ends[filled, 0].min(initial=n))
    part.sent[: n - first] = part.sent[first:n].copy()
    part.counts[0] = n - first
    part.sent_ends[filled] -= first
    part.sent_ends[~filled] = 0
    np.maximum(part.last_node - first, -1, out=part.last_node)


def _trim_fired(part: Part, first: int) -> None:
    """Forget the nodes before number `first`."""
    left = part.fired[first : int(part.counts[1])].copy()
    left["previous"] = np.maximum(left["previous"] - first, -1)
    part.fired[: left.size] = left
    part.counts[1] = left.size
    older = part.recent[OLDER::LINE]
    np.maximum(older - first, -1, out=older)


# --- making it ------------------------------------------------------------------------------------


class Bundle(NamedTuple):
    """One plastic projection, in the engine's numbering.

    ``sources`` are numbers among all cells, ``owners`` and ``places`` parts of targets and their
    places there, of each synapse; ``parameters`` numbers, or arrays of one for each. ``key`` is of
    what the synapses draw.
    """

    kind: int
    key: tuple[int, int]
    sources: I64
    owners: NDArray[np.uint8]
    places: NDArray[np.uint32]
    weights: F64
    steps: I64
    receptor: int
    parameters: Mapping[str, Any]
    time_constants: F64


def build(
    bundles: Sequence[Bundle],
    n_cells: int,
    cells: Sequence[I64],
    timestep: float,
    most: int,
) -> Table:
    """Make the table.

    Parameters
    ----------
    cells : sequence of arrays
        For each part, the number of the cell at each place among its neurons.
    most : int
        Spikes that a source can send in a step.
    """
    kinds = [_rows(bundle, timestep) for bundle in bundles]
    n_rules = np.cumsum([0, *(rules.size for rules, _ in kinds)])
    rules = np.concatenate([rules for rules, _ in kinds])
    traces = np.unique(rules["minus"][rules["kind"] == PAIRS])
    rules["trace"] = np.searchsorted(traces, rules["minus"])
    # rows: by cell, then by rule
    keys = [
        bundle.sources * int(n_rules[-1]) + n_rules[k] + kinds[k][1]
        for k, bundle in enumerate(bundles)
    ]
    row_keys, row_of = np.unique(np.concatenate(keys), return_inverse=True)
    rule_of = (row_keys % n_rules[-1]).astype(np.int32)
    rows = np.searchsorted(row_keys // n_rules[-1], np.arange(n_cells + 1)).astype(np.int64)
    delays = np.concatenate([bundle.steps for bundle in bundles])
    steps, column = np.unique(delays, return_inverse=True)
    owner = np.concatenate([bundle.owners for bundle in bundles]).astype(np.int64)
    order = np.argsort(((owner * row_keys.size) + row_of) * steps.size + column, kind="stable")
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    weights = (
        np.concatenate([bundle.weights for bundle in bundles]) / rules["scale"][rule_of[row_of]]
    )
    targets = np.concatenate([bundle.places for bundle in bundles]).astype(np.int32)
    is_drawn = any(bundle.kind == STOCHASTIC for bundle in bundles)
    numbers = np.concatenate([np.arange(bundle.sources.size) for bundle in bundles])
    counts = np.zeros((len(cells), row_keys.size, steps.size), np.int64)
    np.add.at(counts, (owner, row_of, column), 1)
    starts = np.concatenate([[0], np.cumsum(counts.sum(axis=(1, 2)))])
    silence = _silence(rules)
    tables = _tables(rules, silence)
    shared = Shared(
        rows, rules, rule_of, steps, _lags(bundles, kinds, rules, steps), traces, tables, silence
    )
    parts = []
    for number, own_cells in enumerate(cells):
        own = order[starts[number] : starts[number + 1]]
        ends = np.cumsum(counts[number].ravel()).reshape(counts[number].shape)
        narrow = ends.size and ends[-1, -1] < np.iinfo(np.uint32).max  # half as many cache lines
        offsets = np.zeros((row_keys.size, steps.size + 1), np.uint32 if narrow else np.int64)
        offsets[:, 1:] = ends
        offsets[1:, 0] = ends[:-1, -1]
        parts.append(
            _part(
                shared,
                offsets,
                targets[own],
                numbers[own] if is_drawn else numbers[:0],
                weights[own],
                own_cells,
                n_cells,
                traces.size,
            )
        )
    cuts = np.cumsum([bundle.sources.size for bundle in bundles])[:-1]
    time_constants = [bundle.time_constants for bundle in bundles]
    nodes = most * row_keys.size
    return Table(
        shared,
        parts,
        np.split(place, cuts),
        np.split(row_of, cuts),
        starts,
        cells,
        [[] for _ in parts],
        [(nodes, int((part.recent[::LINE] > UNKNOWN).sum())) for part in parts],
        time_constants,
    )


def _part(
    shared: Shared, offsets: Any, targets: Any, numbers: I64, weights: F64, cells: I64,
    n_cells: int, n_traces: int,
) -> Part:  # fmt: skip
    n_rows, n_columns = offsets.shape[0], offsets.shape[1] - 1
    places = np.full(n_cells, -1, np.int32)
    neurons = np.flatnonzero(cells >= 0)
    places[cells[neurons]] = neurons
    lines = _memory.one_page(n_traces * max(1, cells.size) * HALF).view(np.int32)
    recent = lines.reshape(n_traces, -1, LINE) if n_traces else lines.reshape(0, 1, LINE)
    recent[..., :RECENT], recent[..., OLDER] = UNKNOWN, -1
    for trace in range(n_traces):
        of_trace = shared.rules["trace"][shared.rule_of] == trace
        of_trace &= shared.rules["kind"][shared.rule_of] == PAIRS
        wanted = np.repeat(of_trace, np.diff(offsets[:, [0, -1]].astype(np.int64), axis=1)[:, 0])
        recent[trace, targets[wanted], :RECENT] = NEVER
    n_slots = shared.silence + int(shared.steps.max(initial=1)) + 2
    return Part(
        offsets=offsets,
        targets=np.append(targets, np.zeros(NEXT, np.int32)),  # it is looked so far ahead
        numbers=numbers,
        weights=weights,
        kept=_memory.sparse((weights.size,), np.float64),
        settled=np.zeros((n_rows, n_columns), np.uint8),
        last=np.full(n_rows, -1, np.int64),
        last_node=np.full(n_rows, -1, np.int32),
        states=np.zeros((n_rows, 3)),
        sent=np.empty(0, SENT),
        sent_ends=np.zeros((n_slots, 2), np.int64),
        fired=np.empty(0, FIRED),
        recent=lines,
        counted=lines.view(np.float64),
        counts=np.zeros(2, np.int64),
        n_places=max(1, cells.size),
        places=places,
        waiting=(
            np.empty(WAITING + 1, np.int64), np.empty(WAITING + 1, np.int64),
            np.empty((WAITING + 1, 4), np.int64), np.empty(PENDING, np.int64),
        ),
    )  # fmt: skip


def _rows(bundle: Bundle, timestep: float) -> tuple[Records, I64]:
    """Rules of a projection's synapses, and which each has."""
    columns = dict(bundle.parameters)
    if bundle.kind == SHORT_TERM:
        columns["tau_syn"] = bundle.time_constants
    names = sorted(columns)
    varying = [n for n in names if np.ndim(columns[n]) and np.ptp(columns[n]) > 0]
    which = np.zeros(bundle.sources.size, np.int64)
    kinds = np.zeros((1, 0))
    if varying:
        table = np.stack([np.asarray(columns[n], float) for n in varying], axis=1)
        kinds, which = np.unique(table, axis=0, return_inverse=True)
        which = which.reshape(-1)
    rules = np.zeros(kinds.shape[0], RULE)
    values = {n: np.asarray(columns[n], float).reshape(-1)[:1] for n in names}
    values |= {n: kinds[:, k] for k, n in enumerate(varying)}
    rules["kind"], rules["receptor"] = bundle.kind, bundle.receptor
    rules["key0"], rules["key1"] = bundle.key
    rules["scale"] = 1.0
    if not bundle.sources.size:
        return rules[:0], which
    if bundle.kind == STOCHASTIC:
        rules["use"] = values["p"]
        return rules, which
    if bundle.kind == SHORT_TERM:
        rules["use"] = values["U"]
        rules["recovery"] = timestep / values["tau_rec"]
        with np.errstate(divide="ignore"):
            rules["facilitation"] = timestep / values["tau_facil"]
        rules["current"] = timestep / values["tau_syn"]
        return rules, which
    rules["scale"] = values["w_max"]
    rules["lowest"] = values["w_min"] / values["w_max"]
    for sign in ("plus", "minus"):
        rules[sign] = timestep / values[f"tau_{sign}"]
        rules[f"a_{sign}"] = values[f"A_{sign}"]
        rules[f"mu_{sign}"] = values[f"mu_{sign}"]
    return rules, which


def _silence(rules: Records) -> int:
    """Steps after which pairs no longer count."""
    pairs = rules[rules["kind"] == PAIRS]
    if not pairs.size:
        return 0
    slowest = float(min(pairs["plus"].min(), pairs["minus"].min()))
    return math.ceil(FORGOTTEN / slowest)


def _tables(rules: Records, silence: int) -> F64:
    """Exponential functions for all rates, 0 at last; rules are told theirs.

    There are none where there are too many rates.
    """
    pairs = rules["kind"] == PAIRS
    rates = np.unique([rules["plus"][pairs], rules["minus"][pairs]])
    if rates.size * (silence + 1) > TABLES or not rates.size:
        return np.zeros((1, 0))
    for sign in ("plus", "minus"):
        rules[f"{sign}_table"][pairs] = np.searchsorted(rates, rules[sign][pairs])
    powers = rules["mu_plus"], rules["mu_minus"]
    rules["is_simple"] = pairs & np.all(np.isin(powers, (0.0, 1.0)), axis=0)
    table: F64 = np.exp(-np.arange(silence + 2.0) * rates[:, None])
    table[:, -1] = 0.0
    return table


def _lags(bundles: Sequence[Bundle], kinds: Sequence[Any], rules: Records, steps: I64) -> Records:
    fractions = np.concatenate(
        [
            np.full(r.size, np.ravel(b.parameters.get("dendritic_delay_fraction", 0.5))[0])
            for b, (r, _) in zip(bundles, kinds, strict=True)
        ]
    )
    lag = (1.0 - 2.0 * fractions)[:, None] * steps
    lags = np.zeros(lag.shape, LAG)
    lags["after"], lags["until"] = np.ceil(lag - CLOSE), np.floor(lag + CLOSE)
    over, under = np.maximum(lags["after"] - lag, 0.0), np.maximum(lag - lags["until"], 0.0)
    lags["plus"] = np.exp(-over * rules["plus"][:, None])
    lags["minus"] = np.exp(-under * rules["minus"][:, None])
    lags["tie_plus"], lags["tie_minus"] = over <= CLOSE, under <= CLOSE
    return lags
