"""Verifies an audit log: says which entries were edited, cut out, reordered, inserted, or removed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from facet.server.audit.chain.entry import BEGUN, FIRST_HASH, Entry, InvalidLine, parse
from facet.server.audit.chain.files import MAX_LINE, LogFile, log_files
from facet.server.audit.chain.head import Head, SignedHead
from facet.server.audit.chain.keys import AuditKey
from facet.server.audit.chain.log import DAMAGED, KEY_FOUND, REMOVED, TORN, is_before
from facet.server.audit.writer import LOST

_REPORT_BYTES = 2**20
_MOST_PROBLEMS = 1000
_MOST_MISSING = 100_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the server has not written.

    Attributes:
        what: what is wrong.
        file: the name of the file; empty if it concerns the whole log.
        line: the line, from 1; 0 if it concerns none.
        seq: the number of the entry; 0 if it concerns none.
    """

    what: str
    file: str = ""
    line: int = 0
    seq: int = 0

    def __str__(self) -> str:
        where = [self.file, f"line {self.line}" if self.line else "", f"entry {self.seq}" if self.seq else ""]
        place = ", ".join(filter(None, where))
        return f"{place}: {self.what}" if place else self.what


@dataclass(slots=True)
class Verification:
    """What was found.

    Attributes:
        problems: what is wrong, in the order of the log; at most 1000.
        notes: what is worth knowing, and not wrong.
        open_intents: changes that began, and whose outcome is not in the log.
        files: number of files.
        entries: number of entries.
        head: the last entry.
    """

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    open_intents: list[Entry] = field(default_factory=list)
    files: int = 0
    entries: int = 0
    head: Head | None = None


def verify(
    folder: Path,
    heads: Mapping[str, Head],
    key: AuditKey | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Read a whole log, also while a server writes to it.

    Args:
        folder: the log.
        heads: known last entries, read before this is called, by what to call them. Those that were read from a file
            must be written with the key.
        key: the audit key; without it, an entry that was edited and whose hash was made anew is recognised by the next
            entry or by a head only.
        advance: called with numbers of bytes as they are read.

    Raises:
        OSError: the folder or a file cannot be read.
    """
    return _Verifier(heads, key, advance).verify(log_files(folder))


class _Verifier:
    def __init__(self, heads: Mapping[str, Head], key: AuditKey | None, advance: Callable[[int], None]) -> None:
        self._heads = heads
        self._key = key
        self._advance = advance
        self._found = Verification()
        self._last = 0
        """The highest number so far."""
        self._last_hash: str | None = None
        """Its hash; ``None`` if it is not known."""
        self._doubtful = 0
        """How many of the last lines are not the server's: each may stand for an entry, or have been inserted."""
        self._missing: dict[int, Problem] = {}
        self._removed: dict[int, str] = {}
        self._start: Entry | None = None
        self._open: dict[int, Entry] = {}
        self._time = ""
        """The time of the last entry."""
        self._set_back: list[int] = []
        """Entries that are earlier than the one before."""

    def verify(self, files: Sequence[LogFile]) -> Verification:
        for file in files:
            self._read(file, is_last=file is files[-1])
        found = self._found
        found.files = len(files)
        self._check_start()
        self._report_missing()
        for name, head in self._heads.items():
            self._check_head(name, head)
        self._note_clock()
        found.open_intents = list(self._open.values())
        if self._last_hash is not None:
            found.head = Head(self._last, self._last_hash)
        return found

    def _read(self, file: LogFile, *, is_last: bool) -> None:
        unreported = 0
        with file.path.open("rb") as lines:
            for number, line in enumerate(iter(partial(lines.readline, MAX_LINE), b""), start=1):
                if line.endswith(b"\n"):
                    self._take(line[:-1], file.path.name, number)
                elif is_last:
                    self._found.notes.append(f"{file.path.name} ends within a line: a server writes it, or died then")
                else:
                    self._wrong("the file was cut off within this line", file.path.name, number)
                unreported += len(line)
                if unreported >= _REPORT_BYTES:
                    self._advance(unreported)
                    unreported = 0
        self._advance(unreported)

    def _take(self, line: bytes, file: str, number: int) -> None:
        try:
            entry = parse(line)
        except InvalidLine as error:
            self._last, self._last_hash, self._doubtful = self._last + 1, None, self._doubtful + 1
            self._wrong(str(error), file, number, self._last)
            return
        self._found.entries += 1
        is_genuine = self._key is None or entry.mac == self._key.mac_of_entry(entry.hash)
        if not is_genuine:
            what = "it was not written with the audit key: it was edited or inserted, and its hash made to fit"
            self._wrong(what, file, number, entry.seq)
        self._check_place(entry, file, number, is_genuine=is_genuine)
        if is_genuine:
            self._learn(entry, file, number)
        for name, head in self._heads.items():
            if head.seq == entry.seq and head.hash != entry.hash:
                self._wrong(
                    f"it is not the entry that {name} names: it was edited or replaced", file, number, entry.seq
                )

    def _check_place(self, entry: Entry, file: str, number: int, *, is_genuine: bool) -> None:
        """Check that an entry follows the one before; the next one is then expected to follow it."""
        if self._start is None and not self._last:
            self._start, self._last, self._last_hash = entry, entry.seq - 1, entry.prev
        earliest, latest = self._last + 1 - self._doubtful, self._last + 1
        if not is_genuine and entry.seq != latest:
            return
        if entry.seq < earliest:
            if self._missing.pop(entry.seq, None) is not None:
                self._wrong(f"it stands after entry {self._last}: lines were reordered", file, number, entry.seq)
            else:
                self._wrong(f"it stands after entry {self._last}: it was inserted", file, number, entry.seq)
            return
        if entry.seq > latest:
            self._note_missing(latest, entry.seq - 1, file, number)
        elif entry.seq == latest and self._last_hash not in (None, entry.prev):
            what = f"it does not follow entry {self._last}: one of the two was edited or replaced"
            self._wrong(what, file, number, entry.seq)
        self._last = entry.seq
        self._last_hash, self._doubtful = (entry.hash, 0) if is_genuine else (None, self._doubtful + 1)

    def _note_missing(self, first: int, last: int, file: str, number: int) -> None:
        problem = Problem("", file, number, first)
        if last - first < _MOST_MISSING:
            self._missing.update(dict.fromkeys(range(first, last + 1), problem))
        else:
            self._wrong(f"entries {first} to {last} were cut out before this line", file, number)

    def _report_missing(self) -> None:
        """Report numbers that did not turn up later either."""
        for first, last in _ranges(sorted(self._missing)):
            what = "it was" if first == last else f"entries {first} to {last} were"
            problem = self._missing[first]
            self._wrong(f"{what} cut out before this line", problem.file, problem.line, first)

    def _learn(self, entry: Entry, file: str, number: int) -> None:
        draft = entry.draft
        if is_before(draft.time, self._time):
            self._set_back.append(entry.seq)
        self._time = draft.time
        if draft.outcome == BEGUN:
            self._open[entry.seq] = entry
        elif draft.intent:
            self._open.pop(draft.intent, None)
        match draft.action:
            case str(action) if action == REMOVED:
                if isinstance(through := draft.facts.get("through"), int):
                    self._removed[through] = str(draft.facts.get("hash", ""))
            case str(action) if action == DAMAGED:
                what = f"the server found when it started: {draft.facts.get('problem', '')}"
                self._wrong(what, file, number, entry.seq)
            case str(action) if action == TORN:
                kept = draft.facts.get("file", "")
                self._found.notes.append(f"entry {entry.seq}: a line that a crash had cut off is kept in {kept}")
            case str(action) if action == KEY_FOUND:
                self._found.notes.append(
                    f"entry {entry.seq}: the log began with a key that was there: an earlier log was removed or moved "
                    "away, or somebody made the key"
                )
            case str(action) if action == LOST:
                lost = draft.facts.get("entries", 0)
                self._found.notes.append(f"entry {entry.seq}: {lost} entries were lost while the disk was full")

    def _note_clock(self) -> None:
        if self._set_back:
            first, more = self._set_back[0], len(self._set_back) - 1
            also = f", and {more} times later" if more else ""
            self._found.notes.append(f"entry {first}: it is earlier than the one before{also}: the clock was set back")

    def _check_start(self) -> None:
        start = self._start
        if start is None or (start.seq == 1 and start.prev == FIRST_HASH):
            return
        if self._removed.get(start.seq - 1) != start.prev:
            self._wrong(f"the log begins with entry {start.seq}: what was before was removed, and not by the server")
        else:
            self._found.notes.append(f"the log begins with entry {start.seq}: the server removed older files")

    def _check_head(self, name: str, head: Head) -> None:
        if isinstance(head, SignedHead) and self._key is not None and not head.is_of(self._key):
            self._wrong(f"{name} was not written with the audit key")
        if head.seq > self._last:
            first = self._last + 1
            what = f"entry {first} was" if first == head.seq else f"entries {first} to {head.seq} were"
            self._wrong(f"{what} removed at the end: {name} is entry {head.seq}")
        elif head.seq < self._last:
            self._found.notes.append(f"{self._last - head.seq} entries were written after {name}")

    def _wrong(self, what: str, file: str = "", line: int = 0, seq: int = 0) -> None:
        if len(self._found.problems) < _MOST_PROBLEMS:
            self._found.problems.append(Problem(what, file, line, seq))


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last number of each run without a gap."""
    first = last = 0
    for number in numbers:
        if first and number == last + 1:
            last = number
            continue
        if first:
            yield first, last
        first = last = number
    if first:
        yield first, last
