"""The changes of a gallery that can still be undone, as corrections ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

from gallery.corrections import change_json
from gallery.errors import StorageUnavailable, SubjectNotFound
from gallery.records.changes import Before, Change, ChangeKind, Rearrangement, StoredChange
from gallery.records.distinct_pairs import Pair
from gallery.records.policies import GalleryPolicy
from gallery.stores.base import Store

_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class ReadChange:
    """A change as it is stored, and what is in it.

    Attributes:
        stored: as it is stored.
        change: the change.
        before: what it takes to undo it; ``None`` once it was undone.
    """

    stored: StoredChange
    change: Change
    before: Before | None

    @property
    def order(self) -> tuple[datetime, str]:
        """Later changes have greater ones."""
        return self.change.create_time, self.change.change_id

    @property
    def holder(self) -> str:
        """The subject that got the templates, or the one that it was merged into since."""
        return self.stored.holders[-1]


class ChangeRecords:
    """Reads the changes of galleries.

    All methods may raise :class:`gallery.errors.StorageError` and :class:`gallery.errors.GalleryNotFound`.

    Args:
        store: where they are stored.
        clock: tells the time.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def read(self, gallery_id: str, stored: StoredChange) -> ReadChange:
        """Read a change whose text is not erased."""
        try:
            change, before = change_json.from_text(stored.text, gallery_id, stored.change_id, stored.undo_until)
        except change_json.InvalidChange as error:
            raise StorageUnavailable(str(error)) from error
        return ReadChange(stored, change, before)

    def finished(
        self, gallery_id: str, done: Rearrangement, asked: tuple[ChangeKind, str, str], template_id: str
    ) -> Change | None:
        """Return the change that was just finished; ``None`` if it is an undoing, or not the one that was asked for.

        Args:
            gallery_id: its gallery.
            done: what was done.
            asked: the kind of a correction, the subject that templates come from, and the one that gets them.
            template_id: the template of a move; empty for a merge.
        """
        kind = ChangeKind.MERGE if done.is_removed else ChangeKind.MOVE
        is_asked = asked == (kind, done.from_subject_id, done.into_subject_id)
        if not is_asked or (template_id and template_id not in {each.template_id for each in done.moved}):
            return None
        stored = done.change
        if not stored.text:
            # Nothing is kept to undo it.
            new_ids = tuple(each.new_id for each in done.moved)
            return Change(stored.change_id, gallery_id, *asked, new_ids, stored.undo_until, stored.undo_until)
        read = self.read(gallery_id, stored)
        return None if read.before is None else read.change

    def merges(self, gallery_id: str) -> list[ReadChange]:
        """Return the merges that are in force and can be undone, the latest first."""
        found = (self.read(gallery_id, stored) for stored in self._store.changes.changes(gallery_id))
        moment = self._clock()
        return sorted(
            (
                each
                for each in found
                if each.before is not None and each.change.kind is ChangeKind.MERGE and each.change.undo_until > moment
            ),
            key=lambda each: each.order,
            reverse=True,
        )

    def listed(self, gallery_id: str, subject_id: str, *, before: str) -> Iterator[ReadChange]:
        """Return the changes whose time is not up and whose people exist, the latest first.

        Args:
            gallery_id: their gallery.
            subject_id: leave out those that are neither from nor into this subject; empty for all.
            before: begin after the change of this id; empty for the latest.
        """
        moment = self._clock()

        @cache
        def exists(holder: str) -> bool:
            try:
                self._store.subject(gallery_id, holder)
            except SubjectNotFound:
                return False
            return True

        while found := self._store.changes.changes(gallery_id, before=before, limit=_AT_ONCE):
            for stored in found:
                if stored.undo_until <= moment or not all(map(exists, stored.holders)):
                    continue
                read = self.read(gallery_id, stored)
                if not subject_id or subject_id in (read.change.from_subject_id, read.change.into_subject_id):
                    yield read
            before = found[-1].change_id

    def keep_pair(self, gallery_id: str, pair: Pair) -> None:
        """Let no undoing remove a pair, because it is told apart explicitly now."""
        holders = self._store.changes.holders_of_changes
        for change_id in {**holders(gallery_id, pair[0]), **holders(gallery_id, pair[1])}:
            stored = self._store.changes.change(gallery_id, change_id)
            if stored is None or not stored.text:
                continue
            read = self.read(gallery_id, stored)
            if read.before is not None and pair in read.before.added_pairs:
                added = tuple(each for each in read.before.added_pairs if each != pair)
                text = change_json.to_text(read.change, replace(read.before, added_pairs=added))
                self._store.changes.replace(gallery_id, replace(stored, text=text))

    def shorten(self, gallery_id: str, policy: GalleryPolicy) -> None:
        """Let no change keep a merged subject longer than a new policy lets that subject live."""
        for stored in self._store.changes.changes(gallery_id):
            before = self.read(gallery_id, stored).before
            expiry = policy.subject_expiry(before.merged) if before and before.merged else None
            if expiry is not None and expiry < stored.undo_until:
                self._store.changes.replace(gallery_id, replace(stored, undo_until=expiry))
