"""Many runs: a grid of settings and seeds, here or on a cluster; trials of one network.

Others also use the modules ``figure`` (the picture of a sweep), ``pool`` (where runs are computed),
``runs`` (which they are) and ``table`` (for other programs).
"""

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from .pool import DaskPool, Ended, Job, LocalPool, Pool
    from .runs import (
        FAILED,
        FINISHED,
        WAITING,
        Report,
        Sweep,
        SweepRun,
        combinations,
        grid,
        parse_seeds,
        sweep,
    )
    from .table import building
    from .trials import run_trials

__all__ = [
    "FAILED",
    "FINISHED",
    "WAITING",
    "DaskPool",
    "Ended",
    "Job",
    "LocalPool",
    "Pool",
    "Report",
    "Sweep",
    "SweepRun",
    "building",
    "combinations",
    "grid",
    "parse_seeds",
    "run_trials",
    "sweep",
]

if not TYPE_CHECKING:
    from .._lazy import lazy

    __getattr__, __dir__ = lazy(
        __name__,
        {
            "pool": "DaskPool Ended Job LocalPool Pool",
            "runs": (
                "FAILED FINISHED WAITING Report Sweep SweepRun combinations grid parse_seeds sweep"
            ),
            "table": "building",
            "trials": "run_trials",
        },
    )
