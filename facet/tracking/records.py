"""What a scene is given, what it asks for, and what it answers."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facet.tracking.decision import DecisionSettings, Match, Verdict
from facet.tracking.embedding_aggregate import EvidenceSettings
from facet.tracking.reidentification import ReunionSettings
from recognizer.faces import Faces


@dataclass(frozen=True, slots=True)
class Sight:
    """What is found in a frame.

    Attributes:
        faces: by falling score.
        persons: float32 ``(m, 4)``, xyxy pixels; none where persons are not looked for.
        person_scores: float32 ``(m,)`` in [0, 1].
    """

    faces: Faces
    persons: NDArray[np.float32]
    person_scores: NDArray[np.float32]


class Senses(Protocol):
    """What a scene sees with, and whom it asks. Whatever it raises ends the step; the next one goes on from there."""

    def look(self, picture: NDArray[np.uint8]) -> Sight:
        """Find the faces and persons of a picture, BGR ``(h, w, 3)``."""

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed aligned faces, BGR ``(112, 112, 3)``: float32 ``(n, d)``, unit length."""

    def search(self, embeddings: NDArray[np.float32]) -> Sequence[Match | None]:
        """The best subject for each embedding ``(n, d)``; ``None`` where there is nobody."""

    def revision(self) -> Hashable:
        """Another value after every change of who is enrolled; asked in every step, so it has to cost nothing."""

    def known(self, subject_ids: Collection[str]) -> Collection[str]:
        """Which of these subjects are still enrolled; asked only where the revision is another one."""


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """How a scene is followed.

    Attributes:
        detection_interval: every so many frames faces and persons are looked for; between them boxes move on by
            their motion. At least 1. Where frames are so few that half of ``patience`` would go by, in every frame.
        patience: seconds after which somebody who is not seen has left.
        coast: seconds for which a person who is not seen is still answered, where expected.
        new_score: what a face or person must score to be followed; fainter ones only continue, [0, 1].
        sure_score: from here on it is believed at once, below when it is seen a second time, [0, 1].
        min_iou: least overlap of a box with where it is expected.
        pause: seconds between embeddings of a track that is not decided, after the first ones; once there were enough
            to call it unknown, if only they were better, it is doubled each time up to ``refresh``.
        refresh: seconds between embeddings of a track that is decided.
        better: a face whose quality is better by so much than all before is embedded before its time, [0, 1].
        max_embeddings: at most so many a frame, those of the least known tracks first.
        evidence: what is kept of a track, and what is believed.
        reunion: when a newcomer is no newcomer.
        decision: when something is sure.
    """

    detection_interval: int = 1
    patience: float = 1.5
    coast: float = 0.5
    new_score: float = 0.5
    sure_score: float = 0.7
    min_iou: float = 0.2
    pause: float = 0.3
    refresh: float = 4.0
    better: float = 0.15
    max_embeddings: int = 8
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    reunion: ReunionSettings = field(default_factory=ReunionSettings)
    decision: DecisionSettings = field(default_factory=DecisionSettings)


@dataclass(frozen=True, slots=True)
class Track:
    """Somebody in a frame.

    Attributes:
        track_id: counted from 1 in a stream, in the order in which people appeared; never used again.
        face_box: float32 ``(4,)``, xyxy pixels; ``None`` where the face is not seen now.
        landmarks: float32 ``(5, 2)``, pixels, as in :class:`recognizer.faces.Faces`; ``None`` without a face.
        quality: of the face, [0, 1], see :class:`recognizer.quality.Quality`; ``None`` without a face.
        person_box: float32 ``(4,)``, xyxy pixels; ``None`` where only the face is seen.
        verdict: who it is.
        decided_for: seconds since that was decided; 0 while undecided.
        tracked_for: seconds since first seen.
    """

    track_id: int
    face_box: NDArray[np.float32] | None
    landmarks: NDArray[np.float32] | None
    quality: float | None
    person_box: NDArray[np.float32] | None
    verdict: Verdict
    decided_for: float
    tracked_for: float


class EventKind(Enum):
    """What may happen to a track."""

    APPEARED = "appeared"
    """It is new."""
    IDENTIFIED = "identified"
    """It has got a name."""
    CHANGED = "changed"
    """It has got another name instead, or none any more."""
    LEFT = "left"
    """It was not seen for long enough, or turned out to be the person of an older track."""


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """Something that happened.

    Attributes:
        kind: what.
        track_id: to whom.
        time: capture time of the frame that showed it, seconds.
        subject_id: who it is from now on (with LEFT: who it was); empty where that is not known.
        display_name: the same.
        previous_subject_id: who it was until now, with CHANGED.
        similarity: to the subject; -1 where there is none.
    """

    kind: EventKind
    track_id: int
    time: float
    subject_id: str = ""
    display_name: str = ""
    previous_subject_id: str = ""
    similarity: float = -1.0


@dataclass(frozen=True, slots=True)
class Step:
    """What a frame showed.

    Attributes:
        tracks: who is in it, by rising track id.
        events: what has happened since the last step that was answered, in that order.
        detected: whether faces and persons were looked for.
        embedded: how many faces were embedded.
    """

    tracks: tuple[Track, ...]
    events: tuple[TrackEvent, ...]
    detected: bool
    embedded: int
