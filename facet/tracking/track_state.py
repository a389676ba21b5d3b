"""The state of one track: its face and body boxes, when they were seen, and who it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facet.tracking.appearance import Appearance, BodyLook, body_resemblance, resemblance
from facet.tracking.decision import Identity, Match
from facet.tracking.embedding_aggregate import EmbeddingAggregate
from recognizer.quality import Quality

NO_ID = -1
"""The id of a face or body that a track does not have."""
_MAX_GAP = 0.5
"""Seconds without a face after which another person may have taken its place."""
_MAX_JUMP = 0.75
"""Fraction of a face's width; a face that moves further between two detections may be another person's."""
_LONG_AGO = 0.9
"""Seconds between two detections after which the face may be another person's, however alike the two crops are."""
_SAME_APPEARANCE = 0.75
"""Minimum resemblance of two crops of the same face: 1 in 100,000 pairs of different people in LFW reaches it."""
_DRIFTED_APPEARANCE = 0.6
"""Below this resemblance to all verified crops a face may be another person's, although it changed little by little."""
_VERIFIED_APPEARANCES = 4
"""How many verified appearances are kept: somebody who nods is embedded once for each pose, not at each nod."""
_SAME_BODY = 0.6
"""Minimum resemblance of one body in two detections."""


@dataclass(slots=True, eq=False)
class TrackState:
    """A person while being tracked. Times are seconds of the tracker's own clock.

    Attributes:
        aggregate: the embedding of the face.
        first_seen: when the person was first seen.
        track_id: counted from 1; 0 while the track is unconfirmed, and not reported.
        face_id: the id of its face in the face tracker; :data:`NO_ID` if it has none.
        body_id: the id of its body in the body tracker; :data:`NO_ID` if it has none.
        face_box: xyxy pixels; ``None`` if the face is not visible now.
        landmarks: of that face, ``(5, 2)`` pixels.
        body_box: xyxy pixels, detected or predicted for a short time; ``None`` otherwise.
        quality: of the face at the last detection, [0, 1]; ``None`` if it is not visible now.
        face_last_seen: when the face was last detected; -inf if never.
        body_last_seen: when the body was last detected; -inf if never.
        last_face_box: xyxy pixels where the face was last detected; ``None`` if a cut has made that meaningless.
        body_look: of the body at the last detection; ``None`` before.
        body_watched: when that was; -inf before.
        is_same_body: the body has been watched without a break since its face was last verified. Otherwise the name is
            not reported while the face is hidden.
        hits: in how many detections it was seen.
        best_score: highest score of its faces and bodies, [0, 1].
        appearance: of the face at the last detection; ``None`` if it was not aligned yet.
        verified_appearances: of the face when embeddings last showed that it is the track's, the newest first.
        needs_verification: the face may be another person's, so an embedding must show that it is the same one. Until
            then the track's name is not reported.
        unverified: how many embeddings in a row have not shown it.
        last_embedded: when the face was last embedded; -inf if never.
        embedding_interval: seconds to wait before the next embedding.
        needs_search: the aggregate has changed since the last search.
        match: the gallery's answer to the last search; ``None`` before, or if the gallery is empty.
        identity: who it is.
        measured: quality of the face when it was last measured; ``None`` before.
        face_score: of the face when it was last detected, [0, 1].
        is_settled: whether a :class:`facet.tracking.records.SettledTrack` was made of it.
    """

    aggregate: EmbeddingAggregate
    first_seen: float
    track_id: int = 0
    face_id: int = NO_ID
    body_id: int = NO_ID
    face_box: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None
    body_box: NDArray[np.float32] | None = None
    quality: float | None = None
    face_last_seen: float = -np.inf
    body_last_seen: float = -np.inf
    last_face_box: NDArray[np.float32] | None = None
    body_look: BodyLook | None = None
    body_watched: float = -np.inf
    is_same_body: bool = False
    hits: int = 0
    best_score: float = 0.0
    appearance: Appearance | None = None
    verified_appearances: tuple[Appearance, ...] = ()
    needs_verification: bool = False
    unverified: int = 0
    last_embedded: float = -np.inf
    embedding_interval: float = 0.0
    needs_search: bool = False
    match: Match | None = None
    identity: Identity = field(default_factory=Identity)
    measured: Quality | None = None
    face_score: float = 0.0
    is_settled: bool = False

    @property
    def last_seen(self) -> float:
        """When the face or the body was last detected."""
        return max(self.face_last_seen, self.body_last_seen)

    @property
    def is_visible(self) -> bool:
        """Whether the face or the body is detected or predicted now."""
        return self.face_box is not None or self.body_box is not None

    @property
    def withholds_name(self) -> bool:
        """Whether it has a name that is not reported until an embedding has verified the face."""
        return self.needs_verification and bool(self.identity.subject_id)

    @property
    def shows_name(self) -> bool:
        """Whether what is seen of it now, face or body, may bear its name."""
        return self.is_same_body if self.face_box is None else not self.needs_verification

    def update_face(
        self,
        face_id: int,
        box: NDArray[np.float32],
        landmarks: NDArray[np.float32],
        time: float,
        previous_detection: float = np.inf,
    ) -> None:
        """Set the face that was detected at ``time``; it needs verification if it was away, or has moved too far."""
        if np.isfinite(self.face_last_seen):
            gap = time - self.face_last_seen
            was_away = face_id != self.face_id or gap > (
                _MAX_GAP if self.face_last_seen < previous_detection else _LONG_AGO
            )
            self.needs_verification = self.needs_verification or was_away or _has_jumped(self.last_face_box, box)
        self.face_id, self.face_last_seen = face_id, time
        self.face_box = self.last_face_box = box
        self.landmarks = landmarks

    def update_appearance(self, seen: Appearance) -> None:
        """Set how the face looks now; it needs verification if that is neither as before nor as verified.

        Nor may it have become quite unlike all that was verified, as when somebody slowly moves in front of the face.
        """
        verified = max((resemblance(seen, each) for each in self.verified_appearances), default=-1.0)
        likeness = max(resemblance(seen, self.appearance), verified)
        has_changed = likeness < _SAME_APPEARANCE or verified < _DRIFTED_APPEARANCE
        self.needs_verification = self.needs_verification or has_changed
        self.appearance = seen

    def watch_body(self, look: BodyLook, time: float) -> None:
        """Set how the body looks now, and whether it is still the one whose face was verified."""
        if self.face_box is not None and not self.needs_verification:
            self.is_same_body = True
        elif time - self.body_watched > _LONG_AGO or not self.is_body_like(look):
            self.is_same_body = False
        self.body_look, self.body_watched = look, time

    def is_body_like(self, look: BodyLook) -> bool:
        """Whether a body looks as at the last detection."""
        return body_resemblance(self.body_look, look) >= _SAME_BODY

    def is_covered_by(self, other: TrackState) -> bool:
        """Whether another track's face is on its body, where its own face was: the body may be either's."""
        if other is self or other.face_box is None or self.last_face_box is None or self.body_box is None:
            return False
        centre, (before, after) = (other.face_box[:2] + other.face_box[2:]) / 2, (self.last_face_box, other.face_box)
        is_on_body = bool((self.body_box[:2] < centre).all() and (centre < self.body_box[2:]).all())
        return is_on_body and bool((before[:2] < after[2:]).all() and (after[:2] < before[2:]).all())

    def verify(self) -> None:
        """Note that an embedding has shown that the visible face is the track's."""
        self.needs_verification, self.unverified = False, 0
        if self.appearance is not None:
            self.verified_appearances = (self.appearance, *self.verified_appearances)[:_VERIFIED_APPEARANCES]

    def clear_boxes(self) -> None:
        """Mark the face and the body as not visible."""
        self.face_box = self.landmarks = self.body_box = self.quality = None

    def detach(self) -> None:
        """Give up the face and the body: no box that is detected from now on continues them."""
        self.clear_boxes()
        self.face_id = self.body_id = NO_ID
        self.last_face_box = None
        self.is_same_body = False


def _has_jumped(before: NDArray[np.float32] | None, after: NDArray[np.float32]) -> bool:
    if before is None:
        return True
    distance = float(np.linalg.norm(after[:2] + after[2:] - before[:2] - before[2:])) / 2
    return distance > _MAX_JUMP * float(after[2] - after[0])
