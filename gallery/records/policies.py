"""What a gallery demands of the people in it, and how long it keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gallery.records.subjects import Subject
from gallery.records.templates import Template

MIN_RETENTION = timedelta(seconds=1)
MAX_RETENTION = timedelta(days=36_525)
"""A hundred years."""


@dataclass(frozen=True, slots=True)
class GalleryPolicy:
    """The policy of a gallery. It applies to everybody in it, also to those who were enrolled before it was set.

    Attributes:
        require_consent: every subject must have a recorded consent.
        subject_retention: a subject expires this long after it was created or, if that is later, after its consent was
            given; ``None`` if it does not expire by age.
        template_retention: a template expires this long after it was enrolled; ``None`` if it does not expire by age.
    """

    require_consent: bool = False
    subject_retention: timedelta | None = None
    template_retention: timedelta | None = None

    def subject_expiry(self, subject: Subject) -> datetime | None:
        """Return when a subject expires; ``None`` if it does not."""
        since = subject.create_time if subject.consent is None else max(subject.create_time, subject.consent.time)
        return _earliest(subject.expire_time, since, self.subject_retention)

    def template_expiry(self, template: Template) -> datetime | None:
        """Return when a template expires, if its subject does not expire before; ``None`` if it does not."""
        return _earliest(template.expire_time, template.create_time, self.template_retention)

    def keeps_longer_than(self, other: GalleryPolicy) -> bool:
        """Tell whether somebody who has expired by another policy may not have by this one."""
        retentions = (
            (self.subject_retention, other.subject_retention),
            (self.template_retention, other.template_retention),
        )
        return any(old is not None and (new is None or new > old) for new, old in retentions)


NO_POLICY = GalleryPolicy()


def _earliest(expire_time: datetime | None, since: datetime, retention: timedelta | None) -> datetime | None:
    if retention is None:
        return expire_time
    try:
        by_age = since + retention
    except OverflowError:  # after the year 9999
        return expire_time
    return by_age if expire_time is None else min(expire_time, by_age)
