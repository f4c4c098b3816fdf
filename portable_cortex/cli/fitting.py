"""Currents of neurons in an impact: those of the package, those that are kept, or found now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calibration import SCALES, Calibration, calibrate
from ..errors import OutputError, SimulationError
from ..models.calibrated import CALIBRATED, CURRENTS
from ..models.loader import load_model

if TYPE_CHECKING:
    from ..validation.impact import Plan, Variant

ISOLATED = "Fitted: one constant current for each population, to the rate of isolated neurons"
MATCHED = "Fitted: one constant current for each population, to the rates of the network as it runs"


def fitted_currents(
    variant: Variant, plan: Plan, folder: Path, matched: bool, progress: Callable[[str], None]
) -> Variant:
    """A change of the neuron with the currents that give it its rates, found now if need be.

    Parameters
    ----------
    matched : bool
        Whether the rates are those of the network as it runs, not of isolated neurons.
    """
    own = dict(variant.parameters)
    neuron = own.pop("neuron", None)
    if neuron is None or "currents" in own or "currents" not in load_model(plan.model).parameters:
        return variant
    given = {**plan.parameters, **own}
    of_isolated = {k: v for k, v in given.items() if k not in SCALES}
    if not matched and _is_shipped(neuron, plan, own, given):
        return _with(variant, CALIBRATED, ISOLATED)

    def told(what: str) -> None:
        progress(f"calibrating {variant.name}: {what}")

    def isolated() -> dict[str, Any]:
        return calibrate(neuron, plan.model, on_progress=told, **of_isolated).to_dict()

    try:
        kept = _kept(folder, "calibration", neuron, [plan.model, of_isolated], isolated)
        found = _read(kept, Calibration.from_dict)
        if not matched:
            return _with(variant, found.currents, ISOLATED)
        seed = max(plan.seeds) + 1  # what is judged has others

        def in_network() -> dict[str, Any]:
            from ..matching import match

            return match(found, seed=seed, on_progress=told, **given).to_dict()

        kept = _kept(folder, "match", neuron, [plan.model, given, seed], in_network)
    except SimulationError as error:
        raise SimulationError(
            f"{variant.name} cannot be calibrated ({error}): leave it out, or calibrate none "
            "(--uncalibrated)"
        ) from error
    return _with(variant, _read(kept, lambda values: values["currents"]), MATCHED)


def _is_shipped(neuron: str, plan: Plan, own: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    return (
        plan.model == "pd14" and neuron in CURRENTS and not own and "neuron_parameters" not in given
    )


def _with(variant: Variant, currents: Mapping[str, float] | str, said: str) -> Variant:
    return replace(variant, parameters={**variant.parameters, "currents": currents}, fitted=said)


def _kept(
    folder: Path, kind: str, neuron: str, of: list[Any], find: Callable[[], dict[str, Any]]
) -> Path:
    """Where it is kept what was found before, or now."""
    from ..validation.pages import write_text

    path = Path(neuron)
    text = path.read_text("utf-8") if path.is_file() else neuron
    digest = hashlib.sha256(json.dumps([*of, text]).encode()).hexdigest()[:8]
    kept = folder / f"{kind}-{path.stem}-{digest}.json"
    if not kept.is_file():
        write_text(kept, json.dumps(find(), indent=1) + "\n", "calibration")
    return kept


def _read(kept: Path, read: Callable[[dict[str, Any]], Any]) -> Any:
    try:
        return read(json.loads(kept.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{kept} is no readable calibration: remove it") from error
