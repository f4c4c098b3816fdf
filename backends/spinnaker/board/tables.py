"""The monitor's allocator of router entries, laid out in memory as SARK's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .chip import Chip

SIZE = 1024
_UNUSED = (0xFF000000, 0xFFFFFFFF, 0)  # route, key, mask
_ROUTES, _KEYS, _MASKS = 0x4000, 0x8000, 0xC000  # in the router
_ENTRY = 16  # bytes of an entry in the copy: next block, next free block or owner; route; key; mask
_OWNED = 0x8000


class RouterTable:
    """Multicast table of a chip, with the copy in SDRAM from which programs read it.

    Parameters
    ----------
    chip : Chip
        Its memory and router.
    copy : int
        Address of the copy.
    head : int
        Address of the half-word that holds the first free entry.
    """

    def __init__(self, chip: Chip, copy: int, head: int) -> None:
        self._chip, self._copy, self._head = chip, copy, head

    def clear(self) -> None:
        """Empty the table; entry 0 is never given away."""
        for i in range(SIZE):
            self.put(i, *_UNUSED)
            self._set_block(i, 0, 0)
        self._set_block(1, SIZE, 0)
        self._chip.set_word(self._copy + SIZE * _ENTRY, 0)
        self._set_first(1)

    def put(self, entry: int, route: int, key: int, mask: int) -> None:
        """Write an entry to the router and to the copy."""
        chip = self._chip
        for i, (part, value) in enumerate(((_ROUTES, route), (_KEYS, key), (_MASKS, mask))):
            chip.machine.store_router(chip.index, part + 4 * entry, value)
            chip.set_word(self._copy + entry * _ENTRY + 4 * (i + 1), value)

    def _block(self, entry: int) -> tuple[int, int]:
        """Entry at which the next block begins; next free block, or owner."""
        found = self._chip.word(self._copy + entry * _ENTRY)
        return found & 0xFFFF, found >> 16

    def _set_block(self, entry: int, following: int, label: int) -> None:
        self._chip.set_word(self._copy + entry * _ENTRY, following | label << 16)

    def _first(self) -> int:
        return self._chip.word(self._head & ~3) >> 8 * (self._head & 3) & 0xFFFF

    def _set_first(self, entry: int) -> None:
        self._chip.write(self._head, entry.to_bytes(2, "little"))

    def _link(self, previous: int, entry: int) -> None:
        if previous:
            self._set_block(previous, self._block(previous)[0], entry)
        else:
            self._set_first(entry)

    def _free_blocks(self) -> Iterator[tuple[int, int, int, int]]:
        """(previous free block or 0, block, next block, next free block)."""
        previous, entry, seen = 0, self._first(), 0
        while 0 < entry < SIZE and seen < SIZE:
            following, free = self._block(entry)
            yield previous, entry, following, free
            previous, entry, seen = entry, free, seen + 1

    def largest(self) -> int:
        """Entries in the largest free block."""
        return max((end - entry for _, entry, end, _ in self._free_blocks()), default=0)

    def allocate(self, size: int, app: int) -> int:
        """First of `size` entries in a row, or 0 if there is no room."""
        if not 0 < size < SIZE:
            return 0
        for previous, entry, following, free in self._free_blocks():
            rest = entry + size
            if rest > following:
                continue
            if rest < following:
                self._set_block(rest, following, free)
                following = free = rest
            self._link(previous, free)
            self._set_block(entry, following, _OWNED | app)
            return entry
        return 0

    def _owned_blocks(self) -> Iterator[tuple[int, int, int]]:
        """(block, next block, application) of blocks in use."""
        entry, seen = 1, 0
        while 0 < entry < SIZE and seen < SIZE:
            following, label = self._block(entry)
            if label & _OWNED:
                yield entry, following, label & 255
            entry, seen = following, seen + 1

    def free(self, entry: int, *, clear: bool) -> bool:
        """Free a block of entries, and empty them; False if there is none in use."""
        found = {start: end for start, end, _ in self._owned_blocks()}
        if entry not in found:
            return False
        end = found[entry]
        if clear:
            self.empty(entry, end - entry)
        previous, free = 0, self._first()
        while previous < free < entry:
            previous, free = free, self._block(free)[1]
        self._set_block(entry, end, free)
        self._link(previous, entry)
        for low, high in ((entry, free), (previous, entry)):
            if low and high and self._block(low)[0] == high:
                self._set_block(low, *self._block(high))
        return True

    def free_app(self, app: int, *, clear: bool) -> int:
        """Free all blocks of an application; gives how many."""
        mine = [entry for entry, _, owner in self._owned_blocks() if owner == app]
        return sum(self.free(entry, clear=clear) for entry in mine)

    def empty(self, first: int, count: int) -> None:
        """Make entries match nothing."""
        for i in range(max(first, 0), min(first + count, SIZE)):
            self.put(i, *_UNUSED)
