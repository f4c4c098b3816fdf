"""A simulator in use: set up, with its network, and released again."""

from __future__ import annotations

from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..backend import Backend
from ..errors import (
    InvalidValueError,
    PortableCortexError,
    SimulationError,
    UnknownNameError,
    UnsupportedError,
)
from ..host import interruption
from ..host.clock import Clock
from ..models.user_code import describe, is_asked_to_end, located
from ..pynn.watching import Network, build_network
from ..support import Namespace, check_projection
from .notes import Notes
from .resolved import Reporter, Resolved

if TYPE_CHECKING:
    from typing import Self

    from ..experiment import Experiment


class Running:
    """The time in which a simulator is in use: releases it, and gives its errors our type."""

    def __init__(self, resolved: Resolved, clock: Clock, notes: Notes) -> None:
        self._resolved = resolved
        self._backend, self._model = resolved.backend, resolved.model
        self._clock, self._notes = clock, notes
        self.sim: Any = None

    def __enter__(self) -> Self:
        return self

    def build(self, reporter: Reporter) -> Network:
        """Import the simulator, set it up, and build the network, with what is to be recorded."""
        resolved, backend, clock = self._resolved, self._backend, self._clock
        experiment = resolved.experiment
        reporter.phase("import")
        with clock("import"):
            sim = self.sim = backend.simulator(resolved.options)
            interruption.renew()  # a simulator may have taken Ctrl-C for itself
        reporter.phase("setup")
        with clock("setup"):
            backend.setup(sim, timestep=experiment.timestep, seed=experiment.seed)
        with self._notes.of_the_model():
            network = build_network(
                self._model,
                dict(resolved.parameters),
                Namespace(sim, backend),
                backend_name=backend.name,
                clock=clock,
                shared_seed=experiment.seed if experiment.realisation == "shared" else None,
                weight_format=_format_of_lists(resolved),
                on_progress=lambda label: reporter.phase("build", label),
                check_projection=partial(check_projection, backend),
            )
        self._notes.add_not_kept(network.populations)
        _start_recording(experiment, network, backend)
        return network

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.sim is not None:
            try:
                self._backend.end(self.sim)
            except Exception as failure:  # what was read is there, and what failed before says why
                self._notes.add(f"the simulator did not end well: {describe(failure)}")
        if error is None or isinstance(error, PortableCortexError) or is_asked_to_end(error):
            return
        # in a function of the model that a simulator calls
        told = located(error, self._backend.name, self._model.file, beneath=True)
        if told is not None:
            raise told from error
        if isinstance(error, Exception):
            done = ", ".join(self._clock.seconds) or "nothing"
            raise SimulationError(
                f"backend {self._backend.name!r} failed (phases begun: {done}): {describe(error)}"
            ) from error


def _format_of_lists(resolved: Resolved) -> str:
    """Format of the weights that are handed over: any, where the backend itself rounds them."""
    weight_format = resolved.options.weights
    own = weight_format in resolved.backend.capabilities.weight_formats
    return "full" if own else weight_format


def _start_recording(experiment: Experiment, network: Network, backend: Backend) -> None:
    if experiment.record and not backend.simulates:
        raise UnsupportedError(
            f"backend {backend.name!r} simulates nothing with these options: there is no "
            f"{experiment.record[0].variable} to record"
        )
    if experiment.record and not backend.spiking:
        raise UnsupportedError(
            f"backend {backend.name!r} computes stationary rates, without time: there is no "
            f"{experiment.record[0].variable} to record"
        )
    for request in experiment.record:
        if request.population not in network.populations:
            raise UnknownNameError("population", request.population, network.populations)
        population = network.populations[request.population]
        valid = [v for v in population.celltype.recordable if v != "spikes"]
        if request.variable not in valid:
            raise UnknownNameError(
                f"recording variable of {request.population}", request.variable, valid
            )
        if request.count > population.size:
            raise InvalidValueError(
                f"{request.population} has {population.size} neurons: cannot record "
                f"{request.variable} from {request.count}"
            )
        population[: request.count].record(request.variable)
    if experiment.record_spikes and backend.spiking:
        for population in network.populations.values():
            population.record("spikes")
