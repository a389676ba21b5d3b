"""Consents, expiries and policies of requests: checked, and converted to records and back."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from facet.server.errors import InvalidField
from facet.server.wire import validate
from facet.v1 import gallery_service_pb2 as pb
from gallery.records.consents import EARLIEST_CONSENT, Consent, ConsentBasis
from gallery.records.policies import MAX_RETENTION, MIN_RETENTION, NO_POLICY, GalleryPolicy
from gallery.times import from_microseconds

_BASES = {pb.ConsentBasis.Value(f"CONSENT_BASIS_{basis.name}"): basis for basis in ConsentBasis}
_NUMBERS = {basis: number for number, basis in _BASES.items()}


def consent(message: pb.Consent, field: str, *, now: datetime) -> Consent:
    """Check a consent.

    Args:
        message: the consent; it was given ``now`` if it has no time.
        field: its path in the request.
        now: the server's time.

    Raises:
        InvalidField: it has no known basis, its reference is too long or has characters that names must not have, or
            its time is in the future or before 1900.
    """
    if message.basis not in _BASES:
        known = ", ".join(f"_{basis.name}" for basis in ConsentBasis)
        raise InvalidField(f"{field}.basis", f"must be one of CONSENT_BASIS{known}")
    reference = validate.display_name(message.reference, f"{field}.reference")
    if not message.HasField("time"):
        return Consent(_BASES[message.basis], reference, now)
    time = _moment(message.time, f"{field}.time")
    if time > now:
        raise InvalidField(f"{field}.time", "must not be in the future of the server; leave it out for now")
    if time < EARLIEST_CONSENT:
        raise InvalidField(f"{field}.time", f"must not be before {EARLIEST_CONSENT.year}")
    return Consent(_BASES[message.basis], reference, time)


def expire_time(message: Timestamp, field: str, *, now: datetime) -> datetime:
    """Check when something is to expire.

    Raises:
        InvalidField: that is in the past, or after the year 9999.
    """
    time = _moment(message, field)
    if time <= now:
        raise InvalidField(field, "must be in the future of the server; to erase somebody now, delete the subject")
    return time


def policy(message: pb.GalleryPolicy, field: str) -> GalleryPolicy:
    """Check a policy.

    Raises:
        InvalidField: a retention is not between a second and a hundred years.
    """
    return GalleryPolicy(
        message.require_consent,
        _retention(message.subject_retention, f"{field}.subject_retention")
        if message.HasField("subject_retention")
        else None,
        _retention(message.template_retention, f"{field}.template_retention")
        if message.HasField("template_retention")
        else None,
    )


def consent_message(record: Consent) -> pb.Consent:
    """Convert a consent."""
    return pb.Consent(basis=_NUMBERS[record.basis], reference=record.reference, time=timestamp(record.time))


def policy_message(record: GalleryPolicy) -> pb.GalleryPolicy | None:
    """Convert a policy; ``None`` if it demands nothing."""
    if record == NO_POLICY:
        return None
    return pb.GalleryPolicy(
        require_consent=record.require_consent,
        subject_retention=_duration(record.subject_retention),
        template_retention=_duration(record.template_retention),
    )


def timestamp(moment: datetime) -> Timestamp:
    """Convert a time in UTC."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def optional_timestamp(moment: datetime | None) -> Timestamp | None:
    """Convert a time in UTC, if there is one."""
    return None if moment is None else timestamp(moment)


def _moment(message: Timestamp, field: str) -> datetime:
    validate.moment(message, field)
    return from_microseconds(message.seconds * 1_000_000 + message.nanos // 1000)


def _retention(message: Duration, field: str) -> timedelta:
    most, least = MAX_RETENTION.total_seconds(), MIN_RETENTION.total_seconds()
    seconds = message.seconds + message.nanos / 1e9
    if not least <= seconds <= most or not 0 <= message.nanos < 1_000_000_000:
        raise InvalidField(field, f"must be {least:.0f} to {most:.0f} seconds, or unset for no limit, is {seconds:g}")
    return timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


def _duration(duration: timedelta | None) -> Duration | None:
    if duration is None:
        return None
    message = Duration()
    message.FromTimedelta(duration)
    return message
