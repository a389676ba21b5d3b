"""Outcomes as stores of rows keep them: the conversion of rows and ids, and the digests of callers."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from gallery.errors import InvalidPageToken
from gallery.records.identifications import Decision
from gallery.records.outcomes import GivenAnswer, Outcome, Truth
from gallery.stores.columns import BadRow
from gallery.times import from_microseconds

KEY_BYTES = 32
"""The length of a gallery's key of answers."""
SPARE = 100
"""The divisor of the most outcomes that gives how many are deleted beyond what is too much: sorting them takes long."""

_ID = re.compile("[0-9]{20}")
_LAST_KEY = 2**63 - 1


def reporter_digest(reporter: str, secret: bytes) -> str:
    """Return a digest of the caller who said something, keyed with a gallery's key, which does not name the caller."""
    return hashlib.blake2b(reporter.encode(), key=secret, digest_size=16).hexdigest()


def outcome_of(row: tuple[Any, ...]) -> Outcome:
    """Convert a row.

    Raises:
        BadRow: it is not as it was written.
    """
    key, nonce, answer_time, decision, similarity, margin, threshold, source, share, contract, *rest = row
    is_right, truth, report_time, is_forgotten, subject_key, subject_id, truth_key, truth_id = rest
    try:
        answer = GivenAnswer(
            bytes(nonce),
            from_microseconds(answer_time),
            Decision(decision),
            subject_id or "",
            similarity,
            margin,
            threshold,
            source,
            share,
            contract,
        )
        said = from_microseconds(report_time)
        found = Outcome(f"{key:020}", answer, bool(is_right), Truth(truth), truth_id or "", said, bool(is_forgotten))
    except (OverflowError, TypeError, ValueError) as error:
        raise BadRow(f"an outcome is not as it was written: {error}") from error
    names_expired = (subject_key and subject_id is None) or (truth_key and truth_id is None)
    return found.forgotten() if names_expired else found  # expired, and not erased yet


def key_of_outcome(outcome_id: str) -> int:
    """Return the key of an outcome's id; 0, which comes first, for an empty one.

    Raises:
        InvalidPageToken: no outcome has this id.
    """
    if not outcome_id:
        return 0
    if not _ID.fullmatch(outcome_id) or (key := int(outcome_id)) > _LAST_KEY:
        raise InvalidPageToken
    return key
