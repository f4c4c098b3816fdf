"""Comparison of recordings with a reference, and what a run cost."""
