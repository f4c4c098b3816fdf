"""Where compiled code is kept between runs."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path

from ..errors import OutputError

VARIABLE = "PORTABLE_CORTEX_CACHE"


def cache_folder(backend: str) -> Path:
    """The folder of one backend, in the user's cache or in ``$PORTABLE_CORTEX_CACHE``.

    It need not exist.

    Examples
    --------
    >>> cache_folder("neuron").name
    'neuron'
    """
    import platformdirs  # which a job at the portal need not have

    root = os.environ.get(VARIABLE) or platformdirs.user_cache_path("portable-cortex")
    return Path(root) / backend


def writable_cache(backend: str) -> Path:
    """The same folder, made if it is not there.

    Where the user's cache cannot be written, it is a temporary folder for this process and those
    that it starts, and a warning says so once.

    Raises
    ------
    OutputError
        If ``$PORTABLE_CORTEX_CACHE`` cannot be written.
    """
    folder = cache_folder(backend)
    try:
        if not folder.is_absolute() and not os.environ.get(VARIABLE):
            raise OSError("there is no home directory")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        if os.environ.get(VARIABLE):
            raise OutputError(
                f"the cache for compiled code, {folder}, cannot be written: {error}. Set "
                f"{VARIABLE} to a folder that can"
            ) from error
        os.environ[VARIABLE] = _temporary()
        warnings.warn(
            f"the cache for compiled code cannot be written ({error}): code is compiled in each "
            f"run. Set {VARIABLE} to a folder that can be written",
            stacklevel=2,
        )
        return writable_cache(backend)
    return folder


def find_matplotlib_a_folder() -> None:
    """Give Matplotlib a folder of its own where it cannot write in the home directory.

    It would say so at length, as soon as PyNN imports it.
    """
    import platformdirs

    home = platformdirs.user_config_path()
    while not home.exists() and home != home.parent:
        home = home.parent
    if home.is_absolute() and home.is_dir() and os.access(home, os.W_OK):
        return
    if "MPLCONFIGDIR" not in os.environ:
        os.environ["MPLCONFIGDIR"] = str(Path(os.environ.get(VARIABLE) or _temporary(), "fonts"))


def _temporary() -> str:
    folder, maker = tempfile.mkdtemp(prefix="portable-cortex-"), os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # not when a forked process ends
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
