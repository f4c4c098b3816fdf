"""A validation for machines: JSON; JUnit's XML and Markdown for continuous integration."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from ..verdict import (
    ALPHA,
    CONFIDENCE,
    HEADLINES,
    POWER,
    Validation,
    Verdict,
    change,
    clean,
    describe,
    detectable,
    headline,
    number,
    percent,
    power,
    power_sentence,
    probability,
    reference_sentence,
)


def to_json(validation: Validation) -> str:
    """Everything that was found, as strict JSON: what is not a number becomes null.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> json.loads(to_json(examine("nowhere")))["verdict"]
    'undecided'
    """
    return dumped(as_dict(validation))


def dumped(content: Any) -> str:
    """Strict JSON, as a file.

    Examples
    --------
    >>> print(dumped({"p": float("nan")}))
    {
      "p": null
    }
    <BLANKLINE>
    """
    return json.dumps(_strict(content), indent=2, allow_nan=False) + "\n"


def as_dict(validation: Validation) -> dict[str, Any]:
    """Everything that was found, in plain types; numbers may be none.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> as_dict(examine("nowhere"))["exit_status"]
    2
    """
    comparison, reference = validation.comparison, validation.reference
    activity = validation.activity
    return {
        "folders": validation.folders,
        "verdict": comparison.verdict.name.lower(),
        "exit_status": comparison.verdict.value,
        "sentence": headline(comparison),
        "reason": comparison.reason,
        "against": comparison.reference,
        "duration_ms": comparison.duration,
        "notes": validation.notes,
        "family_wise_error": ALPHA,
        "confidence": CONFIDENCE,
        "self_check": asdict(validation.self_check) if validation.self_check else None,
        "detectable": {"probability": POWER, "relative_change": power(comparison)},
        "tests": [
            {
                **asdict(test),
                "differs": test.differs,
                "relative_change": change(test),
                "detectable_relative_change": detectable(test),
            }
            for test in comparison.tests
        ],
        "means": {
            population: {
                statistic: float(sample.mean())
                for (label, statistic), sample in activity.samples.items()
                if label == population and sample.size
            }
            for population in activity.n_neurons
        }
        if activity
        else {},
        "beside": [asdict(row) for row in validation.beside],
        "theory": validation.theory.to_dict() if validation.theory else None,
        "pairing": asdict(validation.pairing) if validation.pairing else None,
        "reference": {"name": reference.name, **reference.provenance} if reference else None,
        "run": dict(validation.recording.metadata) if validation.recording else None,
    }


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_junit(validation: Validation) -> str:
    """One test case a test, as JUnit's XML; without a verdict, one case that is an error.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> ElementTree.fromstring(to_junit(examine("nowhere"))).get("errors")
    '1'
    """
    return xml(suite(validation, f"portable-cortex validate {validation.name}"))


def xml(element: ElementTree.Element) -> str:
    """An XML document."""
    ElementTree.indent(element)
    return ElementTree.tostring(element, encoding="unicode", xml_declaration=True) + "\n"


def suite(validation: Validation, name: str) -> ElementTree.Element:
    """The test suite of one validation, with a name.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> suite(examine("nowhere"), "nest").get("name")
    'nest'
    """
    comparison = validation.comparison
    undecided = comparison.verdict is Verdict.UNDECIDED
    element = ElementTree.Element(
        "testsuite",
        name=clean(name),
        tests=str(len(comparison.tests) + undecided),
        failures=str(len(comparison.different)),
        errors=str(int(undecided)),
        skipped=str(sum(not math.isfinite(test.p) for test in comparison.tests)),
    )
    if undecided:
        case = ElementTree.SubElement(element, "testcase", classname="validate", name="verdict")
        ElementTree.SubElement(case, "error", message=clean(headline(comparison)))
    for test in comparison.tests:
        case = ElementTree.SubElement(
            element,
            "testcase",
            classname=clean(f"validate.{test.population}"),
            name=clean(f"{test.statistic} {test.kind}"),
        )
        if test.differs:
            ElementTree.SubElement(case, "failure", message=clean(describe(test)))
        elif not math.isfinite(test.p):
            ElementTree.SubElement(case, "skipped", message=clean(describe(test)))
    return element


SHOWN = 20  # differences in a summary


def to_markdown(validation: Validation) -> str:
    """The verdict and what differs, for the summary of a job of continuous integration.

    Examples
    --------
    >>> from portable_cortex.validation.verdict import examine
    >>> print(to_markdown(examine("nowhere")).splitlines()[0])
    ### nowhere: could not tell
    """
    comparison = validation.comparison
    verdict = HEADLINES[comparison.verdict]
    lines = [f"### {escaped(validation.name)}: {verdict[0].lower()}{verdict[1:]}", ""]
    lines += [escaped(headline(comparison)), ""]
    if comparison.different:
        lines += ["| population | statistic | run | reference | change | p |", "|---" * 6 + "|"]
    for test in comparison.different[:SHOWN]:
        changed = change(test)
        cells = (
            test.population,
            f"{test.kind} {test.statistic}",
            number(test.value),
            number(test.expected),
            "" if changed is None else percent(changed, signed=True),
            probability(test.p_adjusted).removeprefix("p ").removeprefix("= "),
        )
        lines.append(f"| {' | '.join(map(escaped, cells))} |")
    if len(comparison.different) > SHOWN:
        lines += ["", f"{len(comparison.different) - SHOWN} more differ."]
    for text in (power_sentence(comparison), reference_sentence(validation.self_check)):
        lines += ["", escaped(text)] if text else []
    lines += ["", *(f"* {escaped(note)}" for note in validation.notes)]
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: object) -> str:
    r"""Text that Markdown does not read as its own.

    Examples
    --------
    >>> print(escaped("a|b"))
    a\|b
    """
    shown = clean(str(text)).replace("\n", " ")
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", shown)
