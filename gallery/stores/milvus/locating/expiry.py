"""What has expired in Milvus: expressions that leave it out, and checks of rows that were read by their ids."""

from __future__ import annotations

from datetime import timedelta

from gallery.records.policies import GalleryPolicy
from gallery.stores.milvus.connection import Row
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.rows import policy_of
from gallery.stores.milvus.schema import Collections
from gallery.times import Clock, microseconds_of, to_microseconds

CHECKED = ("expires", "since")
"""The fields of a subject that :meth:`ExpiryFilter.is_living` needs, if the collections have them."""


class ExpiryFilter:
    """Tells the living from the expired, by a clock. In collections that store no times, nothing expires.

    Args:
        collections: the collections.
        clock: the clock.
    """

    def __init__(self, collections: Collections, clock: Clock) -> None:
        self._collections = collections
        self._clock = clock

    def checked_fields(self) -> tuple[str, ...]:
        """Return the fields of a subject to read for :meth:`is_living`."""
        return CHECKED if self._collections.has_expiry else ()

    def subjects(self, location: GalleryLocation) -> str:
        """Return the expression that matches the subjects of a gallery that have not expired."""
        return self._living(location, "since", policy_of(location.row).subject_retention)

    def templates(self, location: GalleryLocation) -> str:
        """Return the expression that matches the templates that have not expired; their subjects may have."""
        return self._living(location, "created", policy_of(location.row).template_retention)

    def expired_subjects(self, location: GalleryLocation, policy: GalleryPolicy | None = None) -> str:
        """Return the expression that matches the expired subjects, by the policy of the gallery or another one."""
        return self._expired(location, "since", (policy or policy_of(location.row)).subject_retention)

    def expired_templates(self, location: GalleryLocation, policy: GalleryPolicy | None = None) -> str:
        """Return the expression that matches the templates that have expired themselves, likewise."""
        return self._expired(location, "created", (policy or policy_of(location.row)).template_retention)

    def is_living(self, location: GalleryLocation, subject: Row) -> bool:
        """Tell whether the subject of a row has not expired."""
        if not self._collections.has_expiry:
            return True
        now = self._now()
        retention = policy_of(location.row).subject_retention
        return bool(
            subject["expires"] > now and (retention is None or subject["since"] + microseconds_of(retention) > now)
        )

    def _living(self, location: GalleryLocation, since: str, retention: timedelta | None) -> str:
        if not self._collections.has_expiry:
            return location.filter
        now = self._now()
        by_age = "" if retention is None else f" and {since} > {now - microseconds_of(retention)}"
        return f"{location.filter} and expires > {now}{by_age}"

    def _expired(self, location: GalleryLocation, since: str, retention: timedelta | None) -> str:
        now = self._now()
        by_age = "" if retention is None else f" or {since} <= {now - microseconds_of(retention)}"
        return f"{location.filter} and (expires <= {now}{by_age})"

    def _now(self) -> int:
        return to_microseconds(self._clock())
