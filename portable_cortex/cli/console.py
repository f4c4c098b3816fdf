"""Where commands print: results to stdout; progress, warnings and errors to stderr."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ..host import parallel
from ..host.untrusted import printable_lines

# of several processes that mpirun started, the first speaks for all; Open MPI gives it a terminal
# of its own, whatever its own output goes to
_IS_QUIET = parallel.rank() > 0
_IS_TERMINAL = False if parallel.processes() > 1 else None
out = Console(quiet=_IS_QUIET, force_terminal=_IS_TERMINAL)
err = Console(stderr=True, quiet=_IS_QUIET, force_terminal=_IS_TERMINAL)


def progress_on(quiet: bool) -> Console:
    """Where it is told how far a command is."""
    return Console(stderr=True, quiet=True) if quiet else err


def complain(colour: str, kind: str, text: str) -> None:
    """Say what is wrong."""
    err.print(Text.assemble((f"{kind}: ", colour), printable_lines(text)), soft_wrap=True)
