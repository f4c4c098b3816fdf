"""Text that comes from elsewhere: read without surprises, shown without control characters.

Files of other programs, answers of servers and messages of machines are untrusted. Whatever of them
is put into a message or a table goes through `printable`; whatever is parsed goes through
`parse_json` or `parse_toml`, which raise a `ValueError` for every text that they cannot read.
"""

from __future__ import annotations

import json
from typing import Any

LONGEST = 2000  # characters of one message from elsewhere that are shown


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


def parse_json(text: str | bytes) -> Any:
    """`json.loads`, for which every text that it cannot read is a `ValueError`.

    Raises
    ------
    ValueError
        For text that is no JSON, that is nested too deeply, or whose numbers are too long.

    Examples
    --------
    >>> parse_json("[" * 200_000)
    Traceback (most recent call last):
        ...
    ValueError: nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


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
