"""What runs state of their network, and in what that differs: in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portable_cortex import Recording
from portable_cortex.host.untrusted import printable
from portable_cortex.recording import files_of, model_of

from .pairwise import first_spikes, identical, weight_format
from .reference import (
    MAKE_ONE,
    Reference,
    conditions,
    differing,
    load_reference,
    reference_names,
)

SHOWN = 60  # characters of a parameter in a sentence


@dataclass(frozen=True)
class Runs:
    """Runs that are to be judged together: one network, several seeds.

    Attributes
    ----------
    folders : tuple of str
    recordings : tuple of Recording
        One a folder.
    """

    folders: tuple[str, ...]
    recordings: tuple[Recording, ...]

    @property
    def first(self) -> Recording:
        """The run that stands for all where they agree."""
        return self.recordings[0]

    @property
    def length(self) -> float:
        """What all of them cover, ms."""
        return min(recording.t_stop - recording.t_start for recording in self.recordings)


def not_one_network(runs: Runs) -> str:
    """Why runs cannot be judged together; empty if they can."""
    settings = [conditions(sound_metadata(recording)) for recording in runs.recordings]
    seeds: dict[Any, str] = {}
    for folder, recording, stated in zip(runs.folders, runs.recordings, settings, strict=True):
        metadata = recording.metadata
        if stated != settings[0] or recording.n_neurons != runs.first.n_neurons:
            names = _different(stated, settings[0])
            return (
                f"{runs.folders[0]} and {folder} are no runs of the same network: "
                f"{', '.join(names) or 'the numbers of neurons'} differ"
            )
        seed = str(tuple(metadata.get(key) for key in ("backend", "seed", "realisation")))
        if seed in seeds and metadata.get("seed") is not None:
            return (
                f"{seeds[seed]} and {folder} are runs of the same seed on the same backend: runs "
                "that are judged together must be of different seeds"
            )
        seeds[seed] = folder
    return _measured_otherwise(runs) or _same_spikes(runs)


def _measured_otherwise(runs: Runs) -> str:
    """Why runs of one network are no samples of one activity; empty if they are."""
    stated: dict[str, Callable[[Recording], Any]] = {
        "warm-ups (ms)": lambda recording: recording.t_start,
        "time steps (ms)": lambda recording: recording.metadata.get("timestep_ms"),
        "formats of weights": lambda recording: weight_format(recording.metadata),
        "files (digests)": lambda recording: ", ".join(files_of(recording.metadata)),
        "simulators": lambda recording: recording.metadata.get("backend"),
    }
    for name, value in stated.items():
        first = value(runs.first)
        for folder, recording in zip(runs.folders, runs.recordings, strict=True):
            other = value(recording)
            if other != first and None not in (other, first):
                shown = " and ".join(printable(v, SHOWN) for v in (first, other))
                return (
                    f"{runs.folders[0]} and {folder} have other {name}, {shown}: runs that are "
                    "taken together may differ in their seeds only"
                )
    return ""


def _same_spikes(runs: Runs) -> str:
    """Which runs are one and the same, whatever they state; empty if none are."""
    seen: dict[bytes, int] = {}
    for k, recording in enumerate(runs.recordings):
        first = seen.setdefault(first_spikes(recording), k) if recording.spike_trains else k
        if first != k and identical(runs.recordings[first], recording, runs.length):
            return (
                f"the spikes of {runs.folders[first]} and {runs.folders[k]} are identical: runs "
                "that are taken together must be independent, each with another seed"
            )
    return ""


def sound_metadata(recording: Recording) -> dict[str, Any]:
    """Metadata whose parameters are a mapping, whatever a file says."""
    return {**recording.metadata, "parameters": _parameters(recording.metadata)}


def _parameters(metadata: Mapping[str, Any]) -> dict[str, Any]:
    parameters = metadata.get("parameters")
    return parameters if isinstance(parameters, dict) else {}


def _different(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Names of the settings in which two differ."""
    return [name for name in {**a, **b} if a.get(name) != b.get(name)]


def no_reference(recording: Recording) -> str:
    """Why no reference that comes with the package fits a run, and what can be done."""
    metadata = sound_metadata(recording)
    shown = [f"{k} {v}" for k, v in metadata["parameters"].items() if k in ("scale", "drive")]
    known = ", ".join(reference_names()) or "none"
    if metadata.get("model") is None:
        return (
            "no reference fits, since it is not stated of which model this is: --against takes "
            f"one of {known}, the .h5 file of another, or a second recording"
        )
    return (
        f"no reference fits {printable(metadata.get('model'), SHOWN)} "
        f"({printable(', '.join(shown), SHOWN) or 'no parameters'}){_nearest(metadata)}: "
        f"there are {known}; --against takes the .h5 file of another, a second recording, or a "
        f"folder of runs ({MAKE_ONE})"
    )


def _nearest(metadata: Mapping[str, Any]) -> str:
    """What keeps the reference that fits best from fitting; empty if none is of that model."""
    stated = conditions(metadata)
    differences = []
    for name in reference_names():
        wanted = load_reference(name).provenance["conditions"]
        if wanted.get("model") == stated.get("model"):
            names = differing(stated, wanted)
            differences.append((len(names), name, _unlike(names, stated, wanted)))
    if not differences:
        return ""
    _, name, texts = min(differences)
    return f", in {name} {'; '.join(texts)}"


def _unlike(
    names: Sequence[str], stated: Mapping[str, Any], wanted: Mapping[str, Any]
) -> list[str]:
    """Conditions that differ, as they are and as a reference has them."""
    return [f"{n} is {_shown(stated, n)}, and {_shown(wanted, n)} in the reference" for n in names]


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return printable(settings[name], SHOWN) if name in settings else "not stated"


def differences_from_reference(runs: Runs, reference: Reference, covered: float) -> tuple[str, ...]:
    """What a reader must know of runs that are compared with a reference over `covered` ms."""
    recording, notes = runs.first, [*differences_of_conditions(runs, reference)]
    notes += reference.provenance.get("remarks", ())
    warmup = reference.provenance.get("warmup_ms")
    if warmup is not None and recording.t_start != warmup:
        notes.append(f"the warm-up was {recording.t_start:g} ms, and {warmup} in the reference")
    step, usual = recording.metadata.get("timestep_ms"), reference.provenance.get("timestep_ms")
    if step is not None and usual is not None and step != usual:
        notes.append(f"the time step was {printable(step, SHOWN)} ms, and {usual} in the reference")
    if covered < runs.length - 1e-6:
        notes.append(f"the first {covered:g} ms were compared: the longest that the reference has")
    elif cut := of_other_lengths(runs):
        notes.append(f"{cut}: the first {covered:g} ms of each were compared")
    return tuple(notes)


def of_other_lengths(runs: Runs) -> str:
    """That some runs last longer than others; empty if none do."""
    lengths = [recording.t_stop - recording.t_start for recording in runs.recordings]
    shortest, longest = (lengths.index(f(lengths)) for f in (min, max))
    if lengths[longest] <= lengths[shortest] + 1e-6:
        return ""
    return (
        f"{printable(runs.folders[shortest])} lasts {lengths[shortest]:g} ms and "
        f"{printable(runs.folders[longest])} {lengths[longest]:g} ms"
    )


def differences_of_conditions(runs: Runs, reference: Reference) -> tuple[str, ...]:
    """In what the network of runs is another than that of a reference."""
    wanted = reference.provenance.get("conditions")
    if not isinstance(wanted, dict):
        return ()
    stated = conditions(sound_metadata(runs.first))
    if stated["model"] is None:
        return ("it is not stated of which model, and with which parameters, this is",)
    return tuple(_unlike(differing(stated, wanted), stated, wanted))


def differences_of_recordings(a: Recording, b: Recording) -> tuple[str, ...]:
    """Model, parameters and settings in which two recordings differ."""
    first, second = (
        {
            "the model": model_of(recording.metadata),
            "the time step": recording.metadata.get("timestep_ms"),
            "the warm-up": recording.t_start,
            "the format of weights": weight_format(recording.metadata),
            **_parameters(recording.metadata),
        }
        for recording in (a, b)
    )
    names = [name for name in _different(first, second) if name != "seed"]
    return tuple(f"{n} is {_shown(first, n)}, and {_shown(second, n)} in the other" for n in names)
