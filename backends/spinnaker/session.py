"""One network on SpiNNaker, by sPyNNaker and nothing else: what the backend and its jobs share.

Modules of this package that begin with an underscore are imported late: they need sPyNNaker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._target import Target

if TYPE_CHECKING:  # a submitted job does not have it
    from portable_cortex.backend import Progress


class Session:
    """A network from its configuration to its report.

    Parameters
    ----------
    options : mapping
        The backend's options by name.
    folder : Path
        For configuration, log, reports and databases.
    emulate : callable, optional
        For target ``emulated``: starts a machine of so many chips in a row and in a column, and
        gives its address.

    Attributes
    ----------
    sim : PyNN namespace
    """

    name = "spinnaker"
    distributions = ("sPyNNaker", "SpiNNFrontEndCommon")

    def __init__(
        self,
        options: Mapping[str, Any],
        folder: Path,
        emulate: Callable[[int, int], str] | None = None,
    ) -> None:
        from . import _namespace

        self._options, self._rounding = options, list[str]()
        self._weight_steps: dict[str, list[float]] = {}
        self._messages: list[str] | None = None
        self.sim: Any = _namespace
        self.sim.configure(options, Target.parse(options["target"]), folder, emulate)

    def setup(self, timestep: float, seed: int) -> None:
        """Read the configuration; nothing is sent yet."""
        self.sim.setup(timestep=timestep, seed=seed)

    def prepare(self, progress: Progress | None = None) -> None:
        """Check the limits of the machine, then map, load and generate the network."""
        from . import _limits

        projections = list(self.sim.SpynnakerDataView.iterate_projections())
        self._rounding = _limits.check(
            projections, delay_extensions=self._options["delay_extensions"]
        )
        self._weight_steps = _limits.weight_steps(projections)
        self.sim.prepare_once(progress)

    def spikes(self, population: Any) -> tuple[Any, Any]:
        """Neurons and times (ms) of all spikes."""
        from ._recording import recorded_spikes

        with self.sim.logged():
            return recorded_spikes(population)

    def signal(self, population: Any, variable: str) -> tuple[Any, Any, float, str]:
        """Samples, their neurons, the interval (ms) and the unit."""
        from ._recording import recorded_signal

        with self.sim.logged():
            return recorded_signal(population, variable)

    def phases(self) -> dict[str, float]:
        """Wall-clock seconds of sPyNNaker's own phases."""
        from . import _report

        return _report.phases()

    def energy(self, share: float) -> dict[str, Any]:
        """Energy by sPyNNaker's model, for a share of the time since the start."""
        from . import _report

        with self.sim.logged():
            return _report.energy(share)

    def messages(self) -> list[str]:
        """What sPyNNaker has to say about the run, one of each kind."""
        from . import _report

        if self._messages is None:
            virtual = self._options["target"] == "virtual"
            self._messages = [] if virtual else _report.messages()
        return self._messages

    def doubts(self) -> list[str]:
        """Those messages after which a result is not to be trusted."""
        from . import _report

        return _report.doubts(self.messages())

    def machine_report(self) -> dict[str, Any]:
        """The mapping in numbers, what was rounded, and what sPyNNaker said."""
        from . import _mapping, _report

        return {
            "target": self._options["target"],
            "mapping": {**_report.mapping(), **_report.compressed(_mapping.Mapper.compressed)},
            "rounding": self._rounding,
            "weight_steps": self._weight_steps,
            "messages": self.messages(),
        }

    def report(self, share: float) -> dict[str, Any]:
        """Parts of ``run.json`` that only this machine knows."""
        return {
            "phases": self.phases(),
            "energy": [self.energy(share)],
            "warnings": self.doubts(),
            "machine_report": self.machine_report(),
        }
