"""Associates faces and bodies: a track is one person, known by a face, a body, or both.

Faces and bodies are tracked separately. While a face is turned away, its body keeps the track.
A face without a body (a close-up, or no object detector) is a track, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.tracking.decision import Decision
from facet.tracking.embedding_aggregate import similarity
from facet.tracking.track_state import NO_ID, TrackState
from recognizer.detection.persons import faces_of_persons
from recognizer.faces import Faces

_MAX_GROWTH = 1.6
"""Factor by which the sides of a face may grow or shrink between two detections."""


@dataclass(frozen=True, slots=True)
class TrackedDetections:
    """The faces and bodies of a frame, with the ids that the box trackers gave them.

    Attributes:
        faces: by falling score.
        face_ids: int64 ``(n,)``; :data:`NO_ID` for faces that are not tracked.
        bodies: float32 ``(m, 4)``, xyxy pixels.
        body_scores: float32 ``(m,)`` in [0, 1].
        body_ids: int64 ``(m,)``; :data:`NO_ID` for bodies that are not tracked.
    """

    faces: Faces
    face_ids: NDArray[np.int64]
    bodies: NDArray[np.float32]
    body_scores: NDArray[np.float32]
    body_ids: NDArray[np.int64]


class TrackAssociator:
    """Keeps the tracks, and assigns detected faces and bodies to them.

    Args:
        new_track: makes a track that is first seen at a time.
        same_person_similarity: minimum similarity of two faces of one person, [-1, 1].

    Attributes:
        tracks: all tracks, confirmed or not.
    """

    def __init__(
        self,
        new_track: Callable[[float], TrackState],
        *,
        same_person_similarity: float,
    ) -> None:
        self._new_track = new_track
        self._same_person_similarity = same_person_similarity
        self.tracks: list[TrackState] = []
        self._last_time = -np.inf

    def associate(self, detections: TrackedDetections, time: float) -> None:
        """Assign the detections of a frame to tracks, and start tracks for those that are new."""
        previous_time, self._last_time = self._last_time, time
        for track in self.tracks:
            track.clear_boxes()
        faces, owners = detections.faces, faces_of_persons(detections.faces, detections.bodies)
        visible = _VisibleIds(_id_set(detections.face_ids), _id_set(detections.body_ids))
        for index in np.flatnonzero(detections.face_ids != NO_ID):
            face_id, box = int(detections.face_ids[index]), faces.boxes[index]
            body_id = int(detections.body_ids[owners[index]]) if owners[index] >= 0 else NO_ID
            self._detach_if_implausible(face_id, box)
            track = self._track_of_face(face_id, body_id, visible, time)
            track.update_face(face_id, box, faces.landmarks[index], time, previous_time)
            track.face_score = float(faces.scores[index])
            track.best_score = max(track.best_score, track.face_score)
        for index in np.flatnonzero(detections.body_ids != NO_ID):
            track = self._track_of_body(int(detections.body_ids[index]), time)
            track.body_box, track.body_last_seen = detections.bodies[index], time
            track.best_score = max(track.best_score, float(detections.body_scores[index]))
        for track in self.tracks:
            track.hits += track.last_seen == time

    def merge(self, kept: TrackState, other: TrackState) -> None:
        """Merge two tracks of one person: the first continues with the face and body of the second, which ends.

        Unless embeddings of both tell that they are one person, the visible face needs verification.
        """
        shown, hidden = (kept, other) if other.face_box is None else (other, kept)
        is_comparable = kept.aggregate.mean is not None and other.aggregate.mean is not None
        is_alike = similarity(kept.aggregate, other.aggregate) >= self._same_person_similarity
        is_verified = not shown.needs_verification and (is_alike or hidden.aggregate.mean is None)
        if other.face_box is not None and other.landmarks is not None:
            kept.update_face(other.face_id, other.face_box, other.landmarks, other.face_last_seen)
            kept.quality, kept.appearance = other.quality, other.appearance
            kept.measured, kept.face_score = other.measured or kept.measured, other.face_score
        kept.needs_verification = not is_verified
        if is_verified:
            kept.verify()
        if is_alike or not is_comparable:
            kept.aggregate.merge(other.aggregate)
        if other.body_id != NO_ID and kept.body_last_seen < other.body_last_seen:
            kept.body_id, kept.body_box, kept.body_last_seen = other.body_id, other.body_box, other.body_last_seen
            kept.is_same_body = False
        if kept.identity.decision is Decision.UNDECIDED:
            kept.identity = other.identity
        kept.needs_search = True
        kept.first_seen = min(kept.first_seen, other.first_seen)
        kept.last_embedded = max(kept.last_embedded, other.last_embedded)
        kept.best_score, kept.hits = max(kept.best_score, other.best_score), max(kept.hits, other.hits)
        kept.track_id = min(filter(None, (kept.track_id, other.track_id)), default=0)
        kept.is_settled, other.is_settled = kept.is_settled or other.is_settled, True
        self.tracks.remove(other)

    def split(self, track: TrackState, time: float) -> TrackState:
        """Move the face and body of a track to a new one, because they are another person's.

        Returns:
            The new track.
        """
        other = self._add_track(time)
        if track.face_box is not None and track.landmarks is not None:
            other.update_face(track.face_id, track.face_box, track.landmarks, time)
            other.quality, other.appearance = track.quality, track.appearance
            other.measured, other.face_score = track.measured, track.face_score
        other.body_id, other.body_box, other.body_last_seen = track.body_id, track.body_box, track.body_last_seen
        other.best_score, other.hits = track.best_score, track.hits
        track.detach()
        return other

    def _detach_if_implausible(self, face_id: int, box: NDArray[np.float32]) -> None:
        """Detach a face that is suddenly much larger or smaller: it is another one, in front of or behind the first."""
        track = self._find_face(face_id)
        if track is not None and track.last_face_box is not None:
            before, after = track.last_face_box[2:] - track.last_face_box[:2], box[2:] - box[:2]
            growth = float(after.prod() / max(before.prod(), 1e-6)) ** 0.5
            if not 1 / _MAX_GROWTH <= growth <= _MAX_GROWTH:
                track.face_id = NO_ID

    def _track_of_face(self, face_id: int, body_id: int, visible: _VisibleIds, time: float) -> TrackState:
        """The track of a face that is on a body in this frame; link the two unless visible boxes contradict it."""
        by_face, by_body = self._find_face(face_id), self._find_body(body_id)
        if by_face is None:
            if by_body is not None and by_body.face_id not in visible.faces:
                return by_body
            track = self._add_track(time)
            track.body_id = body_id if by_body is None else NO_ID
            return track
        if by_body is None:
            if body_id != NO_ID and by_face.body_id not in visible.bodies:
                by_face.body_id = body_id
        elif by_body is not by_face and by_body.face_id not in visible.faces:
            self._link(by_face, by_body, visible)
        return by_face

    def _link(self, by_face: TrackState, by_body: TrackState, visible: _VisibleIds) -> None:
        """Link a face that had no body, or another one, to a body whose own face is out of sight."""
        likeness = similarity(by_face.aggregate, by_body.aggregate)
        comparable = by_face.aggregate.mean is not None and by_body.aggregate.mean is not None
        if by_face.body_id in visible.bodies or (comparable and likeness < self._same_person_similarity):
            by_face.body_id, by_body.body_id = by_body.body_id, by_face.body_id
            by_body.is_same_body = False
            return
        self.merge(by_face, by_body)

    def _track_of_body(self, body_id: int, time: float) -> TrackState:
        track = self._find_body(body_id)
        if track is None:
            track = self._add_track(time)
            track.body_id = body_id
        return track

    def _find_face(self, face_id: int) -> TrackState | None:
        return next((each for each in self.tracks if each.face_id == face_id != NO_ID), None)

    def _find_body(self, body_id: int) -> TrackState | None:
        return next((each for each in self.tracks if each.body_id == body_id != NO_ID), None)

    def _add_track(self, time: float) -> TrackState:
        track = self._new_track(time)
        self.tracks.append(track)
        return track


@dataclass(frozen=True, slots=True)
class _VisibleIds:
    """The ids of the faces and bodies in a frame."""

    faces: set[int]
    bodies: set[int]


def _id_set(ids: NDArray[np.int64]) -> set[int]:
    return {int(each) for each in ids if each != NO_ID}
