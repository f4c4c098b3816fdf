"""Ctrl-C and its kin, from the first line of the command to the last.

::

    begin()              run()                              end(status)
       |  ends at once,    |  raises KeyboardInterrupt,        |  ends at once,
       |  says so          |  which `entry` turns into         |  with the status that
       |                   |  a sentence and a status          |  the command had come to

A command provides what is to be said, as it becomes true (`tell`); what must not be cut in two is
done in a ``with shielded()`` block. In a process that is not the command's nothing here has an
effect: there Ctrl-C is Python's.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

KINDS = {
    signal.SIGINT: "Interrupted",
    signal.SIGTERM: "Terminated",
    signal.SIGHUP: "Hung up",
}
NOTHING = "nothing was written."
_ONE_PRESS = 1.0  # s: what comes so soon after the first is a part of it
_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")  # of several processes, the first speaks
_ELSEWHERE, _BEGINNING, _RUNNING, _ENDING = range(4)


class Interruption(KeyboardInterrupt):
    """What a signal raises.

    Where a plain KeyboardInterrupt passes through the `exec` of a text, as in a named tuple that is
    being made, Python notes that nobody caught it, and dies of SIGINT in the end, whoever does.
    """


class _State:
    phase = _ELSEWHERE
    number = 0  # of the first signal that has come
    raised = -_ONE_PRESS  # when it was last passed on, s
    exception: type[BaseException] = Interruption
    shields = 0
    waits = False  # for the end of a shielded block
    sentence: str | Callable[[], str] = NOTHING
    status = 0


_state = _State()


def begin(*, keep: bool = True) -> None:
    """Answer signals from now on, by ending at once.

    Parameters
    ----------
    keep : bool
        Whether a run that is interrupted keeps what it has simulated.
    """
    # the first that is registered is the last that is called
    atexit.register(_ignore)
    _state.exception = Interruption if keep else SystemExit
    _state.phase = _BEGINNING
    renew()


def renew() -> None:
    """Answer signals again, after the import of something that answers them in its own way."""
    if _state.phase == _ELSEWHERE:
        return
    for number in KINDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, _answer)
    sys.unraisablehook = _unraisable


def run() -> None:
    """Answer signals by an exception from now on."""
    tell(NOTHING)
    if _state.phase != _ELSEWHERE:
        _state.phase = _RUNNING


def end(status: int) -> None:
    """All is said and done: a signal only hastens the end."""
    _state.status = status
    if _state.phase != _ELSEWHERE:
        _state.phase = _ENDING


def tell(sentence: str | Callable[[], str]) -> None:
    """From now on this is what is said of an interrupted command: what was kept, what goes on.

    Parameters
    ----------
    sentence : str or callable
        A function is called when the command is interrupted.

    Examples
    --------
    >>> tell("job 7 goes on.")
    >>> sentence()
    'job 7 goes on.'
    """
    _state.sentence = sentence


def sentence() -> str:
    """What is to be said of an interrupted command."""
    return _state.sentence if isinstance(_state.sentence, str) else _state.sentence()


def has_come() -> bool:
    """Whether a signal has come."""
    return _state.number > 0


def kind() -> str:
    """Name of what has come, as it is shown; Ctrl-C where only its exception is known."""
    return KINDS[signal.Signals(_state.number or signal.SIGINT)]


def status() -> int:
    """Exit status of an interrupted command: 128 and the number of the signal."""
    return 128 + (_state.number or int(signal.SIGINT))


@contextmanager
def shielded() -> Iterator[None]:
    """Let signals wait until the end of the block, which must be short.

    Examples
    --------
    >>> with shielded():
    ...     pass  # put two files into their places
    """
    if threading.current_thread() is not threading.main_thread():  # it gets no signals
        yield
        return
    _state.shields += 1
    try:
        yield
    finally:
        _state.shields -= 1
        if _state.waits and not _state.shields:
            _state.waits = False
            _raise()


def _answer(number: int, frame: FrameType | None) -> None:
    _state.number = _state.number or number
    if _state.phase == _BEGINNING:
        if all(os.environ.get(name, "0") == "0" for name in _RANKS):
            with suppress(OSError):  # nobody can be told
                os.write(2, f"{kind()}: nothing was begun.\n".encode())
        os._exit(status())
    elif _state.phase == _ENDING:
        os._exit(_state.status)
    elif _state.shields:
        _state.waits = True
    else:
        _raise()


def _raise() -> None:
    now = time.monotonic()
    if now - _state.raised >= _ONE_PRESS:
        _state.raised = now
        raise _state.exception


def _unraisable(error: sys.UnraisableHookArgs) -> None:
    """Python drops an exception that meets it in a destructor: send the signal again."""
    if _state.number and issubclass(error.exc_type, _state.exception):
        _state.raised = -_ONE_PRESS
        again = threading.Timer(0.02, os.kill, (os.getpid(), _state.number))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(error)


def _ignore() -> None:
    """Python is about to forget its handlers, and a signal would end the process its own way."""
    for number in KINDS:
        signal.signal(number, signal.SIG_IGN)
