"""Comparisons as SciUnit's tests and scores."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from recordings import as_simulated

from portable_cortex import Recording, Spikes
from portable_cortex.errors import UnknownNameError
from portable_cortex.validation.activity import STATISTICS
from portable_cortex.validation.sciunit_adapter import (
    ProbabilityScore,
    Runs,
    StatisticTest,
    VerdictTest,
    suite,
)
from portable_cortex.validation.verdict import describe, examine

# after the adapter, which keeps it from writing into the home folder
import sciunit  # isort: skip
from sciunit.scores import BooleanScore  # isort: skip
from sciunit.scores.incomplete import InsufficientDataScore, NAScore  # isort: skip


@pytest.fixture(scope="module")
def differing(mock_run, tmp_path_factory):
    """A run in which a population lost half of its spikes."""
    recording = Recording.load(mock_run)
    times, neurons = recording.spikes("L4E")
    keep = np.random.default_rng(1).random(times.size) < 0.5
    trains = {**recording.spike_trains, "L4E": Spikes(times[keep], neurons[keep])}
    folder = tmp_path_factory.mktemp("runs") / "differing"
    return dataclasses.replace(recording, spike_trains=trains).save(folder)


@pytest.fixture(scope="module")
def scores(mock_run, mock_reference, differing):
    short = as_simulated(scale=0.02, warmup=0.0, duration=100.0)
    folder = short.save(differing.parent / "short")
    models = [Runs(mock_run, "honest"), Runs(differing, "differing"), Runs(folder, "short")]
    return suite(mock_reference).judge(models)


def test_a_suite_gives_a_matrix_of_scores(scores):
    assert isinstance(scores, sciunit.ScoreMatrix)
    titles = [statistic.title for statistic in STATISTICS.values()]
    assert [test.name for test in scores.tests] == ["verdict", *titles]
    assert [model.name for model in scores.models] == ["honest", "differing", "short"]
    assert scores.shape == (3, len(titles) + 1)


def test_the_verdict(scores):
    honest, differing, short = scores["verdict"]
    assert isinstance(honest, BooleanScore)
    assert (honest.score, differing.score) == (True, False)
    assert "L4E, mean firing rate" in differing.describe()
    assert isinstance(short, InsufficientDataScore)
    assert "too short: 100 ms" in str(short)


def test_the_score_of_a_statistic_is_that_of_the_comparison(scores, differing, mock_reference):
    tests = examine(differing, mock_reference).comparison.tests
    for name, statistic in STATISTICS.items():
        score = scores["differing"][statistic.title]
        of_it = [test for test in tests if test.statistic == name]
        assert isinstance(score, ProbabilityScore)
        assert score.score == min(test.p_adjusted for test in of_it)
        assert score.differs == any(test.differs for test in of_it)
        assert set(score.related_data["tests"]) == {describe(test) for test in of_it}
        assert score.description == score.related_data["tests"][0]
    assert scores["differing"]["firing rate"].differs
    assert str(scores["differing"]["firing rate"]).startswith("differs (p ")
    assert not scores["honest"]["firing rate"].differs
    assert scores["honest"]["firing rate"] > scores["differing"]["firing rate"]
    assert 0 <= scores["honest"]["firing rate"].norm_score <= 1


def test_several_runs_are_judged_together(mock_run, mock_reference, tmp_path):
    second = as_simulated(scale=0.02, warmup=0.0, duration=2000.0, seed=4)
    model = Runs([mock_run, second.save(tmp_path / "second")])
    assert VerdictTest(mock_reference).judge(model).score is True
    assert len(model.examine(str(mock_reference)).folders) == 2


def test_a_comparison_is_made_once_for_all_tests(mock_run, mock_reference):
    model = Runs(mock_run)
    first = VerdictTest(mock_reference).judge(model).prediction
    assert StatisticTest("cv", mock_reference).judge(model).prediction is first


def test_mistakes(mock_run):
    with pytest.raises(UnknownNameError, match=r"unknown statistic 'rates'.*did you mean 'rate'"):
        StatisticTest("rates")
    with pytest.raises(UnknownNameError, match="unknown reference 'pd15'"):
        VerdictTest("pd15").judge(Runs(mock_run))
    score = VerdictTest().judge(Runs("nowhere"))
    assert "nowhere holds no run" in str(score)
    assert isinstance(VerdictTest().judge(sciunit.Model()), NAScore)  # it has no activity


IMPORT = (
    "import json, logging, sys\n"
    "import portable_cortex.validation.sciunit_adapter as adapter\n"
    "str(adapter.VerdictTest().judge([adapter.Runs('nowhere')]))\n"
    "print(json.dumps([len(logging.root.handlers), adapter.sciunit.config['cmap_high']]))"
)


@pytest.mark.parametrize("settings", [None, {"cmap_high": 7}])
def test_nothing_is_written_into_the_home_folder(tmp_path, settings):
    file = tmp_path / ".sciunit" / "config.json"
    if settings is not None:
        file.parent.mkdir()
        file.write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT],
        env={**os.environ, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [0, 218 if settings is None else 7]
    assert "Config file" not in done.stderr
    if settings is None:
        assert not file.parent.exists()
    else:
        assert json.loads(file.read_text()) == settings


def test_without_sciunit(monkeypatch):
    code = (
        "import sys; sys.modules['sciunit'] = None\n"
        "import portable_cortex.validation.sciunit_adapter"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'portable-cortex[sciunit]'" in done.stderr
