"""What the pipeline finds in a picture: objects and faces, and faces that are aligned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from facet.runtime.pictures import DecodedPicture
from recognizer.detection.scrfd import unsuppressed
from recognizer.faces import Faces
from recognizer.quality import Quality


@dataclass(frozen=True, slots=True)
class Analysis:
    """The objects and faces of a picture.

    All coordinates are those of the full picture, upright.

    Attributes:
        picture: what was looked at; maybe at a reduced size, and without pixels once the faces are aligned.
        objects: in descending order of score.
        faces: in descending order of score.
        persons: for each face the index in ``objects`` of the person it belongs to, or -1.
        least_height: height of the smallest face that was looked for, pixels; smaller ones are found by chance.
        turns: for each face the turn of the picture in which it was found, see :mod:`recognizer.search.orientation`.
        trace: the highest score of anything that resembles a face, see
            :meth:`recognizer.detection.finder.FaceFinder.find_with_trace`.
    """

    picture: DecodedPicture
    objects: Detections
    faces: Faces
    persons: NDArray[np.intp]
    least_height: float
    turns: NDArray[np.intp]
    trace: float = 0.0

    def with_faces(self, other: Analysis, most: int, *, lead: float = 0.0) -> Analysis:
        """Add the faces that another turn of the same picture shows better or alone; they belong to no person.

        Args:
            other: the analysis in the other turn.
            most: the maximum number of faces; those with the highest scores are kept.
            lead: by how much the score of another's face must be higher to replace one at the same place.
        """
        faces = Faces(
            np.concatenate((self.faces.boxes, other.faces.boxes)),
            np.concatenate((self.faces.landmarks, other.faces.landmarks)),
            np.concatenate((self.faces.scores, other.faces.scores)),
        )
        ranked = replace(faces, scores=np.concatenate((self.faces.scores, other.faces.scores - np.float32(lead))))
        kept = unsuppressed(ranked)
        kept = kept[np.argsort(-faces.scores[kept], kind="stable")][:most]
        persons = np.concatenate((self.persons, np.full(len(other.faces), -1, np.intp)))
        turns = np.concatenate((self.turns, other.turns))
        return replace(self, faces=faces.take(kept), persons=persons[kept], turns=turns[kept])

    def at_least(self, min_score: float) -> Analysis:
        """The same without the faces of lower scores."""
        kept = np.flatnonzero(self.faces.scores >= min_score)
        return replace(self, faces=self.faces.take(kept), persons=self.persons[kept], turns=self.turns[kept])

    @property
    def main_turn(self) -> int:
        """The turn in which most faces were found; 0 without faces."""
        return int(np.bincount(self.turns).argmax()) if len(self.turns) else 0

    def without_pixels(self) -> Analysis:
        """The same without the pixels: they take much memory."""
        return replace(self, picture=self.picture.without_pixels())


@dataclass(frozen=True, slots=True)
class AlignedFace:
    """One face, ready to embed.

    Attributes:
        faces: the face, as :class:`Faces` of length one.
        person: the index in the analysis's objects of the person it belongs to, or -1.
        quality: its quality.
        crop: aligned, BGR ``(112, 112, 3)``.
        turn: the turn of the picture in which it was found, see :mod:`recognizer.search.orientation`.
    """

    faces: Faces
    person: int
    quality: Quality
    crop: NDArray[np.uint8]
    turn: int = 0

    def png(self) -> bytes:
        """Encode the crop as PNG."""
        return cv2.imencode(".png", self.crop)[1].tobytes()
