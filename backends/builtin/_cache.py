"""Where compiled code is kept from one process to the next.

numba looks for a change in the file of a function, not in those of the functions it calls. So that
nobody runs old code after an update, the cache belongs to one state of all of them.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from numba.core import config

from portable_cortex.host.cache import writable_cache

settings: Any = config
DECORATED = re.compile(rb"^@(njit|intrinsic|compiled|counted|inlined)", re.MULTILINE)


def prepare() -> None:
    """Drop compiled code of other versions; choose a folder where this one is read-only."""
    own = Path(__file__).parent
    texts = [file.read_bytes() for file in sorted(own.glob("*.py"))]
    compiled = b"".join(text for text in texts if DECORATED.search(text))
    version = hashlib.sha256(compiled).hexdigest()[:16]
    cache = own / "__pycache__"
    if os.access(cache if cache.exists() else own, os.W_OK):
        cache.mkdir(exist_ok=True)
        stamp = cache / f"compiled-{version}.stamp"
        if not stamp.exists():
            for old in (*cache.glob("*.nbi"), *cache.glob("*.nbc"), *cache.glob("*.stamp")):
                old.unlink(missing_ok=True)
            stamp.touch()
    elif not settings.CACHE_DIR:
        settings.CACHE_DIR = str(writable_cache("builtin") / version)


prepare()
