"""Consents, expiries and retentions as people write them on a command line or in a manifest."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from facet import consent
from facet.terminal import console
from facet.v1 import gallery_service_pb2 as pb

BASES = tuple(name.removeprefix("CONSENT_BASIS_").lower() for name, number in pb.ConsentBasis.items() if number)

ConsentBasis = Annotated[
    str,
    typer.Option(help=f"Why the person may be kept: {', '.join(BASES)}.", show_default=False, metavar="BASIS"),
]
ConsentReference = Annotated[
    str, typer.Option(help="Where the evidence is, such as the number of a form.", show_default=False)
]
ConsentTime = Annotated[
    str,
    typer.Option(help="When it was given: 2026-05-31, or 2026-05-31T09:30+02:00. Default: now.", show_default=False),
]
Expires = Annotated[
    str,
    typer.Option(
        help="When to erase the person: after a time (12h, 30d, 8w, 1y), or at one (2027-05-31, UTC).",
        show_default=False,
        metavar="TIME",
    ),
]

_UNITS = {
    "s": timedelta(seconds=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_DURATION = re.compile(r"(\d{1,9})\s*([shdwy])")


def consent_of(basis: str, reference: str, time: str, where: str) -> pb.Consent | None:
    """Make a consent from texts; ``None`` if all of them are empty. Exits with a usage error if they are not one.

    Args:
        basis: one of :data:`BASES`.
        reference: where the evidence is.
        time: when it was given; empty for now.
        where: begins the message of an error, such as the option or the line of a file.
    """
    if not basis:
        if reference or time:
            console.fail(f"{where}: a consent needs a basis: one of {', '.join(BASES)}", console.USAGE)
        return None
    if basis not in BASES:
        console.fail(f"{where}: {basis!r} is no basis of a consent: use one of {', '.join(BASES)}", console.USAGE)
    return consent(basis, reference, moment(time, where) if time else None)


def expiry_of(text: str, where: str) -> datetime | None:
    """Read when something expires: after a duration from now, or at a time; ``None`` for an empty text."""
    if not text:
        return None
    after = _duration(text)
    try:
        return moment(text, where) if after is None else datetime.now(UTC) + after
    except OverflowError:
        console.fail(f"{where}: {text} is too long", console.USAGE)


def moment(text: str, where: str) -> datetime:
    """Read a time in ISO 8601; one without a zone is in UTC, and a date is its beginning."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        console.fail(f"{where}: {text!r} is no time: write 2026-05-31, or 2026-05-31T09:30+02:00", console.USAGE)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def retention(text: str, where: str) -> timedelta | None:
    """Read how long something is kept; ``None`` for ``none``."""
    if text == "none":
        return None
    duration = _duration(text)
    if duration is None:
        console.fail(f"{where}: {text!r} is no duration: write 12h, 30d, 8w, 1y, or none", console.USAGE)
    return duration


def in_words(duration: timedelta) -> str:
    """Write a duration as :func:`retention` reads it, in the longest unit that fits."""
    for name in "ydhs":
        if duration % _UNITS[name] == timedelta(0):
            return f"{duration // _UNITS[name]}{name}"
    return f"{duration.total_seconds():g}s"


def describe(given: pb.Consent) -> str:
    """Describe a consent in a few words."""
    basis = pb.ConsentBasis.Name(given.basis).removeprefix("CONSENT_BASIS_").lower().replace("_", " ")
    reference = f" ({given.reference})" if given.reference else ""
    return f"{basis}{reference}, {given.time.ToDatetime():%Y-%m-%d}"


def _duration(text: str) -> timedelta | None:
    found = _DURATION.fullmatch(text.strip())
    try:
        return int(found[1]) * _UNITS[found[2]] if found else None
    except OverflowError:
        return timedelta.max
