"""Reads an audit log, also while a server writes to it: its entries in order, or those that somebody looks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO

from facet.server.audit.chain.entry import Entry, InvalidLine, parse
from facet.server.audit.chain.files import MAX_LINE, LogFile, log_files, read_first
from facet.server.audit.chain.log import latest_time, time_text

_MARGIN = timedelta(hours=1)
"""Times of entries are those of a clock that may be set; files that begin or end this much outside are not read."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries somebody looks for; what is empty or ``None`` permits all.

    Attributes:
        since: the earliest time.
        until: the time before which they are.
        caller: the id of the caller's identity.
        gallery: the gallery.
        subjects: the subject's id and its keyed hash: either is in a log, as its server is set.
        action: what was done.
        permits: whether somebody may see an entry of this gallery, which is empty for entries of none.
    """

    since: datetime | None = None
    until: datetime | None = None
    caller: str = ""
    gallery: str = ""
    subjects: Sequence[str] = ()
    action: str = ""
    permits: Callable[[str], bool] = lambda _: True

    def has(self, entry: Entry) -> bool:
        """Whether it is one of them."""
        draft = entry.draft
        return (
            (not self.caller or draft.caller == self.caller)
            and (not self.gallery or draft.gallery == self.gallery)
            and (not self.subjects or draft.subject in self.subjects)
            and (not self.action or draft.action == self.action)
            and (self.since is None or draft.time >= time_text(self.since))
            and (self.until is None or draft.time < time_text(self.until))
            and self.permits(draft.gallery)
        )


@dataclass(frozen=True, slots=True)
class Position:
    """Where to begin to read.

    Attributes:
        seq: the number of the first entry.
        offset: where in its file it is expected to begin; elsewhere it is looked for.
    """

    seq: int = 1
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries.

    Attributes:
        entries: those found.
        following: where to go on; ``None`` if all have been read.
    """

    entries: Sequence[Entry]
    following: Position | None


_BEGIN = Position()


def entries(folder: Path, wanted: Wanted, advance: Callable[[int], None] = lambda _: None) -> Iterator[Entry]:
    """Yield the entries that are wanted. What is no entry is skipped.

    Args:
        folder: the log.
        wanted: which.
        advance: called with numbers of bytes as they are read.

    Raises:
        OSError: a file cannot be read.
    """
    for entry, _, size in _all(folder, wanted, _BEGIN):
        advance(size)
        if entry is not None and wanted.has(entry):
            yield entry


def page(folder: Path, wanted: Wanted, start: Position, *, most: int, most_bytes: int) -> Page:
    """Read some entries.

    Args:
        folder: the log.
        wanted: which.
        start: where to begin.
        most: how many entries at most, at least 1.
        most_bytes: how many bytes of the log to read for them, about.

    Raises:
        OSError: a file cannot be read.
    """
    found: list[Entry] = []
    read = 0
    for entry, offset, size in _all(folder, wanted, start):
        if entry is not None and entry.seq >= start.seq:
            if len(found) == most or read > most_bytes:
                return Page(found, Position(entry.seq, offset))
            if wanted.has(entry):
                found.append(entry)
        read += size
    return Page(found, None)


def _all(folder: Path, wanted: Wanted, start: Position) -> Iterator[tuple[Entry | None, int, int]]:
    """The lines from a position on: the entry, where it begins in its file, and its bytes."""
    for file in _relevant(log_files(folder), wanted, start.seq):
        with file.path.open("rb") as lines:
            offset = start.offset if _is_at(lines, start) else 0
            lines.seek(offset)
            for line in iter(partial(lines.readline, MAX_LINE), b""):
                yield _entry(line), offset, len(line)
                offset += len(line)


def _is_at(lines: BinaryIO, start: Position) -> bool:
    if not start.offset:
        return False
    lines.seek(start.offset)
    entry = _entry(lines.readline(MAX_LINE))
    return entry is not None and entry.seq == start.seq


def _relevant(found: Sequence[LogFile], wanted: Wanted, from_seq: int) -> Iterator[LogFile]:
    for number, file in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        if following is not None and following.first <= from_seq:
            continue
        # Times of other files say nothing about this one: the clock may have been set.
        if following is not None and _ends_before(file, wanted.since):  # the last file still grows
            continue
        if _begins_after(file, wanted.until):
            continue
        yield file


def _ends_before(file: LogFile, moment: datetime | None) -> bool:
    return moment is not None and "" < latest_time(file.path) < time_text(moment - _MARGIN)


def _begins_after(file: LogFile, moment: datetime | None) -> bool:
    first = read_first(file.path) if moment is not None else None
    return first is not None and moment is not None and first.draft.time >= time_text(moment + _MARGIN)


def _entry(line: bytes) -> Entry | None:
    try:
        return parse(line.removesuffix(b"\n"))
    except InvalidLine:
        return None
