"""The monitor's allocators, word for word where the programs on the cores look for them.

Programs allocate from the same heaps as the monitor (``sark_xalloc``), so block headers must stand
as in SARK: a heap is four words (free list, first block, last block, free bytes); a block begins
with the address of the next block and, if free, that of the next free block, else ``0xffff``,
application, tag.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

HEAP_WORDS = 4
_BLOCK = 8  # bytes of a block's header
_IN_USE = 0xFFFF0000


class Memory(Protocol):
    """Words by address in the chip."""

    def word(self, address: int) -> int:
        """Read a word."""

    def set_word(self, address: int, value: int) -> None:
        """Write a word."""


class Heap:
    """One heap of a chip.

    Parameters
    ----------
    memory : Memory
        Where it is.
    base : int
        Address of its four words.
    tags : int
        Address of the table of tagged blocks: a word for each application and tag.
    """

    def __init__(self, memory: Memory, base: int, tags: int) -> None:
        self._memory, self._base, self._tags = memory, base, tags

    @classmethod
    def create(cls, memory: Memory, base: int, top: int, tags: int = 0) -> Heap:
        """Lay out a heap between two addresses."""
        first, last = base + 4 * HEAP_WORDS, top - _BLOCK
        for i, value in enumerate((first, first, last, last - first - _BLOCK)):
            memory.set_word(base + 4 * i, value)
        for block, following in ((first, last), (last, 0)):
            memory.set_word(block, following)
            memory.set_word(block + 4, 0)
        return cls(memory, base, tags)

    @property
    def free_bytes(self) -> int:
        """Bytes in free blocks."""
        return self._memory.word(self._base + 12)

    def _set_free_bytes(self, value: int) -> None:
        self._memory.set_word(self._base + 12, value)

    def _link(self, previous: int, block: int) -> None:
        """Let the free block `previous`, or the heap, point to `block` as the next free one."""
        self._memory.set_word(previous + 4 if previous else self._base, block)

    def _free_blocks(self) -> Iterator[tuple[int, int, int]]:
        """(previous free block or 0, free block, block behind it), lowest address first."""
        previous, block = 0, self._memory.word(self._base)
        while block > previous:  # or a program has spoilt the list
            following = self._memory.word(block)
            if following:
                yield previous, block, following
            previous, block = block, self._memory.word(block + 4)

    def largest(self) -> int:
        """Bytes of the largest free block."""
        return max((end - block - _BLOCK for _, block, end in self._free_blocks()), default=0)

    def allocate(self, size: int, app: int = 0, tag: int = 0, *, reuse: bool = False) -> int:
        """Address of a new block, or 0 if there is no room or the tag is in use.

        With `reuse`, a block of this tag and size is given again.
        """
        memory = self._memory
        entry = self._tags + 4 * (app << 8 | tag)
        size = (size + 3) & ~3
        if size == 0:
            return 0
        if tag and memory.word(entry):
            block = memory.word(entry) - _BLOCK
            same = reuse and memory.word(block) - block - _BLOCK == size
            return block + _BLOCK if same else 0
        size += _BLOCK
        for previous, block, end in self._free_blocks():
            rest = block + size
            if rest > end:
                continue
            following = memory.word(block + 4)
            if rest + _BLOCK < end:
                memory.set_word(rest, end)
                memory.set_word(block, rest)
                memory.set_word(rest + 4, following)
                following = rest
            self._link(previous, following)
            self._set_free_bytes(self.free_bytes - (memory.word(block) - block))
            memory.set_word(block + 4, _IN_USE | app << 8 | tag)
            if tag:
                memory.set_word(entry, block + _BLOCK)
            return block + _BLOCK
        return 0

    def free(self, address: int) -> bool:
        """Free a block; False if there is no such block in use."""
        memory, block = self._memory, address - _BLOCK
        if all(block != used for used, _ in self._used_blocks()):
            return False
        label = memory.word(block + 4) & 0xFFFF
        if label & 255:
            memory.set_word(self._tags + 4 * label, 0)
        self._set_free_bytes(self.free_bytes + memory.word(block) - block)
        previous, following = 0, memory.word(self._base)
        while previous < following < block:
            previous, following = following, memory.word(following + 4)
        memory.set_word(block + 4, following)
        self._link(previous, block)
        for low, high in ((block, following), (previous, block)):  # join with its neighbours
            if low and high and memory.word(low) == high and memory.word(high):
                memory.set_word(low, memory.word(high))
                memory.set_word(low + 4, memory.word(high + 4))
        return True

    def _used_blocks(self) -> Iterator[tuple[int, int]]:
        """(block, its second word) of blocks in use."""
        previous, block = 0, self._memory.word(self._base + 4)
        while block > previous:
            following, label = self._memory.word(block), self._memory.word(block + 4)
            if following and label >= _IN_USE:
                yield block, label
            previous, block = block, following

    def free_app(self, app: int) -> int:
        """Free all blocks of an application; gives how many."""
        mine = [block for block, label in self._used_blocks() if label >> 8 & 255 == app]
        return sum(self.free(block + _BLOCK) for block in mine)

    def tagged(self, app: int, tag: int) -> int:
        """Address of the block that an application has under a tag, or 0."""
        return self._memory.word(self._tags + 4 * (app << 8 | tag))
