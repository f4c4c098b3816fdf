"""Options of a backend: a dataclass whose fields say what values they take.

Beside the standard library nothing is needed to read them, so that a submitted job has them too.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal

from .errors import InvalidValueError, UnknownNameError
from .models.user_code import shown

if typing.TYPE_CHECKING:
    from typing import Self

WeightFormat = Literal["full", "bfloat16"]
WEIGHT_FORMATS: tuple[str, ...] = typing.get_args(WeightFormat)

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def option(
    default: Any,
    description: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
) -> Any:
    """A field of `BackendOptions`.

    Parameters
    ----------
    default : value, or function that gives one
    description : str
        For `portable-cortex backends`.
    least, most, above : float, optional
        Limits of a number; `above` does not include the limit itself.
    """
    limits = {"least": least, "most": most, "above": above}
    metadata = {"description": description, **limits}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class BackendOptions:
    """Options of a backend, as a machine file or ``--option`` sets them; subclass to add some.

    A field is an `option`; it is an ``int``, ``float``, ``bool``, ``str`` or ``Literal``, or one of
    these or None.

    Attributes
    ----------
    weights : {"full", "bfloat16"}
        Format of synaptic weights, of every backend: see `Capabilities.weight_formats`.

    Raises
    ------
    InvalidValueError
        For a value that a field does not take.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class MyOptions(BackendOptions):
    ...     threads: int = option(1, "threads to simulate with", least=1)
    >>> MyOptions.parse({"threads": "4"})
    MyOptions(weights='full', threads=4)
    >>> MyOptions(threads=0)
    Traceback (most recent call last):
        ...
    portable_cortex.errors.InvalidValueError: key 'threads' must be a whole number of 1 or more, \
not 0
    """

    weights: WeightFormat = field(
        default="full",
        metadata={
            "description": "of synapses: with all digits that the backend has, or rounded to "
            "bfloat16 (8 significant bits), the same on every backend"
        },
    )

    def __post_init__(self) -> None:
        problems = [
            f"key {f.name!r} must be {_expected(kind, f)}, not {shown(value)}"
            for f, kind in _typed(type(self))
            if not _fits(value := getattr(self, f.name), kind, f)
        ]
        if problems:
            raise InvalidValueError("; ".join(problems))

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Options from values of which some may be texts, as ``--option`` gives them.

        Raises
        ------
        UnknownNameError
            For a name that is no option.
        InvalidValueError
            For a value that a field does not take.
        """
        return cls.of({n: _from_text(cls, n, v) for n, v in values.items()})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Options from values of the fields' own types, by name.

        Raises
        ------
        UnknownNameError
            For a name that is no option.
        InvalidValueError
            For a value that a field does not take.
        """
        names = [f.name for f in fields(cls)]
        for name in values:
            if name not in names:
                raise UnknownNameError("key", name, names)
        return cls(**values)


def describe_options(schema: type[BackendOptions]) -> list[tuple[str, Any, str]]:
    """Name, default and description of each option."""
    return [
        (
            f.name,
            f.default if f.default_factory is MISSING else f.default_factory(),
            f.metadata.get("description", ""),
        )
        for f in fields(schema)
    ]


def _typed(schema: type[BackendOptions]) -> list[tuple[Field[Any], Any]]:
    hints = typing.get_type_hints(schema)
    return [(f, hints[f.name]) for f in fields(schema)]


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The types that a field may have; a literal is one."""
    return (kind,) if typing.get_origin(kind) in (None, Literal) else typing.get_args(kind)


def _fits(value: Any, kind: Any, about: Field[Any]) -> bool:
    return any(_is(value, k, about.metadata) for k in _alternatives(kind))


def _is(value: Any, kind: Any, limits: Mapping[str, Any]) -> bool:
    if typing.get_origin(kind) is Literal:
        return value in typing.get_args(kind)
    if kind not in (int, float):
        return isinstance(value, kind)
    if isinstance(value, bool) or not isinstance(value, int | kind):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    least, most, above = (limits.get(name) for name in ("least", "most", "above"))
    return (
        (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
    )


def _expected(kind: Any, about: Field[Any]) -> str:
    return " or ".join(_words(k, about.metadata) for k in _alternatives(kind) if k is not _NONE)


_NONE = type(None)


def _words(kind: Any, limits: Mapping[str, Any]) -> str:
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[kind]
    least, most, above = (limits.get(name) for name in ("least", "most", "above"))
    if least is not None and most is not None:
        return f"{words} from {least:g} to {most:g}"
    if least is not None:
        return f"{words} of {least:g} or more"
    return f"{words} above {above:g}" if above is not None else words


def _from_text(schema: type[BackendOptions], name: str, value: Any) -> Any:
    """The value that a text stands for; the text itself where it stands for none."""
    kinds = {f.name: kind for f, kind in _typed(schema)}
    if isinstance(value, str) and name in kinds:
        for kind in _alternatives(kinds[name]):
            try:
                return _reader(kind)(value.strip())
            except (KeyError, ValueError):
                continue
    return value


def _reader(kind: Any) -> Callable[[str], Any]:
    """What makes a value of this type of a text, or fails."""
    if typing.get_origin(kind) is Literal:
        return {str(v): v for v in typing.get_args(kind)}.__getitem__
    readers: Mapping[Any, Callable[[str], Any]] = {bool: _WORDS.__getitem__, int: int, float: float}
    return readers[kind]
