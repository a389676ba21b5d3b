"""Corrections that can be undone: subjects that were merged, templates that were moved, and what was there before."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gallery.records.distinct_pairs import Pair
from gallery.records.subjects import Subject


class ChangeKind(enum.Enum):
    """What was corrected. The values are stored."""

    MERGE = "merge"
    """All templates of one subject went to another, and the first one's id disappeared."""
    MOVE = "move"
    """One template went from one subject to another."""


@dataclass(frozen=True, slots=True)
class Change:
    """A correction that can be undone for a while.

    Attributes:
        change_id: a UUIDv7.
        gallery_id: the gallery.
        kind: what was corrected.
        from_subject_id: the subject that the templates came from.
        into_subject_id: the subject that got them.
        template_ids: the templates, by the ids that they have had since.
        create_time: when it was made; UTC, to the microsecond.
        undo_until: from then on it cannot be undone, and what it takes to undo it is erased. That is no later than the
            subject that disappeared would have expired.
        is_undone: whether it was undone.
        caller: who made it, by the server's id of the caller; empty if that is unknown.
    """

    change_id: str
    gallery_id: str
    kind: ChangeKind
    from_subject_id: str
    into_subject_id: str
    template_ids: tuple[str, ...]
    create_time: datetime
    undo_until: datetime
    is_undone: bool = False
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """What it takes to undo a change.

    Attributes:
        moved: the templates, as they were before; see :class:`MovedTemplate`.
        merged: the subject that disappeared, as it was; ``None`` if none did.
        into: the subject that got its templates, as it was; ``None`` if it was not changed.
        after: that subject as the change left it; ``None`` if it was not changed.
        etags: the etags that the request sent.
        pairs: the pairs of the subject that disappeared.
        added_pairs: those that the other subject got from it, and that nobody has told apart explicitly since.
        holders: the subjects that earlier changes depended on, by change id, where the change replaced one of them.
    """

    moved: tuple[MovedTemplate, ...]
    merged: Subject | None = None
    into: Subject | None = None
    after: Subject | None = None
    etags: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    added_pairs: tuple[Pair, ...] = ()
    holders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MovedTemplate:
    """A template that goes from one subject to another.

    Attributes:
        template_id: its id.
        new_id: its id afterwards; another one only if the store cannot keep it.
        expire_time: when it expires afterwards; ``None`` if no time is set.
    """

    template_id: str
    new_id: str
    expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change as a store keeps it. It goes with any of the subjects that it is about.

    Attributes:
        change_id: its id.
        request_id: the id of the request that made it, unique in a gallery; may be empty.
        holders: the one or two subjects that it is about and that exist.
        undo_until: see :class:`Change`.
        text: everything else, see :mod:`gallery.corrections.change_json`; empty once it was erased.
    """

    change_id: str
    request_id: str
    holders: tuple[str, ...]
    undo_until: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Rearrangement:
    """What a correction, or its undoing, changes in a store. Everything happens, or nothing.

    Attributes:
        from_subject_id: the subject that loses templates.
        into_subject_id: the subject that gets them.
        moved: the templates.
        created: the subject ``into_subject_id``, if it is to be created; its count is ignored.
        updated: a subject to write anew, with all its times; its count is ignored.
        is_removed: whether ``from_subject_id`` disappears; what it has left of templates and changes goes to the other.
        added_pairs: pairs of subjects to tell apart; those of missing subjects are left out.
        removed_pairs: pairs to remove.
        holders: changes that are to depend on other subjects from now on; missing subjects are left out.
        change: the change, to write or to replace.
    """

    from_subject_id: str
    into_subject_id: str
    moved: Sequence[MovedTemplate]
    change: StoredChange
    created: Subject | None = None
    updated: Subject | None = None
    is_removed: bool = False
    added_pairs: Sequence[Pair] = ()
    removed_pairs: Sequence[Pair] = ()
    holders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
