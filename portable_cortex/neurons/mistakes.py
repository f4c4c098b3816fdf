"""What helps against mistakes in a model: pynestml says what is wrong, and seldom what to do."""

from __future__ import annotations

import re

REMEDIES = (
    (
        r"No free-standing physical units allowed \((.*)\)",
        r"write (1 \1) if the unit is meant; if not, nothing in the model is called \1",
    ),
    (r"Unknown type or unit literal", "units are such as mV, pA, nS, pF, ms, 1/ms, mV/ms"),
    (r'No variable "(.*)" found', r"declare \1 in the state block, with a value"),
    (r'Variable "(.*)" not defined', r"is it misspelt? If not, declare \1"),
    (r'The variable "(.*)" is not initialized', r"give \1 a value in the state block"),
    (
        r"Actual type different from expected",
        "a number gets a unit from (1 mV) and the like, and loses it when divided by that; spikes "
        "are in 1/s: spikes * (1 mV) * (1 s) is in mV",
    ),
    (r"Operation .* is not defined", "both sides need units of one kind"),
    (r"integrate_odes\(\) not called", "call integrate_odes() in the update block"),
    (r"output block not defined", "add the block output: with a line spike"),
    (
        r'Assignment to "(.*)" not allowed',
        r"what changes belongs into the state block: declare \1 there",
    ),
    (r'Function "(.*)" is not declared', "is it misspelt?"),
    (r"used before declaration", "put it below"),
    (r"redeclared", "leave one of them out, or give it another name"),
    (r"expecting \{NEWLINE, 'model'\}", "a model begins with a line such as model my_neuron:"),
    (r"lexing", 'names have letters from a to z, digits and _; other signs can stand behind a "#"'),
    (
        r"Error occurred during parsing",
        "often a colon is missing, brackets do not match, or a line before is indented otherwise "
        "than its neighbours",
    ),
    (
        r"not handled!",
        "put a number and its unit into brackets: x + (2 mV) * y",
    ),
    (
        r"cannot read this",
        "often it has to convert a unit where it cannot: write both sides in the same one, such "
        "as 0.1 mV for 100 uV",
    ),
)  # fmt: skip


def with_remedy(message: str) -> str:
    """What pynestml says, and what to do.

    Examples
    --------
    >>> with_remedy("No free-standing physical units allowed (pA)").partition("; ")[2]
    'write (1 pA) if the unit is meant; if not, nothing in the model is called pA'
    """
    for pattern, remedy in REMEDIES:
        match = re.search(pattern, message)
        if match:
            return f"{message.rstrip('!.')}; {match.expand(remedy)}"
    return message


def wrong_indentation(text: str) -> str | None:
    r"""The first line that is indented as nothing above it is, in a sentence.

    Examples
    --------
    >>> wrong_indentation("model a:\n    state:\n        x real = 0\n      y real = 0")
    'line 4: it is indented by 6, and what is above it by 0, 4 or 8'
    """
    levels, opens = [0], True
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].rstrip()
        if not said:
            continue
        indent = said[: len(said) - len(said.lstrip())]
        depth = len(indent)
        if " " in indent and "\t" in indent:
            return f"line {number}: it is indented by spaces and tabs"
        known = list(levels)
        levels = [level for level in levels if level <= depth]
        if levels[-1] < depth:
            if not opens:
                *first, last = map(str, known)
                others = f"{', '.join(first)} or {last}" if first else last
                return f"line {number}: it is indented by {depth}, and what is above it by {others}"
            levels.append(depth)
        opens = said.endswith((":", "\\", ","))
    return None
