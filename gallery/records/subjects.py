"""A subject of a gallery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """A person in a gallery.

    Attributes:
        gallery_id: the gallery.
        subject_id: the id, unique in the gallery.
        display_name: a name for people.
        template_count: the number of templates.
        create_time: UTC, to the microsecond.
        update_time: when the name last changed; UTC, to the microsecond.
        etag: opaque; changes whenever the name does.
    """

    gallery_id: str
    subject_id: str
    display_name: str
    template_count: int
    create_time: datetime
    update_time: datetime
    etag: str
