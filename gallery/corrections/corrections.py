"""Corrections of who is who in the galleries: merge subjects, move templates, and undo that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from gallery.corrections import change_json
from gallery.corrections.change_records import ChangeRecords, ReadChange
from gallery.corrections.index_moves import IndexMoves
from gallery.corrections.merging import followed_pairs, merged_subject
from gallery.corrections.undoing import check_order, undoing
from gallery.erasure.erasing import erasing
from gallery.erasure.retention import Retention
from gallery.errors import (
    ChangeNotFound,
    ChangeUndone,
    DistinctSubjects,
    RequestIdReused,
    SameSubject,
    SubjectMerged,
    SubjectNotFound,
    TemplateNotFound,
    TooManyTemplates,
    UndoExpired,
)
from gallery.etags import check_etag, new_etag
from gallery.opened.open_gallery import OpenGallery
from gallery.opened.registry import GalleryRegistry
from gallery.pages import Page, last_id, page_of
from gallery.records.changes import (
    Before,
    Change,
    ChangeKind,
    MovedTemplate,
    Rearrangement,
    StoredChange,
)
from gallery.records.distinct_pairs import MAX_DISTINCT_PAIRS, DistinctPairs, Pair, ordered
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace
from gallery.stores.base import Store
from gallery.times import earliest, new_id

_FACES_PER_PAGE = 256

UNDO_FOR = timedelta(days=30)
"""How long a correction can be undone, by default."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """The answer to a correction.

    Attributes:
        change: what was changed.
        subject: the subject that has the templates, as it is now.
    """

    change: Change
    subject: Subject


@dataclass(frozen=True, slots=True)
class Undone:
    """The answer to undoing a change.

    Attributes:
        change: the change, which is undone now.
        was_undone: whether it was undone before, so that nothing was changed now.
    """

    change: Change
    was_undone: bool = False


class Corrections:
    """Corrects who is who. When a method returns, its change is on disk, and every search that begins later sees it.

    A request id that made a change is answered with that change, as long as it can be undone, and with the subject that
    has the templates now. Once it was undone, the request is refused.

    Args:
        store: where everything is stored.
        registry: the open galleries.
        retention: erases what has expired.
        max_templates: the most templates of a subject.
        undo_for: how long a correction can be undone; at zero nothing is kept for it.
    """

    def __init__(
        self,
        store: Store,
        registry: GalleryRegistry,
        retention: Retention,
        *,
        max_templates: int,
        undo_for: timedelta = UNDO_FOR,
    ) -> None:
        self._store = store
        self._registry = registry
        self._records = ChangeRecords(store, registry.clock)
        self._retention = retention
        self._max_templates = max_templates
        self._undo_for = undo_for

    def merge(
        self,
        gallery_id: str,
        from_id: str,
        into_id: str,
        *,
        from_etag: str = "",
        into_etag: str = "",
        request_id: str = "",
        caller: str = "",
    ) -> Corrected:
        """Merge a subject into another: all its templates become the other one's, and its id disappears.

        Args:
            gallery_id: the gallery.
            from_id: the subject that disappears.
            into_id: the subject that gets its templates; see :func:`gallery.corrections.merging.merged_subject`.
            from_etag: the etag of the first; an empty one is not compared.
            into_etag: the etag of the second, likewise.
            request_id: the caller's id of this request; may be empty.
            caller: who asks for it; may be empty.

        Raises:
            GalleryNotFound: there is no such gallery.
            SubjectNotFound: one of the two does not exist.
            SameSubject: they are the same.
            DistinctSubjects: they were told apart.
            EtagMismatch: an etag is not the current one.
            TooManyTemplates: together they have more templates than a subject may.
            RequestIdReused: the request id made another change.
            ChangeUndone: the request id made this change, which was undone.
            StorageError: something cannot be read or written.
        """
        if from_id == into_id:
            raise SameSubject(gallery_id, from_id)
        with erasing(self._store, self._registry, gallery_id) as opened:
            finished = self._finished(opened, (from_id, into_id))
            asked, etags = (ChangeKind.MERGE, from_id, into_id), (from_etag, into_etag)
            if answered := self._answered(gallery_id, request_id, asked, finished, etags=etags):
                return answered
            self._retention.erase_held(opened)
            gone, into = (self._store.subject(gallery_id, each) for each in (from_id, into_id))
            check_etag(gallery_id, from_id, current=gone.etag, sent=from_etag)
            check_etag(gallery_id, into_id, current=into.etag, sent=into_etag)
            if opened.distinct.are_distinct(from_id, into_id):
                raise DistinctSubjects(gallery_id, from_id, into_id)
            self._check_count(into, gone.template_count)
            faces = self._faces(gallery_id, from_id)
            merged = merged_subject(gone, into, opened.settings.policy, etag=new_etag(), time=self._registry.clock())
            pairs, added_pairs = followed_pairs(opened.distinct, from_id, into_id)
            holders = self._store.changes.holders_of_changes(gallery_id, from_id)
            moved = [self._moved(face) for face in faces]
            before = Before(
                tuple(moved), gone, into, merged, etags=etags, pairs=pairs, added_pairs=added_pairs, holders=holders
            )
            expiry = opened.settings.policy.subject_expiry(gone)
            change = self._change(gallery_id, asked, moved, caller, expiry=expiry)
            wanted = Rearrangement(
                from_id,
                into_id,
                moved,
                self._stored(change, before, request_id, (into_id,)),
                updated=merged,
                is_removed=True,
                added_pairs=added_pairs,
                holders={
                    change_id: tuple(dict.fromkeys(into_id if each == from_id else each for each in some))
                    for change_id, some in holders.items()
                },
            )
            self._make(opened, wanted, faces, merged)
            return Corrected(change, merged)

    def move(
        self,
        gallery_id: str,
        template_id: str,
        *,
        from_id: str,
        into_id: str,
        request_id: str = "",
        caller: str = "",
    ) -> Corrected:
        """Move a template to another subject. The first one stays, even without templates.

        The template expires no later than it would have with its first subject.

        Args:
            gallery_id: the gallery.
            template_id: the template.
            from_id: the subject that it belongs to.
            into_id: the subject that gets it.
            request_id: the caller's id of this request; may be empty.
            caller: who asks for it; may be empty.

        Raises:
            GalleryNotFound: there is no such gallery.
            SubjectNotFound: one of the two does not exist.
            TemplateNotFound: the first one has no such template.
            SameSubject: they are the same.
            TooManyTemplates: the second one has the most templates that a subject may.
            RequestIdReused: the request id made another change.
            ChangeUndone: the request id made this change, which was undone.
            StorageError: something cannot be read or written.
        """
        if from_id == into_id:
            raise SameSubject(gallery_id, from_id)
        with erasing(self._store, self._registry, gallery_id) as opened:
            finished = self._finished(opened, (from_id, into_id))
            asked = (ChangeKind.MOVE, from_id, into_id)
            if answered := self._answered(gallery_id, request_id, asked, finished, template_id=template_id):
                return answered
            self._retention.erase_held(opened)
            source, into = (self._store.subject(gallery_id, each) for each in (from_id, into_id))
            faces = [face for face in self._faces(gallery_id, from_id) if face.key[1] == template_id]
            if not faces:
                raise TemplateNotFound(gallery_id, from_id, template_id)
            self._check_count(into, 1)
            before = [self._moved(face) for face in faces]
            policy = opened.settings.policy
            with_source, with_into = policy.subject_expiry(source), policy.subject_expiry(into)
            moved = before
            if with_source is not None and (with_into is None or with_into > with_source):
                moved = [replace(each, expire_time=earliest(each.expire_time, with_source)) for each in before]
            change = self._change(gallery_id, asked, moved, caller)
            stored = self._stored(change, Before(tuple(before)), request_id, (from_id, into_id))
            self._make(opened, Rearrangement(from_id, into_id, moved, stored), faces, into)
            return Corrected(change, self._store.subject(gallery_id, into_id))

    def undo(self, gallery_id: str, change_id: str, *, validate_only: bool = False) -> Undone:
        """Undo a change: the subjects have the templates, names, consents and times that they had before.

        What was enrolled since stays where it is, and what was deleted or has expired since stays away. A change that
        was undone before is returned as it is.

        Args:
            gallery_id: the gallery.
            change_id: the change.
            validate_only: check everything and return what would be, but undo nothing.

        Raises:
            GalleryNotFound: there is no such gallery.
            ChangeNotFound: there is no such change, or a subject that it was about was deleted or has expired since.
            UndoExpired: it was made too long ago.
            UndoConflict: what was changed since makes it impossible.
            TooManyTemplates: the subject that a template returns to has the most templates that a subject may.
            StorageError: something cannot be read or written.
        """
        with erasing(self._store, self._registry, gallery_id) as opened:
            self._finished(opened, change_id=change_id)
            self._retention.erase_held(opened)
            stored = self._store.changes.change(gallery_id, change_id)
            if stored is None:
                raise ChangeNotFound(gallery_id, change_id)
            if not stored.text or stored.undo_until <= self._registry.clock():
                raise UndoExpired(gallery_id, change_id, stored.undo_until)
            read = self._records.read(gallery_id, stored)
            change, before = read.change, read.before
            if before is None:
                return Undone(change, was_undone=True)
            check_order(read, self._records.merges(gallery_id))
            wanted, subject = undoing(
                self._store, opened.settings.policy, change, before, stored, now=self._registry.clock()
            )
            if change.kind is ChangeKind.MOVE:
                self._check_count(subject, 1)
            undone = Undone(replace(change, is_undone=True))
            if validate_only:
                return undone
            returning = {each.template_id for each in wanted.moved}
            faces = [face for face in self._faces(gallery_id, change.into_subject_id) if face.key[1] in returning]
            self._make(opened, wanted, faces, subject)
            return undone

    def set_distinct(self, gallery_id: str, one: str, other: str, *, is_distinct: bool) -> None:
        """Tell two subjects apart, because they are two people, or take that back; may be repeated.

        Raises:
            GalleryNotFound: there is no such gallery.
            SubjectNotFound: one of the two does not exist.
            SameSubject: they are the same.
            TooManyDistinctPairs: the gallery has :data:`gallery.records.distinct_pairs.MAX_DISTINCT_PAIRS`.
            StorageError: something cannot be read or written.
        """
        if one == other:
            raise SameSubject(gallery_id, one)
        with erasing(self._store, self._registry, gallery_id) as opened:
            if is_distinct:
                self._records.keep_pair(gallery_id, ordered(one, other))
            self._store.set_distinct(gallery_id, one, other, is_distinct=is_distinct, limit=MAX_DISTINCT_PAIRS)
            opened.distinct = DistinctPairs(self._store.distinct_pairs(gallery_id))

    def list_changes(
        self, gallery_id: str, *, subject_id: str = "", page_size: int, page_token: str = ""
    ) -> Page[Change]:
        """List the changes that can be undone, or were undone while they could be, the latest first.

        Args:
            gallery_id: the gallery.
            subject_id: list only the changes from or into this subject; empty for all.
            page_size: the most changes of a page.
            page_token: of the page before; empty for the first page.

        Raises:
            GalleryNotFound: there is no such gallery.
            InvalidPageToken: the token is not one of this list.
            StorageError: the store cannot be read.
        """
        scope = ("changes", gallery_id, subject_id)
        before = last_id(page_token, scope=scope)
        listed = self._records.listed(gallery_id, subject_id, before=before)
        found = [each.change for each in islice(listed, page_size + 1)]
        return page_of(found, [each.change_id for each in found], page_size=page_size, scope=scope)

    def missing(self, gallery_id: str, subject_id: str) -> SubjectNotFound:
        """Return the error about a subject that does not exist; it says so if undoing a merge would bring it back."""
        for each in self._records.merges(gallery_id):
            if each.change.from_subject_id == subject_id:
                change_id = each.change.change_id
                return SubjectMerged(gallery_id, subject_id, change_id=change_id, into_id=each.holder)
        return SubjectNotFound(gallery_id, subject_id)

    def shorten(self, gallery_id: str, policy: GalleryPolicy) -> None:
        """Let no change keep a merged subject longer than a new policy of its gallery, which the caller holds."""
        self._records.shorten(gallery_id, policy)

    def list_distinct(
        self, gallery_id: str, *, subject_id: str = "", page_size: int, page_token: str = ""
    ) -> Page[Pair]:
        """List the pairs of subjects that were told apart, in code point order.

        Args:
            gallery_id: the gallery.
            subject_id: list only the pairs of this subject; empty for all.
            page_size: the most pairs of a page.
            page_token: of the page before; empty for the first page.

        Raises:
            GalleryNotFound: there is no such gallery.
            InvalidPageToken: the token is not one of this list.
            StorageError: the store cannot be read.
        """
        scope = ("distinct", gallery_id, subject_id)
        after = last_id(page_token, scope=scope)
        pairs = sorted(self._store.distinct_pairs(gallery_id))
        found = [pair for pair in pairs if (not subject_id or subject_id in pair) and _id_of(pair) > after]
        return page_of(found[: page_size + 1], [_id_of(pair) for pair in found], page_size=page_size, scope=scope)

    def _make(self, opened: OpenGallery, wanted: Rearrangement, faces: Sequence[StoredFace], subject: Subject) -> None:
        """Store a change, then make it visible to searches; ``subject`` gets the templates of ``faces``."""
        move = IndexMoves(opened, wanted, faces, subject.display_name)
        # A lack of memory must show before the store commits.
        move.reserve()
        self._store.changes.rearrange(opened.gallery_id, wanted)
        move.make()
        opened.distinct = DistinctPairs(self._store.distinct_pairs(opened.gallery_id))
        self._registry.note_expiries(opened, wanted.from_subject_id, wanted.into_subject_id)

    def _answered(
        self,
        gallery_id: str,
        request_id: str,
        asked: tuple[ChangeKind, str, str],
        finished: Sequence[Rearrangement],
        *,
        template_id: str = "",
        etags: tuple[str, ...] = (),
    ) -> Corrected | None:
        """Return the answer to a request that was answered before, or whose correction was just finished."""
        stored = self._store.changes.change_of_request(gallery_id, request_id) if request_id else None
        if stored is None or not stored.text:
            changes = (self._records.finished(gallery_id, each, asked, template_id) for each in finished)
            change = next((each for each in changes if each is not None), None)
            return (
                None if change is None else Corrected(change, self._store.subject(gallery_id, change.into_subject_id))
            )
        read = self._records.read(gallery_id, stored)
        before = read.before
        is_same = asked == (read.change.kind, read.change.from_subject_id, read.change.into_subject_id)
        if before is not None:
            template_ids = {each.template_id for each in before.moved}
            is_same = is_same and etags == before.etags and (not template_id or template_id in template_ids)
        if not is_same:
            raise RequestIdReused(gallery_id, request_id)
        if before is None:
            raise ChangeUndone(gallery_id, read.change.change_id)
        return Corrected(read.change, self._store.subject(gallery_id, self._holder(read)))

    def _holder(self, read: ReadChange) -> str:
        """Return the subject that has the templates of a change now."""
        if read.change.kind is ChangeKind.MERGE:
            return read.holder
        found = self._store.changes.subjects_of_templates(read.change.gallery_id, read.change.template_ids)
        return next(iter(found.values()), read.holder)

    def _finished(
        self, opened: OpenGallery, subject_ids: Sequence[str] = (), *, change_id: str = ""
    ) -> Sequence[Rearrangement]:
        """Do the rest of corrections that died halfway, and return them."""
        finished = self._store.changes.finish(opened.gallery_id, subject_ids, change_id=change_id)
        if finished:
            opened.distinct = DistinctPairs(self._store.distinct_pairs(opened.gallery_id))
            self._registry.drop_expired(opened, anew=True)
        return finished

    def _faces(self, gallery_id: str, subject_id: str) -> list[StoredFace]:
        """Return the templates of a subject with all that is stored for them."""
        found: list[StoredFace] = []
        after = (subject_id, "")
        while page := self._store.faces(gallery_id, after=after, limit=_FACES_PER_PAGE):
            own = [face for face in page if face.subject.subject_id == subject_id and face.template is not None]
            found += own
            if len(own) < _FACES_PER_PAGE:
                break
            after = own[-1].key
        return found

    def _moved(self, face: StoredFace) -> MovedTemplate:
        if face.template is None:
            raise ValueError("a template is needed")
        template_id = face.template.template_id
        new = template_id if self._store.changes.keeps_template_ids else new_id()
        return MovedTemplate(template_id, new, face.template.expire_time)

    def _change(
        self,
        gallery_id: str,
        asked: tuple[ChangeKind, str, str],
        moved: Sequence[MovedTemplate],
        caller: str,
        *,
        expiry: datetime | None = None,
    ) -> Change:
        """Return a change; it cannot be undone after ``expiry``, when the subject that it keeps would have expired."""
        moment = self._registry.clock()
        template_ids = tuple(each.new_id for each in moved)
        until = moment + self._undo_for
        if expiry is not None:
            until = min(until, expiry)
        return Change(new_id(), gallery_id, *asked, template_ids, moment, until, caller=caller)

    def _stored(self, change: Change, before: Before, request_id: str, holders: tuple[str, ...]) -> StoredChange:
        if not self._undo_for:
            return StoredChange(change.change_id, "", holders, change.undo_until, "")
        text = change_json.to_text(change, before)
        return StoredChange(change.change_id, request_id, holders, change.undo_until, text)

    def _check_count(self, subject: Subject, added: int) -> None:
        wanted = subject.template_count + added
        if added and wanted > self._max_templates:
            raise TooManyTemplates(subject.gallery_id, subject.subject_id, self._max_templates, wanted=wanted)


def _id_of(pair: Pair) -> str:
    """Ids have no control characters, so pairs are in the order of these. A NUL would be refused in a page token."""
    return "\1".join(pair)
