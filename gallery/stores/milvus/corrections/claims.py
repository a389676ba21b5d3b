"""Claims of servers to a correction, or to other work: one of them does it; and the mark of the last correction."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

from gallery.errors import ChangeUnderWay, StorageError, WorkUnderWay
from gallery.stores.milvus.connection import MilvusConnection, Row, quoted
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.rows import row_id
from gallery.stores.milvus.schema import Collections, with_no_vector
from gallery.times import microseconds_of, now, to_microseconds

INTERRUPTED_AFTER = timedelta(minutes=1)
"""A correction that began longer ago than this is no longer being made, and one that begins later than this from now
was begun by a clock that was wrong. The clocks of servers must differ by much less."""

_KIND = "changes"
# No request id begins with a blank.
_CLAIM = " claim "
_WORK = " work "
_MARK = " mark "


class Claims:
    """Lets one thread of one server at a time work on a change, or do some other work on a gallery.

    A server writes a claim first, and then reads those of others. Of several servers that do so at the same moment, all
    but at most one see another's claim and give up. The claim of a server that died counts for
    :data:`INTERRUPTED_AFTER`; that server itself may go on at once. With a claim to a change goes the mark of its
    gallery, which tells that templates have moved since. Both are rows beside those of the changes, without subjects
    and texts, so no list of changes has them.

    Args:
        milvus: the connection.
        collections: its collections.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections) -> None:
        self._milvus = milvus
        self._collections = collections
        self._server = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._held: set[str] = set()

    @contextmanager
    def held(self, location: GalleryLocation, change_id: str) -> Iterator[None]:
        """Hold the claim to a change.

        Raises:
            ChangeUnderWay: another thread or server has it, or another server had it a moment ago.
        """
        mark = {"id": row_id(location.key, _MARK), "request": f"{_MARK}{secrets.token_hex(8)}"}
        # Both at once: who sees the mark of before sees no template moved, and who sees the claim knows that some may.
        with self._claimed(location, f"{_CLAIM}{change_id}", ChangeUnderWay(), mark):
            yield

    @contextmanager
    def alone(self, location: GalleryLocation, work: str) -> Iterator[None]:
        """Hold the claim to some work on a gallery by which no template goes to another subject.

        Raises:
            WorkUnderWay: another thread or server has it, or another server had it a moment ago.
        """
        busy = WorkUnderWay(f"another server works on the {work} of gallery {location.row['id']!r}")
        with self._claimed(location, f"{_WORK}{work}", busy):
            yield

    def mark(self, location: GalleryLocation) -> str | None:
        """Return the mark of a gallery; ``None`` while somebody holds a claim to a change of it."""
        collection = self._collections.find(_KIND)
        if collection is None:
            return ""
        mark, where = "", f"{location.filter} and request like ' %'"
        for row in self._milvus.query(collection, where, ("request", "until"), strong=True):
            if row["request"].startswith(_MARK):
                mark = row["request"]
            elif row["request"].startswith(_CLAIM) and is_recent(row["until"]):
                return None
        return mark

    @contextmanager
    def _claimed(self, location: GalleryLocation, claimed: str, refusal: StorageError, *further: Row) -> Iterator[None]:
        """Hold a claim, whose row is written together with further ones."""
        mine = row_id(location.key, f"{claimed} {self._server}")
        with self._lock:
            if mine in self._held:
                raise refusal
            self._held.add(mine)
        try:
            with self._written(location, claimed, mine, refusal, further):
                yield
        finally:
            self._held.discard(mine)

    @contextmanager
    def _written(
        self, location: GalleryLocation, claimed: str, mine: str, refusal: StorageError, further: Sequence[Row]
    ) -> Iterator[None]:
        collection = self._collections.ensure(_KIND)
        row = {"gallery": location.key, "one": "", "other": "", "until": to_microseconds(now()), "text": ""}
        rows = [row | {"id": mine, "request": claimed}, *(row | each for each in further)]
        self._milvus.upsert(collection, [with_no_vector(each) for each in rows])
        finished = [mine]
        try:
            of_claim = f"{location.filter} and request == {quoted(claimed)}"
            others = [
                each
                for each in self._milvus.query(collection, of_claim, ("id", "until"), strong=True)
                if each["id"] != mine
            ]
            if any(is_recent(each["until"]) for each in others):
                raise refusal
            yield
            finished += [each["id"] for each in others]
        finally:
            with suppress(StorageError):
                self._milvus.delete(collection, finished)


def is_recent(began: int) -> bool:
    """Tell whether what began at a time, in microseconds since 1970, may still be going on."""
    return abs(to_microseconds(now()) - began) < microseconds_of(INTERRUPTED_AFTER)
