"""PyNN programs that are drawn, run on every backend and by a small interpreter, and compared.

`program` is a program as data, `draw` draws them, `execute` runs one on a PyNN namespace (`worker`
in a process of its own), `interpreter` says what each should give, `compare` finds differences.
``python -m differential -n 1000 --seed 3`` (in ``tests/``) runs many.
"""
