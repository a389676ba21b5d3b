"""The files of an audit log: their names, their order, their lock, and where the last one ends."""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from pathlib import Path

from facet.server.audit.chain.entry import Entry, InvalidLine, parse
from facet.server.audit.errors import AuditBusy

LOCK = "lock"
_NAME = re.compile(r"audit-(\d{12,18})\.jsonl")
MAX_LINE = 2**20
"""Bytes of a line that is read; no entry is nearly as long."""
_TAIL_BYTES = 256 * 2**10


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of the log.

    Attributes:
        path: where it is.
        first: the number of its first entry.
    """

    path: Path
    first: int


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a log ends.

    Attributes:
        entries: the last entries of its last file that has one, in order; at least the last one.
        size: bytes of the last file up to the end of its last whole entry.
        torn: what follows there: the beginning of a line whose writer died.
    """

    entries: tuple[Entry, ...]
    size: int
    torn: bytes


def default_head(folder: Path) -> Path:
    """The file of the head, unless the settings name another."""
    return folder / "head.json"


def default_key(folder: Path) -> Path:
    """The file of the audit key, unless the settings name another: not in the folder, so that copies of it lack it."""
    return folder.absolute().with_name(f"{folder.absolute().name}.key")


def file_name(first: int) -> str:
    """The name of the file whose first entry has this number."""
    return f"audit-{first:012d}.jsonl"


def log_files(folder: Path) -> list[LogFile]:
    """The files of a log, in order.

    Raises:
        OSError: the folder cannot be read.
    """
    named = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
    return sorted((LogFile(path, int(name[1])) for path, name in named if name), key=lambda each: each.first)


def lock(folder: Path) -> int:
    """Lock a log for this process; returns a descriptor that releases it when it is closed.

    Raises:
        AuditBusy: another process has it.
        OSError: the folder cannot be written.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise AuditBusy(f"another server writes its audit log to {folder}: give each its own audit.folder") from error
    return descriptor


def read_tail(path: Path, at_least: int = _TAIL_BYTES) -> Tail:
    """Find the last whole entry of a file.

    Args:
        path: the file.
        at_least: how many bytes to read at its end, if it has them.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        wanted = at_least
        while True:
            start = max(0, end - wanted)
            file.seek(start)
            data = file.read(end - start)
            entries, size = _whole(data, is_start=not start)
            if entries or not start:
                return Tail(entries, start + size if entries else 0, data[size:] if entries else data)
            wanted *= 4


def read_first(path: Path) -> Entry | None:
    """The first entry of a file; ``None`` if it has none.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return parse(file.readline(MAX_LINE).removesuffix(b"\n"))
        except InvalidLine:
            return None


def _whole(data: bytes, *, is_start: bool) -> tuple[tuple[Entry, ...], int]:
    """The last entries in a row at the end of some bytes, and where the last one ends.

    Args:
        data: bytes of a file.
        is_start: whether they begin where a line begins.
    """
    lines = data.split(b"\n")
    offset = len(data) - len(lines.pop())  # what follows the last end of a line is no line
    if lines and not is_start:
        del lines[0]
    entries: list[Entry] = []
    end = 0
    for line in reversed(lines):
        try:
            entries.append(parse(line))
        except InvalidLine:
            if entries:
                break
        else:
            end = end or offset
        offset -= len(line) + 1
    return tuple(reversed(entries)), end
