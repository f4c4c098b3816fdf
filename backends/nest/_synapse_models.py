"""Which of NEST's synapse models the synapses of a projection go to.

NEST holds at most 2**27 - 1 connections of one synapse model on a thread, so that a large network
must be spread over several copies of the model. Two projections whose neurons overlap are kept
apart, so that the connections of each can be told from those of the other.

Small networks use ``static_synapse``. The synapses that come after the first few millions go to
``static_synapse_hpc``, which needs 32 instead of 48 bytes and delivers at the same speed once the
synapses no longer fit into the cache. It has no receptor ports and reaches at most 2**16 - 2
neurons on a thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ._pynn import nest

MAX_PER_THREAD = 2**27 - 1
SMALL_PER_THREAD = 2**22  # synapses of the faster, larger kind
HPC_MAX_NODES_PER_THREAD = 60_000  # below 2**16, to leave room for devices

Range = tuple[int, int]  # first and last node


@dataclass
class _Slot:
    """One synapse model, what it holds, and what it may hold."""

    model: str
    base: str
    capacity: int
    used: int = 0
    blocks: list[tuple[Range, Range]] = field(default_factory=list)

    def fits(self, n: int, pre: Range, post: Range) -> bool:
        if self.used + n > self.capacity:
            return False
        return not any(_overlap(pre, p) and _overlap(post, q) for p, q in self.blocks)


class SynapseModels:
    """Gives each projection of a network its synapse model; one instance a network.

    Attributes
    ----------
    looked_up : bool
        Whether NEST was asked for its connections.
    """

    def __init__(self, threads: int) -> None:
        self.looked_up = False
        self._threads = threads  # of all processes
        self._slots: list[_Slot] = []

    def assign(self, n: float, pre: Range, post: Range, *, receptor_port: int) -> str:
        """Name of the synapse model for about `n` synapses between two ranges of nodes."""
        n_per_thread = int(1.01 * n / self._threads) + 1000  # targets are spread evenly, nearly
        compact = receptor_port == 0 and post[1] <= self._threads * HPC_MAX_NODES_PER_THREAD
        small = n_per_thread <= SMALL_PER_THREAD
        for slot in self._slots:
            allowed = slot.base == "static_synapse" or compact
            if allowed and slot.fits(n_per_thread, pre, post):
                break
        else:
            slot = self._add(compact=compact and not (small and self._small_is_free()))
        slot.used += n_per_thread
        slot.blocks.append((pre, post))
        return slot.model

    def _small_is_free(self) -> bool:
        """Whether the faster kind has been given to little so far."""
        used = sum(s.used for s in self._slots if s.base == "static_synapse")
        return used < SMALL_PER_THREAD

    def _add(self, *, compact: bool) -> _Slot:
        base = "static_synapse_hpc" if compact else "static_synapse"
        small = not compact and self._small_is_free()
        model = f"portable_{base}_{len(self._slots)}"
        nest.CopyModel(base, model)
        slot = _Slot(model, base, SMALL_PER_THREAD if small else MAX_PER_THREAD)
        self._slots.append(slot)
        return slot


def _overlap(a: Range, b: Range) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]
