"""Where compiled code is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

VARIABLE = "PORTABLE_CORTEX_CACHE"


def cache_folder(backend: str) -> Path:
    """The folder of one backend, in the user's cache or in ``$PORTABLE_CORTEX_CACHE``.

    It need not exist.

    Examples
    --------
    >>> cache_folder("neuron").name
    'neuron'
    """
    root = os.environ.get(VARIABLE) or platformdirs.user_cache_path("portable-cortex")
    return Path(root) / backend
