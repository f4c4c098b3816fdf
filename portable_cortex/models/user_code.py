"""Errors in a user's own code: named by file and line, in the words of that code."""

from __future__ import annotations

import linecache
import os
import sysconfig
import traceback
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from ..errors import ModelError, PortableCortexError
from ..host.untrusted import printable

_PACKAGE = __name__.partition(".")[0]
_LIBRARIES = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) + os.sep for name in ("stdlib", "platstdlib")
)
# Errors that Python itself raises for a mistake
_MISTAKES = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RecursionError,
)
_SIMULATORS = (_PACKAGE, "pyNN")
_LONGEST = 120  # characters of a source line that are shown


class Place(NamedTuple):
    """A line of a user's code.

    Attributes
    ----------
    file : str
    line : int
    function : str
        Empty at the top of the file.
    source : str
        The text of the line.
    """

    file: str
    line: int
    function: str
    source: str

    def __str__(self) -> str:
        path = Path(self.file)
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        inside = f", in {self.function}()" if self.function else ""
        return f"{printable(path)}, line {self.line}{inside}"

    def tell(self, message: str) -> str:
        """One sentence: where, what, and the source line."""
        source = printable(self.source.strip(), _LONGEST)
        return f"{self}: {message}" + (f" (line {self.line} is: {source})" if source else "")


def place_of(
    error: BaseException, file: str | Path | None = None, *, beneath: bool = False
) -> Place | None:
    """The innermost line of a user's code on the way to an error; None if there is none.

    Parameters
    ----------
    error : BaseException
        As it was caught.
    file : str or Path, optional
        The model's, which is the user's wherever it lies.
    beneath : bool
        Whether a simulator was at work from the beginning. Beneath a simulator only what lies in
        the folder of the model is the user's: else it may be the simulator's.

    Examples
    --------
    >>> try:
    ...     Path(3)
    ... except TypeError as error:
    ...     place_of(error)
    """
    if (
        isinstance(error, SyntaxError)
        and error.lineno
        and error.filename
        and _is_users(error.filename, "", file)
    ):
        return Place(error.filename, error.lineno, "", error.text or "")
    users = _users_frames(error, file, beneath)
    if not users:
        return None
    _, code, line = users[-1]
    return Place(code.co_filename, line, _function(code), linecache.getline(code.co_filename, line))


def _users_frames(
    error: BaseException, file: str | Path | None, beneath: bool
) -> list[tuple[int, CodeType, int]]:
    """Frames of a user's code: number from the outermost, code, line."""
    users: list[tuple[int, CodeType, int]] = []
    for number, (frame, line) in enumerate(traceback.walk_tb(error.__traceback__)):
        code, root = frame.f_code, _root(frame)
        if root in _SIMULATORS:
            beneath = beneath or bool(users)
        elif _is_users(code.co_filename, root, file) and (
            not beneath or (file is not None and _is_beside(code.co_filename, file))
        ):
            users.append((number, code, line))
    return users


def _is_beside(filename: str, file: str | Path) -> bool:
    return Path(filename).resolve().is_relative_to(Path(file).resolve().parent)


def _root(frame: FrameType) -> str:
    """The package that a frame's code belongs to."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_users(filename: str, package: str, file: str | Path | None) -> bool:
    if filename.startswith("<"):  # made by a program
        return False
    path = Path(filename).resolve()
    if file is not None and path == Path(file).resolve():
        return True
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return package != _PACKAGE and not installed and not str(path).startswith(_LIBRARIES)


def _function(code: CodeType) -> str:
    """Name of a function; of what has none, e.g. a comprehension, that of the function around."""
    if not code.co_name.startswith("<"):
        return code.co_name
    around = str(getattr(code, "co_qualname", "")).partition(".<locals>")[0]  # not in Python 3.10
    return "" if around.startswith("<") else around


def is_asked_to_end(error: BaseException) -> bool:
    """Whether an exception is no failure: Ctrl-C, or an exit that the package itself raised."""
    if isinstance(error, KeyboardInterrupt):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return not isinstance(error, Exception) and bool(frames) and _root(frames[-1]) == _PACKAGE


def located(
    error: BaseException,
    backend_name: str | None = None,
    file: str | Path | None = None,
    *,
    beneath: bool = False,
) -> PortableCortexError | None:
    """An error as the author of a model is told of it; None if no line of a model led to it.

    An error of the package keeps its type. Whatever else is a `ModelError`; where it was raised
    by a simulator, below the user's line, the message says by which.

    Parameters
    ----------
    error : BaseException
        As it was caught.
    backend_name : str, optional
    file, beneath
        See `place_of`.
    """
    place = place_of(error, file, beneath=beneath)
    if place is None:
        return None
    if isinstance(error, PortableCortexError):
        error.args = (place.tell(str(error)),)
        if isinstance(error, ImportError):
            error.msg = error.args[0]  # which it shows
        return error
    message = describe(error)
    if backend_name is not None and _is_a_simulators(error, file):
        message += f", says backend {backend_name!r}"
    return ModelError(place.tell(message))


def describe(error: BaseException) -> str:
    """Kind and message of an error, in one line.

    Examples
    --------
    >>> describe(KeyError("L4E")), describe(MemoryError())
    ("KeyError: 'L4E'", 'MemoryError')
    """
    kind = type(error).__name__
    if not isinstance(error, Exception):
        return f"the model ended the program ({kind}: {printable(error)}): it may only return"
    text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, AssertionError) and not text and frames:
        text = frames[-1].line or ""  # what was asserted
    return f"{kind}: {printable(text)}" if text else kind


def _is_a_simulators(error: BaseException, file: str | Path | None) -> bool:
    """Whether an error came out of a simulator and is of a kind that it makes of its own."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    users = _users_frames(error, file, beneath=False)
    below = [_root(frame) for frame in frames[users[-1][0] + 1 :]] if users else []
    kind = type(error)
    usual = kind.__module__.partition(".")[0] in ("pyNN", "lazyarray", "numpy") or isinstance(
        error, _MISTAKES
    )
    return bool(below) and below[0] in _SIMULATORS and not usual


def shown(value: Any) -> str:
    """A value in a message, not longer than a line."""
    try:
        return printable(repr(value), _LONGEST)
    except Exception as error:  # its own __repr__ fails
        return f"a {type(value).__name__} ({type(error).__name__})"
