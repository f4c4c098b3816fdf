"""The validation bites: networks with one deliberate mistake are called different, honest ones not.

The mistakes are those of ``benchmarks/mistakes.py``; ``benchmarks/detect_mistakes.py`` makes the
whole table. The reference was made by NEST, the runs here are another simulator's.
"""

from __future__ import annotations

import pytest

from portable_cortex import run
from portable_cortex.validation.verdict import Verdict, examine

BACKEND = "builtin"


@pytest.fixture(scope="module")
def made(checkout, tmp_path_factory):
    """Run a mistake, once a module."""
    folder = tmp_path_factory.mktemp("mistakes")

    def made(mistake, seed, duration):
        target = folder / f"{mistake}-{seed}-{duration:g}"
        if not target.exists():
            run(
                model=checkout / "benchmarks" / "mistakes.py",
                backend=BACKEND,
                mistake=mistake,
                seed=seed,
                warmup=500.0,
                duration=duration,
            ).save(target)
        return target

    return made


FIVE = range(301, 306)


def against_the_reference(folders):
    return examine(folders, "pd14-0.1-poisson").comparison


def test_an_honest_network_agrees(made):
    result = against_the_reference(made("none", 301, 2000.0))
    assert result.verdict is Verdict.AGREES, result.reason


@pytest.mark.parametrize(
    ("mistake", "seen_in"),
    [
        ("shortcut_synapse_numbers", ("L5I", "rate")),
        ("merged_multapses", ("L5I", "rate")),
        ("l4e_l23e_weight", ("L23E", "rate")),
    ],
)
def test_a_large_mistake_is_found_in_one_run_of_two_seconds(made, call, mistake, seen_in):
    folder = made(mistake, 301, 2000.0)
    assert seen_in in {(t.population, t.statistic) for t in against_the_reference(folder).different}
    status, out, _ = call("validate", folder, "--against", "pd14-0.1-poisson")
    assert status == 1
    assert "Differs" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    "mistake",
    [
        "floored_in_degrees",
        "rounded_probabilities",
        "no_delay_variance",
        "background_1_percent",
        "weights_2_percent",
        "inhibitory_delay",
        "one_step_late",
    ],
)
def test_a_small_mistake_is_found_in_five_runs_of_ten_seconds(made, call, mistake):
    folders = [made(mistake, seed, 10_000.0) for seed in FIVE]
    status, out, _ = call("validate", *folders, "--against", "pd14-0.1-poisson")
    assert status == 1, out


@pytest.mark.slow
def test_five_honest_networks_agree(made):
    result = against_the_reference([made("none", seed, 10_000.0) for seed in FIVE])
    assert result.verdict is Verdict.AGREES, result.reason
