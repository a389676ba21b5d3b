"""What two subjects become when they are merged."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gallery.records.consents import Consent
from gallery.records.distinct_pairs import DistinctPairs, Pair, ordered
from gallery.records.policies import GalleryPolicy
from gallery.records.subjects import Subject
from gallery.times import earliest


def merged_subject(gone: Subject, into: Subject, policy: GalleryPolicy, *, etag: str, time: datetime) -> Subject:
    """Return a subject as it is after another one was merged into it: the stricter rule of the two applies.

    It keeps its id and its name. It was created when the older of the two was, has the consent that was given first,
    and expires when the first of the two would have, by itself or by the policy. So no template is kept longer than
    without the merge, by the policy as it is. Nor is it by a retention that is set later, unless only one of the two
    has a consent: it counts from that consent then.

    Args:
        gone: the subject that disappears.
        into: the subject that gets its templates.
        policy: of their gallery.
        etag: the new etag.
        time: now.
    """
    merged = replace(
        into,
        template_count=into.template_count + gone.template_count,
        create_time=min(gone.create_time, into.create_time),
        update_time=time,
        etag=etag,
        consent=_first(gone.consent, into.consent),
    )
    expiry = earliest(policy.subject_expiry(gone), policy.subject_expiry(into))
    later = policy.subject_expiry(merged)
    if expiry is not None and (later is None or later > expiry):
        return replace(merged, expire_time=expiry)
    return replace(merged, expire_time=earliest(gone.expire_time, into.expire_time))


def followed_pairs(distinct: DistinctPairs, gone: str, into: str) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return the pairs of a subject that is merged into another, and those that the other one gets from it."""
    pairs = tuple(sorted(pair for pair in distinct.pairs if gone in pair))
    followed = {ordered(into, other) for other in distinct.others(gone)}
    return pairs, tuple(sorted(followed - distinct.pairs))


def _first(*consents: Consent | None) -> Consent | None:
    given = [each for each in consents if each is not None]
    return min(given, key=lambda each: each.time, default=None)
