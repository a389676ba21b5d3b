"""What all commands share: exit codes, and output for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from facet.terminal.visible import json_line, visible

DONE, FAILED, USAGE = 0, 1, 2
INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells report it: 128 + SIGINT."""


class _Console(Console):
    """A console that shows what acts on a terminal as escapes."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Make rich's text of a string, which may be a cell or a title of a table."""
        return super().render_str(visible(text), **options)


# Names, ids and paths are printed as they are: "a[/b]" is not markup, and ":man:" is not an emoji. For colours, print a
# rich.text.Text; of a text from elsewhere, visible() makes one that is safe. Lines are never wrapped, so that paths in
# them can be copied; tables fit the width: that of the terminal, COLUMNS, or 80.
out = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of tables.")]


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print one line that says what went wrong, and exit."""
    err.print(message)
    raise typer.Exit(code)


@contextmanager
def telling_when_stopped(state: Callable[[], str]) -> Iterator[None]:
    """If Ctrl-C ends the block, print "stopped" and what ``state`` returns, and exit with :data:`INTERRUPTED`."""
    try:
        yield
    except KeyboardInterrupt:
        err.print(f"stopped: {state()}")
        raise typer.Exit(INTERRUPTED) from None


def print_json(value: Any) -> None:
    """Print one line of JSON on standard output."""
    print(json_line(value), flush=True)


class _Speed(ProgressColumn):
    """Steps per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {self._unit}/s" if speed else "")


@contextmanager
def progress(description: str, total: int | None, *, done: int = 0, unit: str = "") -> Iterator[Progress]:
    """Show a progress bar on standard error if it is a terminal; ``advance(progress.task_ids[0])`` moves it.

    Args:
        description: shown beside the bar.
        total: number of steps; ``None`` while it is not known.
        done: number of steps that were done before.
        unit: what a step is, in the plural. If given, the bar also shows steps per second.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *((_Speed(unit),) if unit else ()),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal or err.is_dumb_terminal) as bar:
        bar.add_task(description, total=total, completed=done)
        yield bar
