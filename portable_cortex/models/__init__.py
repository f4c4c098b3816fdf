"""Networks, written once in PyNN, and what finds them: by name, or in a file of the user's.

A model is a module with ``build(sim, ...)``. Imports PyNN and numpy only: jobs at the portal carry
it.
"""

__all__ = [
    "brunel2000",  # the network of Brunel (2000)
    "calibrated",  # currents with which other neurons fire as those of the microcircuit
    "cortical_sheet",  # columns of the microcircuit side by side
    "discretisation",  # weights that take a few values only
    "hypercolumns",  # sheets of them, and partners of cells by their distance
    "interneurons",  # a barrel column with PV, SOM and VIP neurons
    "loader",  # a model by its name or its file
    "parameters",  # the numbers of the microcircuit, with their sources
    "pd14",  # the cortical microcircuit of Potjans & Diesmann (2014)
    "scaling",  # the microcircuit at a fraction of its size
    "schwalger2017",  # the microcircuit with neurons that fire by chance
    "sonata",  # networks in files of the SONATA format
    "thalamus",  # pulses of its spikes
    "user_code",  # what is said of a mistake in a user's file
    "v1_isolated",  # primary visual cortex by itself
    "v1_layer4c",  # layer 4Calpha of primary visual cortex
    "wiring",  # distributions of synapses, and drive
]
