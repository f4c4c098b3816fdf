"""What a run leaves behind: spikes, signals, and everything known about the run.

The plain types (`Spikes`, `Signal`) need numpy only; `Recording` writes and reads folders. Names
are imported at their first use, so that whoever needs the plain types needs no HDF5.

Others also use the modules ``archive`` (a run as one zip file, as jobs leave it), ``figure`` (the
picture of a run), ``job_error`` (why a job failed), ``sonata`` (the
file format), ``stored`` (what stays on the disk) and ``unfinished`` (a run that is not over).
"""

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from .recording import (
        FIGURE,
        MODEL,
        RUN,
        SIGNALS,
        SPIKES,
        STATE,
        UNFINISHED,
        Recording,
        RecordingWarning,
        check_output,
        files_of,
        model_of,
        rescue,
        time_step,
        to_json,
    )
    from .spikes import Signal, Spikes, by_time

__all__ = [
    "FIGURE",
    "MODEL",
    "RUN",
    "SIGNALS",
    "SPIKES",
    "STATE",
    "UNFINISHED",
    "Recording",
    "RecordingWarning",
    "Signal",
    "Spikes",
    "by_time",
    "check_output",
    "files_of",
    "model_of",
    "rescue",
    "time_step",
    "to_json",
]

if not TYPE_CHECKING:
    from .._lazy import lazy

    __getattr__, __dir__ = lazy(
        __name__,
        {
            "recording": (
                "FIGURE MODEL RUN SIGNALS SPIKES STATE UNFINISHED Recording RecordingWarning "
                "check_output files_of model_of rescue time_step to_json"
            ),
            "spikes": "Signal Spikes by_time",
        },
    )
