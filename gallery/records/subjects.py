"""A subject of a gallery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from gallery.records.consents import Consent


@dataclass(frozen=True, slots=True)
class Subject:
    """A person in a gallery.

    Attributes:
        gallery_id: the gallery.
        subject_id: the id, unique in the gallery.
        display_name: a name for people.
        template_count: the number of templates.
        create_time: UTC, to the microsecond.
        update_time: when the name, consent or ``expire_time`` last changed; UTC, to the microsecond.
        etag: opaque; changes whenever ``update_time`` does.
        consent: the recorded consent; ``None`` if there is none.
        expire_time: when the subject and all its templates expire; ``None`` if no time was set. The policy of its
            gallery may let it expire before, see :class:`gallery.records.policies.GalleryPolicy`.
    """

    gallery_id: str
    subject_id: str
    display_name: str
    template_count: int
    create_time: datetime
    update_time: datetime
    etag: str
    consent: Consent | None = None
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubjectChange:
    """What to change in a subject.

    Attributes:
        fields: the names of the attributes below that are changed; the others are ignored.
        display_name: see :class:`Subject`, like the others.
        consent: ``None`` removes it.
        expire_time: ``None`` removes it.
    """

    fields: frozenset[str]
    display_name: str = ""
    consent: Consent | None = None
    expire_time: datetime | None = None

    def apply(self, subject: Subject, *, etag: str, time: datetime) -> Subject:
        """Return the changed subject with a new etag and update time."""
        changed = {name: getattr(self, name) for name in self.fields}
        return replace(subject, etag=etag, update_time=time, **changed)


def renaming(display_name: str) -> SubjectChange:
    """Return the change of a subject's name alone."""
    return SubjectChange(frozenset({"display_name"}), display_name=display_name)
