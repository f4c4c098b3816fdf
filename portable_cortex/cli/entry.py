"""The door of the command: whatever happens inside, a sentence and a status come out.

It imports nothing that takes its time before signals are answered.
"""

from __future__ import annotations

import contextlib
import os
import sys

from ..host import interruption

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

TRACEBACK = "--traceback"


def main(*, keep: bool = True) -> NoReturn:
    """Entry point of ``portable-cortex`` and of ``python -m portable_cortex``.

    Parameters
    ----------
    keep : bool
        Whether a run that is interrupted keeps what it has simulated.
    """
    interruption.begin(keep=keep)
    from ..host.output import lenient_streams

    lenient_streams()

    def command(arguments: Sequence[str]) -> int:
        from .commands import command  # which takes more than a second

        interruption.run()
        return command(arguments)

    sys.exit(status_of(command, sys.argv[1:]))


def status_of(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Exit status of a command, after saying what ended it if that was an exception.

    Parameters
    ----------
    command : callable
        Gets the arguments, and gives an exit status.
    arguments : sequence of str
        With ``--traceback`` among them, wherever it stands, exceptions are shown in full.

    Returns
    -------
    int
        2 for every exception, 130 for Ctrl-C, 143 for SIGTERM.

    Examples
    --------
    >>> status_of(lambda arguments: len(arguments), ["--traceback"])
    0
    """
    arguments, in_full = _without_traceback(arguments)
    try:
        try:
            status = command(arguments)
            _flush()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a command gives its status
            if interruption.has_come() or _follows(error):
                raise KeyboardInterrupt from error
            status = _failed(error, in_full)
            with contextlib.suppress(OSError):  # perhaps what has just been said
                _flush()
        if interruption.has_come():
            raise KeyboardInterrupt
        interruption.end(status)
    except KeyboardInterrupt as error:
        status = interruption.status()
        interruption.end(status)
        _interrupted(error, in_full)
    return status


def _follows(error: BaseException | None) -> bool:
    """Whether an exception is what became of Ctrl-C, where a simulator answers that itself."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _parallel() -> Any:
    """The module, where it is needed: without it there is one process."""
    return sys.modules.get("portable_cortex.host.parallel")


def _without_traceback(arguments: Sequence[str]) -> tuple[list[str], bool]:
    n = len(arguments) if "--" not in arguments else list(arguments).index("--")
    options = [argument for argument in arguments[:n] if argument != TRACEBACK]
    return [*options, *arguments[n:]], len(options) < n


def _flush() -> None:
    """Write what is still held back, while it can be said that this is not possible."""
    if sys.stdout is None:  # closed
        return
    try:
        sys.stdout.flush()
    except OSError:
        from ..host.output import drop

        drop(1)  # or Python tries again at its end
        raise


def _interrupted(error: BaseException, in_full: bool) -> None:
    parallel = _parallel()
    if parallel is None or parallel.rank() == 0:
        if in_full:
            _show(error)
        _say(interruption.kind(), interruption.sentence())
    if parallel is not None and parallel.has_started():  # others may not be there to end MPI with
        os._exit(interruption.status())


def _failed(error: BaseException, in_full: bool) -> int:
    from ..errors import PortableCortexError

    parallel = _parallel()
    if parallel is not None:
        parallel.let_first_speak()
    if in_full:
        _show(error)
    rank = 0 if parallel is None else parallel.rank()
    who = f"Error in process {rank}" if rank else "Error"
    _say(who, str(error) if isinstance(error, PortableCortexError) else _fault(error))
    if parallel is not None:
        parallel.abort()
    return 2


def _fault(error: BaseException) -> str:
    """What is said of an exception that nobody foresaw."""
    import errno

    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, MemoryError):
        why = f"there is not enough memory ({what}): try a smaller network, or end other programs"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        why = f"the disk is full ({what})"
    elif isinstance(error, ImportError):
        why = f"something that portable-cortex needs cannot be imported ({what}): install it again"
    else:
        why = f"this is a fault of portable-cortex ({what})"
    return f"{why}. The same command with {TRACEBACK} shows where it happened"


def _show(error: BaseException) -> None:
    import traceback

    _write("".join(traceback.format_exception(error)))


def _say(kind: str, text: str) -> None:
    from ..host.untrusted import printable

    red = sys.stderr is not None and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    shown = "\n".join(printable(line, 10_000) for line in text.splitlines())
    _write(f"\x1b[31m{kind}:\x1b[0m {shown}\n" if red else f"{kind}: {shown}\n")


def _write(text: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:  # nobody can be told
        from ..host.output import drop

        drop(2)
