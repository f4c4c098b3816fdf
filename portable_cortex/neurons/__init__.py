"""Neuron models: written once in NESTML, and taken by each backend in one neutral form."""
