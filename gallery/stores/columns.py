"""Values of a database's columns as parts of records, for every store with tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gallery.embeddings import has_unit_length
from gallery.records import calibration_json, migration_json
from gallery.records.calibration_json import InvalidCalibration
from gallery.records.calibrations import Calibration
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.expired import ExpiriesAhead, Expiry
from gallery.records.migration_json import InvalidMigration
from gallery.records.migrations import Migration
from gallery.records.policies import GalleryPolicy
from gallery.records.thresholds import ThresholdSource
from gallery.times import LATEST, earliest, from_microseconds, microseconds_of, to_microseconds


class BadRow(Exception):
    """A row is not as it was written."""


def embeddings_of(blobs: Sequence[Any]) -> NDArray[np.float32]:
    """Convert the bytes of embeddings; shape ``(n, dimension)``.

    Raises:
        BadRow: they are not as they were written.
    """
    if not blobs:
        return np.empty((0, 0), np.float32)
    if not all(isinstance(blob, bytes) for blob in blobs):
        raise BadRow("an embedding is missing")
    if len(set(map(len, blobs))) > 1 or len(blobs[0]) % 4:
        raise BadRow("embeddings differ in length")
    embeddings = np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), -1).astype(np.float32, copy=False)
    if not has_unit_length(embeddings).all():
        raise BadRow("an embedding is not of unit length")
    return embeddings


def threshold_source_of(text: str) -> ThresholdSource | None:
    """Convert a stored source; ``None`` if it is not known yet.

    Raises:
        BadRow: it is not as it was written.
    """
    try:
        return ThresholdSource(text) if text else None
    except ValueError as error:
        raise BadRow(f"{text!r} is not a source of a threshold") from error


def consent_of(basis: str, reference: str, time: Any) -> Consent | None:
    """Convert a stored consent.

    Raises:
        BadRow: it is not as it was written.
    """
    if not basis:
        return None
    try:
        return Consent(ConsentBasis(basis), reference, time_of(time))
    except ValueError as error:
        raise BadRow(f"{basis!r} is not a basis of a consent") from error


def calibration_of(text: str) -> Calibration | None:
    """Convert a stored calibration.

    Raises:
        BadRow: it is not as it was written.
    """
    try:
        return calibration_json.from_text(text)
    except InvalidCalibration as error:
        raise BadRow(f"a calibration is not as it was written: {error}") from error


def migration_of(text: str) -> Migration | None:
    """Convert a stored migration.

    Raises:
        BadRow: it is not as it was written.
    """
    try:
        return migration_json.from_text(text)
    except InvalidMigration as error:
        raise BadRow(f"a migration is not as it was written: {error}") from error


def time_of(microseconds: Any) -> datetime:
    """Convert a stored time.

    Raises:
        BadRow: it is not as it was written.
    """
    try:
        return from_microseconds(microseconds)
    except (OverflowError, TypeError) as error:
        raise BadRow(f"{microseconds!r} is not a time") from error


def expiry_of(microseconds: int | None) -> datetime | None:
    """Convert the stored time at which something expires; ``None`` for never.

    Raises:
        BadRow: it is not as it was written.
    """
    return None if microseconds is None else time_of(microseconds)


def expiries_of(rows: Iterable[tuple[int | None, str, str]]) -> list[Expiry]:
    """Convert rows of a time, a subject id and a template id; those that never expire are left out."""
    last = to_microseconds(LATEST)
    return [
        Expiry(from_microseconds(min(microseconds, last)), subject_id, template_id)
        for microseconds, subject_id, template_id in rows
        if microseconds is not None
    ]


def expiries_ahead(pages: Iterable[Sequence[tuple[int, str, str]]], *, limit: int) -> ExpiriesAhead:
    """Convert pages of at most ``limit`` such rows, each of which is sorted and may go on."""
    found = [expiries_of(page) for page in pages]
    until = earliest(*(page[-1].time for page in found if len(page) == limit))
    return ExpiriesAhead([each for page in found for each in page], until)


def retention_of(microseconds: int | None) -> timedelta | None:
    """Convert a stored retention.

    Raises:
        BadRow: it is not as it was written.
    """
    try:
        return None if microseconds is None else timedelta(microseconds=microseconds)
    except (OverflowError, TypeError) as error:
        raise BadRow(f"{microseconds!r} is not a duration") from error


def expiry_column(moment: datetime | None) -> int | None:
    """Return the column that :func:`expiry_of` reads."""
    return None if moment is None else to_microseconds(moment)


def policy_columns(policy: GalleryPolicy) -> tuple[Any, ...]:
    """Return the columns require_consent, subject_retention and template_retention of a policy."""
    retentions = (policy.subject_retention, policy.template_retention)
    return policy.require_consent, *(None if each is None else microseconds_of(each) for each in retentions)
