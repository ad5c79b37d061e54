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
from typing import TYPE_CHECKING, Any, Literal, TextIO

from keras_versioned_ckpt._messages import escaped, shortened

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table as RichTable

    from keras_versioned_ckpt._table import Table

# What a drawn table has between two columns.
_BETWEEN = 3
# What is no wider, such as a number or most names, is never broken into pieces.
_NARROW = 12
# What a table on a terminal has besides its rows.
_OTHER_LINES = 8


def prepare() -> None:
    """Makes the standard streams such that whatever there is to say can be said.

    One that was closed (`>&-`) leads nowhere from here on, and no file that is opened
    takes its place. What a stream has no letters for is escaped.
    """
    for name, mode, errors in (
        ("stdin", "r", "replace"),
        ("stdout", "w", "backslashreplace"),
        ("stderr", "w", "backslashreplace"),
    ):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)
        stream = getattr(sys, name)
        # Whoever calls `main` may have put another stream in its place.
        if getattr(stream, "errors", None) == "strict" and hasattr(
            stream, "reconfigure"
        ):
            stream.reconfigure(errors=errors)


def is_terminal(stream: TextIO) -> bool:
    """Says whether somebody sits at the other end who can be shown more than lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def say(line: str = "") -> None:
    """Prints a line whose text is safe to show."""
    print(line, flush=True)


def say_path(path: "Path") -> None:
    """Prints a path: to a shell as the system has it, and safe to show to people."""
    text = str(path)
    if sys.stdout.isatty():
        say(escaped(text))
        return
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # The stream has no letters for it, and a shell needs no letters.
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(text) + b"\n")
        sys.stdout.buffer.flush()
    else:
        say(text)


def complain(line: str) -> None:
    """Prints a line beside what the command answers, if anybody listens."""
    with contextlib.suppress(OSError):
        print(f"keras-ckpt: {escaped(line)}", file=sys.stderr, flush=True)


def show(table: "Table") -> None:
    """Prints a table."""
    if is_terminal(sys.stdout) and (console := _console()):
        drawing = _drawn(table, console.width)
        if drawing is not None:
            console.print(drawing)
            return
    say(str(table))


def _console() -> "Console | None":
    """Returns a console of rich, or `None` where there is no rich."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False)


def _drawn(table: "Table", width: int, *, one_line: bool = False) -> "RichTable | None":
    """Returns a table as rich draws it, or `None` where the terminal is too narrow.

    Args:
        table: The table.
        width: Columns that the terminal has.
        one_line: Whether each row takes one line, and loses what does not fit; else
            it takes as many as it needs.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    from keras_versioned_ckpt._table import WIDEST

    widths = [
        max(len(cell) for cell in column)
        for column in zip(table.head, *table.rows, strict=True)
    ]
    rigid = [column for column, widest in enumerate(widths) if widest <= _NARROW]
    needed = sum(
        (widest if column in rigid else len(table.head[column])) + _BETWEEN
        for column, widest in enumerate(widths)
    )
    if needed > width:
        return None
    caption = Text(table.caption) if table.caption else None
    drawing = RichTable(
        box=SIMPLE_HEAD, caption=caption, caption_justify="left", header_style="bold"
    )
    for column, name in enumerate(table.head):
        drawing.add_column(
            Text(name),
            justify="right" if column in table.numbers else "left",
            no_wrap=column in rigid,
        )
    overflow: Literal["ellipsis", "fold"] = "ellipsis" if one_line else "fold"
    for row in table.rows:
        style = "bold green" if row is table.highlighted else None
        # As `Text`, what comes out of a store is never read as markup.
        cells = [
            Text(shortened(cell, WIDEST), no_wrap=one_line or None, overflow=overflow)
            for cell in row
        ]
        drawing.add_row(*cells, style=style)
    return drawing


def live(picture: Callable[[int], "Table"], interval: float) -> bool:
    """Keeps a table on the terminal up to date, until Ctrl-C.

    Args:
        picture: Returns the table; is given how many rows the terminal has room for.
        interval: Seconds from one to the next.

    Returns:
        `False` at once where that cannot be; otherwise it does not return.
    """
    if not is_terminal(sys.stdout) or (console := _console()) is None:
        return False
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, auto_refresh=False) as live:
        while True:
            table = picture(max(console.height - _OTHER_LINES, 1))
            drawing = _drawn(table, console.width, one_line=True)
            plain = Text(f"{table}\n{table.caption}", no_wrap=True, overflow="ellipsis")
            live.update(drawing or plain, refresh=True)
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
