"""What other processes change in a store: the protocol of its feed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gallery.records.distinct_pairs import Pair
from gallery.records.expired import Expiry
from gallery.records.galleries import Gallery
from gallery.records.templates import EmbeddedTemplates


@dataclass(frozen=True, slots=True)
class Revision:
    """How far a gallery has changed.

    Attributes:
        number: rises with every change that a search may notice.
        token: distinguishes it from another change of that number, if a store has lost one in a failover.
    """

    number: int
    token: str


FIRST = Revision(0, "")
"""How a gallery is created, whatever its token is."""


@dataclass(frozen=True, slots=True)
class GalleryRevision:
    """How far a gallery has changed that has this id now.

    Attributes:
        create_time: distinguishes it from a later gallery with the same id.
        revision: the revision.
        epoch: changes when a template may get another embedding under a contract that it had one of before: whenever a
            migration begins.
    """

    create_time: datetime
    revision: Revision
    epoch: str


@dataclass(frozen=True, slots=True)
class TemplateOwners:
    """Templates without their embeddings, column by column.

    Attributes:
        keys: the numbers of the templates in the store.
        subject_ids: the subject of each template.
        display_names: the names of those subjects.
        template_ids: the ids of the templates.
    """

    keys: Sequence[int]
    subject_ids: Sequence[str]
    display_names: Sequence[str]
    template_ids: Sequence[str]

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class GalleryChanges:
    """What has changed in a gallery since a revision, all read at one moment.

    Attributes:
        create_time: distinguishes the gallery from a later one with the same id.
        revision: the gallery's revision at that moment.
        gallery: the gallery; ``None`` if it has not changed itself.
        distinct: the pairs of subjects that were told apart; ``None`` likewise.
        expiries: when the subjects that have changed, and their templates, expire; those that do not are left out.
        subject_ids: the subjects that have changed, among them those that are gone.
        living: those of them that are there.
        templates: all templates of these subjects, by embedding contract.
    """

    create_time: datetime
    revision: Revision
    gallery: Gallery | None
    distinct: frozenset[Pair] | None
    expiries: Sequence[Expiry]
    subject_ids: frozenset[str]
    living: frozenset[str]
    templates: Mapping[str, EmbeddedTemplates]


class ChangesForgotten(Exception):
    """What has changed since a revision is not known any more: load the gallery anew."""


@dataclass(slots=True)
class Hold:
    """A gallery that only this thread changes.

    Attributes:
        revision: the gallery's revision when the hold ended; ``None`` before, or if it is not known.
        expiries: how often something had left the indexes because it had expired, when the hold began.
    """

    revision: Revision | None = None
    expiries: int = 0


class ChangeFeed(Protocol):
    """Tells a process what others have changed in the store, so that it can keep an index in memory.

    All methods are thread-safe, and may raise :class:`gallery.errors.StorageError`.
    """

    def revisions(self) -> Mapping[str, GalleryRevision]:
        """Return the revisions of all galleries, by gallery id."""

    def revision(self, gallery_id: str) -> GalleryRevision:
        """Return the revision of a gallery.

        Raises:
            GalleryNotFound: it does not exist.
        """

    def templates(self, gallery_id: str, *, contract: str = "") -> Iterator[EmbeddedTemplates]:
        """Read all templates of a gallery with an embedding under a contract, a page at a time.

        The pages are read one after the other: what changes meanwhile is in :meth:`changes` after the revision before.
        An empty contract is the gallery's.

        Raises:
            GalleryNotFound: it does not exist.
        """

    def owners(self, gallery_id: str, *, contract: str = "") -> Iterator[TemplateOwners]:
        """Read the same as :meth:`templates`, without the embeddings."""

    def embedded(self, gallery_id: str, keys: Sequence[int], *, contract: str = "") -> EmbeddedTemplates:
        """Return templates that :meth:`owners` has listed, with their embeddings; those that are gone are left out."""

    def of_subjects(self, gallery_id: str, subject_ids: Collection[str], *, contract: str) -> EmbeddedTemplates:
        """Return all templates of subjects under a contract, of those that are there."""

    def changes(self, gallery_id: str, *, after: Revision) -> GalleryChanges | None:
        """Return what has changed in a gallery after a revision; ``None`` if nothing has.

        Raises:
            ChangesForgotten: that is not known any more, or the store has lost the revision.
            GalleryNotFound: it does not exist.
        """

    def exclusive(self, gallery_id: str) -> AbstractContextManager[Hold]:
        """Keep all other processes from changing a gallery; what this thread writes in the meantime, only it writes.

        Raises:
            StorageBusy: another process holds the gallery for too long.
        """

    def one_transaction(self, gallery_id: str) -> AbstractContextManager[Hold]:
        """The same, for changes that take one transaction: all that this thread reads and writes in the meantime.

        It is durable when this ends, and nothing was changed if this raises.

        Raises:
            StorageBusy: others hold the gallery for too long.
        """

    def wait(self, timeout: float) -> None:
        """Wait until something may have changed, at most for so many seconds."""

    def prune(self) -> None:
        """Delete what nobody needs any more."""

    def stop_waiting(self) -> None:
        """End :meth:`wait`, now and in the future."""

    def close(self) -> None:
        """Close its connection; nobody waits any more."""
