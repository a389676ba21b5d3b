"""Consents, expiries and policies, as a program makes them."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from facet.v1 import gallery_service_pb2 as pb


def consent(basis: str, reference: str = "", time: datetime | None = None) -> pb.Consent:
    """The record of a consent, or of another legal basis.

    Args:
        basis: ``consent``, ``contract``, ``legal_obligation``, ``vital_interests``, ``public_task``,
            ``legitimate_interests``, ``employment``, ``legal_claims`` or ``research``.
        reference: where the evidence is, for example the number of a form; at most 256 characters.
        time: when it was given, with a time zone; ``None`` for now.

    Raises:
        ValueError: there is no such basis, or the time has no zone.
    """
    known = {name.removeprefix("CONSENT_BASIS_").lower(): number for name, number in pb.ConsentBasis.items() if number}
    if basis not in known:
        raise ValueError(f"{basis!r} is not a basis of a consent: use one of {', '.join(known)}")
    return pb.Consent(basis=known[basis], reference=reference, time=timestamp(time))


def policy(
    *,
    require_consent: bool = False,
    subject_retention: timedelta | None = None,
    template_retention: timedelta | None = None,
) -> pb.GalleryPolicy:
    """What a gallery demands of the people in it, and how long it keeps them.

    Args:
        require_consent: every subject must have a recorded consent.
        subject_retention: a subject expires this long after it was created, or after its consent was given if that is
            later; ``None`` for never.
        template_retention: a template expires this long after it was enrolled; ``None`` for not before its subject.
    """
    return pb.GalleryPolicy(
        require_consent=require_consent,
        subject_retention=_duration(subject_retention),
        template_retention=_duration(template_retention),
    )


def timestamp(time: datetime | None) -> Timestamp | None:
    """Convert a time.

    Raises:
        ValueError: it has no time zone.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone")
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _duration(duration: timedelta | None) -> Duration | None:
    if duration is None:
        return None
    message = Duration()
    message.FromTimedelta(duration)
    return message
