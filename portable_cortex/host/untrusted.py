"""Text that comes from elsewhere: read without surprises, shown without control characters.

Files of other programs, answers of servers and messages of machines are untrusted. Whatever of them
is put into a message or a table goes through `printable`; whatever is parsed goes through
`parse_json` or `parse_toml`, which raise a `ValueError` for every text that they cannot read.
"""

from __future__ import annotations

import json
from typing import Any

LONGEST = 2000  # characters of one message from elsewhere that are shown
LONGEST_LINE = 100_000  # the same of one line of a log
DEEPEST = 100  # levels of lists and mappings in JSON


def printable(text: object, longest: int = LONGEST) -> str:
    r"""A text that a terminal shows and does not obey.

    Control characters (escape sequences, bells, line feeds), characters that turn the direction of
    writing, and lone surrogates are written as escapes; what is too long is cut.

    Parameters
    ----------
    text : object
        Its `str` is taken.
    longest : int
        Characters that are kept.

    Examples
    --------
    >>> printable("L4E\x1b]0;mine\x07"), printable("µ→é 1")
    ('L4E\\x1b]0;mine\\x07', 'µ→é 1')
    """
    shown = str(text)
    cut = len(shown) > longest
    # isprintable: no control, format, surrogate or private character, nor a separator but the space
    escaped = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in shown[:longest]
    )
    return f"{escaped} ..." if cut else escaped


def printable_lines(text: object) -> str:
    r"""`printable` for a text of several lines, such as a log: it keeps its line feeds.

    Parameters
    ----------
    text : object
        Its `str` is taken.

    Examples
    --------
    >>> printable_lines("one\r\n\ttwo\x1b[2J")
    'one\n        two\\x1b[2J'
    """
    lines = str(text).replace("\r\n", "\n").split("\n")
    return "\n".join(printable(line.expandtabs(), LONGEST_LINE) for line in lines)


def parse_json(text: str | bytes) -> Any:
    """`json.loads`, for which every text that it cannot read is a `ValueError`.

    Raises
    ------
    ValueError
        For text that is no JSON, that is nested deeper than `DEEPEST`, or whose numbers are too
        long.

    Examples
    --------
    >>> parse_json("[" * 200_000)
    Traceback (most recent call last):
        ...
    ValueError: nested too deeply
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return value
    raise ValueError("nested too deeply")  # what can be read could not be written again


def parse_toml(text: str) -> dict[str, Any]:
    """`tomllib.loads`, for which every text that it cannot read is a `ValueError`.

    Raises
    ------
    ValueError
        For text that is no TOML, or that is nested too deeply.

    Examples
    --------
    >>> parse_toml("a = " + "[" * 5000)
    Traceback (most recent call last):
        ...
    ValueError: nested too deeply
    """
    import tomllib  # not in Python 3.10, which a job at the portal may have

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
