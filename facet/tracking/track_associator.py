"""Faces and bodies tied together: a track is a person, by its face, its body, or both.

The two are followed one by one. A face that turns away leaves its body, which keeps the person, and whom a body gets
back later by owning a face again; a face without a body (a close-up, or no object detector) is a person, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facet.tracking.decision import Decision
from facet.tracking.embedding_aggregate import similarity
from facet.tracking.track_state import NOTHING, Presence
from recognizer.faces import Faces
from recognizer.persons import faces_of_persons

_MAX_GROWTH = 1.6
"""Of a face's sides from one look to the next."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found in a frame, each face and body with the id that it has over time.

    Attributes:
        faces: by falling score.
        face_ids: int64 ``(n,)``; :data:`NOTHING` for what is too faint to be followed.
        bodies: float32 ``(m, 4)``, xyxy pixels.
        body_scores: float32 ``(m,)`` in [0, 1].
        body_ids: int64 ``(m,)``, as for faces.
    """

    faces: Faces
    face_ids: NDArray[np.int64]
    bodies: NDArray[np.float32]
    body_scores: NDArray[np.float32]
    body_ids: NDArray[np.int64]


class Bonds:
    """Everybody who is followed.

    Args:
        begin: makes somebody new, seen at a time.
        one_person: evidence of two tracks that is less similar than this is of two people, [-1, 1].
    """

    def __init__(self, begin: Callable[[float], Presence], one_person: float) -> None:
        self._begin = begin
        self._one_person = one_person
        self.everybody: list[Presence] = []
        self._looked = -np.inf

    def tie(self, look: Look, time: float) -> None:
        """Show everybody what is seen of them, and begin those who are new."""
        looked_before, self._looked = self._looked, time
        for presence in self.everybody:
            presence.hide()
        owners = faces_of_persons(look.faces, look.bodies)
        followed = np.flatnonzero(look.face_ids != NOTHING)
        shown = _Shown(_ids(look.face_ids), _ids(look.body_ids))
        for index in followed:
            self._untie_unlikely(int(look.face_ids[index]), look.faces.boxes[index])
            body = int(look.body_ids[owners[index]]) if owners[index] >= 0 else NOTHING
            presence = self._with_face(int(look.face_ids[index]), body, shown, time)
            box, landmarks = look.faces.boxes[index], look.faces.landmarks[index]
            presence.show_face(int(look.face_ids[index]), box, landmarks, time, looked_before)
            presence.score = max(presence.score, float(look.faces.scores[index]))
        for index in np.flatnonzero(look.body_ids != NOTHING):
            presence = self._with_body(int(look.body_ids[index]), time)
            presence.body_box, presence.body_seen = look.bodies[index], time
            presence.score = max(presence.score, float(look.body_scores[index]))
        for presence in self.everybody:
            presence.looks += presence.seen == time

    def join(self, lasting: Presence, other: Presence) -> None:
        """Two tracks are one person: the first goes on with what is seen of the second, which ends."""
        if other.face_box is not None and other.landmarks is not None:
            lasting.show_face(other.face, other.face_box, other.landmarks, other.face_seen)
            lasting.quality = other.quality
        if other.body != NOTHING and lasting.body_seen < other.body_seen:
            lasting.body, lasting.body_box, lasting.body_seen = other.body, other.body_box, other.body_seen
        if lasting.verdict.decision is Decision.UNDECIDED:
            lasting.verdict = other.verdict
        lasting.evidence.join(other.evidence)
        lasting.undecided = True
        lasting.since = min(lasting.since, other.since)
        lasting.embedded = max(lasting.embedded, other.embedded)
        lasting.score, lasting.looks = max(lasting.score, other.score), max(lasting.looks, other.looks)
        lasting.track_id = min(filter(None, (lasting.track_id, other.track_id)), default=0)
        self.everybody.remove(other)

    def part(self, presence: Presence, time: float) -> Presence:
        """What is seen of somebody turns out to be somebody else's, who is answered; nothing is left of the first."""
        other = self._new(time)
        if presence.face_box is not None and presence.landmarks is not None:
            other.show_face(presence.face, presence.face_box, presence.landmarks, time)
            other.quality = presence.quality
        other.body, other.body_box, other.body_seen = presence.body, presence.body_box, presence.body_seen
        other.score, other.looks = presence.score, presence.looks
        presence.lose()
        return other

    def _untie_unlikely(self, face: int, box: NDArray[np.float32]) -> None:
        """A face that is suddenly much larger or smaller is another one, in front of the first or behind it."""
        presence = self._who("face", face)
        if presence is not None and presence.face_place is not None:
            before, after = presence.face_place[2:] - presence.face_place[:2], box[2:] - box[:2]
            ratio = float(after.prod() / max(before.prod(), 1e-6)) ** 0.5
            if not 1 / _MAX_GROWTH <= ratio <= _MAX_GROWTH:
                presence.face = NOTHING

    def _with_face(self, face: int, body: int, shown: _Shown, time: float) -> Presence:
        """Who has this face, which the frame shows on this body; the two are tied where nothing visible forbids it."""
        by_face, by_body = self._who("face", face), self._who("body", body)
        if by_face is None:
            if by_body is not None and by_body.face not in shown.faces:
                return by_body
            presence = self._new(time)
            presence.body = body if by_body is None else NOTHING
            return presence
        if by_body is None:
            if body != NOTHING and by_face.body not in shown.bodies:
                by_face.body = body
        elif by_body is not by_face and by_body.face not in shown.faces:
            self._bring_together(by_face, by_body, shown)
        return by_face

    def _bring_together(self, by_face: Presence, by_body: Presence, shown: _Shown) -> None:
        """A face that was followed alone, or on another body, is seen on a body whose own face is away."""
        alike = similarity(by_face.evidence, by_body.evidence)
        strangers = by_face.evidence.mean is not None and by_body.evidence.mean is not None
        if by_face.body in shown.bodies or (strangers and alike < self._one_person):
            by_face.body, by_body.body = by_body.body, by_face.body
            return
        self.join(by_face, by_body)
        by_face.unverified = True

    def _with_body(self, body: int, time: float) -> Presence:
        presence = self._who("body", body)
        if presence is None:
            presence = self._new(time)
            presence.body = body
        return presence

    def _who(self, part: str, key: int) -> Presence | None:
        if key == NOTHING:
            return None
        return next((each for each in self.everybody if getattr(each, part) == key), None)

    def _new(self, time: float) -> Presence:
        presence = self._begin(time)
        self.everybody.append(presence)
        return presence


@dataclass(frozen=True, slots=True)
class _Shown:
    """The ids of the faces and bodies of a frame."""

    faces: set[int]
    bodies: set[int]


def _ids(ids: NDArray[np.int64]) -> set[int]:
    return {int(key) for key in ids if key != NOTHING}
