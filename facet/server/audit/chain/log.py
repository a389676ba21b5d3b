"""The log on disk: appends entries to files, begins new files, removes old ones, and keeps the head.

Not for several threads at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

import structlog

from facet.server.audit.chain import files
from facet.server.audit.chain.entry import FIRST_HASH, Draft, Entry, seal
from facet.server.audit.chain.files import LogFile, Tail, file_name, log_files, read_first, read_tail
from facet.server.audit.chain.head import NO_ENTRY, Head, InvalidHead, SignedHead, read_head, write_head
from facet.server.audit.chain.keys import AuditKey, load_key, make_key
from facet.server.audit.errors import AuditError, AuditKeyError
from facet.server.audit.protocol import Fact
from gallery import times
from gallery.folders import sync_folder

Fsync = Literal["always", "interval", "never"]
SERVER = "server"
"""The caller of what the server does by itself."""
CLOCK_STEP = timedelta(minutes=1)
"""A clock that goes back by more was set back: entries that wait for each other differ by less."""
_DAY = len("2026-11-26")
_TIMES_BYTES = 8 * 2**10
TORN, DAMAGED, REMOVED, KEY_FOUND = "torn_line_kept", "damage_found", "files_removed", "key_found"

_log = structlog.get_logger("facet.audit")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where a log is, and how long.

    Attributes:
        folder: its folder; made if it does not exist.
        head: the file of its head.
        key_file: the file of the audit key; made if there is no log yet.
        fsync: when entries must be on disk.
        max_file_bytes: a file that would become longer is followed by a new one.
        keep_files: how many files to keep, the current one included; 0 for all.
        keep_days: how long to keep a file after its last entry, with a new file each day; 0 for ever.
    """

    folder: Path
    head: Path
    key_file: Path
    fsync: Fsync = "interval"
    max_file_bytes: int = 64 * 2**20
    keep_files: int = 0
    keep_days: int = 0


class AuditLog:
    """Opens a log and goes on where it ended, whatever its writer died of.

    Args:
        settings: where it is.

    Attributes:
        key: the audit key.
        damage: what was wrong with the log when it was opened, in words; empty if nothing was.

    Raises:
        AuditBusy: another server writes to it.
        AuditKeyError: the key is missing although there is a log, is unreadable, or is not the log's.
        AuditError: folder, head or key cannot be written.
    """

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._file = -1
        self._seq, self._prev = 0, FIRST_HASH
        self._day = ""
        """The day of the file's first entry; empty while it has none."""
        self._latest = ""
        """The latest time in the file; empty while it has none."""
        self._stuck: set[Path] = set()
        """Files that are to be removed and cannot be."""
        self._is_dirty = False
        """Whether the file may hold a part of a line that could not be written in full."""
        try:
            settings.folder.mkdir(0o700, parents=True, exist_ok=True)
            self._lock = files.lock(settings.folder)
        except OSError as error:
            raise AuditError(f"cannot keep an audit log in {settings.folder}: {error.strerror}") from error
        try:
            self._open()
        except OSError as error:
            self.close()
            raise AuditError(
                f"cannot keep an audit log: {error.filename or settings.folder}: {error.strerror}"
            ) from error
        except BaseException:
            self.close()
            raise

    @property
    def head(self) -> Head:
        """The last entry."""
        return Head(self._seq, self._prev)

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        """Append entries, if any; returns their numbers.

        They are handed to the system, and on disk after :meth:`sync_entries`.

        Raises:
            OSError: they cannot be written. Then none of them is in the log.
            AuditError: the same, because another program has changed the file.
        """
        if not drafts:
            return []
        seq, prev, lines = self._seq, self._prev, []
        for draft in drafts:
            seq += 1
            line, prev = seal(draft, seq, prev, self.key)
            lines.append(line)
        data = b"".join(lines)
        self._check_file()
        times_of = [draft.time for draft in drafts]
        is_full = self._size + len(data) > self._settings.max_file_bytes
        if self._size and (is_full or self._is_of_another_day() or is_before(min(times_of), self._latest)):
            self._begin_file()
        self._write(data)
        self._day = self._day or times_of[0][:_DAY]
        self._latest = max(self._latest, *times_of)
        numbers = list(range(self._seq + 1, seq + 1))
        self._seq, self._prev = seq, prev
        return numbers

    def sync_entries(self) -> None:
        """Bring all entries to disk, unless ``fsync`` is ``never``.

        Raises:
            OSError: the disk fails.
        """
        if self._settings.fsync != "never":
            os.fdatasync(self._file)

    def sync(self) -> None:
        """Bring all entries to disk, unless ``fsync`` is ``never``, and then the head.

        Raises:
            OSError: the disk fails.
        """
        self.sync_entries()
        write_head(self._settings.head, self.head, self.key, durable=self._settings.fsync != "never")

    def trim(self) -> None:
        """Remove files that are older than is kept. An entry first says where the log begins afterwards.

        Raises:
            OSError: the entry cannot be written.
        """
        count = len(log_files(self._settings.folder))
        for oldest, following in pairwise(log_files(self._settings.folder)):
            if oldest.path in self._stuck or not self._is_superfluous(oldest, count):
                break
            last = read_tail(oldest.path).entries[-1:]
            through, digest = (last[0].seq, last[0].hash) if last else (following.first - 1, "")
            self.append([_by_server(REMOVED, {"file": oldest.path.name, "through": through, "hash": digest})])
            self.sync()
            count -= 1
            try:
                oldest.path.unlink()
                sync_folder(self._settings.folder)
            except OSError as error:
                self._stuck.add(oldest.path)  # else each attempt would have an entry
                _log.warning("cannot remove an old file of the audit log", file=str(oldest.path), error=error.strerror)

    def close(self) -> None:
        """Release the files."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _open(self) -> None:
        found = log_files(self._settings.folder)
        last_file, tail = _last(found)
        head = self._read_head()
        self.key, is_new = self._load_key(has_log=bool(found) or head is not None)
        last = tail.entries[-1] if tail.entries else None
        self._check_key(last, head)
        self.damage = "" if not found and head is None else _damage(tail, head, self.key)
        anchored = head.seq if head is not None and head.is_of(self.key) else 0
        self._seq = max(last.seq if last else 0, anchored)
        self._prev = last.hash if last else FIRST_HASH
        if not found and head is None:
            write_head(self._settings.head, NO_ENTRY, self.key, durable=True)
        self._keep_torn(last_file, tail)
        if last_file is None:
            self._begin_file()
        else:
            self._take_file(last_file.path, os.O_RDWR)
        if notes := [*self._torn_notes(), *self._damage_notes(last, head), *self._key_notes(is_new=is_new)]:
            self.append(notes)
            self.sync()
        self.trim()

    def _read_head(self) -> SignedHead | None:
        try:
            return read_head(self._settings.head)
        except FileNotFoundError:
            return None
        except InvalidHead:
            return SignedHead(0, "", "")

    def _load_key(self, *, has_log: bool) -> tuple[AuditKey, bool]:
        """The key, and whether it was made now."""
        path = self._settings.key_file
        try:
            return load_key(path), False
        except FileNotFoundError:
            if has_log:
                raise AuditKeyError(
                    f"the audit key {path} is missing, and the log in {self._settings.folder} was written with it: "
                    "restore the key, or move the log and its head away to begin a new log"
                ) from None
            return make_key(path), True

    def _check_key(self, last: Entry | None, head: SignedHead | None) -> None:
        """Refuse a key that neither the last entry nor the head was written with."""
        signed = [last.mac == self.key.mac_of_entry(last.hash)] if last else []
        signed += [head.is_of(self.key)] if head is not None and head.mac else []
        if signed and not any(signed):
            raise AuditKeyError(
                f"{self._settings.key_file} is not the key that the log in {self._settings.folder} was written with: "
                "restore that key, or move the log and its head away to begin a new log"
            )

    def _keep_torn(self, last_file: LogFile | None, tail: Tail) -> None:
        """Move what follows the last whole line to a file of its own. A repetition does the same again."""
        if last_file is None or not tail.torn:
            return
        kept = self._torn_path(tail.torn)
        descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, tail.torn)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self._settings.folder)
        os.truncate(last_file.path, tail.size)

    def _torn_path(self, torn: bytes) -> Path:
        return self._settings.folder / f"torn-after-{self._seq:012d}-{hashlib.sha256(torn).hexdigest()[:16]}"

    def _torn_notes(self) -> list[Draft]:
        """Tell of lines that were torn after the last entry; a crash may have kept an earlier start from doing so."""
        kept = sorted(self._settings.folder.glob(f"torn-after-{self._seq:012d}-*"))
        return [_by_server(TORN, {"file": path.name, "bytes": path.stat().st_size}) for path in kept]

    def _damage_notes(self, last: Entry | None, head: SignedHead | None) -> list[Draft]:
        if not self.damage:
            return []
        _log.error("the audit log was damaged", problem=self.damage, folder=str(self._settings.folder))
        facts: dict[str, Fact] = {"problem": self.damage, "last_found": last.seq if last else 0}
        if head is not None:
            facts |= {"head": str(head)}
        return [_by_server(DAMAGED, facts)]

    def _key_notes(self, *, is_new: bool) -> list[Draft]:
        """Tell of a key that is older than the log: who removes log and head cannot make their beginning look new."""
        return [_by_server(KEY_FOUND, {})] if self._seq == 0 and not is_new else []

    def _begin_file(self) -> None:
        if self._file >= 0:
            os.fdatasync(self._file)
        path = self._settings.folder / file_name(self._seq + 1)
        self._take_file(path, os.O_RDWR | os.O_CREAT)
        sync_folder(self._settings.folder)

    def _take_file(self, path: Path, flags: int) -> None:
        descriptor = os.open(path, flags | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._path, self._size = descriptor, path, os.fstat(descriptor).st_size
        first = read_first(path)
        self._day = first.draft.time[:_DAY] if first is not None else ""
        self._latest = latest_time(path) if first is not None else ""

    def _check_file(self) -> None:
        """Write only to the file that others find, and that nobody else has changed."""
        if self._is_dirty:
            self._undo()
        opened, named = os.fstat(self._file), self._path.stat()
        if (opened.st_dev, opened.st_ino) != (named.st_dev, named.st_ino) or opened.st_size != self._size:
            raise AuditError(f"{self._path} was changed by another program: restart the server, which notes it")

    def _write(self, data: bytes) -> None:
        try:
            _write_all(self._file, data)
        except BaseException:
            self._is_dirty = True
            with suppress(OSError):
                self._undo()
            raise
        self._size += len(data)

    def _undo(self) -> None:
        os.ftruncate(self._file, self._size)
        self._is_dirty = False

    def _is_of_another_day(self) -> bool:
        """Whether the file began before today, so that it would keep old entries for longer than is wanted."""
        return bool(self._settings.keep_days) and self._day != time_text(times.now())[:_DAY]

    def _is_superfluous(self, oldest: LogFile, count: int) -> bool:
        settings = self._settings
        if settings.keep_files and count > settings.keep_files:
            return True
        if not settings.keep_days:
            return False
        entries = read_tail(oldest.path).entries
        return bool(entries) and _age(entries[-1]) > timedelta(days=settings.keep_days)


def time_text(moment: datetime) -> str:
    """A time in UTC as entries have it."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def is_before(time: str, other: str) -> bool:
    """Whether a time of an entry is before another one by so much that the clock was set back."""
    if time >= other:
        return False
    try:
        return datetime.fromisoformat(other) - datetime.fromisoformat(time) > CLOCK_STEP
    except (ValueError, TypeError):  # no server has written it
        return False


def latest_time(path: Path) -> str:
    """The latest time in a file, whose entries follow each other in time: a clock that is set back begins a new file.

    Raises:
        OSError: it cannot be read.
    """
    return max((entry.draft.time for entry in read_tail(path, at_least=_TIMES_BYTES).entries), default="")


def _age(entry: Entry) -> timedelta:
    return times.now() - datetime.fromisoformat(entry.draft.time)


def _by_server(action: str, facts: Mapping[str, Fact]) -> Draft:
    return Draft(time_text(times.now()), action, caller=SERVER, facts=facts)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _last(found: Sequence[LogFile]) -> tuple[LogFile | None, Tail]:
    """The last file, and the end of the log, which is in the file before if the last one has no entry yet."""
    tail = Tail((), 0, b"")
    if not found:
        return None, tail
    tail = read_tail(found[-1].path)
    for earlier in reversed(found[:-1]):
        if tail.entries:
            break
        tail = Tail(read_tail(earlier.path).entries, 0, tail.torn)
    return found[-1], tail


def _damage(tail: Tail, head: SignedHead | None, key: AuditKey) -> str:
    """What is wrong with the end of a log, compared with its head; empty if nothing is."""
    last = tail.entries[-1] if tail.entries else None
    if head is None:
        return "the head is missing"
    if not head.is_of(key):
        return "the head was not written with the audit key"
    if head.seq > (last.seq if last else 0):
        return "the log ends before its head: entries are missing at its end"
    if last is not None and last.mac != key.mac_of_entry(last.hash):
        return "the last entry was not written with the audit key"
    anchored = next((each for each in tail.entries if each.seq == head.seq), None)
    if anchored is not None and anchored.hash != head.hash:
        return "the entry that the head names is another one"
    return ""
