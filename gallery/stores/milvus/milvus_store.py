"""The Milvus store, which many servers share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from gallery.errors import ExpiryNotStored, SubjectNotFound
from gallery.etags import check_etag
from gallery.records.distinct_pairs import Pair, ordered
from gallery.records.expired import NOTHING_AHEAD, Expired, ExpiriesAhead, PolicyEffect
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.policies import NO_POLICY, GalleryPolicy
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template
from gallery.stores.base import AddedTemplate, EnrollmentQuestion, EnrollmentRequest, EnrollmentState
from gallery.stores.milvus.answered_requests import AnsweredRequests
from gallery.stores.milvus.bulk_import import MilvusImport
from gallery.stores.milvus.connection import MilvusConnection, Row
from gallery.stores.milvus.corrections.change_log import MilvusChangeLog
from gallery.stores.milvus.corrections.claims import Claims
from gallery.stores.milvus.corrections.distinct_pairs import DistinctRows
from gallery.stores.milvus.enrolling import MilvusEnrolling
from gallery.stores.milvus.expired_rows import ExpiredRows
from gallery.stores.milvus.faces import FaceReader
from gallery.stores.milvus.gallery_rows import GalleryRows
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.locating.migration_rows import MigrationRows
from gallery.stores.milvus.migration.second_embeddings import MilvusSecondEmbeddings
from gallery.stores.milvus.milvus_index import MilvusIndex
from gallery.stores.milvus.observations import MilvusObservations
from gallery.stores.milvus.outcomes import MilvusOutcomes
from gallery.stores.milvus.removal import Removal, remove_templates
from gallery.stores.milvus.rows import (
    request_row,
    row_id,
    subject_of,
    subject_row,
)
from gallery.stores.milvus.schema import Collections, IndexType
from gallery.stores.milvus.subject_templates import SubjectTemplates
from gallery.times import Clock, now

_THREADS = 16


class MilvusStore:
    """A store that any number of processes share; see :class:`gallery.stores.base.Store` for what it promises.

    Milvus has no transactions. These promises differ:

    - When a method returns, its writes are in Milvus's log: they survive this process and Milvus's own.
    - A template becomes visible with its subject's row, which is written last. If the process dies before, a template
      is left that no search and no list shows. It is removed when the subject is enrolled again or with its gallery;
      within :data:`.subject_templates.ORPHAN_AGE` it is taken for part of a concurrent enrolment and stays. A gallery
      appears and disappears with one row.
    - Every call sees what this process wrote before. It sees other processes' writes a fraction of a second later
      (docs/scale.md has figures). Before a change, and in :meth:`enrollment_states`, it waits for everything that was
      written before the call.
    - If several processes create the same gallery at the same moment, at most one succeeds. If two rename the same
      thing with the same etag within a time tick of Milvus (200 ms), both succeed, and the later change stands. If two
      enrol the same new subject, both succeed, and the subject has both templates. If two enrol the same face, or
      answer the same request, within a time tick, it has two templates.
    - A template that goes to another subject gets a new id, and its old one when that is undone; see
      :class:`gallery.stores.milvus.corrections.change_log.MilvusChangeLog`.
    - During a migration a template has a row of the same id in the collection of each contract; see
      :class:`gallery.stores.milvus.migration.second_embeddings.MilvusSecondEmbeddings`.
    - A call that got no answer may have succeeded.
    - Deleted data is invisible at once. docs/scale.md says what stays in Milvus's files, and for how long.

    Args:
        uri: for example ``http://localhost:19530``; Milvus Lite opens a file that ends in ``.db``, for one process.
        token: ``user:password``, or an API key; empty for none.
        prefix: of the names of the collections; letters, digits and underscores.
        index: the index type for an embedding contract that is new to this Milvus; a flat index is exact.
        strong: searches, too, see everything that any process wrote before, and wait for it.
        timeout: of a call of Milvus, seconds.
        default_threshold: the server's default threshold, to infer where the thresholds of galleries come from in
            collections of a version that did not store their source; ``None`` if it is not known.
        clock: tells what has expired.

    Attributes:
        milvus: the connection.
        collections: its collections.
        locator: finds the rows of galleries.

    Raises:
        SchemaTooNew: a newer version of this program created the collections.
        StorageUnavailable: pymilvus is not installed, or Milvus does not answer, or has other collections with these
            names.
    """

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        prefix: str = "facet",
        index: IndexType = "FLAT",
        strong: bool = False,
        timeout: float = 10.0,
        default_threshold: float | None = None,
        clock: Clock = now,
    ) -> None:
        self.milvus = MilvusConnection(uri, token=token, timeout=timeout)
        try:
            self.collections = Collections(self.milvus, prefix=prefix, index=index)
            self._removal = Removal(self.milvus, self.collections)
            self._removal.run()
        except BaseException:
            self.milvus.close()
            raise
        self._threads = ThreadPoolExecutor(_THREADS, "milvus")
        migrations = MigrationRows(self.milvus, self.collections)
        self.locator = GalleryLocator(self.milvus, self.collections, clock, migrations, self._threads)
        self._expiry = self.locator.expiry
        self._expired = ExpiredRows(self.milvus, self.collections, self.locator)
        self._faces = FaceReader(self.milvus, self.collections, self._expiry)
        self._templates = SubjectTemplates(self.milvus, self.collections, self._expiry, self._threads)
        self._distinct = DistinctRows(self.milvus, self.collections, self._faces)
        self._outcomes = MilvusOutcomes(self.milvus, self.collections, self.locator, self._faces)
        self._changes = MilvusChangeLog(
            self.milvus, self.collections, self.locator, self._templates, self._distinct, self._outcomes
        )
        self._requests = AnsweredRequests(self.milvus, self.collections, self._expiry, self._faces, self._templates)
        self._enrolling = MilvusEnrolling(
            self.milvus,
            self.collections,
            self.locator,
            self._templates,
            self._requests,
            self._threads,
            forget=self._forget,
        )
        self._observations = MilvusObservations(self.milvus, self.collections, self.locator)
        claims = Claims(self.milvus, self.collections)
        self._second_embeddings = MilvusSecondEmbeddings(
            self.milvus, self.collections, self.locator, self._faces, self._templates, claims
        )
        self._galleries = GalleryRows(
            self.milvus,
            self.collections,
            self.locator,
            self._removal,
            migrations,
            self._second_embeddings,
            claims,
            default_threshold=default_threshold,
        )
        self._strong = strong

    def create_gallery(self, gallery: Gallery) -> None:
        """See :meth:`gallery.stores.base.Store.create_gallery`.

        Raises:
            StorageBusy: other processes keep claiming the id.
        """
        self._check_can_store(gallery.policy != NO_POLICY)
        self._galleries.create(gallery)

    def gallery(self, gallery_id: str) -> Gallery:
        """See :meth:`gallery.stores.base.Store.gallery`."""
        return self._galleries.gallery(gallery_id)

    def galleries(self, *, after: str, limit: int) -> list[Gallery]:
        """See :meth:`gallery.stores.base.Store.galleries`."""
        return self._galleries.page(after=after, limit=limit)

    def update_gallery(
        self, gallery_id: str, change: GalleryChange, *, etag: str, new_etag: str, time: datetime
    ) -> Gallery:
        """See :meth:`gallery.stores.base.Store.update_gallery`.

        Raises:
            StorageBusy: another server changes the migration, or works on one that begins or ends.
        """
        self._check_can_store(change.policy is not None)
        return self._galleries.update(gallery_id, change, etag=etag, new_etag=new_etag, time=time)

    def delete_gallery(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_gallery`. Its contents are removed by :meth:`scrub`."""
        self._galleries.delete(gallery_id, force=force, etag=etag)

    def subject(self, gallery_id: str, subject_id: str) -> Subject:
        """See :meth:`gallery.stores.base.Store.subject`."""
        location = self.locator.find(gallery_id)
        row = self._subject(location, gallery_id, subject_id)
        return subject_of(row, gallery_id, templates=self._templates.count(location, subject_id))

    def subjects(self, gallery_id: str, *, after: str, limit: int) -> list[Subject]:
        """See :meth:`gallery.stores.base.Store.subjects`."""
        return self._faces.subjects(self.locator.find(gallery_id), gallery_id, after=after, limit=limit)

    def update_subject(
        self, gallery_id: str, subject_id: str, change: SubjectChange, *, etag: str, new_etag: str, time: datetime
    ) -> Subject:
        """See :meth:`gallery.stores.base.Store.update_subject`."""
        self._check_can_store(not change.fields <= {"display_name"})
        location = self.locator.find(gallery_id, strong=True)
        before = subject_of(self._subject(location, gallery_id, subject_id, strong=True), gallery_id, templates=0)
        check_etag(gallery_id, subject_id, current=before.etag, sent=etag)
        after = change.apply(before, etag=new_etag, time=time)
        self._write_subject(location, after)
        return replace(after, template_count=self._templates.count(location, subject_id))

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str) -> int:
        """See :meth:`gallery.stores.base.Store.delete_subject`."""
        location = self.locator.find(gallery_id, strong=True)
        subject = self._subject(location, gallery_id, subject_id, strong=True)
        check_etag(gallery_id, subject_id, current=subject["etag"], sent=etag)
        deleted = self._templates.count(location, subject_id, strong=True)
        self._forget(location, subject_id)
        self.milvus.delete(self.collections.subjects, [row_id(location.key, subject_id)])
        # Again, for templates that another replica enrolled in the meantime.
        self._templates.remove(location, subject_id)
        self.locator.invalidate(gallery_id)
        return deleted

    def distinct_pairs(self, gallery_id: str) -> frozenset[Pair]:
        """See :meth:`gallery.stores.base.Store.distinct_pairs`."""
        return self._distinct.pairs(self.locator.find(gallery_id))

    def set_distinct(self, gallery_id: str, one: str, other: str, *, is_distinct: bool, limit: int) -> None:
        """See :meth:`gallery.stores.base.Store.set_distinct`. Replicas may exceed the limit by a few pairs."""
        location = self.locator.find(gallery_id, strong=True)
        for subject_id in (one, other):
            self._subject(location, gallery_id, subject_id, strong=True)
        if is_distinct:
            self._distinct.add(location, ordered(one, other), limit=limit)
        else:
            self._distinct.remove(location, ordered(one, other))

    def templates(self, gallery_id: str, subject_id: str, *, after: str, limit: int) -> list[Template]:
        """See :meth:`gallery.stores.base.Store.templates`."""
        location = self.locator.find(gallery_id)
        self._subject(location, gallery_id, subject_id)
        return self._templates.page(location, gallery_id, subject_id, after=after, limit=limit)

    def templates_of_picture(self, gallery_id: str, subject_id: str, picture_sha256: str) -> Sequence[Template]:
        """See :meth:`gallery.stores.base.Store.templates_of_picture`."""
        (state,) = self.enrollment_states(gallery_id, [EnrollmentQuestion(subject_id, picture_sha256)])
        if state.subject is None:
            raise SubjectNotFound(gallery_id, subject_id)
        return state.templates_of_picture

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """See :meth:`gallery.stores.base.Store.template_of_request`."""
        (state,) = self.enrollment_states(gallery_id, [EnrollmentQuestion("", "", request_id)])
        return state.answered

    def enrollment_states(self, gallery_id: str, asked: Sequence[EnrollmentQuestion]) -> list[EnrollmentState]:
        """See :meth:`gallery.stores.base.Store.enrollment_states`."""
        return self._enrolling.states(gallery_id, asked)

    def add_templates(self, gallery_id: str, added: Sequence[AddedTemplate], *, contract: str = "") -> None:
        """See :meth:`gallery.stores.base.Store.add_templates`, and for what differs :class:`MilvusEnrolling`."""
        self._check_can_store(any(_has_terms(each) for each in added))
        self._enrolling.add(gallery_id, added, contract=contract)

    def add_request(self, template: Template, request: EnrollmentRequest) -> None:
        """See :meth:`gallery.stores.base.Store.add_request`."""
        location = self.locator.find(template.gallery_id)
        self._templates.one(location, template.gallery_id, template.subject_id, template.template_id)
        self.milvus.upsert(self.collections.ensure("requests"), [request_row(template, location.key, request)])

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """See :meth:`gallery.stores.base.Store.delete_template`."""
        location = self.locator.find(gallery_id, strong=True)
        self._subject(location, gallery_id, subject_id, strong=True)
        row = self._templates.one(location, gallery_id, subject_id, template_id)
        remove_templates(self.milvus, self.collections, location, [row["id"]])
        self.locator.invalidate(gallery_id)

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int, contract: str = "") -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.Store.embedded_templates`; by template id."""
        return self._faces.embedded_templates(self.locator.find(gallery_id).under(contract), after=after, limit=limit)

    def embedded_by_subject(
        self, gallery_id: str, *, after: tuple[str, str], limit: int, contract: str = ""
    ) -> EmbeddedTemplates:
        """See :meth:`gallery.stores.base.Store.embedded_by_subject`."""
        return self._faces.embedded_by_subject(self.locator.find(gallery_id).under(contract), after=after, limit=limit)

    def faces(self, gallery_id: str, *, after: tuple[str, str], limit: int) -> list[StoredFace]:
        """See :meth:`gallery.stores.base.Store.faces`."""
        return self._faces.faces(self.locator.find(gallery_id), gallery_id, after=after, limit=limit)

    def requests_of_template(self, gallery_id: str, template_id: str) -> list[str]:
        """See :meth:`gallery.stores.base.Store.requests_of_template`."""
        return self._faces.requests_of_template(self.locator.find(gallery_id), template_id)

    def begin_import(self, gallery: Gallery) -> MilvusImport:
        """See :meth:`gallery.stores.base.Store.begin_import`."""
        self._check_can_store(gallery.policy != NO_POLICY)
        self._galleries.check_is_free(gallery.gallery_id)
        return MilvusImport(self.milvus, self.collections, self._removal, gallery, self._galleries.publish)

    def has_terms(self, gallery_id: str) -> bool:
        """See :meth:`gallery.stores.base.Store.has_terms`."""
        return self._expired.has_terms(self.locator.find(gallery_id))

    def expiries_ahead(self, gallery_id: str, *, limit: int) -> ExpiriesAhead:  # noqa: ARG002 - nothing
        """Return nothing: every search leaves out what has expired."""
        return NOTHING_AHEAD

    def expiries_of(self, gallery_id: str, subject_ids: Collection[str]) -> tuple[()]:  # noqa: ARG002 - as above
        """Return none, likewise."""
        return ()

    def expired(self, gallery_id: str, *, limit: int) -> Expired:
        """See :meth:`gallery.stores.base.Store.expired`."""
        return self._expired.find(self.locator.find(gallery_id), limit=limit)

    def delete_expired(self, gallery_id: str, expired: Expired) -> None:
        """See :meth:`gallery.stores.base.Store.delete_expired`. A subject that was enrolled again stays."""
        location = self.locator.find(gallery_id, strong=True)
        for subject in self._expired.subjects(location, expired):
            self._forget(location, subject["subject"])
            self.milvus.delete(self.collections.subjects, [subject["id"]])
        ids = [row_id(location.key, template_id) for _, template_id in expired.templates]
        remove_templates(self.milvus, self.collections, location, ids)
        self.locator.invalidate(gallery_id)

    def effect_of(self, gallery_id: str, policy: GalleryPolicy) -> PolicyEffect:
        """See :meth:`gallery.stores.base.Store.effect_of`."""
        self._check_can_store(policy != NO_POLICY)
        return self._expired.effect_of(self.locator.find(gallery_id, strong=True), policy)

    def index(self, gallery: Gallery, *, dimension: int, contract: str = "") -> MilvusIndex:
        """See :meth:`gallery.stores.base.Store.index`.

        Raises:
            StorageUnavailable: the templates of this contract have another dimension.
        """
        contract = contract or gallery.contract
        if self.collections.find_templates(contract):
            self.collections.ensure_templates(contract, dimension)
        return MilvusIndex(
            self.milvus, self.collections, self.locator, gallery.gallery_id, contract, strong=self._strong
        )

    @property
    def second_embeddings(self) -> MilvusSecondEmbeddings:
        """See :meth:`gallery.stores.base.Store.second_embeddings`."""
        return self._second_embeddings

    @property
    def erasures(self) -> None:
        """``None``: there are no records of erasures."""

    @property
    def outcomes(self) -> MilvusOutcomes:
        """See :meth:`gallery.stores.base.Store.outcomes`."""
        return self._outcomes

    @property
    def observations(self) -> MilvusObservations:
        """See :meth:`gallery.stores.base.Store.observations`."""
        return self._observations

    @property
    def feed(self) -> None:
        """Always ``None``: Milvus keeps the index."""

    @property
    def changes(self) -> MilvusChangeLog:
        """See :meth:`gallery.stores.base.Store.changes`."""
        return self._changes

    def scrub(self) -> None:
        """See :meth:`gallery.stores.base.Store.scrub`; docs/scale.md says when Milvus erases."""
        self._removal.run()

    def check(self) -> None:
        """See :meth:`gallery.stores.base.Store.check`; each change asks Milvus itself."""

    def close(self) -> None:
        """See :meth:`gallery.stores.base.Store.close`."""
        self._threads.shutdown()
        self.milvus.close()

    def _subject(self, location: GalleryLocation, gallery_id: str, subject_id: str, *, strong: bool = False) -> Row:
        key = row_id(location.key, subject_id)
        rows = self.milvus.get(self.collections.subjects, [key], self.collections.fields("subjects"), strong=strong)
        if key not in rows or not self._expiry.is_living(location, rows[key]):
            raise SubjectNotFound(gallery_id, subject_id)
        return rows[key]

    def _forget(self, location: GalleryLocation, subject_id: str) -> None:
        """Remove everything of a subject but its row."""
        self._templates.remove(location, subject_id)
        self._distinct.remove_subject(location, subject_id)
        self._changes.remove_subject(location, subject_id)
        self._outcomes.forget_subject(location, subject_id)

    def _write_subject(self, location: GalleryLocation, subject: Subject) -> None:
        row = subject_row(subject, location.key, self.collections.fields("subjects"))
        self.milvus.upsert(self.collections.subjects, [row])

    def _check_can_store(self, is_needed: bool) -> None:
        """Check that the collections can store consents, expiries and policies, if that is needed."""
        if is_needed and not self.collections.has_expiry:
            raise ExpiryNotStored


def _has_terms(added: AddedTemplate) -> bool:
    subject = added.new_subject
    terms = (added.template.expire_time, subject and subject.consent, subject and subject.expire_time)
    return any(each is not None for each in terms)
