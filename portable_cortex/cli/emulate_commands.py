"""``portable-cortex emulate``: a SpiNNaker board that is none."""

from __future__ import annotations

from typing import Annotated

import typer

from ..host import interruption
from ..registry import EMULATED_BOARD, load_target
from .console import complain, out


def emulate(
    version: Annotated[
        int, typer.Option(help="Version of the SpiNNaker boards: 3 (4 chips) or 5 (48 chips).")
    ] = 5,
    width: Annotated[
        int | None, typer.Option(help="Chips in a row; one board unless given, 12: three boards.")
    ] = None,
    height: Annotated[int | None, typer.Option(help="Chips in a column.")] = None,
    address: Annotated[
        str | None, typer.Option(help="Loopback address; the first that is free unless given.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of this host; two, if it has as many, unless given.")
    ] = None,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="Never faster than the clock, not only in a run.")
    ] = False,
) -> None:
    """Serve an emulated SpiNNaker board for unmodified sPyNNaker scripts, until Ctrl-C."""
    interruption.tell("the emulated board is switched off.")
    with load_target(EMULATED_BOARD)(
        version,
        width=width,
        height=height,
        address=address,
        threads=threads,
        real_time=real_time,
    ) as board:
        out.print(f"emulating {board.n_chips} chips; put this into spynnaker.cfg:\n", markup=False)
        out.print(board.configuration, soft_wrap=True, markup=False, highlight=False)
        out.print("Ctrl-C ends it.")
        try:
            board.wait()
        except KeyboardInterrupt:
            warning = board.report()["load"]["warning"]
            if warning:
                complain("yellow", "Warning", warning)
            raise
