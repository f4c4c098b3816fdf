"""Each comparison as a `sciunit.Test`, for users of SciUnit, NetworkUnit and the EBRAINS framework.

When it is imported, SciUnit writes ``~/.sciunit/config.json``, logs that it does, and makes the
root logger write to stderr. Where this module is imported first, nothing of this remains.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from portable_cortex.errors import UnknownNameError

from .activity import STATISTICS
from .verdict import ALPHA, Test, Validation, Verdict, describe, examine, probability


@contextlib.contextmanager
def _without_traces() -> Iterator[None]:
    """Import SciUnit, and take away the file and the handler that it leaves."""
    path = Path.home() / ".sciunit" / "config.json"
    existed, folder_existed = path.exists(), path.parent.exists()
    handlers, level = list(logging.root.handlers), logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)
        logging.root.handlers[:] = handlers
        if not existed:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                if not folder_existed:
                    path.parent.rmdir()


try:
    with _without_traces():
        import sciunit
        from sciunit.scores import BooleanScore
        from sciunit.scores.incomplete import InsufficientDataScore
except ImportError:
    raise ImportError(
        "portable_cortex.validation.sciunit_adapter needs SciUnit, which is not installed: run "
        "pip install 'portable-cortex[sciunit]'"
    ) from None
# what SciUnit asks for is in memory now, but for this: it would read, and write, the file again
sciunit.config.setdefault("score_bg_brightness", 50)


class ProbabilityScore(sciunit.Score):  # type: ignore[misc]
    """Probability of a difference as large between honest seeds, adjusted as a `Test`'s is.

    From 0 to 1; below 0.01 the run differs from the reference.
    """

    _allowed_types = (float,)
    _best, _worst = 1.0, 0.0
    _description = f"below {ALPHA:g}, the run differs"

    @property
    def differs(self) -> bool:
        """Whether equality is rejected at the family-wise level."""
        return bool(self.score < ALPHA)

    def __str__(self) -> str:
        return f"{'differs' if self.differs else 'agrees'} ({probability(self.score)})"


class ComparesActivity(sciunit.Capability):  # type: ignore[misc]
    """Has activity that can be compared with a reference."""

    def examine(self, against: str | None) -> Validation:
        """Compare it; see `portable_cortex.validation.verdict.examine`."""
        raise NotImplementedError


class Runs(sciunit.Model, ComparesActivity):  # type: ignore[misc]
    """One run, or several of one network with different seeds that are judged together.

    Parameters
    ----------
    folders : str or Path, or a sequence of them
        As `portable_cortex.validation.verdict.examine` takes them. A `Recording` in memory becomes
        one by `Recording.save`.
    name : str, optional
        For tables; the folders unless given.

    Examples
    --------
    >>> Runs("results/first").name
    'results/first'
    """

    def __init__(self, folders: str | Path | Sequence[str | Path], name: str | None = None) -> None:
        paths = [folders] if isinstance(folders, str | Path) else folders
        self.folders = tuple(map(str, paths))
        self._found: dict[str | None, Validation] = {}  # measured once for all tests
        super().__init__(name or ", ".join(self.folders), folders=self.folders)

    def examine(self, against: str | None) -> Validation:
        """See `ComparesActivity.examine`; each comparison is made once."""
        if against not in self._found:
            self._found[against] = examine(self.folders, against)
        return self._found[against]


class VerdictTest(sciunit.Test):  # type: ignore[misc]
    """Whether runs agree with a reference, by all tests together.

    The score is a `BooleanScore`; an `InsufficientDataScore` with the reason where it cannot be
    told.

    Parameters
    ----------
    against : str or Path, optional
        Name of a reference, its ``.h5`` file, a folder of five runs or more, or the folder of one
        other run. Unless given, the reference that was made under the conditions of the runs.
    name : str, optional
        For tables.

    Examples
    --------
    >>> str(VerdictTest().judge(Runs("nowhere")))
    'Insufficient Data (nowhere holds no run: there is no run.json in it)'
    """

    score_type = BooleanScore
    required_capabilities = (ComparesActivity,)

    def __init__(self, against: str | Path | None = None, name: str = "verdict") -> None:
        super().__init__({"against": None if against is None else str(against)}, name=name)

    def generate_prediction(self, model: ComparesActivity) -> Validation:
        """The comparison of the runs with the reference."""
        return model.examine(self.observation["against"])

    def compute_score(self, observation: dict[str, Any], prediction: Validation) -> sciunit.Score:
        """The score of a comparison."""
        comparison = prediction.comparison
        if comparison.verdict is Verdict.UNDECIDED:
            return InsufficientDataScore(comparison.reason)
        return self.score_of(comparison.tests)

    def score_of(self, tests: Sequence[Test]) -> sciunit.Score:
        """The score of all tests of a comparison that has a verdict."""
        score = BooleanScore(not any(test.differs for test in tests))
        score.description = "; ".join(describe(test) for test in tests if test.differs)
        return score


class StatisticTest(VerdictTest):
    """Whether one statistic of runs agrees with a reference, in all populations.

    The score is the smallest `ProbabilityScore` of its tests. Its ``related_data`` has all of
    them in words.

    Parameters
    ----------
    statistic : str
        One of ``portable_cortex.validation.activity.STATISTICS``.
    against, name
        See `VerdictTest`.

    Raises
    ------
    UnknownNameError
        For a statistic that there is not.

    Examples
    --------
    >>> StatisticTest("cv").name
    'CV of ISI'
    """

    score_type = ProbabilityScore

    def __init__(
        self, statistic: str, against: str | Path | None = None, name: str | None = None
    ) -> None:
        if statistic not in STATISTICS:
            raise UnknownNameError("statistic", statistic, STATISTICS)
        self.statistic = statistic
        super().__init__(against, name or STATISTICS[statistic].title)

    def score_of(self, tests: Sequence[Test]) -> sciunit.Score:
        """The score of this statistic among all tests of a comparison that has a verdict."""
        of_it = sorted(
            (test for test in tests if test.statistic == self.statistic), key=lambda test: test.p
        )
        if not of_it:
            return InsufficientDataScore(f"{self.name} could not be tested")
        related = {"tests": [describe(test) for test in of_it]}
        score = ProbabilityScore(float(of_it[0].p_adjusted), related_data=related)
        score.description = related["tests"][0]
        return score


def suite(against: str | Path | None = None, name: str = "portable-cortex") -> sciunit.TestSuite:
    """The verdict and all statistics, as a suite.

    Parameters
    ----------
    against : str or Path, optional
        See `VerdictTest`.
    name : str

    Examples
    --------
    >>> [test.name for test in suite().tests][:3]
    ['verdict', 'firing rate', 'CV of ISI']
    """
    tests = [VerdictTest(against), *(StatisticTest(name, against) for name in STATISTICS)]
    return sciunit.TestSuite(tests, name=name)
