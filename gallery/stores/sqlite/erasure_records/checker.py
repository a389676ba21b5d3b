"""Searches the files of a database for the bytes of what was erased, and completes the records of the erasures."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gallery.errors import StorageError
from gallery.records.erasures import Erasure, ErasureOutcome
from gallery.stores.sqlite.erasure_records import table
from gallery.stores.sqlite.erasure_records.byte_search import ByteSearch
from gallery.stores.sqlite.erasure_records.evidence import Evidence, kept_values
from gallery.stores.sqlite.erasure_records.table import Check
from gallery.stores.sqlite.file.database import SqliteDatabase
from gallery.stores.sqlite.file.files import connect_checkpointer, storage_errors

MOST_BYTES = 1 << 32
"""Of the database that one pass searches: two seconds, from memory. Of a larger one it searches evenly spaced parts."""
_MOST_OTHER_BYTES = 1 << 30
"""Of the other files in the folder."""
_SHARE_OF_TIME = 0.1
"""The most of a core's time that goes into searching, while erasures follow each other."""
_RETRY_SECONDS = 1.0
_RETRY_UNEXPECTED_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GoneErasure:
    """An erasure whose bytes should be in no file any more.

    Attributes:
        erasure_id: its record.
        evidence: what to search for; ``None`` if an earlier process erased it.
        gone_time: when the files had no traces of it.
    """

    erasure_id: str
    evidence: Evidence | None
    gone_time: datetime


class ErasureChecker:
    """Checks erasures on a thread of its own, all that wait in one pass over the files.

    Args:
        database: the open database.
        on_checked: called with each completed record, on that thread.
        most_bytes: see :data:`MOST_BYTES`.
    """

    def __init__(
        self,
        database: SqliteDatabase,
        on_checked: Callable[[Erasure], None] | None = None,
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._database = database
        self._on_checked = on_checked
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._waiting: list[GoneErasure] = []
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def check(self, erasures: Sequence[GoneErasure]) -> None:
        """Check these erasures soon."""
        with self._lock:
            self._waiting += erasures
            if self._waiting and self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="erasure-check", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Complete the records that wait, and end the thread; the database must be open."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting, []
                if not batch:
                    self._thread = None
                    return
            began = time.monotonic()
            try:
                completed = self._complete(batch)
            except Exception as error:
                with self._lock:
                    self._waiting = batch + self._waiting
                if self._closing.is_set():
                    return  # the next process completes the records
                pause = _RETRY_SECONDS
                if not isinstance(error, (OSError, StorageError)):
                    # A bug. The thread goes on: else no erasure would be proven until the next start.
                    _log.exception("cannot check erasures")
                    pause = _RETRY_UNEXPECTED_SECONDS
            else:
                self._tell(completed)
                pause = (time.monotonic() - began) / _SHARE_OF_TIME
            self._closing.wait(pause)

    def _tell(self, completed: Sequence[Erasure]) -> None:
        for erasure in completed:
            try:
                if self._on_checked is not None:
                    self._on_checked(erasure)
            except Exception:  # the record is complete all the same
                _log.exception("cannot tell of a checked erasure")

    def _complete(self, batch: Sequence[GoneErasure]) -> list[Erasure]:
        checks = self._searched(batch)
        completed = []
        # The old record is no personal data, but with its traces gone the file is clean when it is closed.
        with self._database.writing(erases=True) as connection:
            for gone, check in zip(batch, checks, strict=True):
                completed.append(table.complete(connection, gone.erasure_id, gone.gone_time, check))
        for gone in batch:
            if gone.evidence is not None:
                gone.evidence.forget()
        return [erasure for erasure in completed if erasure is not None]

    def _searched(self, batch: Sequence[GoneErasure]) -> list[Check]:
        known = [gone.evidence.values if gone.evidence is not None else [] for gone in batch]
        values = [value for each in known for value in each]
        search = ByteSearch(values)
        in_own: set[int] = set()
        searched = present = 0
        for descriptor in self._own_files():
            found, read, size = search.in_file(descriptor, most_bytes=self._most_bytes)
            in_own, searched, present = in_own | found, searched + read, present + size
        in_others = self._in_other_files(search) if values else []
        kept = self._kept(values, in_own)
        checks, first = [], 0
        for gone, own in zip(batch, known, strict=True):
            numbers = set(range(first, first + len(own)))
            first += len(own)
            outcome = ErasureOutcome.FOUND if numbers & (in_own - kept) else ErasureOutcome.NOT_FOUND
            if gone.evidence is None:
                checks.append(Check(ErasureOutcome.NOT_SEARCHED))
                continue
            others = sum(bool(numbers & found) for found in in_others)
            checks.append(Check(outcome, len(own), len(numbers & kept), searched, present, others))
        return checks

    def _kept(self, values: Sequence[bytearray], found: set[int]) -> set[int]:
        """Return those of the values found that living templates have: the same picture may be enrolled twice."""
        if not found:
            return set()
        numbers = sorted(found)
        path = self._database.path
        with storage_errors(path), closing(connect_checkpointer(path)) as connection:
            kept = kept_values(connection, [values[number] for number in numbers])
        return {numbers[each] for each in kept}

    def _own_files(self) -> Iterator[int]:
        """Yield descriptors of the database's files. Those with SQLite's locks are never opened and closed here."""
        yield from self._database.descriptors
        for suffix in ("-wal", ".lock", ".keys"):
            with suppress(OSError), _opened(self._path(suffix)) as descriptor:
                yield descriptor

    def _in_other_files(self, search: ByteSearch) -> list[set[int]]:
        """Return what is in each of the other files of the folder, the newest first, as far as the budget goes."""
        own = {_identity(os.fstat(each)) for each in self._database.descriptors}
        own |= {_identity(path.stat()) for path in map(self._path, ("-wal", ".lock", ".keys")) if path.exists()}
        budget = _MOST_OTHER_BYTES
        found: list[set[int]] = []
        with suppress(OSError):
            files = [entry for entry in os.scandir(self._database.path.parent) if entry.is_file(follow_symlinks=False)]
            for entry in sorted(files, key=lambda each: each.stat().st_mtime, reverse=True):
                if budget <= 0 or _identity(entry.stat()) in own:
                    continue
                with suppress(OSError), _opened(Path(entry.path)) as descriptor:
                    values, read, _ = search.in_file(descriptor, most_bytes=budget)
                    budget -= read
                    found.append(values)
        return [each for each in found if each]

    def _path(self, suffix: str) -> Path:
        return self._database.path.with_name(self._database.path.name + suffix)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
