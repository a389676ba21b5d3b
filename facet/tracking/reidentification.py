"""Re-identification: a new track that continues one whose face is out of sight, by its face or by its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.tracking.embedding_aggregate import AggregateSettings, similarity
from facet.tracking.track_state import TrackState


@dataclass(frozen=True, slots=True)
class ReidentificationSettings:
    """When a new track continues an older one.

    Attributes:
        same_person_similarity: minimum similarity of two faces of one person, [-1, 1].
        place_min_iou: otherwise, minimum IoU of the new face with the last place of the older one
        place_max_seconds: that was seen at most this long ago,
        place_min_similarity: and minimum similarity of the two faces, if their quality suffices to compare them,
            [-1, 1].
    """

    same_person_similarity: float = 0.4
    place_min_iou: float = 0.2
    place_max_seconds: float = 1.0
    place_min_similarity: float = 0.25


def reidentify(
    new: TrackState,
    tracks: Iterable[TrackState],
    time: float,
    settings: ReidentificationSettings,
    aggregate: AggregateSettings,
) -> TrackState | None:
    """Find the track that a new one continues; the most similar face wins.

    Args:
        new: a track that is seen now.
        tracks: all tracks; only those with an id whose face is out of sight are candidates.
        time: now, seconds of the tracker's clock.
        settings: when a new track continues an older one.
        aggregate: which quality suffices to compare faces.

    Returns:
        The older track, or ``None``.
    """
    candidates = [
        each
        for each in tracks
        if each is not new
        and each.track_id
        and each.face_box is None
        and not (each.body_box is not None and each.body_last_seen == new.body_last_seen == time)
    ]
    ranked = sorted(
        ((similarity(each.aggregate, new.aggregate), each) for each in candidates), key=lambda pair: -pair[0]
    )
    for likeness, track in ranked:
        if likeness >= settings.same_person_similarity:
            return track
    for likeness, track in ranked:
        comparable = min(new.aggregate.best_quality, track.aggregate.best_quality) >= aggregate.outlier_min_quality
        differs = comparable and likeness < settings.place_min_similarity
        is_recent = time - track.face_last_seen <= settings.place_max_seconds
        if is_recent and not differs and _iou(track.last_face_box, new.last_face_box) >= settings.place_min_iou:
            return track
    return None


def _iou(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> float:
    """IoU of two boxes ``(4,)``; 0 if one is missing."""
    if one is None or other is None:
        return 0.0
    intersection = np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None).prod()
    areas = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod()
    return float(intersection / max(areas - intersection, 1e-6))
