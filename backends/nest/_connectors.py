"""Connectors that pyNN.nest has in a form which this NEST does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyNN import connectors


class CSAConnector(connectors.CSAConnector):  # type: ignore[misc]  # PyNN is untyped
    __doc__ = connectors.CSAConnector.__doc__

    @property
    def has_values(self) -> bool:
        """Whether the connection set has weights and delays of its own."""
        import csa

        return bool(csa.arity(self.cset) == 2)

    def synapses(self, shape: tuple[int, int]) -> tuple[NDArray[Any], ...]:
        """Sources, targets, weights and delays between populations of these sizes."""
        import csa

        every_pair = csa.cross((0, shape[0] - 1), (0, shape[1] - 1))
        rows = np.array(list(every_pair * self.cset), dtype=float).reshape(-1, 4)
        return rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2], rows[:, 3]
