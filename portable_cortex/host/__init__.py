"""The process and the computer: what is the same whatever is simulated.

It knows no network and no file format, and imports nothing but numpy: jobs at the portal carry it.
"""

__all__ = [
    "cache",  # where compiled code is kept
    "children",  # programs that are started, and end with this one
    "clock",  # wall-clock and processor time of phases
    "compiling",  # said, since it takes long
    "garbage",  # when Python searches for it
    "interruption",  # Ctrl-C and SIGTERM
    "output",  # files that are whole or not there; streams that nobody reads
    "parallel",  # the processes that mpirun started
    "provenance",  # versions, processor, memory
    "quiet",  # simulators that print
    "untrusted",  # text of others: read and shown
]
