"""The share of unknown people, FPIR and FNIR, estimated without labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gallery.estimation.estimates import (
    MAX_ERROR_WIDTH,
    MAX_SHARE_WIDTH,
    Interval,
    NoEstimate,
    OnlineEstimate,
    estimate,
)
from gallery.observations.records import NOTHING, Counts
from gallery.records.calibrations import Calibration, CalibrationSource
from gallery.records.identifications import Decision
from tests.unit.gallery.estimation import replays
from tests.unit.gallery.estimation.replays import Floats
from tests.unit.gallery.observations.faces import MEASURES, a_tally

_CALIBRATION = replays.calibration()
_WINDOWS = [(share, faces) for share in (0.05, 0.5, 0.95) for faces in (500, 1500)]


def _estimate(
    counts: Counts,
    calibration: Calibration | None = _CALIBRATION,
    *,
    contract: str = _CALIBRATION.contract,
    mean_of_best: int = _CALIBRATION.mean_of_best,
) -> OnlineEstimate:
    return estimate(
        counts,
        calibration,
        threshold=replays.THRESHOLD,
        contract=contract,
        mean_of_best=mean_of_best,
    )


def _figures(found: OnlineEstimate) -> tuple[Interval, Interval, Interval]:
    assert found.unknown_share
    assert found.fpir
    assert found.fnir
    return found.unknown_share, found.fpir, found.fnir


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_truth_lies_in_the_intervals_at_all_shares_of_strangers() -> None:
    rng = np.random.default_rng(0)
    hits = []
    for share, faces in _WINDOWS:
        strangers = round(share * faces)
        best, runner_up, found = replays.searches(strangers, faces - strangers, rng)
        unknown, fpir, fnir = _figures(_estimate(replays.counted(best, runner_up, MEASURES)))
        missed = 1 - float(found[strangers:].mean())
        hits += [_holds(unknown, share), _holds(fpir, replays.fpir_at(replays.THRESHOLD)), _holds(fnir, missed)]
    assert sum(hits) >= 0.9 * len(hits)


def test_intervals_say_something_in_a_large_window() -> None:
    best, runner_up, _ = replays.searches(1000, 1000, np.random.default_rng(1))
    unknown, fpir, fnir = _figures(_estimate(replays.counted(best, runner_up, MEASURES)))
    assert 0.45 < unknown.value < 0.55
    assert unknown.high < 0.55
    assert fpir.high < 6 * replays.fpir_at(replays.THRESHOLD)
    assert fnir.value < 0.08
    assert fnir.high < 0.5
    assert [each.is_wider_than(MAX_ERROR_WIDTH) for each in (fpir, fnir)] == [False, True]
    assert not unknown.is_wider_than(MAX_SHARE_WIDTH)


def test_the_fnir_is_told_where_few_faces_are_strangers() -> None:
    best, runner_up, _ = replays.searches(50, 1450, np.random.default_rng(1))
    _, _, fnir = _figures(_estimate(replays.counted(best, runner_up, MEASURES)))
    assert fnir.high < 0.2


def test_mates_that_score_as_strangers_lie_in_the_intervals() -> None:
    """A tenth of the mates scores as strangers do; nobody can see them, so the intervals must leave room for them."""
    rng = np.random.default_rng(7)
    own = np.where(rng.random(700) < 0.1, rng.normal(0.25, 0.08, 700), rng.normal(0.64, 0.09, 700))
    _covers(300, own, rng)


def test_a_blurred_camera_lies_in_the_intervals_also_if_nobody_is_unknown() -> None:
    rng = np.random.default_rng(8)
    _covers(0, rng.normal(0.4, 0.1, 1000), rng)


def _covers(strangers: int, own: Floats, rng: np.random.Generator) -> None:
    """Check the estimates for strangers and mates with these similarities of their own."""
    best, runner_up = replays.best_two_strangers(strangers, rng)
    others, _ = replays.best_two_strangers(len(own), rng)
    counts = replays.counted(
        np.concatenate((best, np.maximum(own, others))), np.concatenate((runner_up, np.minimum(own, others))), MEASURES
    )
    unknown, _, fnir = _figures(_estimate(counts))
    assert _holds(unknown, strangers / (strangers + len(own)))
    assert _holds(fnir, 1 - float(((own > others) & (own >= replays.THRESHOLD)).mean()))


def test_similarities_that_moved_are_followed() -> None:
    """A camera that makes all people more similar by 0.03 raises the FPIR, and the estimate says so."""
    best, runner_up, _ = replays.searches(800, 400, np.random.default_rng(2), shift=0.03)
    unknown, fpir, _ = _figures(_estimate(replays.counted(best, runner_up, MEASURES)))
    assert _holds(unknown, 2 / 3)
    assert _holds(fpir, replays.fpir_at(replays.THRESHOLD - 0.03))


@pytest.mark.parametrize("strangers", [0, 300], ids=["nobody is unknown", "everybody is unknown"])
def test_a_share_of_nothing_or_all_lies_in_its_interval(strangers: int) -> None:
    best, runner_up, _ = replays.searches(strangers, 300 - strangers, np.random.default_rng(3))
    unknown, fpir, fnir = _figures(_estimate(replays.counted(best, runner_up, MEASURES)))
    assert _holds(unknown, strangers / 300)
    unseen = fnir if strangers else fpir
    assert unseen.high - unseen.low > 0.02


def test_one_face_gives_wide_intervals() -> None:
    unknown, fpir, fnir = _figures(_estimate(replays.counted(np.array([0.2]), np.array([0.19]), MEASURES)))
    assert unknown.high == 1
    assert unknown.low < 0.5
    assert 0 <= fpir.low <= fpir.value <= fpir.high <= 1
    assert fnir.high - fnir.low > 0.5


def test_a_gallery_with_one_subject_has_no_margins_and_is_estimated_all_the_same() -> None:
    best, _, found = replays.searches(200, 300, np.random.default_rng(5))
    unknown, _, fnir = _figures(_estimate(replays.counted(best, None, MEASURES)))
    assert _holds(unknown, 0.4)
    assert _holds(fnir, 1 - float(found[200:].mean()))


def test_evidence_from_templates_leaves_more_room_than_evidence_from_probes() -> None:
    best, runner_up, _ = replays.searches(30, 30, np.random.default_rng(6))
    counts = replays.counted(best, runner_up, MEASURES)
    probes = replace(_CALIBRATION, source=CalibrationSource.PROBES)
    templates = replace(probes, source=CalibrationSource.ITSELF)
    from_probes, from_templates = _estimate(counts, probes).fpir, _estimate(counts, templates).fpir
    assert from_probes
    assert from_templates
    assert from_templates.high > from_probes.high


def test_the_same_counts_give_the_same_estimate() -> None:
    counts = a_tally(matches=40, unknown=30).counts()
    assert _estimate(counts) == _estimate(counts)


def test_refused_faces_are_told_and_not_estimated() -> None:
    found = _estimate(a_tally(matches=20, unknown=10, refused=7).counts())
    assert (found.searches, found.matches, found.refused) == (30, 20, 7)


def test_without_searches_nothing_is_estimated() -> None:
    assert _estimate(NOTHING).reason is NoEstimate.NO_SEARCHES
    only_refused = _estimate(a_tally(matches=0, unknown=0, refused=3).counts())
    assert (only_refused.reason, only_refused.refused) == (NoEstimate.NO_SEARCHES, 3)


def test_without_a_calibration_for_these_similarities_nothing_is_estimated() -> None:
    counts = a_tally().counts()
    assert _estimate(counts, None).reason is NoEstimate.NOT_CALIBRATED
    other_model = _estimate(counts, contract="other")
    other_mean = _estimate(counts, mean_of_best=_CALIBRATION.mean_of_best + 1)
    assert other_model.reason is other_mean.reason is NoEstimate.OTHER_SIMILARITIES
    assert other_model.unknown_share is None
    assert other_model.matches == counts.decisions[Decision.MATCH]
