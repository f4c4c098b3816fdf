"""A folder of a network that is there as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OutputError, OutputExistsError
from ..host.interruption import shielded

CONFIGURATION = "network.json"
PARTS = ("network", "components", "inputs")  # folders beside it


@contextmanager
def staged(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A folder whose contents become those of `folder` at the end, or nothing does."""
    if (folder / CONFIGURATION).exists() and not overwrite:
        raise OutputExistsError(
            f"{folder} already holds a network, which was kept: choose another folder or ask to "
            "overwrite it (--overwrite)"
        )
    staging, new = None, [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
            for part in PARTS:
                if (folder / part).exists() and not (folder / CONFIGURATION).exists():
                    raise OutputError(
                        f"{folder} has a {part} that is of no network: choose another folder"
                    )
        except (OSError, ValueError) as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{folder} cannot be used for the network: {error}") from error
        try:
            yield staging
            with shielded():
                (folder / CONFIGURATION).unlink(missing_ok=True)  # it goes first and comes last
                for part in PARTS:
                    shutil.rmtree(folder / part, ignore_errors=True)
                    (staging / part).replace(folder / part)
                (staging / CONFIGURATION).replace(folder / CONFIGURATION)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{folder} could not be written: {error}") from error
    finally:
        with shielded():
            if staging is not None:
                shutil.rmtree(staging, ignore_errors=True)
            for path in new:  # that were made for nothing
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
