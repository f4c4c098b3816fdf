"""Modules that have moved: the old names work for one release, and say what the new ones are."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

MOVED = {
    "archive": "recording.archive",
    "backends.spinnaker_board": "backends.spinnaker.board",
    "brunel2000": "models.brunel2000",
    "cache": "host.cache",
    "children": "host.children",
    "cli_options": "cli.options",
    "clock": "host.clock",
    "entry": "cli.entry",
    "figure": "recording.figure",
    "grid": "pynn.grid",
    "interruption": "host.interruption",
    "job_error": "recording.job_error",
    "model": "models.pd14",
    "model_checks": "pynn.checks",
    "model_loader": "models.loader",
    "network": "pynn.watching",
    "output": "host.output",
    "parallel": "host.parallel",
    "parameters": "models.parameters",
    "portal_commands": "cli.portal_commands",
    "progress": "cli.progress",
    "provenance": "host.provenance",
    "quiet": "host.quiet",
    "realisation": "pynn.draws",
    "recording.hdf5": "hdf5",
    "scaling": "models.scaling",
    "sonata": "recording.sonata",
    "sweep_console": "cli.sweep_console",
    "sweep_job": "cli.job",
    "sweep_pool": "sweep.pool",
    "synapses": "pynn.synapses",
    "untrusted": "host.untrusted",
    "user_code": "models.user_code",
    "validation.benchmark": "validation.cost.benchmarking",
    "validation.comparison": "validation.verdict.comparison",
    "validation.distances": "validation.activity.distances",
    "validation.export": "validation.pages.export",
    "validation.literature": "validation.cost.literature",
    "validation.pairwise": "validation.verdict.pairwise",
    "validation.reference": "validation.verdict.reference",
    "validation.report": "validation.pages.report",
    "validation.runs": "validation.formats.runs",
    "validation.significance": "validation.verdict.significance",
    "validation.statistics": "validation.activity.statistics",
    "validation.terminal": "validation.pages.terminal",
    "validation.validate": "validation.verdict.examination",
    "validation.words": "validation.verdict.words",
}
"""Names below ``portable_cortex``."""

ATTRIBUTES = ("model_loader", "sonata")
"""Old modules that were there without an import of their own."""

_PACKAGE = f"{__package__}."


def _new_name(name: str) -> str | None:
    """The new name of a module, or of one below a package that has moved."""
    if not name.startswith(_PACKAGE):
        return None
    old = name.removeprefix(_PACKAGE)
    while old not in MOVED:
        old = old.rpartition(".")[0]
        if not old:
            return None
    return _PACKAGE + MOVED[old] + name.removeprefix(_PACKAGE + old)


class _Loader:
    """Gives the module of the new name under the old one: there is one module, not two."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        from importlib import import_module

        sys.modules[module.__name__] = import_module(_new_name(module.__name__) or "")


class _Finder:
    """Finds the old names."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        new = _new_name(name)
        if new is None:
            return None
        import warnings
        from importlib.machinery import ModuleSpec

        warnings.warn(
            f"{name} is now {new}: import that, the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return ModuleSpec(name, _Loader())  # type: ignore[arg-type]  # importlib asks no more of it


def install() -> None:
    """Have Python ask for the old names, before whatever else would look for them."""
    sys.meta_path.insert(0, _Finder())
