"""An experiment with what the names in it stand for, and who is told how far it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..backend import Backend
from ..models.loader import Model
from ..options import BackendOptions
from ..power.metering import PowerMeter
from ..recording import to_json

if TYPE_CHECKING:
    from ..experiment import Experiment


class Reporter(Protocol):
    """Told what a run is doing; `progress.ConsoleReporter` shows it in a terminal."""

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """Phase `name` has come to `detail`, or to this fraction of its work."""


@dataclass(frozen=True)
class Resolved:
    """An experiment, and what the names in it stand for.

    Attributes
    ----------
    experiment : Experiment
    model : Model
    parameters : dict
        Keyword arguments of the model's ``build``, the seed among them where it takes one.
    backend : Backend
    options : BackendOptions
    open_meter : callable or None
        Opens the power meter of the machine.
    """

    experiment: Experiment
    model: Model
    parameters: Mapping[str, Any]
    backend: Backend
    options: BackendOptions
    open_meter: Callable[[], PowerMeter] | None = None

    def settings(self) -> dict[str, Any]:
        """All that decides the outcome, as ``run.json`` has it."""
        experiment = self.experiment
        settings = {
            "backend": self.backend.name,
            "machine": str(experiment.machine),
            "options": asdict(self.options),
            "model": str(experiment.model),
            "model_sha256": self.model.sha256,
            "parameters": {**self.model.parameters, **self.parameters},
            "realisation": experiment.realisation,
            "seed": int(experiment.seed),
            "timestep_ms": experiment.timestep,
            "warmup_ms": experiment.warmup,
            "duration_ms": experiment.duration,
            "record": [str(request) for request in experiment.record],
            "record_spikes": experiment.record_spikes,
            **({"trial": experiment.trial} if experiment.trial > 1 else {}),
        }
        plain: dict[str, Any] = json.loads(to_json(settings))  # as it will be read again
        return plain
