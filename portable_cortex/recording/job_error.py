"""What went wrong in a job: Python's error, in a log to which others have written too."""

from __future__ import annotations

import re

from ..host.untrusted import printable_lines

LINES = 8  # that are shown
END = 1_000_000  # characters of a log that are searched
TRACEBACK = "Traceback (most recent call last)"
# SpiNNaker's site ends the log of a failed job with stack traces of its own, in Java
_FRAME = re.compile(r"\s*(at [\w.$<>/@ -]+\(.*\)|\.\.\. \d+ (more|common frames omitted))\s*")
_THROWN = re.compile(r"\s*(Caused by: )?([a-z_]\w*\.)+[A-Z][\w$]*(: .*)?")
_RULE = re.compile(r"\s*(={5,}|Error:)\s*")
# an error in the syntax has no traceback
_SYNTAX = re.compile(r"(SyntaxError|IndentationError|TabError): .*")


def python_error(log: str) -> tuple[str, ...]:
    r"""The last error of Python in a log: where it was raised, and its message.

    Parameters
    ----------
    log : str
        From elsewhere; may hold anything.

    Returns
    -------
    tuple of str
        Printable lines, at most `LINES`; none if there is no such error.

    Examples
    --------
    >>> log = '''Traceback (most recent call last):
    ...   File "run.py", line 3, in <module>
    ...     build()
    ... ValueError: no such cell
    ... java.lang.Exception: Python exited with a non-zero code (1)
    ... \tat uk.ac.manchester.Job.execute(Job.java:245)'''
    >>> python_error(log)
    ('  File "run.py", line 3, in <module>', '    build()', 'ValueError: no such cell')
    >>> python_error("all is well")
    ()
    """
    lines = _without_java(log)
    starts = [number for number, line in enumerate(lines) if TRACEBACK in line]
    if starts:
        body = lines[starts[-1] + 1 :]
        # frames are indented (in a group of exceptions behind a bar), the error is not
        ends = [i for i, line in enumerate(body) if line and not line.startswith((" ", "\t"))]
        if not ends:
            return tuple(body[-LINES:])
        message = [body[ends[0]]]
        for line in body[ends[0] + 1 :]:  # the rest of a message of several lines
            if not line.strip() or len(message) == LINES // 2:
                break
            message.append(line)
        frames = body[: ends[0]][-(LINES - len(message)) :]
        first = next((i for i, line in enumerate(frames) if line.startswith("  File ")), 0)
        return tuple(frames[first:] + message)
    errors = [number for number, line in enumerate(lines) if _SYNTAX.fullmatch(line)]
    if errors:
        end = errors[-1] + 1
        return tuple(lines[max(0, end - 4) : end])
    return ()


def last_words(log: str) -> tuple[str, ...]:
    r"""What a log ends with: Python's error if it holds one, else its last lines without frames.

    Examples
    --------
    >>> last_words("loading\njava.lang.Exception: Python exited with signal (9)\n\tat a.B.c(B)")
    ('loading', 'java.lang.Exception: Python exited with signal (9)')
    """
    found = python_error(log)
    if found:
        return found
    kept = [line for line in _lines(log) if line.strip() and not _is_noise(line)]
    return tuple(dict.fromkeys(kept[-LINES:]))


def _lines(log: str) -> list[str]:
    return printable_lines(log[-END:]).split("\n")


def _is_noise(line: str) -> bool:
    return bool(_FRAME.fullmatch(line) or _RULE.fullmatch(line))


def _without_java(log: str) -> list[str]:
    """The lines without Java's frames, and without the exceptions that stand above those."""
    kept: list[str] = []
    after_frame = False
    for line in _lines(log):
        is_frame = bool(_FRAME.fullmatch(line))
        if is_frame and not after_frame and kept and _THROWN.fullmatch(kept[-1]):
            kept.pop()
        if not is_frame and not _RULE.fullmatch(line):
            kept.append(line)
        after_frame = is_frame
    return kept
