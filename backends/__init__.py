"""Simulators and machines behind the PyNN description; each module is imported on first use."""
