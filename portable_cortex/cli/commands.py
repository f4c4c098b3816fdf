"""The command line: ``portable-cortex run | validate | benchmark | submit | jobs | ...``."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import ModelWarning, UnsupportedError
from ..host import interruption, parallel
from ..recording import RecordingWarning
from ..running import RunWarning
from .calibration_commands import calibrate
from .compare_commands import compare
from .console import complain, out
from .emulate_commands import emulate
from .entry import TRACEBACK, status_of
from .export_commands import export
from .impact_commands import impact
from .listing_commands import backends, hardware, models
from .looking_commands import plot, show
from .neuron_commands import neurons
from .options import examples, flow
from .portal_commands import jobs, submit
from .run_commands import rerun, run, run_experiment
from .sweep_commands import benchmark, sweep
from .task_commands import task
from .theory_commands import predict
from .validate_commands import reference, validate

COMPLETION = "_PORTABLE_CORTEX_COMPLETE"  # set by the script that --install-completion installs
# what several processes do together
SHARED = ("run", "rerun", "run-experiment")

app = typer.Typer(
    help="Write a spiking network once, in PyNN; run it on any simulator or neuromorphic machine.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_UsageError: Any = typer.BadParameter.__base__  # what cannot be read; typer has no name for it


def _version(asked: bool) -> None:
    if asked:
        out.print(f"portable-cortex {__version__}", highlight=False)
        raise typer.Exit


FIRST = """\
portable-cortex: a spiking network, written once in PyNN, on any simulator or neuromorphic machine

  portable-cortex run
      the cortical microcircuit at a tenth of its size, in seconds (compiled once: half a minute)
  portable-cortex validate results/pd14-builtin
      whether that is the activity that the network has on NEST
  portable-cortex run --model my_model.py --backend nest
      a network of your own, a Python file with build(sim, ...), on any simulator

portable-cortex --help lists all commands; portable-cortex COMMAND --help has examples of each"""


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    traceback: Annotated[  # taken from the arguments before they come here
        bool,
        typer.Option(
            TRACEBACK, help="Show all of an error, also after the command: run ... --traceback."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        out.print(FIRST, markup=False, highlight=False, soft_wrap=True)
        return
    if parallel.processes() > 1 and context.invoked_subcommand not in SHARED:
        raise UnsupportedError(
            f"portable-cortex {context.invoked_subcommand} runs in one process, and mpirun started "
            f"{parallel.processes()}: start it without mpirun (only `run` shares its work)"
        )


def _add(function: Callable[..., None], *lines: str, hidden: bool = False) -> None:
    """A command, with examples of it."""
    app.command(epilog=examples(*lines) if lines else None, hidden=hidden)(function)


_add(
    run,
    "run",
    "run -m brunel2000 -p g=6 -d 5000 -o results/brunel",
    "run --model my_model.py --backend nest --record v:E:3",
)
_add(run_experiment, hidden=True)
_add(rerun, "rerun results/mine")
_add(
    validate,
    "validate results/mine --report mine.html",
    "validate results/mine --against results/other",
    "validate results/sweep --against reference.h5 --junit junit.xml",
)
_add(reference, "reference results/sweep --out reference.h5")
_add(
    benchmark,
    "benchmark --backends builtin,nest --scale 0.1",
    "benchmark --backends builtin --threads 1,2,4",
)
_add(show, "show results/mine")
_add(plot, "plot results/mine", "plot results/mine -o mine.pdf")
_add(submit, "submit --collab my-collab --scale 0.1 --duration 2000 --wait --out results/there")
app.add_typer(jobs, name="jobs")
app.add_typer(neurons, name="neurons")
_add(
    predict,
    "predict --scale 1",
    "predict --model brunel2000 --scale 1 --param g=6 --to brunel.png",
)
_add(calibrate, "calibrate --neuron adex_curr_exp")
_add(
    impact,
    "impact --neurons lif_escape_curr_exp,mat2_curr_exp --scale 0.1",
    "impact --vary k_scale=0.3 --seeds 11-20",
)
_add(task, "task pulses --scale 0.1", "task templates --scale 0.1 --trials 300")
_add(
    compare,
    "compare",
    "compare -m my_model.py --backends builtin,nest --against reference.h5",
    "compare results/nest results/mine",
)
_add(export, "export --model pd14 --scale 0.01 --drive dc --out network")
_add(
    sweep,
    "sweep --seeds 1-10 --backend nest --out results/nest",
    "sweep -m brunel2000 -p g=4 -p g=5 -p g=6 --seeds 1-3",
)
_add(backends, "backends", "backends nest")
_add(hardware, "hardware")
_add(models, "models")
_add(emulate, "emulate --version 5")
flow(app)


def _show_warning(message: Warning | str, category: type[Warning], *_rest: Any, **_: Any) -> None:
    ours = issubclass(category, ModelWarning | RunWarning | RecordingWarning)
    kind = "Warning" if ours else category.__name__
    complain("yellow", kind, str(message))


def command(arguments: Sequence[str]) -> int:
    """Do what the arguments say; exit status.

    Parameters
    ----------
    arguments : sequence of str
        Without the name of the program.

    Examples
    --------
    >>> command(["--version"])
    portable-cortex ...
    0
    """
    warnings.showwarning = _show_warning
    group = typer.main.get_command(app)
    arguments = list(arguments)
    try:
        if COMPLETION in os.environ:  # a shell asks what could come next
            group.main(arguments, "portable-cortex")
        # not its main(), which makes other exceptions and states of its own
        made = group.make_context("portable-cortex", arguments, obj=tuple(arguments))
    except typer.Exit as ended:
        return ended.exit_code
    except SystemExit as ended:  # of the options and scripts for completion
        return int(ended.code or 0)
    except _UsageError as error:
        error.show()
        return 2
    try:
        with made as context:
            group.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except _UsageError as error:
        error.show()
        return 2
    return 0


def main() -> None:
    """The command, in a process that is not its own: `entry.main` does the same and more."""
    interruption.run()
    sys.exit(status_of(command, sys.argv[1:]))
