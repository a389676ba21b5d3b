"""The contract of a store. The store is the system of record; what is searched is built from it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gallery.index.protocol import Index
from gallery.records.distinct_pairs import Pair
from gallery.records.expired import Expired, ExpiriesAhead, Expiry, PolicyEffect
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template
from gallery.stores.feed import ChangeFeed
from gallery.stores.logs import ChangeLog, ErasureLog, ObservationLog, OutcomeLog


@dataclass(frozen=True, slots=True)
class EnrollmentRequest:
    """The id of an enrolment request, so that a repeated request gets the same answer.

    Attributes:
        request_id: the caller's id, unique in a gallery.
        digest: a digest of the whole request.
    """

    request_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class EnrollmentQuestion:
    """What the store is asked about a face that is to be enrolled.

    Attributes:
        subject_id: its subject; empty for a new one.
        picture_sha256: hexadecimal digest of its picture.
        request_id: the id of the request; empty for none.
    """

    subject_id: str
    picture_sha256: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class EnrollmentState:
    """What the store knows about a face that is to be enrolled.

    Attributes:
        subject: the subject; ``None`` if it does not exist.
        templates_of_picture: those of its templates that come from the same picture.
        answered: the template that the same request was answered with, and that request's digest; ``None`` if the
            request is new.
    """

    subject: Subject | None
    templates_of_picture: Sequence[Template]
    answered: tuple[Template, str] | None


@dataclass(frozen=True, slots=True)
class AddedTemplate:
    """A template that is to be added, and what comes with it.

    Attributes:
        template: the template.
        embedding: its embedding under the gallery's contract, shape ``(dimension,)``, unit length.
        new_subject: its subject, if that is new.
        request: the request that it answers.
        crop: the aligned face as PNG.
        other: its embedding under the other contract of the gallery's migration.
    """

    template: Template
    embedding: NDArray[np.float32]
    new_subject: Subject | None = None
    request: EnrollmentRequest | None = None
    crop: bytes | None = None
    other: NDArray[np.float32] | None = None


class SecondEmbeddings(Protocol):
    """The embeddings that templates of a gallery have under the other contract of its migration.

    A template has an embedding under at least one of the two contracts. All methods are thread-safe, and may raise
    :class:`gallery.errors.StorageError` and :class:`gallery.errors.GalleryNotFound`.

    Attributes:
        at_once: how many embeddings :meth:`add` best takes: with more, others would wait too long.
    """

    at_once: int

    def missing(
        self,
        gallery_id: str,
        contract: str,
        *,
        after: tuple[str, str],
        limit: int,
        picture_sha256: str = "",
        subject_id: str = "",
    ) -> Sequence[StoredFace]:
        """List the templates without an embedding under a contract, with their crops, but without embeddings.

        The templates of a picture may come without their crops.

        Args:
            gallery_id: the gallery.
            contract: one of the two contracts of its migration.
            after: a subject id and a template id, in whose order the list is; they need not exist.
            limit: the most templates.
            picture_sha256: only those of this picture; empty for all.
            subject_id: only those of this subject; empty for all.
        """

    def count_missing(self, gallery_id: str, contract: str) -> tuple[int, int]:
        """Count the templates without an embedding under a contract: those with a crop, and those without."""

    def add(
        self, gallery_id: str, contract: str, template_ids: Sequence[str], embeddings: NDArray[np.float32]
    ) -> EmbeddedTemplates:
        """Add embeddings under one of the two contracts, all in one transaction.

        Args:
            gallery_id: the gallery.
            contract: the contract.
            template_ids: the templates; those that are gone, or have such an embedding, are left out.
            embeddings: shape ``(n, dimension)``, unit length.

        Returns:
            the templates that got one, with their subjects as they are now.
        """

    def drop(self, gallery_id: str, contract: str, *, model: str, limit: int) -> int:
        """Drop embeddings under a contract that does not search, of templates that have one under the other.

        Args:
            gallery_id: the gallery.
            contract: the contract to drop.
            model: hexadecimal SHA-256 of the model of the embeddings that stay, for
                :attr:`gallery.records.templates.Template.embedding_model`; may be empty.
            limit: the most embeddings.

        Returns:
            how many were dropped; fewer than ``limit`` if none is left.
        """

    def delete_crops(self, gallery_id: str, *, limit: int) -> int:
        """Delete crops of a gallery's templates; their traces stay until :meth:`Store.scrub`.

        Args:
            gallery_id: the gallery.
            limit: the most crops.

        Returns:
            how many were deleted; fewer than ``limit`` if none is left.
        """

    def check_room(self, added: int) -> None:
        """Check that there is room for embeddings that are added, as far as the store can tell.

        Args:
            added: how much they take, bytes.

        Raises:
            StorageFull: there is no room.
        """


class GalleryImport(Protocol):
    """A gallery that is being imported, and that is not visible before :meth:`commit`.

    Everything that was added is on disk when :meth:`commit` returns. If the process dies before, nothing is visible,
    and the remains are removed later.
    """

    def add(self, faces: Sequence[StoredFace]) -> None:
        """Add templates, and their subjects if these are new; a template id must not be added twice."""

    def add_distinct(self, pairs: Sequence[Pair]) -> None:
        """Tell subjects apart that were added."""

    def commit(self) -> Gallery:
        """Make the gallery visible.

        Raises:
            GalleryExists: its id was taken in the meantime.
        """

    def abort(self) -> None:
        """Remove what was added; does nothing after :meth:`commit` or a first :meth:`abort`."""


class Store(Protocol):
    """Galleries, subjects, templates, and the enrolment requests they answer.

    What has expired is as if it did not exist: no method returns or counts it but :meth:`expired`, and its ids are
    free. A subject expires with all its templates; :class:`gallery.records.policies.GalleryPolicy` says when.

    Every method does everything it says or nothing, and what it wrote is on disk when it returns. All methods are
    thread-safe. Lists are in code point order of ids, begin after ``after``, and have at most ``limit`` items. An
    empty etag is not compared. Every method may raise :class:`gallery.errors.StorageError`, and
    :class:`gallery.errors.GalleryNotFound` or :class:`gallery.errors.SubjectNotFound` for its gallery or subject.
    """

    def create_gallery(self, gallery: Gallery) -> None:
        """Add an empty gallery.

        Raises:
            GalleryExists: the id is taken.
        """

    def gallery(self, gallery_id: str) -> Gallery:
        """Return a gallery."""

    def galleries(self, *, after: str, limit: int) -> Sequence[Gallery]:
        """List galleries."""

    def update_gallery(
        self, gallery_id: str, change: GalleryChange, *, etag: str, new_etag: str, time: datetime
    ) -> Gallery:
        """Change a gallery, and return it.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
        """

    def delete_gallery(self, gallery_id: str, *, force: bool, etag: str) -> None:
        """Delete a gallery and everything in it.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
            GalleryNotEmpty: it has subjects, and ``force`` is not set.
        """

    def subject(self, gallery_id: str, subject_id: str) -> Subject:
        """Return a subject."""

    def subjects(self, gallery_id: str, *, after: str, limit: int) -> Sequence[Subject]:
        """List the subjects of a gallery."""

    def update_subject(
        self, gallery_id: str, subject_id: str, change: SubjectChange, *, etag: str, new_etag: str, time: datetime
    ) -> Subject:
        """Change a subject, and return it.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
        """

    def delete_subject(self, gallery_id: str, subject_id: str, *, etag: str) -> int:
        """Delete a subject and its templates, and return how many templates it had.

        Raises:
            EtagMismatch: ``etag`` is not the current one.
        """

    def distinct_pairs(self, gallery_id: str) -> frozenset[Pair]:
        """Return the pairs of subjects that were told apart."""

    def set_distinct(self, gallery_id: str, one: str, other: str, *, is_distinct: bool, limit: int) -> None:
        """Tell two subjects apart, or take that back; does nothing if it is so already.

        A pair goes with either of its subjects.

        Args:
            gallery_id: the gallery.
            one: a subject.
            other: another one.
            is_distinct: whether they are two people.
            limit: the most pairs of a gallery.

        Raises:
            TooManyDistinctPairs: the gallery has ``limit`` pairs.
        """

    def templates(self, gallery_id: str, subject_id: str, *, after: str, limit: int) -> Sequence[Template]:
        """List the templates of a subject."""

    def templates_of_picture(self, gallery_id: str, subject_id: str, picture_sha256: str) -> Sequence[Template]:
        """List the templates of a subject that come from a picture."""

    def enrollment_states(self, gallery_id: str, asked: Sequence[EnrollmentQuestion]) -> Sequence[EnrollmentState]:
        """Return everything that enrolments depend on; an empty request id was never answered."""

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """Return the template that a request was answered with, and the request's digest."""

    def add_templates(self, gallery_id: str, added: Sequence[AddedTemplate], *, contract: str = "") -> None:
        """Add templates of different subjects; all of them or none, unless the store has no transactions.

        Args:
            gallery_id: the gallery.
            added: the templates, at least one.
            contract: the contract of their embeddings: the gallery's, as the caller knows it, or empty if no other
                process writes.

        Raises:
            SubjectNotFound: a subject that is not new does not exist.
            ContractMismatch: another process has let the other model search since, and a template has no embedding
                under it.
        """

    def add_request(self, template: Template, request: EnrollmentRequest) -> None:
        """Record that a request was answered with an existing template."""

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """Delete a template and its requests.

        Raises:
            TemplateNotFound: the subject has no such template.
        """

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int, contract: str = "") -> EmbeddedTemplates:
        """List all templates of a gallery in an order of the store's choice, after the template ``after``.

        Only those with an embedding under ``contract``; empty for the gallery's.

        Raises:
            StorageUnavailable: ``after`` was deleted, so its place in the list is unknown.
        """

    def embedded_by_subject(
        self, gallery_id: str, *, after: tuple[str, str], limit: int, contract: str = ""
    ) -> EmbeddedTemplates:
        """List all templates of a gallery by subject id, then template id, after a subject id and a template id.

        Only those with an embedding under ``contract``; empty for the gallery's.
        The two need not exist, so a list may go on after its last template was deleted.
        """

    def faces(self, gallery_id: str, *, after: tuple[str, str], limit: int) -> Sequence[StoredFace]:
        """List all subjects of a gallery with all their templates, by subject id, then template id.

        ``after`` is a subject id and a template id. A subject without templates appears once, with an empty one.
        """

    def requests_of_template(self, gallery_id: str, template_id: str) -> Sequence[str]:
        """List the ids of the requests that a template answered; none if it does not exist."""

    def begin_import(self, gallery: Gallery) -> GalleryImport:
        """Begin to fill a new gallery; its counts are ignored.

        Raises:
            GalleryExists: the id is taken.
        """

    def has_terms(self, gallery_id: str) -> bool:
        """Tell whether any subject has a consent, or any subject or template a time at which it expires."""

    def expiries_ahead(self, gallery_id: str, *, limit: int) -> ExpiriesAhead:
        """Return what expires next in a gallery, a few times ``limit`` at most.

        What has expired may be among it, if it would expire later by its age as well.
        Nothing if the store keeps its own index, which leaves out what has expired.
        """

    def expiries_of(self, gallery_id: str, subject_ids: Collection[str]) -> Sequence[Expiry]:
        """Return when subjects and their templates expire; those that do not are left out.

        None if the store keeps its own index.
        """

    def expired(self, gallery_id: str, *, limit: int) -> Expired:
        """List what has expired in a gallery, in any order: at most ``limit`` subjects, and as many templates."""

    def delete_expired(self, gallery_id: str, expired: Expired) -> None:
        """Delete what :meth:`expired` listed; what is gone is left out. Its traces stay until :meth:`scrub`."""

    def effect_of(self, gallery_id: str, policy: GalleryPolicy) -> PolicyEffect:
        """Return what a policy would do to the people of a gallery; what has expired already does not count."""

    def index(self, gallery: Gallery, *, dimension: int, contract: str = "") -> Index | None:
        """Return the store's own index of a gallery; ``None`` if it keeps none.

        It has the embeddings under ``contract``; empty for the gallery's.

        A store that several processes write to keeps one, which contains what each of them wrote. Otherwise the only
        process keeps an index in memory.
        """

    @property
    def feed(self) -> ChangeFeed | None:
        """What other processes change; ``None`` if none does, or if the store keeps the index."""

    @property
    def second_embeddings(self) -> SecondEmbeddings:
        """The embeddings of templates under the other contract of a migration."""

    @property
    def erasures(self) -> ErasureLog | None:
        """The records of erasures; ``None`` if the store keeps none."""

    @property
    def outcomes(self) -> OutcomeLog:
        """What clients said about answers."""

    @property
    def observations(self) -> ObservationLog:
        """The observations of its galleries. A gallery's are deleted with it."""

    @property
    def changes(self) -> ChangeLog:
        """The corrections of who is who."""

    def scrub(self) -> None:
        """Erase every trace of deleted and renamed data from the files; fast if there is nothing to erase."""

    def check(self) -> None:
        """Check that changes can be stored.

        Raises:
            StorageError: they cannot.
        """

    def close(self) -> None:
        """Close the database. Later calls raise :class:`gallery.errors.StorageUnavailable`."""
