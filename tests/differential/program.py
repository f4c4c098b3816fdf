"""A PyNN program as plain data: statements in the order in which they are executed.

Objects have names (``"p0"``). Parameters are tuples of pairs, so that a program can be hashed,
printed, and pasted into a test.

Values: numbers; tuples (arrays, of two dimensions where nested); strings of ``d``; `Random`;
`Function`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Pairs = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Random:
    """A ``RandomDistribution``."""

    name: str
    parameters: Pairs


@dataclass(frozen=True)
class Function:
    """A function of the cell's index, ``i``."""

    expression: str


@dataclass(frozen=True)
class Setup:
    """``sim.setup()``; None stands for "auto"."""

    timestep: float = 0.1
    min_delay: float | None = None
    max_delay: float | None = None
    threads: int = 1


@dataclass(frozen=True)
class Create:
    """A population; ``initial`` are its initial values.

    Its structure is None (a line), or the name of one of PyNN's and its arguments.
    """

    name: str
    size: int
    cell: str
    parameters: Pairs = ()
    initial: Pairs = ()
    structure: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class View:
    """A view: selector is ("slice", start, stop, step), ("list", ...) or ("mask", ...)."""

    name: str
    of: str
    selector: tuple[Any, ...]


@dataclass(frozen=True)
class Sample:
    """A view of so many cells that PyNN draws."""

    name: str
    of: str
    n: int
    seed: int = 1


@dataclass(frozen=True)
class Join:
    """An assembly."""

    name: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Connect:
    """A projection; weight and delay None are left to PyNN; ``space`` are arguments of a Space.

    Synapses are static, or of a type with such parameters; those of an ``STDPMechanism`` are those
    of its parts, and ``weight_dependence``, a type.
    """

    name: str
    pre: str
    post: str
    connector: str
    arguments: Pairs = ()
    weight: Any = None
    delay: Any = None
    receptor: str | None = None
    space: Pairs = ()
    synapse: str = "StaticSynapse"
    rule: Pairs = ()


@dataclass(frozen=True)
class Get:
    """``projection.get()``."""

    projection: str
    attributes: str | tuple[str, ...] = ("weight", "delay")
    format: str = "list"
    multiple: str = "sum"
    with_address: bool = True


@dataclass(frozen=True)
class SetSynapses:
    """``projection.set()``; a flat tuple has a value for each synapse."""

    projection: str
    values: Pairs


@dataclass(frozen=True)
class InitializeSynapses:
    """``projection.initialize()``."""

    projection: str
    values: Pairs


@dataclass(frozen=True)
class SetParameters:
    """``population.set()``, also of views and assemblies."""

    cells: str
    values: Pairs


@dataclass(frozen=True)
class GetParameters:
    """``population.get()``, also of views and assemblies."""

    cells: str
    parameter: str | tuple[str, ...]
    simplify: bool = False
    gather: bool = False


@dataclass(frozen=True)
class Look:
    """Indices and positions of cells, and which of a population is nearest to a point."""

    cells: str
    near: tuple[float, float, float]


@dataclass(frozen=True)
class Annotate:
    """``population.annotate()``."""

    cells: str
    values: Pairs


@dataclass(frozen=True)
class Initialize:
    """``population.initialize()``."""

    cells: str
    values: Pairs


@dataclass(frozen=True)
class Inject:
    """A current source, made and injected."""

    name: str
    kind: str
    parameters: Pairs
    cells: str


@dataclass(frozen=True)
class InjectAgain:
    """A current source, injected into more cells."""

    name: str
    cells: str


@dataclass(frozen=True)
class SetCurrent:
    """New parameters of a current source."""

    name: str
    values: Pairs


@dataclass(frozen=True)
class Record:
    """``population.record()``."""

    cells: str
    variables: tuple[str, ...]
    interval: float | None = None


@dataclass(frozen=True)
class Run:
    """``sim.run()``, or ``sim.run_until()``; with a callback every so many ms."""

    time: float
    until: bool = False
    every: float | None = None


@dataclass(frozen=True)
class Data:
    """``population.get_data()``, also of views and assemblies."""

    cells: str
    clear: bool = False
    variables: str | tuple[str, ...] = "all"


@dataclass(frozen=True)
class SpikeCounts:
    """``population.get_spike_counts()`` and ``mean_spike_count()``."""

    cells: str


@dataclass(frozen=True)
class Reset:
    """``sim.reset()``."""


@dataclass(frozen=True)
class End:
    """``sim.end()``."""


Statement = (
    Setup | Create | View | Sample | Join | Connect | Get | SetSynapses | InitializeSynapses
    | SetParameters | GetParameters | Look | Annotate | Initialize | Inject | InjectAgain
    | SetCurrent | Record | Run | Data | SpikeCounts | Reset | End
)  # fmt: skip
Program = tuple[Statement, ...]


@dataclass
class Outcome:
    """What a program gave: outputs by number of the statement, and why it ended early, if so."""

    outputs: dict[int, Any] = field(default_factory=dict)
    draws: dict[int, Any] = field(default_factory=dict)  # what a statement drew
    refused: tuple[int, str] | None = None  # statement, message
    fault: tuple[int, str] | None = None  # statement, what else went wrong

    @property
    def ended(self) -> int | None:
        """The statement that was refused or failed."""
        end = self.refused or self.fault
        return end[0] if end else None


def random_names(pairs: Pairs) -> list[str]:
    """Of what is drawn among these values."""
    return [name for name, value in pairs if isinstance(value, Random)]


def draws_synapses(statement: Statement) -> bool:
    """Whether synapses are known only after the statement."""
    if isinstance(statement, Connect):
        arguments = dict(statement.arguments)
        return (
            draws_pairs(statement.connector, arguments)
            or isinstance(statement.weight, Random)
            or isinstance(statement.delay, Random)
        )
    return isinstance(statement, SetSynapses) and bool(random_names(statement.values))


def draws_pairs(connector: str, arguments: dict[str, Any]) -> bool:
    """Whether a connector chooses at random."""
    if connector == "SmallWorldConnector":
        return arguments["rewiring"] > 0 or arguments.get("n_connections") is not None
    if connector == "DistanceDependentProbabilityConnector":
        return "<" not in arguments["d_expression"] and ">" not in arguments["d_expression"]
    return (
        connector
        in {"FixedNumberPreConnector", "FixedNumberPostConnector", "FixedTotalNumberConnector"}
        or 0 < arguments.get("p_connect", 0) < 1
    )
