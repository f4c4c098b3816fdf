"""The contract suite, for backends of other packages.

``pip install 'portable-cortex[testing]'``, then, where the backend is installed::

    pytest -p portable_cortex.testing.plugin --backend X --pyargs portable_cortex.testing.contract

with ``--option NAME=VALUE`` for an option of it,
or, among tests of one's own, ``pytest_plugins = ["portable_cortex.testing.plugin"]`` in
``conftest.py`` and ``from portable_cortex.testing.contract import *`` in a test file. What a
backend cannot do it says in `Backend.cannot`, with the reason, which skips what needs it.
"""

__all__ = [
    "contract",  # the tests
    "plugin",  # the fixtures that they take
]
