"""Track ids of boxes over time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facet.tracking.byte_tracker import ByteTracker

Boxes = NDArray[np.float32]


def box(x: float, y: float = 100, width: float = 60, height: float = 120) -> list[float]:
    return [x, y, x + width, y + height]


def boxes(*each: list[float]) -> Boxes:
    return np.array(each, np.float32).reshape(-1, 4)


def scores(*each: float) -> NDArray[np.float32]:
    return np.array(each, np.float32)


@pytest.fixture
def tracker() -> ByteTracker:
    return ByteTracker(track_activation_threshold=0.5, min_iou=0.2, lost_timeout=1.5)


def test_ids_count_from_one_and_follow_moving_boxes(tracker: ByteTracker) -> None:
    for frame in range(30):
        ids = tracker.update(boxes(box(10 + 8 * frame), box(500 - 5 * frame)), scores(0.9, 0.8), frame / 15)
        assert ids.tolist() == [1, 2]


def test_boxes_that_cross_keep_their_ids(tracker: ByteTracker) -> None:
    for frame in range(40):
        left, right = box(10 + 10 * frame, y=100), box(410 - 10 * frame, y=150)
        ids = tracker.update(boxes(left, right), scores(0.9, 0.9), frame / 15)
    assert ids.tolist() == [1, 2]


def test_a_low_score_starts_no_track_but_continues_one(tracker: ByteTracker) -> None:
    assert tracker.update(boxes(box(10)), scores(0.3), 0.0).tolist() == [-1]
    assert tracker.update(boxes(box(10)), scores(0.9), 0.1).tolist() == [1]
    assert tracker.update(boxes(box(12)), scores(0.3), 0.2).tolist() == [1]


def test_a_box_hidden_for_less_than_the_lost_timeout_keeps_its_id(tracker: ByteTracker) -> None:
    for frame in range(15):
        tracker.update(boxes(box(10 + 6 * frame)), scores(0.9), frame / 15)
    for frame in range(15, 30):
        tracker.update(boxes(), scores(), frame / 15)
    assert tracker.update(boxes(box(10 + 6 * 30)), scores(0.9), 2.0).tolist() == [1]


def test_a_box_hidden_for_longer_gets_a_new_id(tracker: ByteTracker) -> None:
    tracker.update(boxes(box(10)), scores(0.9), 0.0)
    for frame in range(1, 31):
        tracker.update(boxes(), scores(), frame / 15)
    assert tracker.update(boxes(box(10)), scores(0.9), 2.1).tolist() == [2]


@pytest.mark.parametrize("rate", [5, 10, 30])
def test_predicted_motion_depends_on_time_not_on_the_frame_rate(rate: int) -> None:
    tracker = ByteTracker(track_activation_threshold=0.5, min_iou=0.2, lost_timeout=1.5)
    speed = 120.0
    for frame in range(2 * rate):
        tracker.update(boxes(box(10 + speed * frame / rate)), scores(0.9), frame / rate)
    predicted = tracker.predict(2.0 - 1 / rate + 0.2)[1]
    assert predicted[0] == pytest.approx(10 + speed * (2.2 - 1 / rate), abs=20)


@pytest.mark.parametrize("rate", [10, 15, 30])
def test_a_box_predicted_and_detected_at_the_same_time_moves_only_once(tracker: ByteTracker, rate: int) -> None:
    speed = 180.0
    for frame in range(3 * rate):
        predicted = tracker.predict(frame / rate)
        tracker.update(boxes(box(10 + speed * frame / rate)), scores(0.9), frame / rate)
    assert predicted[1][0] == pytest.approx(10 + speed * (3 * rate - 1) / rate, abs=2)


def test_prediction_drops_no_track(tracker: ByteTracker) -> None:
    tracker.update(boxes(box(10)), scores(0.9), 0.0)
    assert list(tracker.predict(5.0)) == [1]


def test_invalid_boxes_get_no_id_and_change_nothing(tracker: ByteTracker) -> None:
    nothing = boxes([np.nan] * 4, [5, 5, 5, 5], [9, 9, 1, 1], [0, 0, np.inf, 10])
    assert tracker.update(nothing, scores(0.9, 0.9, 0.9, 0.9), 0.0).tolist() == [-1] * 4
    assert tracker.update(boxes(box(10)), scores(0.9), 0.1).tolist() == [1]
    assert tracker.update(nothing, scores(0.9, 0.9, 0.9, 0.9), 0.2).tolist() == [-1] * 4
    assert tracker.update(boxes(box(10)), scores(0.9), 0.3).tolist() == [1]


def test_a_margin_matches_small_fast_boxes_and_is_not_part_of_the_prediction() -> None:
    far, near = (
        ByteTracker(track_activation_threshold=0.5, min_iou=0.2, lost_timeout=1.5, margin=margin)
        for margin in (0.5, 0.0)
    )
    for tracker, ids in ((far, [1, 1]), (near, [1, 2])):
        assert [int(tracker.update(boxes(box(x)), scores(0.9), x / 600)[0]) for x in (10, 70)] == ids
    still = ByteTracker(track_activation_threshold=0.5, min_iou=0.2, lost_timeout=1.5, margin=0.5)
    still.update(boxes(box(10)), scores(0.9), 0.0)
    assert still.predict(0.1)[1].tolist() == pytest.approx(box(10), abs=0.01)
