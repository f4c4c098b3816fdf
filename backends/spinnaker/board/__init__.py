"""An emulated SpiNNaker board: the real host software and the real ARM programs, without hardware.

Layers, from the inside: the processor and its peripherals, the router, and virtual time
(``native/``, in C); chip, heaps and tables as programs see them (`chip`, `heap`, `tables`); the
monitor's commands (`monitor`); the network (`server`); the process (`board`).
"""

from .board import EmulatedBoard

__all__ = ["EmulatedBoard"]
