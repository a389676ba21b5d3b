"""What a stream's tracker needs and returns."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from facet.tracking.decision import DecisionSettings, Identity, Match
from facet.tracking.embedding_aggregate import AggregateSettings
from facet.tracking.reidentification import ReidentificationSettings
from gallery.records.identifications import Decision as SearchDecision
from recognizer.faces import Faces
from recognizer.quality import Quality


@dataclass(frozen=True, slots=True)
class FrameDetections:
    """What was detected in a frame.

    Attributes:
        faces: by falling score.
        objects: by falling score; empty without an object detector.
        persons: intp ``(m,)``, indices of the persons among ``objects``.
    """

    faces: Faces
    objects: Detections
    persons: NDArray[np.intp]


class GalleryUnavailable(Exception):
    """The gallery cannot name anybody now, for instance because it was deleted. Tracking goes on without names.

    Attributes:
        error: what the gallery failed with.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class ContractReplaced(Exception):
    """The gallery has embeddings of another contract now. The same frame can be processed with that one."""


class Perception(Protocol):
    """Models and gallery, as the tracker uses them.

    Any error but :class:`GalleryUnavailable` ends the tracker's step; the next step continues from there.

    Attributes:
        contract: the contract of the embeddings that it makes and searches: only those of one contract can be compared.
    """

    @property
    def contract(self) -> Hashable:
        """See the class; it stays the same for all of a step."""

    def detect(self, picture: NDArray[np.uint8]) -> FrameDetections:
        """Detect the faces and objects in a picture, BGR ``(h, w, 3)``."""

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed aligned faces, BGR ``(112, 112, 3)``: float32 ``(n, d)``, unit length."""

    def search(self, embeddings: NDArray[np.float32]) -> Sequence[Match | None]:
        """Search the best subject for each embedding ``(n, d)``; ``None`` if the gallery is empty.

        Raises:
            GalleryUnavailable: there is no gallery to search.
            ContractReplaced: the gallery is not searched with embeddings of this contract any more.
        """

    def revision(self) -> Hashable:
        """A value that differs after every change of the gallery. Called in every step, so it must be cheap.

        Raises:
            GalleryUnavailable: there is no gallery.
        """

    def enrolled(self, subject_ids: Collection[str]) -> Collection[str]:
        """The given subjects that are still enrolled. Called only after the revision has changed.

        Raises:
            GalleryUnavailable: there is no gallery.
        """


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """How people are tracked.

    Attributes:
        detection_interval: run detection every N frames, at least 1; motion predicts the boxes in between. At low frame
            rates detection runs more often, so that at most half of ``lost_timeout`` passes between two runs.
        lost_timeout: seconds after which a track that is not detected has left.
        prediction_window: seconds for which a person who is not detected is still reported at the predicted place.
        track_activation_threshold: minimum score of a face or person to start a track, [0, 1]; lower scores only
            continue one.
        confirmation_score: minimum score to confirm a track at its first detection, [0, 1];
            otherwise the second one confirms it.
        min_iou: minimum IoU of a detection and a prediction.
        embedding_interval: seconds between embeddings of an undecided track, after the first ones. It doubles up to
            ``refresh_interval`` once there are enough samples to call the track unknown but their quality is too low.
        refresh_interval: seconds between embeddings of a decided track.
        quality_gain: a face is embedded before its time if its quality exceeds all before by this much, [0, 1].
        max_embeddings: maximum embeddings per frame; tracks whose name is withheld come first, then those that have
            waited longest.
        max_embeddings_anew: maximum embeddings of kept crops when the contract has changed. Many tracks need more: each
            gets the ``min_samples`` of a decision.
        max_unverified: after this many embeddings in a row that do not show its person, a track gives up the face.
        aggregate: which samples of a track are kept.
        reidentification: when a new track is an older one.
        decision: when a decision is made and changed.
    """

    detection_interval: int = 1
    lost_timeout: float = 1.5
    prediction_window: float = 0.5
    track_activation_threshold: float = 0.5
    confirmation_score: float = 0.7
    min_iou: float = 0.2
    embedding_interval: float = 0.3
    refresh_interval: float = 4.0
    quality_gain: float = 0.15
    max_embeddings: int = 8
    max_embeddings_anew: int = 24
    max_unverified: int = 3
    aggregate: AggregateSettings = field(default_factory=AggregateSettings)
    reidentification: ReidentificationSettings = field(default_factory=ReidentificationSettings)
    decision: DecisionSettings = field(default_factory=DecisionSettings)


@dataclass(frozen=True, slots=True)
class Track:
    """A person in a frame.

    Attributes:
        track_id: counted from 1 in a stream, in the order in which people appear; never reused.
        face_box: float32 ``(4,)``, xyxy pixels; ``None`` if the face is not visible.
        landmarks: float32 ``(5, 2)``, pixels, as in :class:`recognizer.faces.Faces`; ``None`` without a face.
        quality: of the face, [0, 1], see :class:`recognizer.quality.Quality`; ``None`` without a face.
        person_box: float32 ``(4,)``, xyxy pixels; ``None`` if only the face is visible.
        identity: who it is.
        decided_for: seconds since that was decided; 0 while undecided.
        tracked_for: seconds since the person was first seen.
    """

    track_id: int
    face_box: NDArray[np.float32] | None
    landmarks: NDArray[np.float32] | None
    quality: float | None
    person_box: NDArray[np.float32] | None
    identity: Identity
    decided_for: float
    tracked_for: float


class EventKind(Enum):
    """What can happen to a track."""

    APPEARED = "appeared"
    """It is new."""
    IDENTIFIED = "identified"
    """It was identified."""
    CHANGED = "changed"
    """It was identified as another subject, or lost its subject."""
    UNKNOWN = "unknown"
    """It was decided to be nobody in the gallery; after CHANGED if it lost its subject by that."""
    LEFT = "left"
    """It was not seen for too long, turned out to be the person of an older track, or its stream ended."""


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """Something that happened to a track.

    Attributes:
        kind: what happened.
        track_id: to which track.
        time: capture time of the frame that showed it, seconds.
        subject_id: who it is from now on (with LEFT: who it was); empty if unknown.
        display_name: that subject's name for people.
        previous_subject_id: who it was until now, with CHANGED; empty if that subject is no longer enrolled.
        similarity: to the subject; -1 without one.
    """

    kind: EventKind
    track_id: int
    time: float
    subject_id: str = ""
    display_name: str = ""
    previous_subject_id: str = ""
    similarity: float = -1.0


@dataclass(frozen=True, slots=True)
class SettledTrack:
    """What is counted of a person when the track is first decided, or leaves undecided.

    Attributes:
        decision: a match or unknown; refused if the track left undecided: too little was seen of the face.
        quality: of the face when it was last measured.
        score: of the face when it was last detected, [0, 1].
        similarity: of the track's embedding to the best subject; ``None`` if refused, or if the gallery is empty.
        runner_up_similarity: to the second-best subject; ``None`` if there is none.
    """

    decision: SearchDecision
    quality: Quality
    score: float
    similarity: float | None = None
    runner_up_similarity: float | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a frame showed.

    Attributes:
        tracks: who is in it, by rising track id.
        events: what has happened since the last step that returned, in order.
        detections: what was detected; ``None`` if boxes were only predicted.
        embedded: how many faces were embedded.
        gallery_error: why the gallery cannot name anybody; ``None`` if it can.
        settled: the people whose tracks were first decided, or left undecided.
    """

    tracks: tuple[Track, ...]
    events: tuple[TrackEvent, ...]
    detections: FrameDetections | None
    embedded: int
    gallery_error: Exception | None = None
    settled: tuple[SettledTrack, ...] = ()
