"""What a command prints: for people at a terminal, or plain text, or for scripts.

A terminal gets tables and bars that `rich` draws, which comes with Keras; it obeys
`NO_COLOR` and the like. Everything else, a pipe or a file, gets plain text, for which
nothing has to be imported.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from keras_versioned_ckpt._messages import escaped

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from keras_versioned_ckpt._table import Table

# What a table on a terminal has besides its rows.
_OTHER_LINES = 8


def is_terminal(stream: TextIO) -> bool:
    """Says whether somebody sits at the other end who can be shown more than lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def say(line: str = "") -> None:
    """Prints a line whose text is safe to show."""
    print(line, flush=True)


def complain(line: str) -> None:
    """Prints a line beside what the command answers."""
    print(f"keras-ckpt: {escaped(line)}", file=sys.stderr, flush=True)


def show(table: "Table") -> None:
    """Prints a table."""
    drawing = drawn(table) if is_terminal(sys.stdout) else None
    if drawing is None:
        say(str(table))
    else:
        from rich.console import Console

        Console(highlight=False).print(drawing)


def drawn(table: "Table") -> "RichTable | None":
    """Returns a table as rich draws it, or `None` where there is no rich."""
    try:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table as RichTable
        from rich.text import Text
    except ImportError:
        return None
    caption = Text(table.caption) if table.caption else None
    drawing = RichTable(
        box=SIMPLE_HEAD, caption=caption, caption_justify="left", header_style="bold"
    )
    for column, name in enumerate(table.head):
        is_number = column in table.numbers
        drawing.add_column(Text(name), justify="right" if is_number else "left")
    for row in table.rows:
        style = "bold green" if row is table.highlighted else None
        # As `Text`, what comes out of a store is never read as markup.
        drawing.add_row(*map(Text, row), style=style)
    return drawing


def live(picture: Callable[[int], "Table"], interval: float) -> bool:
    """Keeps a table on the terminal up to date, until Ctrl-C.

    Args:
        picture: Returns the table; is given how many rows the terminal has room for.
        interval: Seconds from one to the next.

    Returns:
        `False` at once where that cannot be; otherwise it does not return.
    """
    if not is_terminal(sys.stdout) or (first := drawn(picture(1))) is None:
        return False
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with Live(first, console=console, auto_refresh=False) as live:
        while True:
            rows = max(console.height - _OTHER_LINES, 1)
            live.update(drawn(picture(rows)) or "", refresh=True)
            time.sleep(interval)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], object]]:
    """Shows how far it is, if standard error is a terminal.

    Args:
        what: What is being done, in a word or two.

    Yields:
        What is to be told how many bytes are done, and how many there are.
    """
    bar = _bar() if is_terminal(sys.stderr) else None
    if bar is None:
        yield lambda done, total: None
        return
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _bar() -> Any:
    try:
        from rich import progress as bars
        from rich.console import Console
    except ImportError:
        return None
    return bars.Progress(
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def asked(question: str) -> bool:
    """Asks on standard error, and says whether the answer was yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    return answer.strip().lower() in ("y", "yes")
