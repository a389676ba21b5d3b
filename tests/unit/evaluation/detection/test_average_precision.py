"""Average precision against a case worked out by hand, pycocotools and faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import numpy as np
import pytest

from facet.evaluation.datasets.labelled import LabelledPicture, labelled
from facet.evaluation.detection import average_precision as ap
from facet.evaluation.detection.matching import Detections
from facet.evaluation.intervals import Identities, Weights

CLASSES = 3
MAX_DETECTIONS = 100


def square(index: int, side: float = 40.0) -> tuple[float, float, float, float]:
    return (100.0 * index, 0.0, 100.0 * index + side, side)


def detections(*found: tuple[tuple[float, ...], float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in found], np.float64).reshape(-1, 4),
        np.array([score for _, score, _ in found], np.float64),
        np.array([class_index for _, _, class_index in found], np.intp),
    )


def test_average_precision_equals_a_case_worked_out_by_hand() -> None:
    """By falling score a hit, a false positive, and a hit up to an IoU of 0.75; two of four objects are missed."""
    labels = [labelled("a.jpg", [square(0), square(1)], [0, 0]), labelled("b.jpg", [square(0), square(1)], [0, 0])]
    three_quarters = (0.0, 0.0, 40.0, 30.0)
    found = [detections((square(0), 0.9, 0), (square(5), 0.8, 0)), detections((three_quarters, 0.7, 0))]
    result = ap.average_precision(labels, found, 1, max_detections=MAX_DETECTIONS, rounds=[])
    # Up to a recall of 0.25, 26 of the 101 points have precision 1; up to 0.5, 25 have 2/3.
    at_low = (26 * 1 + 25 * 2 / 3) / 101
    at_high = 26 / 101
    assert result.ap50.value == pytest.approx(at_low)
    assert result.ap50_95.value == pytest.approx((6 * at_low + 4 * at_high) / 10)
    assert result.precision is not None
    assert result.precision.tolist() == pytest.approx([1.0] * 26 + [2 / 3] * 25 + [0.0] * 50)


def random_set(seed: int, pictures: int = 40) -> tuple[list[LabelledPicture], list[Detections]]:
    """Objects of three classes, some ignored, some crowds, and detections around them and elsewhere."""
    rng = np.random.default_rng(seed)
    labels, found = [], []
    for at in range(pictures):
        count = int(rng.integers(0, 12))
        corner, sides = rng.uniform(0, 500, (count, 2)), rng.uniform(5, 150, (count, 2))
        boxes = np.hstack((corner, corner + sides))
        classes = rng.integers(0, CLASSES, count)
        kind = rng.uniform(size=count)
        labels.append(labelled(f"{at}.jpg", boxes, classes, ignored=kind < 0.15, crowds=kind < 0.05))
        near = np.repeat(boxes, 2, axis=0) + rng.normal(0, 8, (2 * count, 4))
        stray = rng.uniform(0, 500, (5, 2))
        near = np.vstack((near, np.hstack((stray, stray + rng.uniform(5, 150, (5, 2))))))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        of = np.concatenate((np.repeat(classes, 2), rng.integers(0, CLASSES, 5)))
        found.append(Detections(near, rng.uniform(0.001, 1, len(near)), of.astype(np.intp)))
    return labels, found


def ap_of(evaluator: object) -> tuple[float, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()  # type: ignore[attr-defined]
    precision = evaluator.eval["precision"][..., 0, 0]  # type: ignore[attr-defined]
    there = precision > -1
    return float(precision[0][there[0]].mean()), float(precision[there].mean())


@pytest.mark.parametrize("limit", [3, MAX_DETECTIONS])
@pytest.mark.parametrize("seed", range(4))
def test_values_equal_those_of_pycocotools(seed: int, limit: int) -> None:
    labels, found = random_set(seed)
    result = ap.average_precision(labels, found, CLASSES, max_detections=limit, rounds=[])
    ap50, ap50_95 = ap_of(ap.run_coco(labels, found, CLASSES, limit))
    assert result.ap50.value == pytest.approx(ap50, abs=1e-12)
    assert result.ap50_95.value == pytest.approx(ap50_95, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_values_equal_those_of_faster_coco_eval(seed: int) -> None:
    faster = pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval: scripts/install dev")
    labels, found = random_set(seed)
    result = ap.average_precision(labels, found, CLASSES, max_detections=MAX_DETECTIONS, rounds=[])
    truth_set, detected_set = ap.to_coco(labels, found, CLASSES)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = faster.COCO(truth_set)
        evaluator = faster.COCOeval_faster(truth, truth.loadRes(detected_set["annotations"]), "bbox")
        evaluator.params.maxDets = [1, 10, MAX_DETECTIONS]
        evaluator.run()
    assert result.ap50_95.value == pytest.approx(evaluator.stats[0], abs=1e-6)
    assert result.ap50.value == pytest.approx(evaluator.stats[1], abs=1e-6)


def test_a_picture_of_weight_n_counts_n_times() -> None:
    labels, found = random_set(7, pictures=12)
    drawn = [np.array(each, np.int64) for each in ([2, 0, 1, 3, 0, 0, 1, 1, 0, 2, 1, 1], [1] * 12)]
    again = [at for at, times in enumerate(drawn[0]) for _ in range(times)]
    copies = ap.average_precision(
        [labels[at] for at in again], [found[at] for at in again], CLASSES, max_detections=MAX_DETECTIONS, rounds=[]
    )
    figure = ap.average_precision(labels, found, CLASSES, max_detections=MAX_DETECTIONS, rounds=[drawn[0]] * 3).ap50_95
    assert figure.low == figure.high == pytest.approx(copies.ap50_95.value, abs=1e-3)
    assert figure.value != figure.low


def test_intervals_contain_the_value() -> None:
    labels, found = random_set(3)
    identities = Identities([each.image for each in labels], seed=0, rounds=100)

    def rounds() -> Iterator[Weights]:
        return identities.weights([each.image for each in labels])

    result = ap.average_precision(labels, found, CLASSES, max_detections=MAX_DETECTIONS, rounds=rounds())
    for figure in (result.ap50, result.ap50_95, *(each for pair in result.by_class for each in pair)):
        assert figure.value is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high
        assert figure.low < figure.high


def test_a_perfect_value_has_the_rule_of_three_over_pictures_as_its_lower_end() -> None:
    labels = [labelled(f"{at}.jpg", [square(0)], [0]) for at in range(30)]
    found = [detections((square(0), 0.9, 0))] * 30
    rounds = Identities([each.image for each in labels], seed=0, rounds=20).weights([each.image for each in labels])
    figure = ap.average_precision(labels, found, 1, max_detections=MAX_DETECTIONS, rounds=rounds).ap50
    assert figure.low == pytest.approx(1 - 3 / 30)
    assert figure.high == pytest.approx(1)


def test_a_single_picture_has_no_interval() -> None:
    labels, found = [labelled("a.jpg", [square(0)], [0])], [detections((square(0), 0.9, 0))]
    figure = ap.average_precision(labels, found, 1, max_detections=MAX_DETECTIONS, rounds=[np.ones(1, np.int64)]).ap50
    assert figure.value == pytest.approx(1)
    assert (figure.low, figure.high) == (None, None)
    assert figure.note


def test_a_class_without_objects_is_left_out_of_the_mean() -> None:
    labels, found = [labelled("a.jpg", [square(0)], [0])], [detections((square(0), 0.9, 0), (square(1), 0.9, 1))]
    result = ap.average_precision(labels, found, 2, max_detections=MAX_DETECTIONS, rounds=[np.ones(1, np.int64)])
    assert result.ap50.value == pytest.approx(1)
    assert result.by_class[0][0].value == pytest.approx(1)
    assert result.by_class[1][0].value is None
    assert result.by_class[1][0].note


@pytest.mark.parametrize("ignored", [True, False])
def test_without_detections_the_value_is_zero_and_without_objects_undefined(ignored: bool) -> None:
    labels = [labelled("a.jpg", [square(0)], [0], ignored=[ignored])]
    result = ap.average_precision(
        labels, [Detections.none()], 1, max_detections=MAX_DETECTIONS, rounds=[np.ones(1, np.int64)]
    )
    assert result.ap50.value == (None if ignored else 0)
    assert (result.precision is None) == ignored


def test_a_detection_on_an_ignored_object_is_not_a_false_positive() -> None:
    labels = [labelled("a.jpg", [square(0), square(1)], [0, 0], ignored=[False, True])]
    found = [detections((square(1), 0.9, 0), (square(0), 0.8, 0))]
    assert ap.average_precision(labels, found, 1, max_detections=MAX_DETECTIONS, rounds=[]).ap50.value == pytest.approx(
        1
    )
