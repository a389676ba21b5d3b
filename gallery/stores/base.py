"""The contract of a store. The store is the system of record; what is searched is built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gallery.index.protocol import Index
from gallery.observations.records import Observation
from gallery.records.changes import Rearrangement, StoredChange
from gallery.records.distinct_pairs import Pair
from gallery.records.erasures import Erasure, MadeCopy
from gallery.records.expired import Expired, PolicyEffect
from gallery.records.galleries import Gallery, GalleryChange
from gallery.records.outcomes import Outcome
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject, SubjectChange
from gallery.records.templates import EmbeddedTemplates, StoredFace, Template


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


class ErasureLog(Protocol):
    """The records of erasures. All methods are thread-safe, and may raise :class:`gallery.errors.StorageError`.

    Attributes:
        on_checked: called with each completed record, on any thread; may be replaced. It must not raise.
    """

    on_checked: Callable[[Erasure], None]

    def records(
        self, gallery_id: str, subject_id: str, *, since: datetime, after: str, limit: int
    ) -> Sequence[Erasure]:
        """List the records of erasures since a time, by id.

        Args:
            gallery_id: the gallery; empty for all, also deleted ones.
            subject_id: a subject of the gallery; empty for all.
            since: the time.
            after: the id after which the list begins; empty for the first.
            limit: the most records.
        """

    def copies(self) -> Sequence[MadeCopy]:
        """List the copies of people's data that are known, the newest first; erasures do not reach them."""

    def note_copy(self, kind: str, gallery_id: str) -> None:
        """Record that a copy was made."""


class OutcomeLog(Protocol):
    """What clients said about answers. All methods are thread-safe.

    Every method may raise :class:`gallery.errors.StorageError`, and :class:`gallery.errors.GalleryNotFound`. What is
    stored goes with its gallery. An outcome that names a subject who is deleted or expires stays as a count: it names
    nobody any more, see :class:`gallery.records.outcomes.Outcome`. A subject that was created after the answer is
    another one, although it has the id.
    """

    def answer_keys(self, gallery_id: str) -> Sequence[bytes]:
        """Return the keys of the ids of a gallery's answers, 32 bytes each: the first seals, each of them may open.

        A key is made when it is first needed. There are several if servers needed it at the same moment.
        """

    def report(self, gallery_id: str, outcome: Outcome, *, reporter: str = "", most: int) -> Outcome:
        """Store an outcome, and return it as it is stored; it replaces the one of the same answer.

        If the gallery then has more than ``most``, some are deleted: first those that are not of the review, of the
        caller with the most, the oldest first. So a caller cannot displace what others say.

        Args:
            gallery_id: the gallery.
            outcome: what was said.
            reporter: the id of the caller who says it; empty if it is not known.
            most: how many the gallery keeps, at least 1.

        Raises:
            SubjectNotFound: the subject that it truly was does not exist.
        """

    def outcomes(self, gallery_id: str, *, after: str, limit: int) -> Sequence[Outcome]:
        """List the outcomes of a gallery after an ``outcome_id``, in the order of these.

        Raises:
            InvalidPageToken: no outcome can have this id.
        """


class ObservationLog(Protocol):
    """Observations of galleries. All methods are thread-safe, and may raise :class:`gallery.errors.StorageError`.

    Attributes:
        at_once: how many observations :meth:`add` stores wholly or not at all.
    """

    at_once: int

    def add(self, observations: Sequence[Observation]) -> None:
        """Add observations to those of the same gallery, source and hour; galleries that do not exist are left out.

        Stored counts that are damaged are replaced: they must not keep others from being counted. Other writers wait in
        the meantime.

        Args:
            observations: at most :attr:`at_once` of them are stored wholly or not at all.
        """

    def find(
        self,
        gallery_id: str,
        *,
        since: datetime,
        until: datetime,
        source: str = "",
        after: tuple[datetime, str] | None = None,
        limit: int,
    ) -> Sequence[Observation]:
        """Return the observations of a gallery by their start, then by source.

        Args:
            gallery_id: the gallery.
            since: only those that start at this time or later,
            until: and before this time.
            source: only those of this source; empty for all.
            after: start and source after which they begin; ``None`` for the first.
            limit: the most observations.

        Raises:
            GalleryNotFound: the gallery does not exist.
        """

    def sources(self, gallery_id: str, *, since: datetime) -> Sequence[str]:
        """Return the sources that have observations since a time, in code point order.

        Raises:
            GalleryNotFound: the gallery does not exist.
        """

    def tidy(
        self,
        gallery_id: str,
        *,
        days_before: datetime,
        keep_since: datetime,
        keep_hours: Mapping[str, tuple[datetime, datetime]],
    ) -> None:
        """Delete the observations of a gallery that end at ``keep_since`` or before.

        A store may also replace the hours of a day by the whole day.

        Args:
            gallery_id: the gallery.
            days_before: only in days before that of this time.
            keep_since: see above.
            keep_hours: periods whose hours stay, by source.

        Raises:
            GalleryNotFound: the gallery does not exist.
        """

    def reference_starts(self, gallery_id: str) -> Mapping[str, datetime]:
        """Return when somebody has begun new reference periods, by source; empty is for all sources.

        Raises:
            GalleryNotFound: the gallery does not exist.
        """

    def begin_reference(self, gallery_id: str, source: str, start: datetime) -> None:
        """Begin a new reference period of a source, instead of the one that somebody has begun before.

        Args:
            gallery_id: the gallery.
            source: the source; empty for all, whose own times are forgotten.
            start: when it begins.

        Raises:
            GalleryNotFound: the gallery does not exist.
        """


class ChangeLog(Protocol):
    """The corrections of who is who: how they are made, and what it takes to undo them.

    All methods are thread-safe, and may raise :class:`gallery.errors.StorageError` and
    :class:`gallery.errors.GalleryNotFound`.

    Attributes:
        keeps_template_ids: whether a template that goes to another subject keeps its id.
    """

    keeps_template_ids: bool

    def change(self, gallery_id: str, change_id: str) -> StoredChange | None:
        """Return a change; ``None`` if there is none of this id, or a subject that it was about is gone."""

    def change_of_request(self, gallery_id: str, request_id: str) -> StoredChange | None:
        """Return the change that a request made, as long as it can be undone."""

    def changes(self, gallery_id: str, *, before: str = "", limit: int | None = None) -> Sequence[StoredChange]:
        """Return the changes of a gallery that are not erased, the greatest ids first.

        Args:
            gallery_id: the gallery.
            before: return those with lesser ids than this one; empty for all.
            limit: return at most so many; ``None`` for all.
        """

    def replace(self, gallery_id: str, change: StoredChange) -> None:
        """Write the time and the text of a change anew; does nothing if it is gone."""

    def holders_of_changes(self, gallery_id: str, subject_id: str) -> Mapping[str, tuple[str, ...]]:
        """Return the holders of the changes that a subject holds, by change id."""

    def subjects_of_templates(self, gallery_id: str, template_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the subjects of those templates that exist and have not expired."""

    def mark(self, gallery_id: str) -> str | None:
        """Return what differs after every correction and every undoing, also after those that are erased since.

        ``None`` while one is being made. If two marks are equal, no template went to another subject in between.
        """

    def rearrange(self, gallery_id: str, wanted: Rearrangement) -> None:
        """Make a correction, or undo one."""

    def finish(
        self, gallery_id: str, subject_ids: Sequence[str] = (), *, change_id: str = ""
    ) -> Sequence[Rearrangement]:
        """Do the rest of the corrections of some subjects, or of one change, that died halfway, and return them.

        A store with transactions has none.
        """

    def erase_old(self, gallery_id: str, *, until: datetime) -> None:
        """Erase what it takes to undo the changes that can be undone no later than this; their ids stay known."""


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

    def enrollment_state(
        self, gallery_id: str, subject_id: str, *, picture_sha256: str, request_id: str
    ) -> EnrollmentState:
        """Return everything that an enrolment depends on; an empty ``request_id`` was never answered."""

    def template_of_request(self, gallery_id: str, request_id: str) -> tuple[Template, str] | None:
        """Return the template that a request was answered with, and the request's digest."""

    def add_template(
        self,
        template: Template,
        embedding: NDArray[np.float32],
        *,
        new_subject: Subject | None,
        request: EnrollmentRequest | None,
        crop: bytes | None,
    ) -> None:
        """Add a template, its subject if that is new, the request that it answers, and its crop."""

    def add_request(self, template: Template, request: EnrollmentRequest) -> None:
        """Record that a request was answered with an existing template."""

    def delete_template(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        """Delete a template and its requests.

        Raises:
            TemplateNotFound: the subject has no such template.
        """

    def embedded_templates(self, gallery_id: str, *, after: str, limit: int) -> EmbeddedTemplates:
        """List all templates of a gallery in an order of the store's choice, after the template ``after``.

        Raises:
            StorageUnavailable: ``after`` was deleted, so its place in the list is unknown.
        """

    def embedded_by_subject(self, gallery_id: str, *, after: tuple[str, str], limit: int) -> EmbeddedTemplates:
        """List all templates of a gallery by subject id, then template id, after a subject id and a template id.

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

    def next_expiry(self, gallery_id: str) -> datetime | None:
        """Return when the next subject or template of a gallery expires, of those that have not expired.

        ``None`` if nothing does, or if the store keeps its own index, which leaves out what has expired.
        """

    def expired(self, gallery_id: str, *, limit: int) -> Expired:
        """List what has expired in a gallery, in any order: at most ``limit`` subjects, and as many templates."""

    def delete_expired(self, gallery_id: str, expired: Expired) -> None:
        """Delete what :meth:`expired` listed; what is gone is left out. Its traces stay until :meth:`scrub`."""

    def effect_of(self, gallery_id: str, policy: GalleryPolicy) -> PolicyEffect:
        """Return what a policy would do to the people of a gallery; what has expired already does not count."""

    def index(self, gallery: Gallery, *, dimension: int) -> Index | None:
        """Return the store's own index of a gallery; ``None`` if it keeps none.

        A store that several processes write to keeps one, which contains what each of them wrote. Otherwise the only
        process keeps an index in memory.
        """

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
