"""How the faces of two turns of a picture become one answer."""

from __future__ import annotations

import numpy as np
import pytest

from detector.yolo import Detections
from facet.runtime.pictures import DecodedPicture
from recognizer.analysis import Analysis
from recognizer.faces import Faces

OBJECTS = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32), None, None)


def analysis(turn: int, *faces: tuple[float, float]) -> Analysis:
    """Faces at a column, with a score."""
    boxes = np.array([(x, 10, x + 50, 70) for x, _ in faces], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in faces], np.float32)
    found = Faces(boxes, np.zeros((len(faces), 5, 2), np.float32), scores)
    picture = DecodedPicture.full(np.zeros((100, 400, 3), np.uint8))
    return Analysis(picture, OBJECTS, found, np.zeros(len(faces), np.intp), 20.0, np.full(len(faces), turn, np.intp))


@pytest.mark.parametrize(("lead", "turn"), [(0.0, 270), (0.1, 0)])
def test_a_face_of_another_turn_replaces_one_at_its_place_if_it_leads_by_enough(lead: float, turn: int) -> None:
    both = analysis(0, (10, 0.76)).with_faces(analysis(270, (12, 0.79)), 10, lead=lead)
    assert both.turns.tolist() == [turn]
    assert both.persons.tolist() == [0 if turn == 0 else -1]


def test_faces_at_other_places_are_added_and_those_with_the_highest_scores_stay() -> None:
    both = analysis(0, (10, 0.9), (100, 0.5)).with_faces(analysis(180, (200, 0.8)), 2, lead=0.1)
    assert both.turns.tolist() == [0, 180]
    assert both.faces.scores.tolist() == pytest.approx([0.9, 0.8])
