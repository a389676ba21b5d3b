"""What other servers have changed in the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg

from gallery.errors import GalleryNotFound
from gallery.stores.feed import ChangesForgotten, GalleryChanges, GalleryRevision, Hold
from gallery.stores.postgres.connection.database import Connection, PostgresDatabase
from gallery.stores.postgres.corrections.distinct_pairs import read_pairs
from gallery.stores.postgres.expiry import next_expiry
from gallery.stores.postgres.notes import GALLERY_ITSELF
from gallery.stores.postgres.rows import find_gallery
from gallery.stores.postgres.template_pages import embedded_of_subjects, living_subjects
from gallery.times import Clock, from_microseconds, microseconds_of, to_microseconds

KEEP_CHANGES = timedelta(minutes=10)
"""How long a server may be away and still read only what has changed. Then it loads the galleries anew."""
_REVISION = "SELECT revision FROM galleries WHERE gallery_id = %s AND NOT is_hidden"
_STATE = """
    SELECT galleries.key, revision, feed_start, create_time, own.contract, other.contract
    FROM galleries JOIN contracts AS own ON own.key = contract_key LEFT JOIN contracts AS other ON other.key = other_key
    WHERE gallery_id = %s AND NOT is_hidden
"""
_NOTED = "SELECT DISTINCT subject_id FROM feed WHERE gallery_key = %s AND revision > %s"
_SLICE_SECONDS = 0.2
"""How soon it ends to wait when it is told to."""
_PRUNE = b"""
    WITH old AS (
        DELETE FROM feed WHERE time < %(until)s
            AND gallery_key IN (SELECT key FROM galleries FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING gallery_key, revision
    )
    UPDATE galleries SET feed_start = GREATEST(feed_start, last.revision)
    FROM (SELECT gallery_key, max(revision) AS revision FROM old GROUP BY gallery_key) AS last
    WHERE key = last.gallery_key
"""


class PostgresFeed:
    """See :class:`gallery.stores.feed.ChangeFeed`.

    A gallery's revision is raised while its row is locked, so revisions are in the order in which their transactions
    commit. The feed names subjects. Whoever reads it reads them as they are now.

    Args:
        database: the open database.
        clock: tells the time.
    """

    def __init__(self, database: PostgresDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._is_closed = threading.Event()
        self._connection: Connection | None = None

    def revisions(self) -> dict[str, GalleryRevision]:
        """See :meth:`gallery.stores.feed.ChangeFeed.revisions`."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT gallery_id, create_time, revision FROM galleries WHERE NOT is_hidden")
            return {each: GalleryRevision(from_microseconds(time), revision) for each, time, revision in rows}

    def revision(self, gallery_id: str) -> GalleryRevision:
        """See :meth:`gallery.stores.feed.ChangeFeed.revision`."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT create_time, revision FROM galleries WHERE gallery_id = %s AND NOT is_hidden", (gallery_id,)
            ).fetchone()
        if row is None:
            raise GalleryNotFound(gallery_id)
        return GalleryRevision(from_microseconds(row[0]), row[1])

    def changes(self, gallery_id: str, *, after: int) -> GalleryChanges | None:
        """See :meth:`gallery.stores.feed.ChangeFeed.changes`."""
        with self._database.reading() as connection:
            row = connection.execute(_STATE, (gallery_id,)).fetchone()
            if row is None:
                raise GalleryNotFound(gallery_id)
            key, revision, start, create_time, *contracts = row
            if after == revision:
                return None
            # It has gone back if a standby was promoted that lacked the last transactions.
            if not start <= after <= revision:
                raise ChangesForgotten
            noted = frozenset(each for (each,) in connection.execute(_NOTED, (key, after)))
            subject_ids = noted - {GALLERY_ITSELF}
            now = to_microseconds(self._clock())
            living = living_subjects(connection, key, subject_ids, now)
            is_changed = GALLERY_ITSELF in noted
            return GalleryChanges(
                from_microseconds(create_time),
                revision,
                find_gallery(connection, gallery_id, now) if is_changed else None,
                read_pairs(connection, key, now) if is_changed or subject_ids - living else None,
                next_expiry(connection, key, now),
                subject_ids,
                living,
                {
                    contract: embedded_of_subjects(connection, key, subject_ids, contract, now)
                    for contract in contracts
                    if contract is not None
                },
            )

    @contextmanager
    def exclusive(self, gallery_id: str) -> Iterator[Hold]:
        """See :meth:`gallery.stores.feed.ChangeFeed.exclusive`."""
        hold = Hold()
        with self._database.exclusive(gallery_id) as connection:
            yield hold
            connection.autocommit = True
            row = connection.execute(_REVISION, (gallery_id,)).fetchone()
            hold.revision = None if row is None else int(row[0])

    def wait(self, timeout: float) -> None:
        """See :meth:`gallery.stores.feed.ChangeFeed.wait`; one thread may wait."""
        with self._database.failures.translated():
            try:
                if self._connection is None:
                    # What changed before it listened was not told: look once more.
                    self._connection = self._database.listen()
                    return
                until = time.monotonic() + timeout
                while not self._is_closed.is_set() and (left := until - time.monotonic()) > 0:
                    if any(True for _ in self._connection.notifies(timeout=min(left, _SLICE_SECONDS), stop_after=1)):
                        return
            except psycopg.Error:
                self._stop_listening()
                raise

    def prune(self) -> None:
        """See :meth:`gallery.stores.feed.ChangeFeed.prune`."""
        until = to_microseconds(self._clock()) - microseconds_of(KEEP_CHANGES)
        with self._database.writing() as connection:
            connection.execute(_PRUNE, {"until": until})

    def stop_waiting(self) -> None:
        """See :meth:`gallery.stores.feed.ChangeFeed.stop_waiting`."""
        self._is_closed.set()

    def close(self) -> None:
        """See :meth:`gallery.stores.feed.ChangeFeed.close`."""
        self.stop_waiting()
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
