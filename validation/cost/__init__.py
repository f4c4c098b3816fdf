"""What a run cost: time and energy, one's own, side by side, and among the published.

``data/published_performance.csv`` holds the published measurements.
"""

from .accounting import Cost, Figure, Run, as_dict, cost_of, metadata_of
from .benchmarking import (
    PLOT,
    SCALING,
    Benchmark,
    Entry,
    Failure,
    Plan,
    Result,
    Summary,
    benchmark,
    table,
)
from .charts import CHART_HEIGHT, CHART_WIDTH, MARKERS, Chart, charts
from .literature import FAMILIES, PublishedRun, UserRun, published_runs, user_run
from .picture import draw_literature

__all__ = [
    "CHART_HEIGHT",
    "CHART_WIDTH",
    "FAMILIES",
    "MARKERS",
    "PLOT",
    "SCALING",
    "Benchmark",
    "Chart",
    "Cost",
    "Entry",
    "Failure",
    "Figure",
    "Plan",
    "PublishedRun",
    "Result",
    "Run",
    "Summary",
    "UserRun",
    "as_dict",
    "benchmark",
    "charts",
    "cost_of",
    "draw_literature",
    "metadata_of",
    "published_runs",
    "table",
    "user_run",
]
