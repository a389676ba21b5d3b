"""Faces and answers to count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from gallery.records.identifications import Candidate, Decision, Identification
from recognizer.analysis import AlignedFace
from recognizer.faces import Faces
from recognizer.quality import Quality
from tests.clocks import SetClock

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUALITY = Quality(0.8, 64.0, 0.35, -12.0, 4.0, 1.0, 0.3, 0.01, 0.5, 0.0, 0.2, 1.4, 1.2)
MATCH = Identification(Decision.MATCH, (Candidate("ann", "Ann", 0.6, "t"),), 0.34, 0.4, 100)


class NoonClock(SetClock):
    """A clock that a test sets, or lets run on; it begins at noon."""

    def __init__(self) -> None:
        super().__init__(NOON)

    def advance(self, **by: float) -> None:
        """Let time pass, in the units of a timedelta."""
        self.time += timedelta(**by)


def aligned_face() -> AlignedFace:
    """A face without pixels."""
    faces = Faces(np.zeros((1, 4), np.float32), np.zeros((1, 5, 2), np.float32), np.full(1, 0.9, np.float32))
    return AlignedFace(faces, -1, QUALITY, np.zeros((112, 112, 3), np.uint8))
