"""Writes what was recorded while a run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from ..host import interruption, parallel, provenance
from ..host.clock import Clock
from ..pynn.watching import Network
from ..recording import to_json
from ..recording.stored import in_order
from .notes import Notes
from .reading import Recorded, read
from .resolved import Reporter, Resolved

if TYPE_CHECKING:
    from ..experiment import Experiment
    from ..recording.unfinished import Journal


PART_MS = 5000.0  # of model time that are written together, at least,
PART_S = 1.0  # and so much of wall-clock time; or
PART_BYTES = 2**24  # so much that was recorded


class Writer:
    """Writes what was recorded while a run goes on."""

    def __init__(
        self,
        journal: Journal,
        resolved: Resolved,
        network: Network,
        sim: Any,
        clock: Clock,
        notes: Notes,
    ) -> None:
        self._journal, self._resolved, self._network = journal, resolved, network
        self._sim, self._clock, self._notes = sim, clock, notes
        self._populations = network.populations.values()
        now = sim.get_current_time()
        self._written_ms = max(now, resolved.experiment.warmup)
        self._written_s = time.monotonic()
        self.resumed: list[dict[str, Any]] = []

    def begin(self, about: Mapping[str, Any]) -> None:
        """Say what is run, or when it was resumed."""
        experiment, checkpoint = self._resolved.experiment, self._journal.checkpoint
        if checkpoint is not None:
            ms = round(checkpoint.step * experiment.timestep - experiment.warmup, 9)
            self.resumed = [*checkpoint.about["resumed"], {"at_ms": ms, "when": about["started"]}]
        nothing: dict[str, Any] = {}
        settings = {
            **self._resolved.settings(),
            "experiment": experiment.to_dict(),
            "populations": {label: int(p.size) for label, p in self._network.populations.items()},
            "n_neurons": self._network.n_neurons,
            "processes": parallel.processes(),
            "versions": provenance.versions(self._resolved.backend.distributions),
            "computer": self._notes.tried("what computer this is", provenance.computer, nothing),
            **about,
        }
        self._journal.begin(json.loads(to_json(settings)), self._resolved.model.source)

    @property
    def started(self) -> str:
        """When the run was."""
        return str(self._journal.settings["started"])

    def progress(
        self, reporter: Reporter, before: float, fraction: float | None, detail: str = ""
    ) -> None:
        """Tell how far it is, and write what is due."""
        whole = None if fraction is None else before + (1 - before) * fraction
        reporter.phase("simulate", detail, whole)
        waited = self._sim.get_current_time() - self._written_ms >= PART_MS
        if (waited and time.monotonic() - self._written_s >= PART_S) or (
            sum(map(self._resolved.backend.held, self._populations)) >= PART_BYTES
        ):
            self._write()

    def _write(self) -> None:
        """A part, with all that was recorded since the last one."""
        experiment, backend, end = self._resolved.experiment, self._resolved.backend, self._end()
        now = self._sim.get_current_time()
        if now <= (experiment.warmup if end is None else end) + 0.5 * experiment.timestep:
            return
        with interruption.shielded():
            spikes, signals = read(experiment, self._network, backend, self._notes, end)
            about = {"clock": self._clock.until_now(), "resumed": self.resumed}
            step = round(now / experiment.timestep)
            self._journal.add(step, spikes, signals, backend.state(self._sim), about)
            for population in self._populations:
                backend.drop(population)
        self._written_ms, self._written_s = now, time.monotonic()

    def _end(self) -> float | None:
        """Until when there are parts, ms."""
        end = self._journal.end
        return None if end is None else end * self._resolved.experiment.timestep

    def all(self, done: Experiment) -> Recorded:
        """All that was recorded; what was interrupted can be resumed."""
        planned = self._resolved.experiment
        if self._journal.opened or done is not planned:
            try:
                self._write()
            except OutputError as error:
                if self._journal.opened:
                    raise
                self._notes.add(f"the run cannot be resumed: {error}")
        if not self._journal.opened:
            return read(done, self._network, self._resolved.backend, self._notes)
        spikes, signals = self._journal.recorded()
        return in_order(spikes, self._network.populations), signals
