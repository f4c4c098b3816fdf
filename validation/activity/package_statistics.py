"""Statistics that the INM-6 PyNEST package takes of its own recordings, beside ours.

Its scripts leave ``rates.json``, ``spike_cvs.json`` and ``spike_ccs.json`` in the folder of each
seed (values by population), the same in the folder above (by seed, then population), and there
``rate_ks_distances.json`` and the like (KS distances between pairs of seeds). They do not say over
which time they were taken, and the correlations are of neurons drawn at random: they are shown, and
decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portable_cortex.errors import OutputError
from portable_cortex.host.untrusted import parse_json, printable

from .distances import ks
from .measurement import Activity

FloatArray = NDArray[np.float64]
NAN = float("nan")

DISTANCES = "_ks_distances.json"
VALUES: Mapping[str, str] = {"rate": "rates.json", "cv": "*_cvs.json", "cc": "*_ccs.json"}
PAIRS: Mapping[str, str] = {
    "rate": f"rate*{DISTANCES}",
    "cv": f"*_cvs{DISTANCES}",
    "cc": f"*_ccs{DISTANCES}",
}


@dataclass(frozen=True)
class Beside:
    """One statistic of one population: ours, and that of the package.

    Attributes
    ----------
    population, statistic : str
    ours : float
        Mean over neurons or pairs.
    theirs, spread : float
        The same, as mean and standard deviation over their seeds.
    distance : float
        KS distance of our values from those of a seed of theirs, the mean over seeds.
    usual, usual_spread : float
        KS distance between two seeds of theirs: mean and standard deviation over pairs.
    """

    population: str
    statistic: str
    ours: float
    theirs: float
    spread: float
    distance: float
    usual: float
    usual_spread: float


def has_statistics(folder: Path) -> bool:
    """Whether a folder has such files."""
    patterns = (*VALUES.values(), *PAIRS.values())
    return folder.is_dir() and any(True for pattern in patterns for _ in folder.glob(pattern))


def beside(folder: Path, activity: Activity) -> tuple[Beside, ...]:
    """Statistics in the files of a folder beside those of an activity.

    Raises
    ------
    OutputError
        If a file is not of the form that the package writes.
    """
    rows = []
    for statistic in VALUES:
        values = _values(folder, VALUES[statistic])
        pairs = _pairs(folder, PAIRS[statistic])
        for population in activity.n_neurons:
            seeds = [sample for sample in values.get(population, []) if sample.size]
            usual = pairs.get(population, np.empty(0))
            if not seeds and not usual.size:
                continue
            ours = activity.samples.get((population, statistic), np.empty(0))
            means = np.array([sample.mean() for sample in seeds])
            known = bool(seeds) and ours.size > 0
            rows.append(
                Beside(
                    population,
                    statistic,
                    float(ours.mean()) if ours.size else NAN,
                    float(means.mean()) if seeds else NAN,
                    float(means.std(ddof=1)) if len(seeds) > 1 else NAN,
                    float(np.mean([ks(ours, sample) for sample in seeds])) if known else NAN,
                    float(usual.mean()) if usual.size else NAN,
                    float(usual.std(ddof=1)) if usual.size > 1 else NAN,
                )
            )
    return tuple(rows)


def _values(folder: Path, pattern: str) -> dict[str, list[FloatArray]]:
    """Values of each seed by population; one seed where the file is of one."""
    path, content = _content(folder, pattern)
    by_seed = bool(content) and all(isinstance(value, dict) for value in content.values())
    seeds = content.values() if by_seed else [content] if content else []
    samples: dict[str, list[FloatArray]] = {}
    for seed in seeds:
        for population, values in seed.items():
            samples.setdefault(population, []).append(_numbers(path, population, values))
    return samples


def _pairs(folder: Path, pattern: str) -> dict[str, FloatArray]:
    """KS distances between pairs of seeds, by population."""
    path, content = _content(folder, pattern)
    distances = {}
    for population, entry in content.items():
        if not isinstance(entry, dict) or "list" not in entry:
            raise OutputError(f"{path} has no list of distances of {printable(population)}")
        distances[population] = _numbers(path, population, entry["list"])
    return distances


def _content(folder: Path, pattern: str) -> tuple[Path | None, dict[str, Any]]:
    paths = sorted(folder.glob(pattern))
    if not paths:
        return None, {}
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise OutputError(f"{folder} has {printable(names)}: expected one of them")
    try:
        content = parse_json(paths[0].read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{paths[0]} is damaged: {printable(error)}") from error
    if not isinstance(content, dict):
        raise OutputError(f"{paths[0]} holds {type(content).__name__}: expected a mapping")
    return paths[0], content


def _numbers(path: Path | None, population: str, values: Any) -> FloatArray:
    """Numbers without those that are none, as the package's own scripts leave them out."""
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, object)
    if not isinstance(values, list) or array.ndim != 1 or array.dtype.kind not in "iuf":
        if values == []:
            return np.empty(0)
        raise OutputError(f"{path} has no list of numbers of {printable(population)}")
    numbers: FloatArray = array[np.isfinite(array)].astype(np.float64)
    return numbers
