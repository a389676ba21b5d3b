"""What other servers have changed in the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import psycopg

from gallery.errors import GalleryNotFound
from gallery.records.templates import EmbeddedTemplates
from gallery.stores.columns import expiries_of
from gallery.stores.feed import FIRST, ChangesForgotten, GalleryChanges, GalleryRevision, Hold, Revision, TemplateOwners
from gallery.stores.postgres.connection.database import Connection, Cursor, PostgresDatabase
from gallery.stores.postgres.corrections.distinct_pairs import read_pairs
from gallery.stores.postgres.expiry import ask_for_expiries
from gallery.stores.postgres.keys import LOCK, contract_key_of, gallery_key_of
from gallery.stores.postgres.notes import GALLERY_ITSELF, LATEST
from gallery.stores.postgres.rows import embedded_of, find_gallery
from gallery.stores.postgres.template_pages import (
    ask_for_embedded,
    ask_for_living,
    copied_by_age,
    embedded_of_keys,
    owners_by_age,
)
from gallery.times import Clock, from_microseconds, microseconds_of, to_microseconds

KEEP_CHANGES = timedelta(minutes=10)
"""How long a server may be away and still read only what has changed. Then it loads the galleries anew."""
_REVISIONS = f"""
    SELECT gallery_id, create_time, revision, token::TEXT, epoch::TEXT
    FROM galleries CROSS JOIN LATERAL {LATEST} AS latest WHERE NOT is_hidden
"""  # noqa: S608 - only the constant above is inserted, as below
_REVISION = f"{_REVISIONS} AND gallery_id = %s"
_STATE = f"""
    SELECT galleries.key, create_time, revision, token::TEXT, own.key, own.contract, other.key, other.contract
    FROM galleries CROSS JOIN LATERAL {LATEST} AS latest
        JOIN contracts AS own ON own.key = contract_key LEFT JOIN contracts AS other ON other.key = other_key
    WHERE gallery_id = %s AND NOT is_hidden
"""  # noqa: S608
_SINCE = """
    SELECT revision, token::TEXT, subject_ids FROM galleries JOIN revisions ON gallery_key = galleries.key
    WHERE gallery_id = %s AND NOT is_hidden AND revision >= %s ORDER BY revision
"""
_COPY_AT_ONCE = 16_384
"""Templates that one statement copies: it must end within the time that a statement may take."""
_TEMPLATES_PER_PAGE = 1024
_Page = TypeVar("_Page", EmbeddedTemplates, TemplateOwners)
_SLICE_SECONDS = 0.2
"""How soon it ends to wait when it is told to."""
# The last revision of a gallery stays for its number, its token and the counts; whom it was about is forgotten.
_PRUNE = """
    WITH last AS (
        SELECT gallery_key, max(revision) AS revision FROM revisions WHERE time < %(until)s GROUP BY gallery_key
    ), forgotten AS (
        UPDATE revisions SET subject_ids = NULL FROM last
        WHERE revisions.gallery_key = last.gallery_key AND revisions.revision = last.revision
            AND subject_ids IS NOT NULL
    )
    DELETE FROM revisions USING last
    WHERE revisions.gallery_key = last.gallery_key AND revisions.revision < last.revision
"""


class PostgresFeed:
    """See :class:`gallery.stores.feed.ChangeFeed`.

    Revisions are added while the gallery is locked, so they are in the order in which their transactions commit. They
    name subjects. Whoever reads them reads the subjects as they are now.

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
            return {gallery_id: _revision(*columns) for gallery_id, *columns in connection.execute(_REVISIONS.encode())}

    def revision(self, gallery_id: str) -> GalleryRevision:
        """See :meth:`gallery.stores.feed.ChangeFeed.revision`."""
        with self._database.reading() as connection:
            row = connection.execute(_REVISION.encode(), (gallery_id,)).fetchone()
        if row is None:
            raise GalleryNotFound(gallery_id)
        return _revision(*row[1:])

    def changes(self, gallery_id: str, *, after: Revision) -> GalleryChanges | None:
        """See :meth:`gallery.stores.feed.ChangeFeed.changes`."""
        with self._database.reading() as connection:
            with connection.pipeline():
                found = connection.execute(_STATE.encode(), (gallery_id,))
                since = connection.execute(_SINCE, (gallery_id, after.number))
            row = found.fetchone()
            if row is None:
                raise GalleryNotFound(gallery_id)
            key, create_time, number, token, own_key, own, other_key, other = row
            revision = Revision(number, token)
            if after == revision:
                return None
            noted = _noted(since, after)
            subject_ids = noted - {GALLERY_ITSELF}
            now = to_microseconds(self._clock())
            contracts = {own: own_key} if other is None else {own: own_key, other: other_key}
            with connection.pipeline():
                alive = ask_for_living(connection, key, subject_ids, now)
                expiries = ask_for_expiries(connection, key, subject_ids)
                embedded = {
                    contract: ask_for_embedded(connection, key, subject_ids, contract_key, now)
                    for contract, contract_key in contracts.items()
                }
            living = frozenset(subject_id for (subject_id,) in alive)
            is_changed = GALLERY_ITSELF in noted
            return GalleryChanges(
                from_microseconds(create_time),
                revision,
                find_gallery(connection, gallery_id, now) if is_changed else None,
                read_pairs(connection, key, now) if is_changed or subject_ids - living else None,
                expiries_of(expiries),
                subject_ids,
                living,
                {contract: embedded_of(rows.fetchall()) for contract, rows in embedded.items()},
            )

    def templates(self, gallery_id: str, *, contract: str = "") -> Iterator[EmbeddedTemplates]:
        """See :meth:`gallery.stores.feed.ChangeFeed.templates`."""
        return self._copied(copied_by_age, gallery_id, contract)

    def owners(self, gallery_id: str, *, contract: str = "") -> Iterator[TemplateOwners]:
        """See :meth:`gallery.stores.feed.ChangeFeed.owners`."""
        return self._copied(owners_by_age, gallery_id, contract)

    def embedded(self, gallery_id: str, keys: Sequence[int], *, contract: str = "") -> EmbeddedTemplates:
        """See :meth:`gallery.stores.feed.ChangeFeed.embedded`."""
        with self._database.reading() as connection:
            key, now = gallery_key_of(connection, gallery_id), to_microseconds(self._clock())
            return embedded_of_keys(connection, key, contract, now, keys)

    def of_subjects(self, gallery_id: str, subject_ids: Collection[str], *, contract: str) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.feed.ChangeFeed.of_subjects`."""
        with self._database.reading() as connection:
            key, now = gallery_key_of(connection, gallery_id), to_microseconds(self._clock())
            contract_key = contract_key_of(connection, contract)
            return embedded_of(ask_for_embedded(connection, key, subject_ids, contract_key, now).fetchall())

    @contextmanager
    def exclusive(self, gallery_id: str) -> Iterator[Hold]:
        """See :meth:`gallery.stores.feed.ChangeFeed.exclusive`."""
        hold = Hold()
        with self._database.exclusive(gallery_id) as connection:
            yield hold
            connection.autocommit = True
            hold.revision = _latest(connection.execute(_REVISION.encode(), (gallery_id,)))

    @contextmanager
    def one_transaction(self, gallery_id: str) -> Iterator[Hold]:
        """See :meth:`gallery.stores.feed.ChangeFeed.one_transaction`."""
        hold = Hold()
        with self._database.one_transaction(gallery_id, LOCK, gallery_id) as connection:
            yield hold
            with connection.pipeline():
                latest = connection.execute(_REVISION.encode(), (gallery_id,))
                connection.commit()
        hold.revision = _latest(latest)

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
            connection.execute(_PRUNE.encode(), {"until": until})

    def stop_waiting(self) -> None:
        """See :meth:`gallery.stores.feed.ChangeFeed.stop_waiting`."""
        self._is_closed.set()

    def close(self) -> None:
        """See :meth:`gallery.stores.feed.ChangeFeed.close`."""
        self.stop_waiting()
        self._stop_listening()

    def _copied(
        self, copy: Callable[..., Iterator[tuple[int, _Page]]], gallery_id: str, contract: str
    ) -> Iterator[_Page]:
        """Read all pages of a gallery, a transaction for :data:`_COPY_AT_ONCE` templates each."""
        after, count = 0, _COPY_AT_ONCE
        while count == _COPY_AT_ONCE:
            count = 0
            with self._database.reading() as connection:
                key, now = gallery_key_of(connection, gallery_id), to_microseconds(self._clock())
                pages = copy(connection, key, contract, now, after=after, limit=_COPY_AT_ONCE, page=_TEMPLATES_PER_PAGE)
                for place, page in pages:
                    after, count = place, count + len(page)
                    yield page

    def _stop_listening(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _noted(since: Cursor, after: Revision) -> frozenset[str]:
    """Return the subjects that have changed since a revision, and what stands for the gallery itself.

    Raises:
        ChangesForgotten: not all of them are known, or the revision is not one of the gallery's.
    """
    own, *later = [*since, (None, "", None)]
    number, token, _ = own
    is_known = number == after.number and (token == after.token or after == FIRST)
    if not is_known:
        raise ChangesForgotten
    noted: set[str] = set()
    for _, _, subject_ids in later[:-1]:
        if subject_ids is None:
            raise ChangesForgotten
        noted.update(subject_ids)
    return frozenset(noted)


def _latest(found: Cursor) -> Revision | None:
    row = found.fetchone()
    return None if row is None else _revision(*row[1:]).revision


def _revision(create_time: int, number: int, token: str, epoch: str) -> GalleryRevision:
    return GalleryRevision(from_microseconds(create_time), Revision(number, token), epoch)
