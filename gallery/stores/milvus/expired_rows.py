"""Finds the rows in Milvus that have expired, or would by another policy."""

from __future__ import annotations

from collections.abc import Sequence

from gallery.records.expired import NO_EFFECT, Expired, PolicyEffect
from gallery.records.policies import GalleryPolicy
from gallery.stores.milvus.connection import MilvusConnection, Row
from gallery.stores.milvus.locating.gallery_location import GalleryLocation
from gallery.stores.milvus.locating.locator import GalleryLocator
from gallery.stores.milvus.rows import NEVER, id_of, row_id
from gallery.stores.milvus.schema import Collections


class ExpiredRows:
    """Finds expired rows; there are none in collections of a version that stored no expiries.

    Args:
        milvus: the connection.
        collections: its collections.
        locator: finds the rows of galleries.
    """

    def __init__(self, milvus: MilvusConnection, collections: Collections, locator: GalleryLocator) -> None:
        self._milvus = milvus
        self._collections = collections
        self._locator = locator
        self._expiry = locator.expiry

    def has_terms(self, location: GalleryLocation) -> bool:
        """See :meth:`gallery.stores.base.Store.has_terms`."""
        if not self._collections.has_expiry:
            return False
        expires = f"{location.filter} and expires < {NEVER}"
        with_terms = f"{expires} or ({location.filter} and consent_basis != '')"
        return bool(
            self._milvus.count(self._collections.subjects, with_terms)
            or any(self._milvus.count(each, expires) for each in location.listed)
        )

    def find(self, location: GalleryLocation, *, limit: int) -> Expired:
        """See :meth:`gallery.stores.base.Store.expired`."""
        if not self._collections.has_expiry:
            return Expired((), ())
        where = self._expiry.expired_subjects(location)
        subjects = self._milvus.first_page(self._collections.subjects, where, ("subject",), limit=limit)
        templates: dict[str, Row] = {}
        where = self._expiry.expired_templates(location)
        for each in location.listed:
            rows = self._milvus.first_page(each, where, ("subject",), limit=limit)
            templates |= {id_of(row): row for row in rows}
        subject_ids = tuple(row["subject"] for row in subjects)
        of_others = [(row["subject"], each) for each, row in templates.items() if row["subject"] not in subject_ids]
        return Expired(subject_ids, tuple(of_others[:limit]))

    def subjects(self, location: GalleryLocation, expired: Expired) -> list[Row]:
        """Return the rows of the subjects that are stored, and still expired."""
        keys = [row_id(location.key, subject_id) for subject_id in expired.subject_ids]
        fields = self._collections.fields("subjects")
        rows = self._milvus.get(self._collections.subjects, keys, fields, strong=True)
        return [row for row in rows.values() if not self._expiry.is_living(location, row)]

    def effect_of(self, location: GalleryLocation, policy: GalleryPolicy) -> PolicyEffect:
        """See :meth:`gallery.stores.base.Store.effect_of`."""
        if not self._collections.has_expiry:
            return NO_EFFECT
        living = self._expiry.subjects(location)
        where = f"{living} and ({self._expiry.expired_subjects(location, policy)})"
        subjects = [
            row["subject"]
            for page in self._milvus.pages(self._collections.subjects, where, ("subject",), strong=True)
            for row in page
        ]
        return PolicyEffect(
            len(subjects),
            self._templates_expiring(location, policy, subjects),
            self._milvus.count(self._collections.subjects, f"{living} and consent_basis == ''"),
        )

    def _templates_expiring(self, location: GalleryLocation, policy: GalleryPolicy, subjects: Sequence[str]) -> int:
        """Count the living templates that expire by a policy, or with these subjects."""
        if not location.listed:
            return 0
        living = self._expiry.templates(location)
        themselves = f"{living} and ({self._expiry.expired_templates(location, policy)})"
        gone = self._milvus.query(self._collections.subjects, self._expiry.expired_subjects(location), ("subject",))
        without = [*subjects, *(row["subject"] for row in gone)]
        with_subjects = self._locator.count_templates_of(location, subjects, living)
        both = self._locator.count_templates_of(location, without, themselves)
        return self._locator.count_rows(location, themselves) + with_subjects - both
