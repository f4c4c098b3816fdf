"""What a run leaves behind: spikes as flat arrays, signals, and everything known about the run."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OutputError, OutputExistsError, UnknownNameError
from ..host.interruption import shielded, tell
from ..host.output import whole
from ..host.untrusted import parse_json, printable
from ..models.user_code import describe
from .spikes import Signal, Spikes
from .stored import count_of, in_order, pieces_of

if TYPE_CHECKING:
    import neo
    from matplotlib.figure import Figure

SPIKES, SIGNALS, RUN, FIGURE = "spikes.h5", "signals.h5", "run.json", "activity.png"
MODEL = "run_model.py"  # a copy of the user's own; the name is no one that users give
DIGEST = re.compile(r"SHA-256 ([0-9a-f]{16,64})")
UNFINISHED, STATE = "unfinished", "state.npz"  # a folder, and a file in it: see that module


class RecordingWarning(UserWarning):
    """Something besides the recording could not be written; the recording is there."""


@dataclass(frozen=True, repr=False)
class Recording:
    """Spikes and signals of one run, after its warm-up, with all that is known about the run.

    Attributes
    ----------
    n_neurons : dict of str to int
        Size of each recorded population, in the order in which the model gave them.
    spike_trains : mapping of str to Spikes
        Empty where spikes were not recorded. Very many stay on the disk, and are read at each
        access: see `pieces`.
    signals : mapping of (population, variable) to Signal
    metadata : dict
        Contents of ``run.json`` (see ``docs/recording.md``).
    model_source : bytes or None
        The user's own model, as a file; ``run_model.py`` in the folder.

    Examples
    --------
    >>> from portable_cortex import run
    >>> recording = run(backend="mock", scale=0.02, duration=100.0)
    >>> recording
    Recording(pd14 on mock: 8 populations, 1,544 neurons, 100 ms)
    >>> times, neurons = recording.spikes("L4E")
    >>> recording.rates()["L4E"] == 1e3 * times.size / (100.0 * recording.n_neurons["L4E"])
    True
    """

    n_neurons: Mapping[str, int]
    spike_trains: Mapping[str, Spikes]
    metadata: Mapping[str, Any]
    signals: Mapping[tuple[str, str], Signal] = field(default_factory=dict)
    model_source: bytes | None = None

    def __repr__(self) -> str:
        """What it is of, in a line; notebooks keep this text beside what they show."""
        from .rich_display import summary

        return f"Recording({summary(self)})"

    @property
    def populations(self) -> tuple[str, ...]:
        """Labels of the recorded populations."""
        return tuple(self.n_neurons)

    @property
    def t_start(self) -> float:
        """End of the warm-up, ms: spikes are in the interval (t_start, t_stop]."""
        return float(self.metadata["warmup_ms"])

    @property
    def t_stop(self) -> float:
        """End of the run, ms."""
        return round(self.t_start + float(self.metadata["duration_ms"]), 9)

    @property
    def has_rates_only(self) -> bool:
        """Whether rates were computed, without spikes; ``rate_errors`` are their errors."""
        return not self.spike_trains and "rate_errors" in self.metadata

    def spikes(self, population: str) -> Spikes:
        """Spike times (ms) and neuron indices of a population, sorted by time.

        Raises
        ------
        UnknownNameError
            For a population whose spikes were not recorded.
        """
        try:
            return self.spike_trains[population]
        except KeyError:
            raise UnknownNameError("recorded population", population, self.spike_trains) from None

    def pieces(self, population: str, since: float = -inf) -> Iterable[Spikes]:
        """Spikes of a population, some at a time, in order: all of them may need much memory.

        Parameters
        ----------
        population : str
        since : float
            ms: pieces that end before may be left out.

        Raises
        ------
        UnknownNameError
            For a population whose spikes were not recorded.
        """
        if population not in self.spike_trains:
            raise UnknownNameError("recorded population", population, self.spike_trains)
        return pieces_of(self.spike_trains, population, since)

    def count(self, population: str) -> int:
        """Number of spikes of a recorded population."""
        return count_of(self.spike_trains, population)

    def signal(self, population: str, variable: str = "v") -> Signal:
        """A recorded variable of a population.

        Raises
        ------
        UnknownNameError
            For a variable that was not recorded there.
        """
        try:
            return self.signals[population, variable]
        except KeyError:
            valid = [f"{v}:{p}" for p, v in self.signals]
            raise UnknownNameError("recorded signal", f"{variable}:{population}", valid) from None

    def rates(self) -> dict[str, float]:
        """Mean firing rate of each recorded population, spikes/s; not a number without neurons.

        Of a run that computed rates and has no spikes, those.
        """
        if self.has_rates_only:
            return {label: float(rate) for label, rate in self.metadata["rates"].items()}
        seconds = (self.t_stop - self.t_start) * 1e-3
        exposures = {label: self.n_neurons[label] * seconds for label in self.spike_trains}
        return {
            label: self.count(label) / exposure if exposure else float("nan")
            for label, exposure in exposures.items()
        }

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw spikes, rates, spectra and recorded variables: what is in ``activity.png``.

        Parameters
        ----------
        path : str or Path, optional
            File to write: ``.png``, ``.pdf`` or ``.svg``.

        Returns
        -------
        matplotlib.figure.Figure
            Which notebooks show.

        Raises
        ------
        OutputError
            If the run left nothing that could be drawn, or the file cannot be written.

        Examples
        --------
        >>> from portable_cortex import run
        >>> figure = run(backend="mock", scale=0.02, duration=100.0).plot()
        >>> figure.axes[0].get_title()
        'spikes'
        """
        from .figure import DPI, activity_figure

        figure = activity_figure(self)
        if path is not None:
            write_picture(Path(path), lambda part, kind: figure.savefig(part, dpi=DPI, format=kind))
        return figure

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from .rich_display import to_html

        return to_html(self)

    def to_neo(self) -> neo.Block:
        """The recording as PyNN's standard container: a Neo block with one segment.

        Returns
        -------
        neo.Block
            Spike trains are annotated with ``source_population`` and ``source_index``, signals
            with ``source_population`` and their ``channel_index``.
        """
        import neo
        import quantities as pq
        from neo.core.spiketrainlist import SpikeTrainList

        block = neo.Block(name=str(self.metadata.get("model", "recording")))
        segment = neo.Segment(name="segment000")
        block.segments.append(segment)
        trains: list[neo.SpikeTrain] = []
        for label, (times, neurons) in self.spike_trains.items():
            index = np.arange(self.n_neurons[label])
            trains.extend(
                SpikeTrainList.from_spike_time_array(
                    times * pq.ms,
                    neurons,
                    all_channel_ids=index,
                    units="ms",
                    t_start=self.t_start * pq.ms,
                    t_stop=self.t_stop * pq.ms,
                    source_population=label,
                    source_index=index,
                )
            )
        segment.spiketrains.extend(trains)
        for (label, variable), signal in self.signals.items():
            segment.analogsignals.append(
                neo.AnalogSignal(
                    signal.values,
                    units=signal.units,
                    t_start=signal.t_start * pq.ms,
                    sampling_period=signal.interval * pq.ms,
                    name=variable,
                    source_population=label,
                    array_annotations={"channel_index": signal.neurons},
                )
            )
        return block

    def save(self, folder: str | Path, *, overwrite: bool = False, figure: bool = False) -> Path:
        """Write ``spikes.h5``, ``run.json`` and, where signals were recorded, ``signals.h5``.

        All files are written beside their final place and moved there together, ``run.json``
        last, so that an interrupted save leaves nothing half-written under a final name.

        Parameters
        ----------
        folder : str or Path
            Created if it does not exist.
        overwrite : bool
            Replace a run that the folder already holds.
        figure : bool
            Draw ``activity.png`` as well, where there is something to draw; a figure that fails is
            a `RecordingWarning`.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputExistsError
            If the folder holds a run and `overwrite` is false.
        OutputError
            If it cannot be written, e.g. for a full disk.
        """
        folder = check_output(folder, overwrite=overwrite)
        text = to_json({**self.metadata, **self._contents()})
        from .sonata import write_signals, write_spikes  # h5py, which a job does not have
        from .unfinished import is_of_run

        own = is_of_run(folder, self.metadata)
        with _whole(folder, keep_unfinished=own) as staging:
            try:
                write_spikes(staging / SPIKES, self.spike_trains)
                if self.signals:
                    write_signals(staging / SIGNALS, self.signals)
            except (MemoryError, ValueError, TypeError, RuntimeError) as error:
                raise OutputError(
                    f"the recording could not be written to {folder}: {describe(error)}"
                ) from error
            if self.model_source is not None:
                (staging / MODEL).write_bytes(self.model_source)
            # half a character, as of a file's name, becomes JSON's escape for it
            (staging / RUN).write_text(text + "\n", "utf-8", errors="backslashreplace")
        if figure:
            self._draw(folder)
        return folder

    def _draw(self, folder: Path) -> None:
        """Draw the activity; where that fails, the recording is there all the same."""
        try:
            from .figure import draw_activity, is_drawable

            if is_drawable(self):
                with whole(folder / FIGURE) as part:
                    draw_activity(self, part)
        except Exception as error:  # matplotlib's, a font's, the disk's
            warnings.warn(f"there is no figure: {describe(error)}", RecordingWarning, stacklevel=3)

    @classmethod
    def load(cls, folder: str | Path) -> Recording:
        """Read a recording that `save` wrote, or the archive (``.zip``) that a job left.

        Raises
        ------
        OutputError
            If the folder holds no run, or a damaged one.
        """
        folder = Path(folder)
        if folder.suffix.lower() == ".zip" and not folder.is_dir():
            from .archive import load_archive

            return load_archive(folder)
        from ..hdf5 import DAMAGE
        from .sonata import read_signals, read_spikes
        from .unfinished import Unfinished

        unfinished = Unfinished.find(folder)
        if unfinished is not None and unfinished.parts:
            return cls._of(
                unfinished.metadata(),
                unfinished.spikes(),
                unfinished.signals(),
                unfinished.source,
                folder / UNFINISHED,
            )

        path = folder / RUN
        try:
            metadata = parse_json(path.read_text(encoding="utf-8"))
            checked_sizes(metadata)
        except FileNotFoundError:
            raise OutputError(f"{folder} holds no run: there is no {RUN} in it") from None
        except DAMAGE as error:
            raise OutputError(f"{path} is damaged: {printable(error)}") from error
        signals: Mapping[tuple[str, str], Signal] = {}
        if (folder / SIGNALS).exists():
            signals = read_signals(folder / SIGNALS)
        spikes = read_spikes(folder / SPIKES, time_step(metadata))
        source = (folder / MODEL).read_bytes() if (folder / MODEL).is_file() else None
        return cls._of(metadata, spikes, signals, source, folder)

    @classmethod
    def _of(
        cls,
        metadata: dict[str, Any],
        spikes: Mapping[str, Spikes],
        signals: Mapping[tuple[str, str], Signal],
        source: bytes | None,
        folder: Path,
    ) -> Recording:
        """What was read, if its parts fit each other."""
        n_neurons = checked_sizes(metadata)
        for name, labels in ((SPIKES, set(spikes)), (SIGNALS, {label for label, _ in signals})):
            if unknown := sorted(labels - set(n_neurons)):
                raise OutputError(
                    f"{folder / name} has the populations {printable(', '.join(unknown))}, and "
                    f"{RUN} {printable(', '.join(n_neurons)) or 'none'}: expected the same names, "
                    "and neurons that count from 0 within each"
                )
        return cls(n_neurons, in_order(spikes, n_neurons), metadata, signals, source)

    def _contents(self) -> dict[str, Any]:
        """What the files hold, whatever the metadata say of it."""
        contents: dict[str, Any] = {"populations": dict(self.n_neurons)}
        if self.spike_trains and "n_spikes" in self.metadata:
            contents["n_spikes"] = sum(map(self.count, self.spike_trains))
        if self.spike_trains and "rates" in self.metadata:
            contents["rates"] = self.rates()
        return contents


PICTURES = (".png", ".pdf", ".svg")


def write_picture(path: Path, draw: Callable[[Path, str], None]) -> None:
    """Write a picture as a whole, of the kind that its name says.

    Parameters
    ----------
    path : Path
    draw : callable
        Writes it, under a name and in a format.

    Raises
    ------
    OutputError
        For a name of another kind, and if it cannot be written.

    Examples
    --------
    >>> write_picture(Path("activity.jpg"), None)
    Traceback (most recent call last):
        ...
    portable_cortex.errors.OutputError: a picture is called *.png, *.pdf or *.svg, not activity.jpg
    """
    if path.suffix.lower() not in PICTURES:
        names = [f"*{kind}" for kind in PICTURES]
        raise OutputError(
            f"a picture is called {', '.join(names[:-1])} or {names[-1]}, not {path.name}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as part:
            draw(part, path.suffix.lower()[1:])
    except OSError as error:
        raise OutputError(f"the picture could not be written to {path}: {error}") from error


def time_step(metadata: Mapping[str, Any]) -> float | None:
    """The time step of a run, ms; None if its metadata do not say."""
    step: Any = metadata.get("timestep_ms")
    return float(step) if _is_number(step) and 0 < step < 1e300 else None


def model_of(metadata: Mapping[str, Any]) -> Any:
    """The model of a run: its name, or what its file holds, wherever that lies.

    Examples
    --------
    >>> model_of({"model": "pd14"}), model_of({"model": "mine.py", "model_sha256": "4b22"})
    ('pd14', 'the file with SHA-256 4b22')
    """
    sha256 = metadata.get("model_sha256")
    return metadata.get("model") if sha256 is None else f"the file with SHA-256 {sha256}"


def files_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Digests of files that a run's statements name, of neurons for example, beside the model's.

    Examples
    --------
    >>> files_of({"statements": ["mine.nestml (SHA-256 0123456789abcdef) instead of IF_curr_exp"]})
    ('0123456789abcdef',)
    """
    statements = metadata.get("statements")
    return tuple(DIGEST.findall(" ".join(map(str, statements)))) if statements else ()


def checked_sizes(metadata: Any) -> dict[str, int]:
    """The numbers of neurons in a run's metadata, of which the necessary parts are checked.

    Raises
    ------
    ValueError
        If they are not there, or of another type.
    """
    if not isinstance(metadata, dict):
        raise ValueError(f"it holds {type(metadata).__name__}: expected a mapping")
    for name in ("warmup_ms", "duration_ms"):
        if not _is_number(metadata.get(name)):
            raise ValueError(f"{name!r} is {metadata.get(name)!r}: expected a number")
    sizes = metadata.get("populations")
    if not isinstance(sizes, dict):
        raise ValueError(f"'populations' is {sizes!r}: expected the number of neurons by label")
    for label, n in sizes.items():
        if not isinstance(n, int) or isinstance(n, bool):
            raise ValueError(f"the population {label!r} has {n!r} neurons: expected a whole number")
    return sizes


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def rescue(recording: Recording, error: OutputError) -> OutputError:
    """Save a recording anywhere, after its own folder could not be written.

    Parameters
    ----------
    recording : Recording
    error : OutputError
        Why its own folder could not be written.

    Returns
    -------
    OutputError
        The error, with the sentence that says where the recording is.
    """
    for parent in (tempfile.gettempdir, Path.cwd, Path.home):
        try:
            refuge = Path(tempfile.mkdtemp(prefix="portable-cortex-", dir=parent()))
        except (OSError, RuntimeError):  # RuntimeError: there is no home
            continue
        try:
            recording.save(refuge)
        except OutputError:
            shutil.rmtree(refuge, ignore_errors=True)
        else:
            return OutputError(f"{error}. The recording was written to {refuge} instead")
    return OutputError(f"{error}. No other folder could be written: the recording is lost")


def to_json(metadata: Mapping[str, Any]) -> str:
    """Metadata as strict JSON; numpy's numbers and arrays become plain ones.

    Raises
    ------
    OutputError
        For what JSON cannot hold, not-a-number among it.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        if isinstance(value, Path):
            return str(value)
        raise TypeError(f"{value!r} is neither number, text, list nor mapping")

    try:
        return json.dumps(
            dict(metadata), indent=2, allow_nan=False, ensure_ascii=False, default=plain
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(f"a parameter cannot be written to {RUN}: {error}") from None


def check_output(folder: str | Path, *, overwrite: bool) -> Path:
    """Raise `OutputExistsError` if `folder` holds a run that is not to be overwritten."""
    from . import sonata  # noqa: F401  # if it cannot be imported, say so before the run

    folder = Path(folder)
    try:
        if (folder / RUN).exists() and not overwrite:
            raise OutputExistsError(
                f"{folder} already holds a run, which was kept: "
                "choose another folder or ask to overwrite it (--overwrite)"
            )
        if (folder / UNFINISHED / STATE).exists() and not overwrite:
            raise OutputExistsError(
                f"{folder} already holds an unfinished run, which was kept: go on with it "
                f"(portable-cortex run --resume {folder}), choose another folder or ask to "
                "overwrite it (--overwrite)"
            )
        part = next(part for part in (folder, *folder.parents) if part.exists())
        if not part.is_dir():
            raise OutputError(f"{part} is no folder: choose another one for the results")
    except (PermissionError, ValueError) as error:  # may not look into it; no such name
        raise OutputError(f"{folder} cannot be used for the results: {error}") from error
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{folder} cannot be used for the results: {error.strerror}") from error
    try:
        with tempfile.TemporaryFile(
            dir=part
        ):  # who may do all cannot, in /proc or on a read-only disk
            return folder
    except OSError as error:
        raise OutputError(
            f"nothing can be written into {part} ({error.strerror}): choose another folder"
        ) from error


@contextmanager
def _whole(folder: Path, *, keep_unfinished: bool) -> Iterator[Path]:
    """A staging folder whose files all move into `folder`, or none does; `RUN` goes last."""
    from .unfinished import discard, trouble

    staging, new = None, [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with shielded():
            folder.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
        yield staging
        with shielded():
            (folder / RUN).unlink(missing_ok=True)
            for stale in (SIGNALS, FIGURE, MODEL):  # of the run that is being overwritten
                (folder / stale).unlink(missing_ok=True)
            for path in sorted(staging.iterdir(), key=lambda p: p.name == RUN):
                path.replace(folder / path.name)
            if not keep_unfinished:  # of another run
                discard(folder)
            tell(f"the recording was written to {folder}.")
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"the recording could not be written to {folder}: {trouble(error)}"
        ) from error
    finally:
        with shielded():
            if staging is not None:
                shutil.rmtree(staging, ignore_errors=True)
            with contextlib.suppress(OSError):  # it holds something
                for path in new:
                    path.rmdir()
