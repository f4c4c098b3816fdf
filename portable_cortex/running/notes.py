"""What could not be told about a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import ModelWarning
from ..host import parallel
from ..models.user_code import describe, shown
from ..pynn.recorder import recorded_beside_spikes
from ..recording import to_json

T = TypeVar("T")


class RunWarning(UserWarning):
    """Something about a run could not be told; all else of it is there."""


class Notes(list[str]):
    """What could not be told about a run, a sentence each."""

    def add(self, note: str) -> None:
        """Keep a note for ``run.json``, and warn at once."""
        self.append(note)
        warnings.warn(note, RunWarning, stacklevel=3)

    @contextmanager
    def of_the_model(self) -> Iterator[None]:
        """Within it, keep what is warned of about a model."""
        with warnings.catch_warnings():
            show = warnings.showwarning

            def keep(message: Any, category: type[Warning], *about: Any, **more: Any) -> None:
                if issubclass(category, ModelWarning):
                    self.append(str(message))
                show(message, category, *about, **more)

            warnings.showwarning = keep
            yield

    def add_unknown_rates(self, published: dict[str, float], populations: Iterable[str]) -> None:
        """Say which published rates belong to no population, and forget them."""
        unknown = [label for label in published if label not in populations]
        if unknown:
            self.add(f"published rates of {', '.join(map(shown, unknown))}, which the model lacks")
        for label in unknown:
            del published[label]

    def add_not_kept(self, populations: Mapping[str, Any]) -> None:
        """Say what the model itself records besides spikes, which a run does not keep."""
        for label, population in populations.items():
            for variable in recorded_beside_spikes(population):
                self.add(
                    f"the model records {variable} of {label}, which is not kept: ask for it "
                    f"with --record {variable}:{label}:10"
                )

    def tried(self, what: str, read: Callable[[], T], otherwise: T) -> T:
        """What `read` gives, or, if it fails or cannot be written to a file, a note."""
        if parallel.processes() > 1:  # they read together: who fails must fail for all
            return read()
        try:
            value = read()
            if isinstance(value, dict | list):
                to_json({what: value})
        except Exception as error:
            self.add(f"{what} could not be read: {describe(error)}")
            return otherwise
        return value
