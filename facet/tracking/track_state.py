"""One person that a scene follows: which face and which body it has, what was seen of it, and who it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facet.tracking.decision import Verdict
from facet.tracking.embedding_aggregate import Evidence

NOTHING = -1
"""The id of a face or body that there is none of."""
_AWAY = 0.5
"""Seconds in which another face may have come into the place of one."""
_LEAP = 0.75
"""Of a face's width: who moves further from one look to the next may have been confused with a neighbour."""


@dataclass(slots=True, eq=False)
class Presence:
    """A person while it is followed. Times are seconds of the scene's own clock.

    Attributes:
        evidence: what its face looks like.
        since: when it was first seen.
        track_id: counted from 1; 0 as long as it may be a mistake of a detector, and nobody was told of it.
        face: the id of its face, :data:`NOTHING` where it never had one or lost it for good.
        body: the id of its body, in the same way.
        face_box: xyxy pixels where the face is seen now.
        landmarks: ``(5, 2)`` pixels, of that face.
        body_box: xyxy pixels where the body is seen, or expected after having been seen a moment ago.
        quality: of the face when it was last looked at, [0, 1]; ``None`` where it is not seen now.
        face_seen: when the face was last seen, -inf where never.
        body_seen: the same of the body.
        face_place: xyxy pixels where the face was last seen; ``None`` where what was there means nothing any more.
        looks: in so many looks it was seen.
        score: the best of its faces and bodies, [0, 1].
        unverified: its face has come back or has leapt: is it the same one?
        embedded: when an embedding was last computed, -inf where never.
        pause: seconds to wait for the next one.
        undecided: its evidence has changed since the gallery was last asked.
        verdict: who it is.
    """

    evidence: Evidence
    since: float
    track_id: int = 0
    face: int = NOTHING
    body: int = NOTHING
    face_box: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None
    body_box: NDArray[np.float32] | None = None
    quality: float | None = None
    face_seen: float = -np.inf
    body_seen: float = -np.inf
    face_place: NDArray[np.float32] | None = None
    looks: int = 0
    score: float = 0.0
    unverified: bool = False
    embedded: float = -np.inf
    pause: float = 0.0
    undecided: bool = False
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def seen(self) -> float:
        """When anything of it was last seen."""
        return max(self.face_seen, self.body_seen)

    @property
    def is_shown(self) -> bool:
        """Whether anything of it is seen or expected now."""
        return self.face_box is not None or self.body_box is not None

    def show_face(
        self,
        key: int,
        box: NDArray[np.float32],
        landmarks: NDArray[np.float32],
        time: float,
        looked_before: float = np.inf,
    ) -> None:
        """Its face is seen; who was seen at the look before was not away, however long ago that was."""
        if np.isfinite(self.face_seen):
            was_away = key != self.face or (time - self.face_seen > _AWAY and self.face_seen < looked_before)
            self.unverified = self.unverified or was_away or _has_leapt(self.face_place, box)
        self.face, self.face_seen = key, time
        self.face_box = self.face_place = box
        self.landmarks = landmarks

    def hide(self) -> None:
        """Nothing of it is seen until shown again."""
        self.face_box = self.landmarks = self.body_box = self.quality = None

    def lose(self) -> None:
        """What is seen from now on continues nothing of it."""
        self.hide()
        self.face = self.body = NOTHING
        self.face_place = None


def _has_leapt(before: NDArray[np.float32] | None, after: NDArray[np.float32]) -> bool:
    if before is None:
        return True
    way = float(np.linalg.norm(after[:2] + after[2:] - before[:2] - before[2:])) / 2
    return way > _LEAP * float(after[2] - after[0])
