"""How an experiment is run: here, in each process that mpirun starts, and in a submitted job.

Beside the standard library it needs PyNN, numpy and the simulator only, and scipy for the `shared`
realisation, whatever the rest of the package needs. A test may want parts of a run to be written
sooner: see the module ``writing``.
"""

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from .notes import RunWarning
    from .resolved import Reporter, Resolved
    from .run import Change, execute, execute_trials, run_into

__all__ = [
    "Change",
    "Reporter",
    "Resolved",
    "RunWarning",
    "execute",
    "execute_trials",
    "run_into",
]

if not TYPE_CHECKING:
    from .._lazy import lazy

    __getattr__, __dir__ = lazy(
        __name__,
        {
            "notes": "RunWarning",
            "resolved": "Reporter Resolved",
            "run": "Change execute execute_trials run_into",
        },
    )
