"""Every command with its options, from the commands themselves, as ``--help`` has them.

python docs/site/options.py > docs/options.md
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from portable_cortex.cli.commands import app

HEAD = """\
# Every command and its options

What `portable-cortex COMMAND --help` says, on one page. [The command line](command_line.md) says
what the commands have in common.
"""


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([HEAD, *_command(get_command(app), "portable-cortex")]).rstrip() + "\n"


def _command(command: Any, name: str) -> Iterator[str]:
    """What a command says of itself, then its own commands."""
    inner = [c for c in getattr(command, "commands", {}).values() if not c.hidden]
    if name != "portable-cortex":
        yield f"## `{name}`\n"
        for paragraph in (command.help or "").split("\n\n"):
            yield textwrap.fill(paragraph, 100, break_on_hyphens=False) + "\n"
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    rows = [(f"`{_cell(p.metavar or p.name.upper())}`", p) for p in arguments]
    rows += [(", ".join(f"`{text}`" for text in (*p.opts, *p.secondary_opts)), p) for p in options]
    if rows:
        yield "| | | unless given |\n|---|---|---|"
        for label, parameter in rows:
            yield f"| {label} | {_cell(parameter.help or '')} | {_default(parameter)} |"
        yield ""
    lines = [text.strip() for text in (command.epilog or "").splitlines()[1:] if text.strip()]
    if lines:
        yield 'For example:\n\n```sh not-run="they are run where they are explained"'
        yield from lines
        yield "```\n"
    for one in inner:
        yield from _command(one, f"{name} {one.name}")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(parameter: Any) -> str:
    """What holds where nothing is given: nothing, where that says nothing."""
    value = parameter.default
    if value is None or value is False or value == () or callable(value):
        return "required" if parameter.required else ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    print(page(), end="")
