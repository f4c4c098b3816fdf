"""Reference ensembles: what a population does, and how much that varies from seed to seed.

A reference is made of runs that differ in nothing but their seed, by
``benchmarks/make_reference.py``. It keeps, for each duration, population and statistic, the pooled
distribution (a few hundred order statistics), the mean of each seed, and the distances between
seeds: not the spikes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from portable_cortex.errors import OutputError, UnknownNameError
from portable_cortex.hdf5 import DAMAGE, group_of, numbers_of, text_of
from portable_cortex.host.output import whole
from portable_cortex.host.untrusted import parse_json, printable
from portable_cortex.models.loader import MODELS, load_model
from portable_cortex.recording import model_of, to_json

from ..activity import Activity, ks, sketch

FloatArray = NDArray[np.float64]

# What a user can do where no reference fits.
MAKE_ONE = (
    "make one: portable-cortex sweep --seeds 1-10 --out REFERENCE, with the options of the run, "
    "then --against REFERENCE"
)
FORMAT = ("v110", "v110")  # small, and read by h5py with any HDF5 since 1.10
FEW = 100  # spikes, of which the means of two runs may be equal by chance
SKETCH = 500  # order statistics of a pooled distribution: KS distances are exact to 1/500


@dataclass(frozen=True)
class Ensemble:
    """One statistic of one population over all seeds.

    Attributes
    ----------
    pool : array
        Order statistics of all seeds' values together.
    means : array, shape (seeds,)
        Mean of each seed.
    to_pool : array, shape (seeds,)
        KS distance of each seed from the pool of the others.
    pairs : array, shape (seeds (seeds - 1) / 2,)
        KS distance of each seed from each other.
    """

    pool: FloatArray
    means: FloatArray
    to_pool: FloatArray
    pairs: FloatArray

    @classmethod
    def of(cls, samples: Sequence[FloatArray]) -> Ensemble:
        """Summarise one sample a seed."""
        n = len(samples)
        to_pool = [
            ks(samples[i], np.concatenate([s for j, s in enumerate(samples) if j != i]))
            for i in range(n)
        ]
        pairs = [ks(samples[i], samples[j]) for i in range(n) for j in range(i)]
        return cls(
            pool=sketch(np.concatenate(samples), SKETCH),
            means=np.array([s.mean() for s in samples]),
            to_pool=np.array(to_pool),
            pairs=np.array(pairs),
        )


@dataclass(frozen=True)
class Reference:
    """A reference at one or more durations.

    Attributes
    ----------
    name : str
    provenance : dict
        How it was made; what a recording must share with it is under ``"conditions"``.
    n_neurons : dict of str to int
    durations : tuple of float
        ms, ascending.
    ensembles : dict of (duration, population, statistic) to Ensemble
    """

    name: str
    provenance: Mapping[str, Any]
    n_neurons: Mapping[str, int]
    durations: tuple[float, ...]
    ensembles: Mapping[tuple[float, str, str], Ensemble]

    @classmethod
    def of(
        cls, name: str, provenance: Mapping[str, Any], runs: Mapping[float, Sequence[Activity]]
    ) -> Reference:
        """Make a reference from the activity of several seeds, by duration (ms)."""
        ensembles = {}
        for duration, activities in runs.items():
            for key in activities[0].samples:
                samples = [activity.samples[key] for activity in activities]
                if min(sample.size for sample in samples):
                    ensembles[(duration, *key)] = Ensemble.of(samples)
        first = next(iter(runs.values()))[0]
        return cls(name, provenance, dict(first.n_neurons), tuple(sorted(runs)), ensembles)

    def duration_for(self, duration: float) -> float | None:
        """The longest duration of the reference that a recording of `duration` ms covers."""
        covered = [d for d in self.durations if d <= duration + 1e-6]
        return covered[-1] if covered else None

    def index_of(self, activity: Activity) -> int | None:
        """Which seed of the reference a run is, by its means, which it keeps as float32."""
        n, close = min(e.means.size for e in self.ensembles.values()), []
        for (duration, *key), ensemble in self.ensembles.items():
            sample = activity.samples.get((key[0], key[1]), np.empty(0))
            if duration == activity.duration and sample.size and ensemble.means.size == n:
                close.append(np.isclose(ensemble.means, sample.mean(), rtol=1e-6, atol=0.0))
        same = np.flatnonzero(np.all(close, axis=0)) if close else np.empty(0, int)
        rates = (sample for (_, name), sample in activity.samples.items() if name == "rate")
        n_spikes = sum(float(sample.sum()) for sample in rates) * activity.duration * 1e-3
        return int(same[0]) if same.size and n_spikes > FEW else None

    def without(self, seeds: Iterable[int]) -> Reference:
        """The reference without some seeds; their values stay in the pooled distributions."""
        indices = sorted(set(seeds))
        ensembles = {
            key: replace(
                ensemble,
                means=np.delete(ensemble.means, indices),
                to_pool=np.delete(ensemble.to_pool, indices),
            )
            for key, ensemble in self.ensembles.items()
        }
        return replace(self, ensembles=ensembles)

    def save(self, path: str | Path) -> None:
        """Write one HDF5 file; folders that are missing are made.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as part, h5py.File(part, "w", libver=FORMAT) as file:
                self._write(file)
        except OSError as error:
            raise OutputError(f"the reference could not be written to {path}: {error}") from error

    def _write(self, file: h5py.File) -> None:
        metadata = {"name": self.name, "n_neurons": self.n_neurons, **self.provenance}
        file.attrs["about"] = json.dumps(metadata)
        for (duration, population, statistic), ensemble in self.ensembles.items():
            group = file.create_group(f"{duration:g}/{population}/{statistic}")
            for name, values in vars(ensemble).items():
                packing = {"compression": "gzip"} if values.size > 100 else {}
                group.create_dataset(name, data=values.astype(np.float32), **packing)

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Read what `save` wrote.

        Raises
        ------
        OutputError
            For a file that is damaged or none of ours.
        """
        try:
            with h5py.File(path, "r") as file:
                metadata = parse_json(text_of(file, "about") or "")
                ensembles = {}
                for duration, populations in file.items():
                    for population, statistics in populations.items():
                        for statistic in statistics:
                            group = group_of(statistics, statistic)
                            values = {k: numbers_of(group, k).astype(float) for k in group}
                            ensemble = _sound(Ensemble(**values), str(group.name))
                            ensembles[float(duration), population, statistic] = ensemble
            name, sizes = metadata.pop("name"), metadata.pop("n_neurons")
            durations = tuple(sorted({key[0] for key in ensembles}))
            if not ensembles or not all(0 < d < float("inf") for d in durations):
                raise ValueError(f"it has the durations {durations}: expected some, in ms")
            labels = {population for _, population, _ in ensembles}
            if not all(type(n) is int and n > 0 for n in sizes.values()) or labels - set(sizes):
                raise ValueError("it does not have a number of neurons of each population")
            if not isinstance(name, str) or not isinstance(metadata.get("conditions", {}), dict):
                raise ValueError("it does not say what it is of")
        except DAMAGE as error:
            raise OutputError(f"{path} is no readable reference: {printable(error)}") from error
        return cls(name, metadata, sizes, durations, ensembles)


def _sound(ensemble: Ensemble, name: str) -> Ensemble:
    """An ensemble from a file, if it can be one."""
    n = ensemble.means.size
    if n < 2 or ensemble.pool.size < 1:
        raise ValueError(f"{name} has {n} seeds and {ensemble.pool.size} values")
    if ensemble.to_pool.size != n or ensemble.pairs.size != n * (n - 1) // 2:
        raise ValueError(f"{name} has other numbers of distances than {n} seeds have")
    distances = np.concatenate([ensemble.to_pool, ensemble.pairs])
    if not np.isfinite([*ensemble.pool, *ensemble.means]).all():
        raise ValueError(f"{name} has values that are no finite numbers")
    if not ((distances >= 0) & (distances <= 1)).all() or (np.diff(ensemble.pool) < 0).any():
        raise ValueError(f"{name} has distances outside of 0 to 1, or values out of order")
    return ensemble


def reference_names() -> tuple[str, ...]:
    """Names of the references that come with the package."""
    folder = resources.files(__package__) / "references"
    return tuple(sorted(f.name[:-3] for f in folder.iterdir() if f.name.endswith(".h5")))


def load_reference(name: str | Path) -> Reference:
    """A reference by name, or from a file.

    Raises
    ------
    UnknownNameError, OutputError
        For a name that is neither, and for a damaged file.
    """
    text = str(name)
    if text in reference_names():
        return _shipped(text)
    if not Path(text).is_file():
        if text.endswith(".h5"):
            raise OutputError(f"there is no file {printable(text)}")
        raise UnknownNameError("reference", text, reference_names(), "Or name an .h5 file")
    return Reference.load(Path(text))


@cache
def _shipped(name: str) -> Reference:
    source = resources.files(__package__) / "references" / f"{name}.h5"
    with resources.as_file(source) as path:
        return Reference.load(path)


@cache
def _shipped_conditions(name: str) -> dict[str, Any]:
    """Conditions of a reference of the package, of which nothing else is read."""
    source = resources.files(__package__) / "references" / f"{name}.h5"
    with resources.as_file(source) as path, h5py.File(path, "r") as file:
        found: dict[str, Any] = parse_json(text_of(file, "about") or "")["conditions"]
    return found


def conditions(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for two runs to be samples of the same activity: all but the seed.

    Examples
    --------
    >>> conditions({"model": "pd14", "parameters": {"scale": 0.1, "k_scale": 0.3, "seed": 3}})
    {'model': 'pd14', 'k_scale': 0.3, 'n_scale': 0.1}
    """
    parameters = dict(metadata.get("parameters", {}))
    parameters.pop("seed", None)
    scale = parameters.pop("scale", None)
    if scale is not None:  # a shorthand for the two
        for name in ("n_scale", "k_scale"):
            if parameters.get(name) is None:
                parameters[name] = scale
    return {"model": model_of(metadata), **parameters}


def differing(stated: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Names of the conditions in which a run differs from a reference.

    A parameter that the reference does not know, since the model got it later, has to be at its
    default: that is what the model did before.

    Examples
    --------
    >>> old = {"model": "pd14", "drive": "poisson"}
    >>> differing({**old, "neuron": "IF_curr_exp"}, old), differing({**old, "neuron": "mine"}, old)
    ([], ['neuron'])
    >>> differing({"model": "pd14"}, old)
    ['drive']
    """
    usual = _defaults(stated.get("model"))
    return [
        name
        for name in {**stated, **wanted}
        if stated.get(name) != wanted.get(name)
        and not (name not in wanted and name in usual and stated[name] == usual[name])
    ]


def _defaults(model: Any) -> dict[str, Any]:
    """Of the parameters of one of the package's models, as ``run.json`` has them."""
    if not isinstance(model, str) or model not in MODELS:
        return {}
    found: dict[str, Any] = json.loads(to_json(load_model(model).parameters))
    return found


def fitting_reference(metadata: Mapping[str, Any]) -> Reference | None:
    """The reference that was made under the conditions of a run, if there is one.

    Of several, the one with the most seeds: it sees the smallest changes.
    """
    own = conditions(metadata)
    fitting = [
        load_reference(name)
        for name in reference_names()
        if not differing(own, _shipped_conditions(name))
    ]
    return max(fitting, key=lambda one: len(one.provenance["seeds"]), default=None)
