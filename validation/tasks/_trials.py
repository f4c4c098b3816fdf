"""What tasks have in common: an experiment with their duration and their inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from portable_cortex import Experiment
from portable_cortex.experiment import Resolved
from portable_cortex.models.loader import Model


def adapted(
    experiment: Experiment, duration: float, change: Callable[[Model], Model]
) -> tuple[Experiment, Resolved]:
    """An experiment of another duration, and what it stands for with another model."""
    experiment = replace(experiment, duration=duration)
    resolved = experiment.resolved()
    return experiment, replace(resolved, model=change(resolved.model))
