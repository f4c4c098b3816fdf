"""Mean-field theory of what a description builds: rates, irregularity, oscillations.

===============  ===============================================================
`neuron`         a leaky integrate-and-fire neuron with fluctuating input
`network`        populations and what connects them, in expected numbers
`reading`        that from a description in PyNN
`stationary`     the stationary state
`spectra`        oscillations around it, and which connections make them
`prediction`     all of it, for a model
===============  ===============================================================
"""

TYPE_CHECKING = False  # typing itself takes its time
if TYPE_CHECKING:
    from .network import Connection, Distribution, Drive, Network
    from .neuron import METHODS, Cells, Input, cv, gains, rate, transfer
    from .prediction import HIGHEST, Prediction, predict
    from .reading import read
    from .spectra import Peak, Spectra
    from .stationary import WorkingPoint, working_point

__all__ = [
    "HIGHEST",
    "METHODS",
    "Cells",
    "Connection",
    "Distribution",
    "Drive",
    "Input",
    "Network",
    "Peak",
    "Prediction",
    "Spectra",
    "WorkingPoint",
    "cv",
    "gains",
    "predict",
    "rate",
    "read",
    "transfer",
    "working_point",
]

if not TYPE_CHECKING:
    from .._lazy import lazy

    __getattr__, __dir__ = lazy(
        __name__,
        {
            "network": "Connection Distribution Drive Network",
            "neuron": "METHODS Cells Input cv gains rate transfer",
            "prediction": "HIGHEST Prediction predict",
            "reading": "read",
            "spectra": "Peak Spectra",
            "stationary": "WorkingPoint working_point",
        },
    )
