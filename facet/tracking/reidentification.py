"""Somebody new who is somebody of a moment ago: known again by the face, or by the place where it went out of sight."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.tracking.embedding_aggregate import EvidenceSettings, similarity
from facet.tracking.track_state import Presence


@dataclass(frozen=True, slots=True)
class ReunionSettings:
    """When a newcomer is no newcomer.

    Attributes:
        one_person: faces that are at least so similar are of one person, [-1, 1].
        same_place: a face that overlaps by so much (IoU) with where one was last seen is that one again,
        within: where that is no longer ago than so many seconds,
        not_unlike: and where the two faces, if they can be judged, are at least so similar, [-1, 1].
    """

    one_person: float = 0.4
    same_place: float = 0.2
    within: float = 1.0
    not_unlike: float = 0.25


def known_again(
    newcomer: Presence,
    everybody: Iterable[Presence],
    time: float,
    settings: ReunionSettings,
    evidence: EvidenceSettings,
) -> Presence | None:
    """Who of those whose face is out of sight the newcomer is, the most similar first; ``None``: nobody.

    Args:
        newcomer: who is seen now.
        everybody: who is followed.
        time: now, seconds of the scene's clock.
        settings: when a newcomer is no newcomer.
        evidence: says which faces can be judged.
    """
    away = [
        each
        for each in everybody
        if each.track_id and each.face_box is None and not (each.body_seen == newcomer.body_seen == time)
    ]
    by_likeness = sorted(((similarity(each.evidence, newcomer.evidence), each) for each in away), key=lambda a: -a[0])
    for alike, presence in by_likeness:
        if alike >= settings.one_person:
            return presence
    judged = newcomer.evidence.best_quality >= evidence.judged_quality
    for alike, presence in by_likeness:
        unlike = judged and presence.evidence.best_quality >= evidence.judged_quality and alike < settings.not_unlike
        recent = time - presence.face_seen <= settings.within
        if recent and not unlike and _overlap(presence.face_place, newcomer.face_place) >= settings.same_place:
            return presence
    return None


def _overlap(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> float:
    """IoU of two boxes ``(4,)``; 0 where one is missing."""
    if one is None or other is None:
        return 0.0
    common = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    areas = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()
    return float(common / max(areas - common, 1e-6))
