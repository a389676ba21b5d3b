"""Whether a face that is in doubt shows the person of its track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facet.tracking.records import GalleryUnavailable, Perception
from facet.tracking.track_state import TrackState


def is_verified(track: TrackState, embedding: NDArray[np.float32], perception: Perception) -> bool:
    """Whether an embedding shows the person of a track, so that the track's name may be reported.

    The most similar other person in a crowd resembles the track, too. If the track has a name, a face that resembles it
    only so much must therefore reach the threshold of that name by itself.

    Args:
        track: a track.
        embedding: float32 ``(d,)``, unit length, of the face that is in doubt.
        perception: searches the gallery.
    """
    if track.aggregate.is_certain_face(embedding):
        return True
    return track.aggregate.is_same_face(embedding) and _supports(track.identity.subject_id, embedding, perception)


def _supports(subject_id: str, embedding: NDArray[np.float32], perception: Perception) -> bool:
    """Whether the gallery identifies an embedding alone as a subject, be it as the best match or as a later candidate.

    A track without a subject needs no more than a gallery that answers: otherwise its name may be gone for a moment.
    """
    try:
        (match,) = perception.search(embedding[None])
    except GalleryUnavailable:
        return False
    if not subject_id:
        return True
    while match is not None and match.subject_id != subject_id:
        match = match.next
    return match is not None and match.similarity >= match.threshold
