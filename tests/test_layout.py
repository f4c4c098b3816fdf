"""Who may import whom, import strings included: the rules that keep the folders apart.

The code is read, not run; ``import`` statements within functions count as others do.
"""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from portable_cortex import Experiment, backend_names
from portable_cortex.portal import make_script

CORE = "portable_cortex"
BESIDE = tuple(f"{CORE}.{name}" for name in ("backends", "portal", "validation"))
DATA = f"{CORE}.hardware_configs"  # beside the core in the checkout, within it in the wheel
ROOMS = tuple("cli host models networks power pynn recording running sweep theory".split())
LAYERS = (
    {"errors", "hdf5", "host", "_lazy", "_moved"},
    {"models", "neurons"},
    {"recording", "power"},
    {"backend", "machine", "options", "registry", "support"},
    {"pynn"},
    {"experiment", "running", "theory"},
    {"calibration", "networks"},
    {"matching"},
    {"rerun", "sweep", "cli", "testing"},
    {"__init__", "__main__"},
)
WITH_PYNN = ("numpy", "pyNN", "neo", "quantities")
"""What is there wherever PyNN is: the last two are its own requirements."""

SIMULATORS = ("nest", "brian2", "neuron", "spynnaker", "pyNN.nest", "pyNN.neuron", "pyNN.brian2")
NEWER_THAN_3_10 = set(
    "tomllib typing.Self typing.Never typing.LiteralString typing.Required typing.NotRequired "
    "typing.Unpack typing.TypeVarTuple typing.assert_never typing.assert_type typing.override "
    "typing.reveal_type typing.dataclass_transform datetime.UTC enum.StrEnum contextlib.chdir "
    "itertools.batched wsgiref.types".split()
)


@dataclass(frozen=True)
class Arrow:
    """One import of another module, or a text that names one.

    Attributes
    ----------
    module, name : str
        ``from module import name``; the name is empty for ``import module`` and for a text.
    level : int
        Number of dots that it is written with.
    is_text : bool
    at_import : bool
        Whether it is carried out when the file is imported.
    for_types : bool
        Whether it is never carried out.
    """

    module: str
    name: str = ""
    level: int = 0
    is_text: bool = False
    at_import: bool = True
    for_types: bool = False

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


@cache
def files() -> dict[str, Path]:
    """Every file of the package, by the name of its module."""
    found = {}
    for top in (CORE, *BESIDE):
        folder = Path(importlib.import_module(top).__file__).parent
        for path in folder.rglob("*.py"):
            name = ".".join((top, *path.relative_to(folder).with_suffix("").parts))
            found[name] = path
    return dict(sorted(found.items()))


@cache
def arrows(module: str) -> tuple[Arrow, ...]:
    """All imports of a module of the package."""
    return read_arrows(files()[module], module)


def all_arrows(sources: list[str]) -> list[tuple[str, Arrow]]:
    """The imports of several modules, each with its module."""
    return [(source, arrow) for source in sources for arrow in arrows(source)]


def read_arrows(path: Path, module: str) -> tuple[Arrow, ...]:
    """All imports in a file, those that are written relatively resolved."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(_arrows(tree, module.rpartition(".")[0].split("."), True))


def _arrows(tree, package, at_import):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Arrow(alias.name, at_import=at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Arrow(origin, alias.name, node.level, at_import=at_import)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if match := re.fullmatch(r"(portable_cortex(\.\w+)+)[.:]?\w*", node.value):
                yield Arrow(match[1], is_text=True, at_import=at_import)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for arrow in _arrows(node, package, at_import and not inside and not typing):
                yield replace(arrow, for_types=True) if typing else arrow


def part(name: str) -> str:
    """The part of the core that a module belongs to: a room, or a module beside them."""
    words = name.split(".")
    return words[1] if words[0] == CORE and len(words) > 1 else ""


def home(name: str) -> str:
    """What a module lies in: the core, a backend, portal or validation."""
    words = name.split(".")
    if words[0] != CORE:
        return ""
    if words[1:2] == ["backends"]:
        return ".".join(words[:3])
    top = ".".join(words[:2])
    # `testing` uses the package as those do who install it
    return top if top in (*BESIDE, f"{CORE}.testing") else CORE


def of(*homes: str) -> list[str]:
    return [name for name in files() if home(name).startswith(homes)]


CORE_FILES = [name for name in files() if home(name) == CORE and not name.startswith(DATA)]
BACKEND_FILES = of(f"{CORE}.backends.")
OTHER_FILES = of(f"{CORE}.portal", f"{CORE}.testing", f"{CORE}.validation")


def test_the_rules_below_see_all_files():
    assert {f"{CORE}.models.pd14", f"{CORE}.experiment", f"{CORE}.cli.commands"} <= set(CORE_FILES)
    assert {home(name).rpartition(".")[2] for name in BACKEND_FILES} - {"__init__"} <= set(
        backend_names()
    )
    assert f"{CORE}.backends.spinnaker.board.board" in BACKEND_FILES
    assert f"{CORE}.portal._job" in OTHER_FILES
    assert {part(name) for name in CORE_FILES} <= set().union(*LAYERS)
    imports = arrows(f"{CORE}.registry")
    assert Arrow(f"{CORE}.errors", "UnknownNameError", 1) in imports
    assert Arrow(f"{CORE}.backends.nest", is_text=True) in imports
    assert Arrow(f"{CORE}.host.untrusted", "printable", 2, at_import=False) in arrows(
        f"{CORE}.cli.entry"
    )


def test_core_imports_siblings_relatively_and_no_backend():
    for source, arrow in all_arrows(CORE_FILES):
        inside = arrow.module.split(".")[0] == CORE
        assert arrow.level or arrow.is_text or not inside, (
            f"{source}: {arrow.full} by its full name"
        )
        assert arrow.full not in SIMULATORS, f"{source}: {arrow.full} is a simulator"
        target = home(arrow.full)
        if target.startswith(f"{CORE}.backends"):
            assert part(source) in ("registry", "_moved"), f"{source}: {arrow.full} is a backend"
            assert arrow.is_text
        elif target not in (CORE, ""):
            assert part(source) == "cli", f"{source}: {arrow.full}: only the command line knows it"


def test_backends_import_the_core_and_themselves_only():
    check_beside(BACKEND_FILES)


def test_validation_imports_the_core_and_itself_only():
    check_beside(OTHER_FILES)
    for source, arrow in all_arrows(OTHER_FILES):
        assert arrow.full not in SIMULATORS, f"{source}: {arrow.full} is a simulator"


def check_beside(sources: list[str]) -> None:
    for source, arrow in all_arrows(sources):
        top = arrow.module.split(".")[0]
        known = top not in ("backends", "validation", "portal")
        assert known, f"{source}: {arrow.full} is not installed under this name"
        if top != CORE:
            continue
        target = home(arrow.full)
        assert target in (CORE, home(source)), f"{source}: {arrow.full} is a neighbour"
        if not arrow.is_text:
            relative = target == home(source)
            assert bool(arrow.level) == relative, f"{source}: {arrow.full} is written the other way"


def test_what_a_job_carries_needs_pynn_and_numpy_only(tmp_path):
    script, folder = tmp_path / "run.py", tmp_path / "carried"
    experiment = Experiment(backend="spinnaker", machine="spinnaker-portal")
    script.write_text(make_script(experiment).code)
    subprocess.run([sys.executable, script, "--unpack", folder], check=True, capture_output=True)
    carried = {
        ".".join(path.relative_to(folder).with_suffix("").parts): path
        for path in folder.rglob("*.py")
    }
    assert {f"{CORE}.errors", f"{CORE}.pynn.draws", f"{CORE}.portal._job"} <= set(carried)
    for source, path in carried.items():
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
        for arrow in read_arrows(path, source):
            if not arrow.at_import or arrow.is_text:
                continue
            top = arrow.module.split(".")[0]
            known = top in sys.stdlib_module_names or top in (CORE, *WITH_PYNN)
            assert known or home(source) != CORE, f"{source}: {arrow.full}"
            assert not {arrow.module, arrow.full} & NEWER_THAN_3_10, f"{source}: {arrow.full}"
            if top == CORE and not {arrow.full, f"{arrow.full}.__init__"} & set(carried):
                origin = carried.get(arrow.module) or carried[f"{arrow.module}.__init__"]
                there = re.search(rf"\b{arrow.name}\b", origin.read_text(encoding="utf-8"))
                assert there, f"{source}: {arrow.full} is not taken along"


def test_no_arrow_runs_up():
    floor = {name: number for number, names in enumerate(LAYERS) for name in names}
    for source, arrow in all_arrows(CORE_FILES):
        to = part(arrow.full)
        if home(arrow.full) == CORE and to in floor and part(source) != "_moved":
            assert floor[to] <= floor[part(source)], f"{source}: {arrow.full} lies above"


def test_no_room_uses_what_uses_it():
    used = {part(source): set() for source in CORE_FILES}
    for source, arrow in all_arrows(CORE_FILES):
        to = part(arrow.full)
        if home(arrow.full) == CORE and to in used and not (arrow.is_text or arrow.for_types):
            used[part(source)].add(to)
    order = {room: rooms - {room} for room, rooms in used.items()}
    assert tuple(graphlib.TopologicalSorter(order).static_order())[-1] == "__main__"


def test_rooms_are_entered_through_what_they_list():
    for source, arrow in all_arrows(list(files())):
        words = arrow.full.split(".")
        if words[0] != CORE or part(arrow.full) in ("", part(source)):
            continue
        for word in words[2:] if home(source) == CORE else words[1:]:
            assert not re.match("_[a-z]", word), f"{source}: {arrow.full} is private"
        if part(arrow.full) in ROOMS and len(words) > 2:
            listed = files()[f"{CORE}.{words[1]}.__init__"].read_text(encoding="utf-8")
            assert re.search(rf"\b{words[2]}\b", listed), (
                f"{source}: {arrow.full} is not listed there"
            )


def test_rooms_of_the_validation_use_of_each_other_what_is_listed():
    """And a room that another stands on does not use it in turn."""
    top = f"{CORE}.validation"
    rooms = {words[2] for name in OTHER_FILES if len(words := name.split(".")) > 3}
    used = {room: set() for room in rooms}
    for source, arrow in all_arrows(OTHER_FILES):
        if home(source) == top and source.split(".")[2] in rooms and arrow.level == 2:
            target = arrow.module.removeprefix(f"{top}.")
            assert target in rooms, f"{source}: {arrow.full}"
            assert arrow.name in importlib.import_module(arrow.module).__all__, arrow.full
            used[source.split(".")[2]].add(target)
    graphlib.TopologicalSorter(used).prepare()  # no circle
    assert not any("pages" in others for others in used.values())
