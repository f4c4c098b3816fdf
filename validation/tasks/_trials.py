"""What tasks have in common: an experiment with their duration and their inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from portable_cortex import Experiment, load_backend
from portable_cortex.errors import UnsupportedError
from portable_cortex.experiment import Resolved
from portable_cortex.models.loader import Model


def check_backend(experiment: Experiment) -> None:
    """Raise `UnsupportedError` for a backend whose spikes do not come from the network."""
    backend = load_backend(experiment.backend)
    if not (backend.capabilities.dynamics and backend.spiking):
        raise UnsupportedError(
            f"a task measures what spikes do, and backend {backend.name!r} simulates none: "
            f"{backend.summary}"
        )


def adapted(
    experiment: Experiment, duration: float, change: Callable[[Model], Model]
) -> tuple[Experiment, Resolved]:
    """An experiment of another duration, and what it stands for with another model."""
    check_backend(experiment)
    experiment = replace(experiment, duration=duration)
    resolved = experiment.resolved()
    return experiment, replace(resolved, model=change(resolved.model))
