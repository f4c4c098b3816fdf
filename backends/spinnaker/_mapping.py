"""sPyNNaker's own flow of work, watched; and mapped onto a virtual machine as onto a real one.

Told that the machine is virtual, sPyNNaker generates all synapses on the host, to show them when
asked. That needs the memory of the whole network and fails for FixedTotalNumberConnector. Here
synapses stay what they are on a board: a few numbers for the board's own generators.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, ClassVar

from spinn_machine.data import MachineDataView
from spinn_utilities.config_holder import get_config_bool, set_config
from spynnaker.pyNN.spinnaker import SpiNNaker

from ._state import state

# modules that ask whether the machine is virtual in order to generate synapses on the host
_ASKING = (
    "spynnaker.pyNN.models.projection",
    "spynnaker.pyNN.models.neural_projections.synapse_information",
)


def _is_set(section: str, option: str) -> bool | None:
    found = get_config_bool(section, option)
    return False if (section, option) == ("Machine", "virtual_board") else found


def _nobody(phase: str) -> None:
    pass


def _size() -> tuple[int, int]:
    """Chips in a row and in a column of the boards that were asked for, or that are needed."""
    version = MachineDataView.get_machine_version()
    if MachineDataView.has_n_boards_required():
        size = version.size_from_n_boards(MachineDataView.get_n_boards_required())
    elif MachineDataView.has_n_chips_needed():
        size = version.size_from_n_chips(MachineDataView.get_n_chips_needed())
    else:
        size = version.board_shape
    width, height = size
    return width, height


class Mapper(SpiNNaker):  # type: ignore[misc]  # sPyNNaker's types are its own
    """Says which phase it is in, and keeps the routing tables as the host compressed them.

    Where the machine is emulated, `emulate` starts it, as soon as its size is known, and gives its
    address.
    """

    __slots__ = ()
    compressed: ClassVar[Any] = None
    tell: ClassVar[Callable[[str], None]] = _nobody
    emulate: ClassVar[Callable[[int, int], str] | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for name in _ASKING:
            sys.modules[name].get_config_bool = _is_set  # type: ignore[attr-defined]
        Mapper.compressed = None
        super().__init__(*args, **kwargs)

    def _get_known_machine(self, *args: Any) -> Any:
        if Mapper.emulate is not None and not MachineDataView.has_machine():
            set_config("Machine", "machine_name", Mapper.emulate(*_size()))
        return super()._get_known_machine(*args)

    def _report_compressed(self, compressed: Any) -> None:
        Mapper.compressed = compressed
        super()._report_compressed(compressed)

    def _do_mapping(self, *args: Any) -> None:
        Mapper.tell("mapping")
        super()._do_mapping(*args)

    def _do_load(self) -> None:
        Mapper.tell("loading")
        super()._do_load()

    def _do_data_generation(self) -> None:
        Mapper.tell("data generation")
        super()._do_data_generation()
        for population in state.populations:
            population.again()  # there is room for them now
        Mapper.tell("loading")

    def _execute_runner(self, *args: Any) -> None:
        Mapper.tell("run")
        super()._execute_runner(*args)

    def _do_extract_from_machine(self) -> None:
        Mapper.tell("extraction")
        super()._do_extract_from_machine()
