"""Why a person may be kept in a gallery: the consent, or another legal basis."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime

from gallery.names import MAX_NAME

MAX_REFERENCE = MAX_NAME
"""The most characters of a reference, which follows the rules of names."""

EARLIEST_CONSENT = datetime(1900, 1, 1, tzinfo=UTC)
"""No consent is older: an earlier time is a mistake."""


class ConsentBasis(enum.Enum):
    """The legal basis of keeping a person's face, after Articles 6(1) and 9(2) of the GDPR.

    The values are stored and exported.
    """

    CONSENT = "consent"
    """The person agreed explicitly: Articles 6(1)(a) and 9(2)(a)."""
    CONTRACT = "contract"
    """A contract with the person needs it: Article 6(1)(b)."""
    LEGAL_OBLIGATION = "legal_obligation"
    """A law demands it: Article 6(1)(c)."""
    VITAL_INTERESTS = "vital_interests"
    """It protects somebody's life: Articles 6(1)(d) and 9(2)(c)."""
    PUBLIC_TASK = "public_task"
    """A task in the public interest needs it: Articles 6(1)(e) and 9(2)(g)."""
    LEGITIMATE_INTERESTS = "legitimate_interests"
    """Interests that the person's own do not outweigh: Article 6(1)(f)."""
    EMPLOYMENT = "employment"
    """Employment or social security law permits it: Article 9(2)(b)."""
    LEGAL_CLAIMS = "legal_claims"
    """A legal claim needs it: Article 9(2)(f)."""
    RESEARCH = "research"
    """Archiving, research or statistics: Article 9(2)(j)."""


@dataclass(frozen=True, slots=True)
class Consent:
    """The record of a consent.

    Attributes:
        basis: the legal basis.
        reference: where the evidence is, for example the number of a form; at most :data:`MAX_REFERENCE` characters,
            may be empty.
        time: when it was given; UTC, to the microsecond.
    """

    basis: ConsentBasis
    reference: str
    time: datetime
