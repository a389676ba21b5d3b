"""What a store keeps beside galleries, subjects and templates: the protocols of its logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gallery.observations.records import Observation
from gallery.records.changes import Rearrangement, StoredChange
from gallery.records.erasures import Erasure, MadeCopy
from gallery.records.outcomes import Outcome


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
