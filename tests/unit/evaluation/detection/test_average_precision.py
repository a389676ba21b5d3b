"""Average precision: a case worked out by hand, pycocotools' own accumulation, and another evaluator."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import numpy as np
import pytest

from facet.evaluation.datasets.labelled import LabelledPicture, labelled
from facet.evaluation.detection import average_precision as ap
from facet.evaluation.detection.matching import Detected
from facet.evaluation.intervals import Identities, Weights

CLASSES = 3
MOST = 100


def square(index: int, side: float = 40.0) -> tuple[float, float, float, float]:
    return (100.0 * index, 0.0, 100.0 * index + side, side)


def detected(*found: tuple[tuple[float, ...], float, int]) -> Detected:
    return Detected(
        np.array([box for box, _, _ in found], np.float64).reshape(-1, 4),
        np.array([score for _, score, _ in found], np.float64),
        np.array([of_class for _, _, of_class in found], np.intp),
    )


def test_a_case_worked_out_by_hand() -> None:
    """Found, by score: right, wrong, right, and one object of four never: the third only at IoUs to 0.75."""
    labels = [labelled("a.jpg", [square(0), square(1)], [0, 0]), labelled("b.jpg", [square(0), square(1)], [0, 0])]
    three_quarters = (0.0, 0.0, 40.0, 30.0)
    found = [detected((square(0), 0.9, 0), (square(5), 0.8, 0)), detected((three_quarters, 0.7, 0))]
    result = ap.average_precision(labels, found, 1, most=MOST, rounds=[])
    # recall 0 to 0.25: 26 of the 101 points at precision 1; to 0.5: 25 at 2/3
    at_low = (26 * 1 + 25 * 2 / 3) / 101
    at_high = 26 / 101
    assert result.ap50.value == pytest.approx(at_low)
    assert result.ap50_95.value == pytest.approx((6 * at_low + 4 * at_high) / 10)
    assert result.precision is not None
    assert result.precision.tolist() == pytest.approx([1.0] * 26 + [2 / 3] * 25 + [0.0] * 50)


def random_set(seed: int, pictures: int = 40) -> tuple[list[LabelledPicture], list[Detected]]:
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
        found.append(Detected(near, rng.uniform(0.001, 1, len(near)), of.astype(np.intp)))
    return labels, found


def of_evaluator(evaluator: object) -> tuple[float, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()  # type: ignore[attr-defined]
    precision = evaluator.eval["precision"][..., 0, 0]  # type: ignore[attr-defined]
    there = precision > -1
    return float(precision[0][there[0]].mean()), float(precision[there].mean())


@pytest.mark.parametrize("most", [3, MOST])
@pytest.mark.parametrize("seed", range(4))
def test_values_are_those_of_pycocotools(seed: int, most: int) -> None:
    labels, found = random_set(seed)
    result = ap.average_precision(labels, found, CLASSES, most=most, rounds=[])
    ap50, ap50_95 = of_evaluator(ap.evaluated(labels, found, CLASSES, most))
    assert result.ap50.value == pytest.approx(ap50, abs=1e-12)
    assert result.ap50_95.value == pytest.approx(ap50_95, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_values_are_those_of_another_evaluator(seed: int) -> None:
    faster = pytest.importorskip("faster_coco_eval", reason="needs faster-coco-eval: scripts/install dev")
    labels, found = random_set(seed)
    result = ap.average_precision(labels, found, CLASSES, most=MOST, rounds=[])
    marked, answered = ap.as_coco(labels, found, CLASSES)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = faster.COCO(marked)
        evaluator = faster.COCOeval_faster(truth, truth.loadRes(answered["annotations"]), "bbox")
        evaluator.params.maxDets = [1, 10, MOST]
        evaluator.run()
    assert result.ap50_95.value == pytest.approx(evaluator.stats[0], abs=1e-6)
    assert result.ap50.value == pytest.approx(evaluator.stats[1], abs=1e-6)


def test_a_resampled_picture_counts_as_often_as_it_was_drawn() -> None:
    labels, found = random_set(7, pictures=12)
    drawn = [np.array(each, np.int64) for each in ([2, 0, 1, 3, 0, 0, 1, 1, 0, 2, 1, 1], [1] * 12)]
    again = [at for at, times in enumerate(drawn[0]) for _ in range(times)]
    copies = ap.average_precision(
        [labels[at] for at in again], [found[at] for at in again], CLASSES, most=MOST, rounds=[]
    )
    figure = ap.average_precision(labels, found, CLASSES, most=MOST, rounds=[drawn[0]] * 3).ap50_95
    assert figure.low == figure.high == pytest.approx(copies.ap50_95.value, abs=1e-3)
    assert figure.value != figure.low


def test_intervals_hold_the_value() -> None:
    labels, found = random_set(3)
    identities = Identities([each.image for each in labels], seed=0, rounds=100)

    def rounds() -> Iterator[Weights]:
        return identities.weights([each.image for each in labels])

    result = ap.average_precision(labels, found, CLASSES, most=MOST, rounds=rounds())
    for figure in (result.ap50, result.ap50_95, *(each for pair in result.by_class for each in pair)):
        assert figure.value is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high
        assert figure.low < figure.high


def test_where_everything_is_found_the_rule_of_three_over_pictures_is_the_other_end() -> None:
    labels = [labelled(f"{at}.jpg", [square(0)], [0]) for at in range(30)]
    found = [detected((square(0), 0.9, 0))] * 30
    rounds = Identities([each.image for each in labels], seed=0, rounds=20).weights([each.image for each in labels])
    figure = ap.average_precision(labels, found, 1, most=MOST, rounds=rounds).ap50
    assert figure.low == pytest.approx(1 - 3 / 30)
    assert figure.high == pytest.approx(1)


def test_of_one_picture_there_is_no_interval() -> None:
    labels, found = [labelled("a.jpg", [square(0)], [0])], [detected((square(0), 0.9, 0))]
    figure = ap.average_precision(labels, found, 1, most=MOST, rounds=[np.ones(1, np.int64)]).ap50
    assert figure.value == pytest.approx(1)
    assert (figure.low, figure.high) == (None, None)
    assert figure.note


def test_a_class_without_objects_is_in_no_mean() -> None:
    labels, found = [labelled("a.jpg", [square(0)], [0])], [detected((square(0), 0.9, 0), (square(1), 0.9, 1))]
    result = ap.average_precision(labels, found, 2, most=MOST, rounds=[np.ones(1, np.int64)])
    assert result.ap50.value == pytest.approx(1)
    assert result.by_class[0][0].value == pytest.approx(1)
    assert result.by_class[1][0].value is None
    assert result.by_class[1][0].note


@pytest.mark.parametrize("ignored", [True, False])
def test_without_objects_or_detections_there_is_no_precision_or_none(ignored: bool) -> None:
    labels = [labelled("a.jpg", [square(0)], [0], ignored=[ignored])]
    result = ap.average_precision(labels, [Detected.nothing()], 1, most=MOST, rounds=[np.ones(1, np.int64)])
    assert result.ap50.value == (None if ignored else 0)
    assert (result.precision is None) == ignored


def test_a_detection_on_an_ignored_object_is_no_false_positive() -> None:
    labels = [labelled("a.jpg", [square(0), square(1)], [0, 0], ignored=[False, True])]
    found = [detected((square(1), 0.9, 0), (square(0), 0.8, 0))]
    assert ap.average_precision(labels, found, 1, most=MOST, rounds=[]).ap50.value == pytest.approx(1)
