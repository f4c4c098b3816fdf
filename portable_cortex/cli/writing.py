"""Files that a command writes in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console

from ..host import interruption


def write(files: Iterable[tuple[Path | None, Callable[[], str], str]]) -> dict[str, Path]:
    """Write what was asked for; whoever interrupts is told what is there already.

    Parameters
    ----------
    files : iterable of (Path or None, callable, str)
        Where, what gives the text, and what it is called; None for what nobody asked for.

    Returns
    -------
    dict of str to Path
        What was written.

    Raises
    ------
    OutputError
        If a file cannot be written.

    Examples
    --------
    >>> write([(None, lambda: "", "page")])
    {}
    """
    from ..validation.pages import write_text

    written: dict[str, Path] = {}
    interruption.tell(lambda: f"written: {', '.join(written) or 'nothing'}.")
    for path, text_of, what in files:
        if path is not None:
            text = text_of()
            with interruption.shielded():
                written[what] = write_text(path, text, what)
    return written


def show(written: dict[str, Path], console: Console) -> None:
    """Print where everything is.

    Examples
    --------
    >>> show({"page": Path("page.html")}, Console())
    page             page.html
    """
    for what, path in written.items():
        console.print(f"{what:17}{path}", soft_wrap=True, markup=False, highlight=False)
