"""Says what is being compiled, and for how long."""

from __future__ import annotations

import functools
import logging


@functools.cache  # once in a process
def say(what: str, duration: str) -> None:
    """Tell the user what takes so long.

    Parameters
    ----------
    what : str
        What is compiled, in the singular.
    duration : str
        About how long that takes.
    """
    logging.getLogger("portable_cortex").warning(
        "%s is being compiled: %s, once on this computer", what, duration
    )
