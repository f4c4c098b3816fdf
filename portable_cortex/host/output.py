"""Files that are there as a whole or not at all, and streams that nobody may be reading."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from pathlib import Path

from .interruption import shielded

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write a file under, which becomes `path` at the end of the block.

    An exception, Ctrl-C among them, leaves what was there before. What is no file, e.g.
    ``/dev/stdout``, is written as it is.

    Parameters
    ----------
    path : Path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole(Path(folder, "text")) as part:
    ...         _ = part.write_text("all of it")
    ...     Path(folder, "text").read_text(), len(list(Path(folder).iterdir()))
    ('all of it', 1)
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()  # the file, not the link to it
    part = path.with_name(f".partial-{os.getpid()}")
    try:
        yield part
        with shielded():
            part.replace(path)
    finally:
        with shielded():
            part.unlink(missing_ok=True)


class _Output(io.FileIO):
    """A standard stream; what is written after its reader has left is dropped."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            drop(self.fileno())
            return memoryview(data).nbytes


def drop(descriptor: int) -> None:
    """Let what is written to a descriptor from now on go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def lenient_streams() -> None:
    """Let no reader that leaves, and no letter that the terminal has not, end a command."""
    for name, errors in (("stdout", "replace"), ("stderr", "backslashreplace")):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):  # closed, or somebody else's
            continue
        raw = _Output(stream.fileno(), "w", closefd=False)
        lenient = io.TextIOWrapper(
            raw if stream.write_through else io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, lenient)
