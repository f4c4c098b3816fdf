"""Reference ensembles, made by ``benchmarks/make_reference.py``."""
