"""Recordings that stand for those of a simulator, made in a moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portable_cortex import Recording, run


def as_simulated(**settings: Any) -> Recording:
    """A run of the mock backend without the warning that its spikes are made up.

    `validate` judges it as it judges a simulator's.
    """
    recording = run(backend="mock", **settings)
    assert recording.metadata["warnings"] == ["made-up spikes, no simulation"]
    return replace(recording, metadata={**recording.metadata, "warnings": []})
