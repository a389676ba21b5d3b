"""What has expired in a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Expired:
    """Subjects and templates of a gallery that have expired, but are still stored.

    Attributes:
        subject_ids: the subjects; all their templates have expired with them.
        templates: the subject id and the id of each template that has expired before its subject.
    """

    subject_ids: Sequence[str]
    templates: Sequence[tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.subject_ids or self.templates)


class Expiry(NamedTuple):
    """When a subject expires with all its templates, or a template by itself.

    Attributes:
        time: when it expires.
        subject_id: the subject.
        template_id: the template; empty for the subject.
    """

    time: datetime
    subject_id: str
    template_id: str


@dataclass(frozen=True, slots=True)
class ExpiriesAhead:
    """What expires next in a gallery.

    Attributes:
        expiries: what expires, in any order; there may be several times for one subject or template, of which the
            first one counts.
        until: what expires at this time or later may be missing; ``None`` if nothing is.
    """

    expiries: Sequence[Expiry]
    until: datetime | None


NOTHING_AHEAD = ExpiriesAhead((), None)


@dataclass(frozen=True, slots=True)
class PolicyEffect:
    """What a policy does to the people who are in a gallery.

    Attributes:
        subjects: subjects that expire at once.
        templates: templates that expire at once, those of these subjects included.
        without_consent: subjects without a recorded consent.
    """

    subjects: int
    templates: int
    without_consent: int


NO_EFFECT = PolicyEffect(0, 0, 0)
