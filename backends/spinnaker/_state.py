"""The state of the network that `_namespace` sets up."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import spynnaker.pyNN as spynnaker  # noqa: N813

from portable_cortex.errors import ModelWarning
from portable_cortex.pynn import state as floor
from portable_cortex.support import refusal

from ._target import Target


class State(floor.State):
    """What a network is set up with, and its clock, which is sPyNNaker's.

    Attributes
    ----------
    settings : mapping
        The backend's options by name.
    target : Target
        Where the network goes.
    folder : Path
        For configuration, log, reports and databases.
    emulate : callable or None
        Starts an emulated machine (`Mapper`).
    prepared : bool
        Whether the network has been mapped and loaded.
    remapped : int
        How often it was mapped in vain, before its first run.
    differences : list of str
        What is not as elsewhere, a sentence each.
    """

    backend = "spinnaker"

    def __init__(self) -> None:
        self.settings: Mapping[str, Any] = {}
        self.target, self.folder = Target("virtual"), Path()
        self.emulate: Callable[[int, int], str] | None = None
        self.differences: list[str] = []
        self.rounding: list[str] = []
        self.weight_steps: dict[str, list[float]] = {}
        self.machine: Callable[[int], None]  # runs for a number of steps
        self.progress: Any = None
        self.annotations: Mapping[str, Any] = {}
        super().__init__()

    def begin(self, *args: Any, **kwargs: Any) -> None:
        """See the floor."""
        super().begin(*args, **kwargs)
        self.prepared = False
        self.created = self.remapped = 0
        self.differences.clear()
        self.rounding, self.weight_steps = [], {}
        self.told: set[str] = set()

    def touch(self, what: str, *, structure: bool = False) -> None:
        """Nothing: sPyNNaker notices itself."""

    def changes(self, what: str) -> None:
        """Called before the network changes, which it can do until it has run.

        Raises
        ------
        UnsupportedError
        """
        if self.step or self.segment_counter:
            raise refusal(
                self.backend,
                what,
                f"take {what.partition(': ')[2].removesuffix(' after a run')} after a run",
                "Make the whole network before, or call setup() for another one",
            )
        if self.prepared:  # it was mapped, to look at it
            self.prepared, self.remapped = False, self.remapped + 1
            self.restore()

    def advance(self, steps: int) -> None:
        """See the floor."""
        self.machine(steps)

    def restore(self) -> None:
        """See the floor."""
        from ._namespace import logged

        with logged():
            spynnaker.reset(self.annotations)
        for population in self.populations:
            population.again()

    def differs(self, sentence: str) -> None:
        """Tell, and keep for the run's record, what is not as elsewhere; each thing once."""
        if sentence not in self.differences:
            self.differences.append(sentence)
            self.tell(sentence)

    def tell(self, sentence: str) -> None:
        """Warn whoever called this package; of each thing once."""
        if sentence in self.told:
            return
        self.told.add(sentence)
        level, frame = 1, sys._getframe()
        while frame.f_back and frame.f_globals["__name__"].startswith(__package__ or ""):
            level, frame = level + 1, frame.f_back
        warnings.warn(sentence, ModelWarning, stacklevel=level)

    @property
    def is_running(self) -> bool:
        """Whether cores have run since they were loaded, or reset."""
        return bool(spynnaker.SpynnakerDataView.is_ran_last())


state = State()
