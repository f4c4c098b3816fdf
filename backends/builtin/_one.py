"""Writes a neuron's step for one neuron: Python that numba compiles for a GPU.

The arithmetic is that of the loops of `_writing`, in the same order. Names are as there; variables
are read first and written last.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from portable_cortex.neurons.expressions import names
from portable_cortex.neurons.lowering import ERROR, PARTS, Straight

from ._plan import Plan
from ._solver_loops import TOLERANCE
from ._text import code
from ._work import NEAR_EXP2
from ._writing import Writer

TEXT = '''"""The neuron {name} for the built-in engine on a GPU, written by portable-cortex."""

import math

import numpy as np
from numba import cuda

from portable_cortex.backends.builtin._functions import normal, uniform

U32, U64 = np.uint32, np.uint64
exp = math.exp


@cuda.jit(device=True)
def step(
    page, arrivals, n_local, state, size, left, drive, own, c, first, columns, i, index, now,
    key0, key1,
):
{body}
'''
USED = re.compile(r"\bc(\d+)\b")


def written(plan: Plan) -> str:
    """The module with a model's ``step``; its constants are those of `_writing.written`.

    ``step`` advances neuron ``i`` of a group and says whether it fired. ``page`` holds its
    variables, from ``arrivals`` and ``state`` on in rows of ``n_local`` and ``size``; ``left`` and
    ``drive`` hold steps of refractoriness and current at ``own``, ``c`` the neuron's first
    constant at ``first`` and the others ``columns`` further each.
    """
    return _One(plan).module()


class _One(Writer):
    left, zero = "left[U32(own)]", "real(0.0)"

    def module(self) -> str:
        """The text."""
        super().module()  # takes the constants in their order
        rows = {
            n: f"page[U32(arrivals + {k} * n_local + i)]" for k, n in enumerate(self.plan.inputs)
        }
        rows |= {n: f"page[U32(state + {k} * size + i)]" for k, n in enumerate(self.plan.others)}
        course = self._lines(self.over)
        if self.timer:
            course = [
                f"if {self.left} != 0:",
                f"    {self.left} -= 1",
                *_indented(self._lines(self.running)),
                "else:",
                *_indented(course),
                f"running = {self.left} != 0",
            ]
        course += ["fired = False", *self._after()]
        text = "\n".join(course)
        body = ["real = page.dtype.type"]
        if NEAR_EXP2 in text:
            body.append(f"ln2 = real({math.log(2.0)!r})")
        body += [f"m_{n} = {at}" for n, at in rows.items()]
        body += [f"m_{name} = drive[U32(own)] * real(1e3)" for name in self.currents]  # nA
        body += [
            f"c{k} = c[first + U64({k}) * columns]"
            for k in sorted({int(k) for k in USED.findall(text)})
        ]
        body += text.replace(f"{NEAR_EXP2}(", "exp(ln2 * ").split("\n")
        body += [f"{at} = m_{n}" for n, at in rows.items()]
        body.append("return fired")
        return TEXT.format(name=self.neuron.name, body="\n".join(_indented(body)))

    @staticmethod
    def _lines(course: dict[str, Straight]) -> list[str]:
        """A step until the conditions."""
        lines: list[str] = []
        for kind, run in course.items():
            body = [f"{name.lstrip('_')} = {code(value)}" for name, value in run.temporaries]
            if kind == "whole":
                lines += [*body, f"m_{ERROR} = {code(run.results[ERROR])}"]
                lines += [f"n_{n} = real({code(v)})" for n, v in run.results.items() if n != ERROR]
            elif kind == "part":
                lines += [
                    f"if not (m_{ERROR} < real({TOLERANCE})):",
                    f"    for _ in range({PARTS}):",
                    *_indented(_indented([*body, *_taken_over(run)])),
                    "else:",
                    *(f"    m_{n} = n_{n}" for n in run.results),
                ]
            else:
                lines += [*body, *_taken_over(run)]
        return lines or ["pass"]

    def _after(self) -> list[str]:
        """Carry out what follows where a condition holds."""
        lines: list[str] = []
        for condition, (_, statements) in zip(self.conditions, self.neuron.conditions, strict=True):
            lines += [f"if {code(condition)}:", *_indented(self._block(self._in_steps(statements)))]
        return lines


def _taken_over(run: Straight) -> list[str]:
    """New values of variables, none of which is computed from another's."""
    new = {n: f"real({code(value)})" for n, value in run.results.items()}
    if not {n for value in run.results.values() for n in names(value)} & set(new):
        return [f"m_{n} = {value}" for n, value in new.items()]
    return [*(f"n_{n} = {value}" for n, value in new.items()), *(f"m_{n} = n_{n}" for n in new)]


def _indented(lines: Iterable[str]) -> list[str]:
    return ["    " + line for line in lines]
