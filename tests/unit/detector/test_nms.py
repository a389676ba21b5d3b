"""Non-maximum suppression against a plain one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from detector.nms import suppress


def plain(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int32], iou: float
) -> list[int]:
    """Greedy NMS in its definition, class by class."""
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda each: (-scores[each], each)):
        rivals = [other for other in kept if class_ids[other] == class_ids[index]]
        if all(overlap(boxes[index], boxes[other]) <= iou for other in rivals):
            kept.append(index)
    return kept


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    sides = np.minimum(a[2:], b[2:]).astype(float) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(sides.clip(0)))
    areas = float(np.prod((a[2:] - a[:2]).astype(float)) + np.prod((b[2:] - b[:2]).astype(float)))
    return shared / (areas - shared)


def run(
    boxes: Sequence[Sequence[float]],
    scores: list[float],
    class_ids: list[int],
    iou: float = 0.5,
    max_objects: int = 300,
) -> list[int]:
    kept: list[int] = suppress(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(class_ids, np.int32),
        iou=iou,
        max_objects=max_objects,
    ).tolist()
    return kept


def test_the_better_of_two_overlapping_boxes_is_kept() -> None:
    assert run([[0, 0, 10, 10], [1, 0, 11, 10]], [0.6, 0.9], [0, 0]) == [1]


def test_boxes_of_different_classes_do_not_suppress_each_other() -> None:
    assert run([[0, 0, 10, 10], [0, 0, 10, 10]], [0.6, 0.9], [3, 7]) == [1, 0]


def test_negative_coordinates_do_not_mix_classes() -> None:
    assert run([[7000, 0, 7100, 10], [-680, 0, -580, 10]], [0.9, 0.6], [0, 1], iou=0.1) == [0, 1]


def test_an_iou_equal_to_the_limit_is_kept() -> None:
    assert run([[0, 0, 10, 10], [0, 0, 5, 10]], [0.9, 0.6], [0, 0], iou=0.5) == [0, 1]


def test_a_suppressed_box_suppresses_none() -> None:
    chain = [[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]]
    assert run(chain, [0.9, 0.8, 0.7], [0, 0, 0], iou=0.5) == [0, 2]


def test_the_first_of_equal_scores_is_kept() -> None:
    assert run([[0, 0, 10, 10], [1, 0, 11, 10]], [0.5, 0.5], [0, 0]) == [0]


def test_only_the_best_are_kept_in_descending_order_of_score() -> None:
    apart = [[20 * place, 0, 20 * place + 10, 10] for place in range(5)]
    assert run(apart, [0.1, 0.5, 0.3, 0.9, 0.7], [0, 0, 0, 0, 0], max_objects=3) == [3, 4, 1]


def test_no_boxes_give_no_objects() -> None:
    assert run([], [], []) == []


@pytest.mark.parametrize("iou", [0.1, 0.45, 0.7])
@pytest.mark.parametrize("count", [10, 300, 1500])
def test_the_result_equals_that_of_a_plain_implementation(count: int, iou: float) -> None:
    random = np.random.default_rng(count)
    centres, halves = random.uniform(0, 300, (count, 2)), random.uniform(5, 60, (count, 2))
    boxes = np.concatenate((centres - halves, centres + halves), axis=1).astype(np.float32)
    scores = random.uniform(0.25, 1, count).astype(np.float32)
    class_ids = random.integers(0, 3, count).astype(np.int32)
    kept = suppress(boxes, scores, class_ids, iou=iou, max_objects=count)
    assert kept.tolist() == plain(boxes, scores, class_ids, iou)
