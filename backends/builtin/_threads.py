"""The engine on threads of this computer: a part of the network for each."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.backend import Progress
from portable_cortex.host.interruption import shielded

from . import _kernel, _memory, _synapses, _turns
from ._engine import Engine
from ._layout import BLOCK
from ._llvm import PLACE

LOG_CAPACITY = 1 << 25  # spikes of a thread between two looks of Python's; memory as they come


class OnThreads(Engine):
    """Runs the network that `state` describes on its threads; see `Engine`."""

    def __init__(self, state: Any, progress: Progress) -> None:
        self._pool = ThreadPoolExecutor(max(1, state.threads - 1))
        super().__init__(state, state.threads, BLOCK, progress)

    def _table(self, progress: Progress) -> _synapses.Synapses:
        bundles = [self._bundle(p) for p in self._state.static_projections if not p.is_background]
        plan = _synapses.plan(
            bundles,
            self._state.n_cells,
            self._n_parts,
            int(self._layout.n_local.max(initial=0)),
            self._n_receptors,
            self._state.weight_format,
        )
        _memory.check(plan.nbytes, plan.n_synapses)
        cells = self._layout.cells(self._first)
        return _synapses.build(plan, bundles, cells, self._n_parts, progress)

    def _loop(self, model: Any) -> int:
        return int(model.address(self._state.kind, self._counter))

    def _space(self, n_values: int) -> dict[str, NDArray[Any]]:
        table, n_rows = self._state.synapses, max(1, sum(self._most))
        n_slots = int(table.steps.max(initial=1)) + 2
        lists = self._n_receptors, n_slots, max(1, _kernel.LISTED // n_slots)
        return {
            "page": _memory.one_page(n_values, self._state.kind),
            "history": _memory.sparse((self._n_receptors, n_slots, n_rows), np.int32),
            "history_sizes": np.zeros((self._n_receptors, n_slots), np.int64),
            "listed": np.full((self._n_receptors, n_slots), -1),
            "begins": np.empty(lists, table.offsets.dtype),
            "ends": np.empty(lists, table.offsets.dtype),
            "scratch": np.empty(n_rows, np.int32),
        }

    def _share(self) -> None:
        table, most = self._state.synapses, max(1, *self._most)
        if self._state.plastic is not None:
            nodes = max(n for part in self._state.plastic.most for n in part)
            most = max(most, nodes)
        self._slice_steps = max(1, min(10_000, LOG_CAPACITY // most))
        self._shared = _kernel.Shared(
            rows=table.rows,
            steps=table.steps,
            used=table.used,
            offsets=table.offsets,
            targets=table.targets,
            weights=table.weights,
            rates=self._tables.arrays(),
            log=np.empty((self._n_parts, most * self._slice_steps), np.int32),
            log_ends=np.zeros((self._n_parts, self._slice_steps + 1), np.int64),
            turns=_turns.turns(self._n_parts),
            places=np.empty(self._n_parts * PLACE, np.uint8),
            plastic=None if self._state.plastic is None else self._state.plastic.shared,
        )

    def _remember(self, history: Any) -> None:
        if history is None:
            return
        rows = self._shared.rows
        n_slots = self._parts[0].history.shape[1]
        for step, cells in history:
            if step <= self._state.step - n_slots:
                continue
            for receptor in range(rows.shape[0]):
                own = rows[receptor, cells]
                own = own[own >= 0]
                for mine in self._parts:
                    mine.history[receptor, step % n_slots, : own.size] = own
                    mine.history_sizes[receptor, step % n_slots] = own.size

    def _run_slice(self, n_steps: int) -> None:
        start = int(self._state.step)
        stop = start + n_steps
        waves = [source.waveform(start, stop) for source in self._state.current_sources]
        wave_table = np.array(waves, float).reshape(len(waves), n_steps)
        ready = [mine._replace(waves=wave_table) for mine in self._with_samples(start, stop)]
        plastic = self._state.plastic
        if plastic is not None:
            plastic.make_room(start, n_steps)
            ready = [
                mine._replace(plastic=part) for mine, part in zip(ready, plastic.parts, strict=True)
            ]
        shared = self._shared._replace(turns=_turns.turns(self._n_parts))
        others: list[Future[None]] = []
        try:
            with shielded():  # from Ctrl-C: each thread waits until the others have come
                for thread in range(1, self._n_parts):
                    work = (thread, start, n_steps, ready[thread], shared)
                    others.append(self._pool.submit(_kernel.run, *work))
                _kernel.run(0, start, n_steps, ready[0], shared)
            for other in others:
                other.result()
            if not all(np.isfinite(mine.page.sum()) for mine in self._parts):
                self._check_state(stop * self._state.dt)
        finally:
            for other in others:  # the threads end their slice together
                other.result()
            if n_steps and _turns.n_done(shared.turns) > n_steps:
                self._collect(start, n_steps, ready)
                for source, wave in zip(self._state.current_sources, waves, strict=True):
                    source.take(wave)

    def _collect(self, start: int, n_steps: int, ready: list[_kernel.Mine]) -> None:
        """Take over what a slice recorded."""
        self._state.step = start + n_steps
        shared = self._shared
        if self._recorded.any():
            all_steps, all_cells = [], []
            for thread in range(self._n_parts):
                ends = shared.log_ends[thread, : n_steps + 1]
                all_cells.append(shared.log[thread, : ends[-1]])
                all_steps.append(np.repeat(np.arange(n_steps), np.diff(ends)))
            self._take_spikes(start, np.concatenate(all_steps), np.concatenate(all_cells))
        self._take_samples(start, start + n_steps, ready)

    def on_their_way(self) -> list[tuple[int, NDArray[np.int64]]]:
        rows, mine, now = self._shared.rows, self._parts[0], self._state.step
        n_slots = mine.history.shape[1]
        # the cell of each row; a cell with rows for several receptors is found by its first
        cell_of = np.full(int(rows.max(initial=-1)) + 1, -1, np.int64)
        earlier = np.zeros(rows.shape[1], bool)
        for own in rows:
            first = (own >= 0) & ~earlier
            cell_of[own[first]] = np.flatnonzero(first)
            earlier |= first
        on_way = []
        for step in range(max(0, now - n_slots + 2), now + 1):
            slot = step % n_slots
            sent = [
                h[slot, : n[slot]] for h, n in zip(mine.history, mine.history_sizes, strict=True)
            ]
            cells = cell_of[np.concatenate(sent)]
            on_way.append((step, np.sort(cells[cells >= 0])))
        return on_way

    def _end(self) -> None:
        self._pool.shutdown()
