"""What the spikes of a run say: samples of each statistic of each population.

Pure functions of spikes (`statistics`) and of two samples (`distances`), the table of what is
measured (`STATISTICS`), and the statistics that the INM-6 package took of its own recordings.
Nothing here judges.
"""

from .distances import effect_size, kl, ks, sketch, wasserstein
from .measurement import (
    LINEAR,
    LOGARITHM,
    MIN_VALUES,
    STATISTICS,
    Activity,
    Scale,
    Statistic,
    Until,
    measure,
    of_rates,
)
from .package_statistics import Beside, beside, has_statistics
from .statistics import (
    LOWEST_FREQUENCY,
    OFFSET,
    SYNCHRONY_BIN,
    Spectrum,
    active_neurons,
    power_spectrum,
)

__all__ = [
    "LINEAR",
    "LOGARITHM",
    "LOWEST_FREQUENCY",
    "MIN_VALUES",
    "OFFSET",
    "STATISTICS",
    "SYNCHRONY_BIN",
    "Activity",
    "Beside",
    "Scale",
    "Spectrum",
    "Statistic",
    "Until",
    "active_neurons",
    "beside",
    "effect_size",
    "has_statistics",
    "kl",
    "ks",
    "measure",
    "of_rates",
    "power_spectrum",
    "sketch",
    "wasserstein",
]
