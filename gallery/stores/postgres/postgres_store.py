"""The PostgreSQL store: the record of galleries in a database that teams know how to run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from gallery.errors import (
    GalleryExists,
    GalleryNotEmpty,
    StorageUnavailable,
    TemplateNotFound,
)
from gallery.etags import check_etag
from gallery.records.distinct_pairs import Pair
from gallery.records.expired import Expired, ExpiriesAhead, Expiry, PolicyEffect
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template
from gallery.stores.base import AddedTemplate, EnrollmentQuestion, EnrollmentRequest, EnrollmentState
from gallery.stores.columns import expiries_of
from gallery.stores.postgres.answered_requests import answers_of, ask_for_answers, requests_of
from gallery.stores.postgres.bulk_import import PostgresImport
from gallery.stores.postgres.connection.database import PostgresDatabase
from gallery.stores.postgres.corrections.change_log import PostgresChangeLog
from gallery.stores.postgres.corrections.distinct_pairs import delete_pairs, read_pairs, tell_apart
from gallery.stores.postgres.enrolling import add_templates, enrollment_states
from gallery.stores.postgres.expiry import (
    ask_for_expiries,
    delete_expired,
    effect_of,
    find_ahead,
    find_expired,
    has_terms,
)
from gallery.stores.postgres.feed import PostgresFeed
from gallery.stores.postgres.inserts import (
    hide_gallery,
    insert_gallery,
    insert_request,
    update_gallery,
    update_subject,
)
from gallery.stores.postgres.keys import gallery_key_of, locked_gallery_key
from gallery.stores.postgres.migration.second_embeddings import PostgresSecondEmbeddings
from gallery.stores.postgres.notes import note_change
from gallery.stores.postgres.observations import PostgresObservations
from gallery.stores.postgres.outcome_table import PostgresOutcomes
from gallery.stores.postgres.removal import remove_hidden
from gallery.stores.postgres.rows import (
    GALLERY,
    SUBJECT,
    TEMPLATE,
    find_gallery,
    find_subject,
    gallery_of,
    subject_key_of,
    subject_of,
    template_key_of,
    template_of,
)
from gallery.stores.postgres.template_pages import (
    embedded_by_age,
    embedded_by_subject,
    faces_by_subject,
    place_of_template,
)
from gallery.times import Clock, now, to_microseconds

_MOST_ENDS = 1000
"""How many readings of a gallery, each a page at a time, may be given up."""


class PostgresStore:
    """A store in a schema of a PostgreSQL database; see :class:`gallery.stores.base.Store` for what it promises.

    Several servers may use it at a time: its feed tells each what the others have changed. It goes on by itself after
    the database was unavailable.

    Args:
        url: a connection string, as libpq takes it.
        schema: the schema; created if it does not exist.
        timeout: of connecting, and of a statement, seconds.
        connections: the most connections.
        clock: tells what has expired.

    Attributes:
        database: its connections.

    Raises:
        SchemaTooNew: a newer version of this program made its tables.
        StorageUnavailable: it cannot be reached or used, or is not a database of galleries.
    """

    def __init__(
        self, url: str, *, schema: str = "facet", timeout: float = 10.0, connections: int = 8, clock: Clock = now
    ) -> None:
        self.database = PostgresDatabase(url, schema=schema, timeout=timeout, connections=connections)
        self._clock = clock
        self._ends: dict[tuple[int, str], int] = {}
        """The places of the last templates of pages: another server may delete them before the next page is read."""
        self._feed = PostgresFeed(self.database, clock)
        self._outcomes = PostgresOutcomes(self.database, clock)
        self._observations = PostgresObservations(self.database)
        self._second_embeddings = PostgresSecondEmbeddings(self.database, clock)
        self._changes = PostgresChangeLog(self.database, clock)

    def create_gallery(self, gallery: Gallery) -> None:
        """See :meth:`gallery.stores.base.Store.create_gallery`."""
        with self.database.writing() as connection:
            key = insert_gallery(connection, gallery)
            if key is None:
                raise GalleryExists(gallery.gallery_id)
            note_change(connection, key, self._now())

    def gallery(self, gallery_id: str) -> Gallery:
        """See :meth:`gallery.stores.base.Store.gallery`."""
        with self.database.reading() as connection:
            return find_gallery(connection, gallery_id, self._now())

    def galleries(self, *, after: str, limit: int) -> list[Gallery]:
        """See :meth:`gallery.stores.base.Store.galleries`."""
        query = f"{GALLERY} AND gallery_id > %(after)s ORDER BY gallery_id LIMIT %(limit)s"
        with self.database.reading() as connection:
            wanted = {"after": after, "limit": limit, "now": self._now()}
            return [gallery_of(row) for row in connection.execute(query.encode(), wanted)]

    def update_gallery(
        self, gallery_id: str, change: GalleryChange, *, etag: str, new_etag: str, time: datetime
    ) -> Gallery:
        """See :meth:`gallery.stores.base.Store.update_gallery`."""
        with self.database.writing() as connection:
            key = locked_gallery_key(connection, gallery_id)
            gallery = find_gallery(connection, gallery_id, self._now())
            check_etag(gallery_id, current=gallery.etag, sent=etag)
            update_gallery(connection, key, change.apply(gallery, etag=new_etag, time=time))
            note_change(connection, key, self._now())
            return find_gallery(connection, gallery_id, self._now())

    def delete_gallery(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_gallery`. Its contents are removed by :meth:`scrub`."""
        with self.database.writing() as connection:
            key = locked_gallery_key(connection, gallery_id)
            gallery = find_gallery(connection, gallery_id, self._now())
            check_etag(gallery_id, current=gallery.etag, sent=etag)
            if gallery.subject_count and not force:
                raise GalleryNotEmpty(gallery_id, gallery.subject_count)
            note_change(connection, key, self._now())
            hide_gallery(connection, key)

    def subject(self, gallery_id: str, subject_id: str) -> Subject:
        """See :meth:`gallery.stores.base.Store.subject`."""
        with self.database.reading() as connection:
            return find_subject(connection, gallery_id, subject_id, self._now())

    def subjects(self, gallery_id: str, *, after: str, limit: int) -> list[Subject]:
        """See :meth:`gallery.stores.base.Store.subjects`."""
        query = f"""{SUBJECT} AND subjects.gallery_key = %(gallery)s AND subject_id > %(after)s
            ORDER BY subject_id LIMIT %(limit)s"""
        with self.database.reading() as connection:
            key = gallery_key_of(connection, gallery_id)
            wanted = {"gallery": key, "after": after, "limit": limit, "now": self._now()}
            return [subject_of(row) for row in connection.execute(query.encode(), wanted)]

    def update_subject(
        self, gallery_id: str, subject_id: str, change: SubjectChange, *, etag: str, new_etag: str, time: datetime
    ) -> Subject:
        """See :meth:`gallery.stores.base.Store.update_subject`."""
        with self.database.writing() as connection:
            gallery_key = locked_gallery_key(connection, gallery_id)
            subject = find_subject(connection, gallery_id, subject_id, moment := self._now())
            check_etag(gallery_id, subject_id, current=subject.etag, sent=etag)
            changed = change.apply(subject, etag=new_etag, time=time)
            key = subject_key_of(connection, gallery_key, gallery_id, subject_id, moment)
            update_subject(connection, key, changed)
            note_change(connection, gallery_key, moment, (subject_id,))
            return changed

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str) -> int:
        """See :meth:`gallery.stores.base.Store.delete_subject`."""
        with self.database.writing() as connection:
            gallery_key = locked_gallery_key(connection, gallery_id)
            subject = find_subject(connection, gallery_id, subject_id, moment := self._now())
            check_etag(gallery_id, subject_id, current=subject.etag, sent=etag)
            key = subject_key_of(connection, gallery_key, gallery_id, subject_id, moment)
            # Also those that have expired, which the subject's count leaves out.
            templates = connection.execute("DELETE FROM templates WHERE subject_key = %s", (key,)).rowcount
            connection.execute("DELETE FROM subjects WHERE key = %s", (key,))
            note_change(connection, gallery_key, moment, (subject_id,), subjects=-1, templates=-templates)
            return subject.template_count

    def distinct_pairs(self, gallery_id: str) -> frozenset[Pair]:
        """See :meth:`gallery.stores.base.Store.distinct_pairs`."""
        with self.database.reading() as connection:
            return read_pairs(connection, gallery_key_of(connection, gallery_id), self._now())

    def set_distinct(self, gallery_id: str, one: str, other: str, *, is_distinct: bool, limit: int) -> None:
        """See :meth:`gallery.stores.base.Store.set_distinct`."""
        with self.database.writing() as connection:
            gallery_key, moment = locked_gallery_key(connection, gallery_id), self._now()
            for each in (one, other):
                subject_key_of(connection, gallery_key, gallery_id, each, moment)
            if is_distinct:
                tell_apart(connection, gallery_id, gallery_key, (one, other), limit=limit)
            else:
                delete_pairs(connection, gallery_key, ((one, other),))
            note_change(connection, gallery_key, moment)

    def templates(self, gallery_id: str, subject_id: str, *, after: str, limit: int) -> list[Template]:
        """See :meth:`gallery.stores.base.Store.templates`."""
        query = f"{TEMPLATE} AND subject_key = %(key)s AND template_id > %(after)s ORDER BY template_id LIMIT %(limit)s"
        with self.database.reading() as connection:
            moment = self._now()
            key = subject_key_of(connection, gallery_key_of(connection, gallery_id), gallery_id, subject_id, moment)
            wanted = {"key": key, "after": after, "limit": limit, "now": moment}
            return [template_of(row) for row in connection.execute(query.encode(), wanted)]

    def templates_of_picture(self, gallery_id: str, subject_id: str, picture_sha256: str) -> list[Template]:
        """See :meth:`gallery.stores.base.Store.templates_of_picture`."""
        query = f"{TEMPLATE} AND subject_key = %(key)s AND picture_sha256 = %(picture)s ORDER BY template_id"
        with self.database.reading() as connection:
            moment = self._now()
            key = subject_key_of(connection, gallery_key_of(connection, gallery_id), gallery_id, subject_id, moment)
            wanted = {"key": key, "picture": picture_sha256, "now": moment}
            return [template_of(row) for row in connection.execute(query.encode(), wanted)]

    def enrollment_states(self, gallery_id: str, asked: Sequence[EnrollmentQuestion]) -> list[EnrollmentState]:
        """See :meth:`gallery.stores.base.Store.enrollment_states`."""
        with self.database.reading() as connection:
            return enrollment_states(connection, gallery_id, asked, self._now())

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """See :meth:`gallery.stores.base.Store.template_of_request`."""
        with self.database.reading() as connection:
            gallery_key_of(connection, gallery_id)
            return answers_of(ask_for_answers(connection, gallery_id, [request_id], self._now())).get(request_id)

    def add_templates(self, gallery_id: str, added: Sequence[AddedTemplate], *, contract: str = "") -> None:
        """See :meth:`gallery.stores.base.Store.add_templates`."""
        with self.database.writing() as connection:
            is_locked = self.database.is_in_one_transaction
            add_templates(connection, gallery_id, added, contract=contract, now=self._now(), is_locked=is_locked)

    def add_request(self, template: Template, request: EnrollmentRequest) -> None:
        """See :meth:`gallery.stores.base.Store.add_request`."""
        with self.database.writing() as connection:
            gallery_key = locked_gallery_key(connection, template.gallery_id)
            insert_request(connection, gallery_key, request, template_key_of(connection, gallery_key, template))

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_template`."""
        query = f"{TEMPLATE} AND subject_key = %(subject)s AND template_id = %(template)s"
        with self.database.writing() as connection:
            gallery_key = locked_gallery_key(connection, gallery_id)
            moment = self._now()
            subject_key = subject_key_of(connection, gallery_key, gallery_id, subject_id, moment)
            wanted = {"subject": subject_key, "template": template_id, "now": moment}
            if connection.execute(query.encode(), wanted).fetchone() is None:
                raise TemplateNotFound(gallery_id, subject_id, template_id)
            connection.execute(
                "DELETE FROM templates WHERE gallery_key = %s AND template_id = %s", (gallery_key, template_id)
            )
            note_change(connection, gallery_key, moment, (subject_id,), templates=-1)

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int, contract: str = "") -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.Store.embedded_templates`; by the time they were added."""
        with self.database.reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            place = self._ends.pop((gallery_key, after), None) if after else 0
            if place is None:
                place = place_of_template(connection, gallery_key, after)
            if place is None:
                raise StorageUnavailable(f"{self.database.name}: template {after} was deleted")
            found = embedded_by_age(connection, gallery_key, contract, self._now(), after=place, limit=limit)
            if found:
                last = found.template_ids[-1]
                self._ends[gallery_key, last] = place_of_template(connection, gallery_key, last) or place
                if len(self._ends) > _MOST_ENDS:
                    del self._ends[next(iter(self._ends))]
        return found

    def embedded_by_subject(
        self, gallery_id: str, *, after: tuple[str, str], limit: int, contract: str = ""
    ) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.Store.embedded_by_subject`."""
        with self.database.reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            return embedded_by_subject(connection, gallery_key, contract, self._now(), after=after, limit=limit)

    def faces(self, gallery_id: str, *, after: tuple[str, str], limit: int) -> list[StoredFace]:
        """See :meth:`gallery.stores.base.Store.faces`."""
        with self.database.reading() as connection:
            gallery_key = gallery_key_of(connection, gallery_id)
            return faces_by_subject(connection, gallery_key, self._now(), after=after, limit=limit)

    def requests_of_template(self, gallery_id: str, template_id: str) -> list[str]:
        """See :meth:`gallery.stores.base.Store.requests_of_template`."""
        with self.database.reading() as connection:
            return requests_of(connection, gallery_key_of(connection, gallery_id), template_id)

    def begin_import(self, gallery: Gallery) -> PostgresImport:
        """See :meth:`gallery.stores.base.Store.begin_import`."""
        return PostgresImport(self.database, gallery, self._clock)

    def has_terms(self, gallery_id: str) -> bool:
        """See :meth:`gallery.stores.base.Store.has_terms`."""
        with self.database.reading() as connection:
            return has_terms(connection, gallery_key_of(connection, gallery_id))

    def expiries_ahead(self, gallery_id: str, *, limit: int) -> ExpiriesAhead:
        """See :meth:`gallery.stores.base.Store.expiries_ahead`."""
        with self.database.reading() as connection:
            return find_ahead(connection, gallery_key_of(connection, gallery_id), self._now(), limit=limit)

    def expiries_of(self, gallery_id: str, subject_ids: Collection[str]) -> list[Expiry]:
        """See :meth:`gallery.stores.base.Store.expiries_of`."""
        with self.database.reading() as connection:
            return expiries_of(ask_for_expiries(connection, gallery_key_of(connection, gallery_id), subject_ids))

    def expired(self, gallery_id: str, *, limit: int) -> Expired:
        """See :meth:`gallery.stores.base.Store.expired`."""
        with self.database.reading() as connection:
            return find_expired(connection, gallery_key_of(connection, gallery_id), self._now(), limit=limit)

    def delete_expired(self, gallery_id: str, expired: Expired) -> None:
        """See :meth:`gallery.stores.base.Store.delete_expired`."""
        with self.database.writing() as connection:
            delete_expired(connection, locked_gallery_key(connection, gallery_id), expired, self._now())

    def effect_of(self, gallery_id: str, policy: GalleryPolicy) -> PolicyEffect:
        """See :meth:`gallery.stores.base.Store.effect_of`."""
        with self.database.reading() as connection:
            return effect_of(connection, gallery_key_of(connection, gallery_id), policy, self._now())

    def index(self, gallery: Gallery, *, dimension: int, contract: str = "") -> None:
        """Return ``None``: the process keeps an index in memory."""

    @property
    def feed(self) -> PostgresFeed:
        """See :meth:`gallery.stores.base.Store.feed`."""
        return self._feed

    @property
    def second_embeddings(self) -> PostgresSecondEmbeddings:
        """See :meth:`gallery.stores.base.Store.second_embeddings`."""
        return self._second_embeddings

    @property
    def outcomes(self) -> PostgresOutcomes:
        """See :meth:`gallery.stores.base.Store.outcomes`."""
        return self._outcomes

    @property
    def observations(self) -> PostgresObservations:
        """See :meth:`gallery.stores.base.Store.observations`."""
        return self._observations

    @property
    def changes(self) -> PostgresChangeLog:
        """See :meth:`gallery.stores.base.Store.changes`."""
        return self._changes

    @property
    def erasures(self) -> None:
        """``None``: there are no records of erasures."""

    def scrub(self) -> None:
        """See :meth:`gallery.stores.base.Store.scrub`; slow if a large gallery was deleted.

        The rows are gone for every query. What is left of them in the database's files goes with its next VACUUM, which
        the schema asks for as soon as anything was deleted.
        """
        remove_hidden(self.database)

    def drop(self) -> None:
        """Delete the whole schema, with all galleries."""
        self.database.drop()

    def check(self) -> None:
        """See :meth:`gallery.stores.base.Store.check`."""
        self.database.check()

    def close(self) -> None:
        """See :meth:`gallery.stores.base.Store.close`."""
        self.database.close()

    def _now(self) -> int:
        return to_microseconds(self._clock())
