"""What the commands of ``facet keys`` share: the file, times, and how a caller is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from facet.cli.shared.durations import duration, is_duration
from facet.server.access.callers import callers_file
from facet.server.access.callers.callers_file import CallerEntry, CallersFileError, in_utc
from facet.server.config import ConfigError, load
from facet.terminal import console

CallersPath = Annotated[
    Path | None,
    typer.Option(
        "--callers",
        metavar="FILE",
        help="The callers file; by default that of the settings, facet.callers.json beside the database.",
        show_default=False,
    ),
]
ConfigPath = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The server's file of settings.", show_default=False)
]
CallerIds = Annotated[list[str], typer.Argument(metavar="ID...", help="Callers, as listed.", show_default=False)]


def path_of(callers: Path | None, config: Path | None) -> Path:
    """The callers file: as given, or by the server's settings; exits with a usage error if they are wrong."""
    if callers is not None:
        return callers
    try:
        return load(file=config).callers_file
    except ConfigError as error:
        console.fail(str(error), console.USAGE)


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Exit with one line if the callers file cannot be read or written in the block."""
    try:
        yield
    except CallersFileError as error:
        console.fail(str(error))
    except OSError as error:
        console.fail(f"cannot use {path}: {error.strerror}")


def entries_of(path: Path) -> list[CallerEntry]:
    """The callers of a file; exits with one line if it does not exist or cannot be used."""
    with usable(path):
        try:
            return list(callers_file.read(path).callers)
        except FileNotFoundError:
            console.fail(
                f"there is no callers file {path.resolve()}: make the first caller with facet keys create, or name "
                "another file with --callers"
            )


def positions(entries: list[CallerEntry], ids: list[str], path: Path) -> list[int]:
    """Where callers are in the list; exits if one of them is not. They may be named as in logs, such as ``key:ID``."""
    by_id = {each.id: index for index, each in enumerate(entries)}
    wanted = [each.rpartition(":")[2] for each in ids]
    if missing := [each for each in wanted if each not in by_id]:
        console.fail(f"there is no caller {missing[0]} in {path}: facet keys list shows them; nothing was changed")
    return [by_id[each] for each in dict.fromkeys(wanted)]


def moment(text: str, now: datetime, option: str) -> datetime:
    """Parse an end: a time from now, or a date or time (ISO 8601) after now. Without a zone it is UTC."""
    if is_duration(text):
        if (left := duration(text, option)) <= timedelta():
            raise typer.BadParameter(f"{text} is over at once: the caller could never get in", param_hint=option)
        return now + left
    try:
        found = datetime.fromisoformat(text)
        found = in_utc(found) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a time such as 90d or 24h nor a date such as 2027-01-31", param_hint=option
        ) from None
    if found <= now:
        raise typer.BadParameter(f"{text} is in the past", param_hint=option)
    return found


def print_key(entry: CallerEntry, key: str, path: Path, *, as_json: bool) -> None:
    """Print a new key, alone on standard output, and how to use it on standard error."""
    if as_json:
        console.print_json(described(entry) | {"key": key, "callers": str(path)})
        return
    console.err.print(f"the key of {entry.label or entry.id} ({entry.id}), which is shown only now:")
    console.out.print(key)
    console.err.print(
        "Commands and programs take it from the environment: FACET_TOKEN=KEY facet status. Keep it as secret as a "
        "password; facet keys rotate makes another one."
    )


def described(entry: CallerEntry) -> dict[str, object]:
    """A caller for programs, without its hash."""
    found: dict[str, object] = entry.model_dump(mode="json", exclude={"sha256", "previous"}, exclude_none=True)
    return found
