"""The command ``portable-cortex``: the only room that knows all others.

Importing it costs nothing: `entry` answers Ctrl-C before `commands` brings numpy and the like.
"""

__all__ = [
    "commands",  # the commands themselves
    "entry",  # the door: whatever happens inside, a sentence and a status come out
    "job",  # the command in a process that ends with the one that started it
]
