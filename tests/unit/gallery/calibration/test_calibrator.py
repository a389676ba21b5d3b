"""Calibration of a gallery: the threshold it sets, what is refused, and what searches return afterwards."""

from __future__ import annotations

import io
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gallery.calibration.forecast import UnreliableReason
from gallery.calibration.nonmated_searches import Evidence, empty_search
from gallery.errors import CalibrationUnreliable, EtagMismatch, GalleryNotFound, StorageUnavailable, TooFewSearches
from gallery.records.calibrations import CalibrationSource, CalibrationState, StaleReason
from gallery.records.galleries import GalleryChange
from gallery.records.identifications import Decision
from gallery.records.thresholds import ThresholdSource
from gallery.stores.sqlite.verify import verify

if TYPE_CHECKING:
    from tests.unit.gallery.calibration.conftest import Team

PEOPLE = 300


def test_a_threshold_is_set_and_stored_with_its_evidence(team: Team) -> None:
    before = team.gallery
    calibrated = team.calibrate()
    assert calibrated == team.gallery
    calibration = calibrated.calibration
    assert calibration is not None
    assert calibrated.threshold == calibration.threshold == team.galleries.threshold("team")
    assert calibrated.threshold_source is ThresholdSource.CALIBRATION
    assert calibrated.etag != before.etag
    assert (calibration.searches, calibration.identities, calibration.templates) == (PEOPLE, PEOPLE, PEOPLE)
    assert (calibration.for_templates, calibration.contract, calibration.mean_of_best) == (PEOPLE, "c", 1)
    assert calibration.fpir_low < 0.05 < calibration.fpir_high
    strangers = team.galleries.search("team", team.vectors(2000, 7), top_k=1)
    assert np.mean([each.decision is Decision.MATCH for each in strangers]) == pytest.approx(0.05, abs=0.02)


def test_a_search_returns_the_false_positive_rate_of_its_similarity(team: Team) -> None:
    (before,) = team.galleries.search("team", team.vectors(1, 7), top_k=1)
    assert (before.calibration, before.false_positive_rate) == (CalibrationState.NOT_CALIBRATED, None)
    calibrated = team.calibrate()
    found = team.galleries.search("team", team.vectors(500, 7), top_k=1)
    rates = np.array([each.false_positive_rate for each in found])
    assert {each.calibration for each in found} == {CalibrationState.CURRENT}
    for share in (0.5, 0.2, 0.1):
        assert (rates <= share).mean() == pytest.approx(share, abs=0.07)
    for each, rate in zip(found, rates, strict=True):
        if each.candidates[0].similarity >= calibrated.threshold:
            assert rate <= 0.0501


def test_a_search_of_a_calibrated_gallery_does_not_ask_the_store(team: Team) -> None:
    team.calibrate()
    team.galleries.close()
    (found,) = team.galleries.search("team", team.vectors(1, 7), top_k=1)
    assert found.calibration is CalibrationState.CURRENT
    assert found.false_positive_rate is not None


def test_a_stale_calibration_is_reported_with_its_reasons(team: Team) -> None:
    galleries = team.galleries

    def status() -> tuple[CalibrationState, tuple[StaleReason, ...], bool]:
        found = galleries.calibrator.status(team.gallery)
        (answer,) = galleries.search("team", team.vectors(1, 7), top_k=1)
        assert answer.calibration is found.state
        return found.state, found.reasons, answer.false_positive_rate is not None

    calibrated = team.calibrate().threshold
    assert status() == (CalibrationState.CURRENT, (), True)
    changed = galleries.update_gallery("team", GalleryChange(threshold=0.9))
    assert changed.threshold_source is ThresholdSource.CALLER
    assert status() == (CalibrationState.STALE, (StaleReason.THRESHOLD_CHANGED,), True)
    galleries.update_gallery("team", GalleryChange(threshold=calibrated))
    assert status()[0] is CalibrationState.CURRENT
    galleries.update_gallery("team", GalleryChange(mean_of_best=2))
    assert status() == (CalibrationState.STALE, (StaleReason.MEAN_OF_BEST_CHANGED,), False)
    galleries.update_gallery("team", GalleryChange(mean_of_best=1))
    for number, embedding in enumerate(team.vectors(31, 8)):
        assert status()[0] is CalibrationState.CURRENT
        team.enroll(f"more {number}", embedding)
    assert status() == (CalibrationState.STALE, (StaleReason.OUTGROWN,), True)
    galleries.close()
    other = team.open(team.path, contract="d")
    found = other.galleries.calibrator.status(other.gallery)
    assert found.reasons == (StaleReason.OUTGROWN, StaleReason.CONTRACT_CHANGED)
    other.galleries.close()


def test_a_calibration_survives_a_restart(team: Team) -> None:
    calibrated = team.calibrate()
    (before,) = team.galleries.search("team", team.vectors(1, 7), top_k=1)
    team.galleries.close()
    again = team.open(team.path)
    assert again.gallery == calibrated
    assert again.galleries.search("team", team.vectors(1, 7), top_k=1) == (before,)
    again.galleries.close()


def test_a_damaged_calibration_is_detected(team: Team) -> None:
    team.calibrate()
    team.galleries.close()
    assert verify(team.path).problems == ()
    connection = sqlite3.connect(team.path, isolation_level=None)
    connection.execute("UPDATE galleries SET calibration = '{}'")
    connection.close()
    (problem,) = verify(team.path).problems
    assert "a calibration is not as it was written" in problem
    with pytest.raises(StorageUnavailable):
        team.open(team.path)


def test_a_validation_or_an_interrupted_calibration_stores_nothing(team: Team) -> None:
    before = team.gallery
    validated = team.calibrate(validate_only=True)
    assert (validated.threshold != before.threshold, validated.etag) == (True, before.etag)
    assert team.gallery == before

    def interrupt() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        team.calibrate(check=interrupt)
    with pytest.raises(TimeoutError):
        team.galleries.calibrator.search_cross_subject(before, "", check=interrupt)
    assert team.gallery == before
    assert team.galleries.threshold("team") == before.threshold


def test_a_concurrent_change_is_not_overwritten(team: Team) -> None:
    calibrator = team.galleries.calibrator
    before = calibrator.begin("team")
    changed = team.galleries.update_gallery("team", GalleryChange(threshold=0.7))
    for validate_only in (False, True):
        with pytest.raises(EtagMismatch):
            calibrator.calibrate(
                before, team.search_cross_subject(), target_fpir=0.05, etag=before.etag, validate_only=validate_only
            )
    with pytest.raises(EtagMismatch):
        calibrator.begin("team", etag=before.etag)
    assert team.gallery == changed


def test_a_change_of_mean_of_best_during_the_searches_is_refused(team: Team) -> None:
    calibrator = team.galleries.calibrator
    before, evidence = calibrator.begin("team"), team.search_cross_subject()
    changed = team.galleries.update_gallery("team", GalleryChange(mean_of_best=2))
    with pytest.raises(EtagMismatch):
        calibrator.calibrate(before, evidence, target_fpir=0.05)
    assert team.gallery == changed


def test_a_gallery_that_was_created_again_is_not_calibrated(team: Team) -> None:
    calibrator = team.galleries.calibrator
    before, evidence = calibrator.begin("team"), team.search_cross_subject()
    team.galleries.delete_gallery("team", force=True)
    team.galleries.create_gallery("team", display_name="", threshold=0.5)
    for validate_only in (False, True):
        with pytest.raises(GalleryNotFound):
            calibrator.calibrate(before, evidence, target_fpir=0.05, validate_only=validate_only)
    assert team.gallery.calibration is None


def test_people_enrolled_twice_are_reported_and_not_counted(team: Team) -> None:
    alone = team.calibrate(0.03, validate_only=True)
    for number in range(3):
        team.enroll(f"twice {number}", team.near(team.vectors(PEOPLE, 0)[number], number))
    gallery = team.galleries.calibrator.begin("team")
    calibrated, choice = team.galleries.calibrator.calibrate(gallery, team.search_cross_subject(), target_fpir=0.03)
    pairs = {frozenset((each.subject_id, each.other_id)) for each in choice.suspects}
    assert pairs == {frozenset((f"s{n:03}", f"twice {n}")) for n in range(3)}
    assert calibrated.threshold == pytest.approx(alone.threshold, abs=0.02)
    assert calibrated.calibration is not None
    assert calibrated.calibration.searches == PEOPLE - 3


@pytest.mark.parametrize(("count", "target", "needed"), [(99, 0.05, 100), (150, 0.001, 500)])
def test_too_few_searches_are_refused_with_the_number_needed(
    team: Team, count: int, target: float, needed: int
) -> None:
    gallery = team.galleries.calibrator.begin("team")
    some = team.search_cross_subject().searches[:count]
    evidence = Evidence(CalibrationSource.PROBES, [*some, *[empty_search("x")] * 500], 500, "", "0" * 64)
    with pytest.raises(TooFewSearches) as refused:
        team.galleries.calibrator.calibrate(gallery, evidence, target_fpir=target)
    assert (refused.value.found, refused.value.needed) == (count, needed)


def test_a_target_nearly_met_by_searches_without_a_face_is_refused(team: Team) -> None:
    calibrator = team.galleries.calibrator
    gallery, some = calibrator.begin("team"), team.search_cross_subject().searches[:150]
    missed = [empty_search(f"x{n}") for n in range(850)]
    evidence = Evidence(CalibrationSource.PROBES, [*some, *missed], 850, "", "0" * 64)
    validated, _ = calibrator.calibrate(gallery, evidence, target_fpir=0.075, validate_only=True)
    assert validated.threshold == pytest.approx(np.median([each.similarity for each in some]), abs=0.01)
    for target, needed in ((0.08, 160), (0.2, 400)):
        with pytest.raises(TooFewSearches) as refused:
            calibrator.calibrate(gallery, evidence, target_fpir=target)
        assert (refused.value.found, refused.value.needed) == (150, needed)


@pytest.mark.parametrize("people", [1, 49])
def test_searches_for_too_few_people_are_refused(team: Team, people: int) -> None:
    gallery, some = team.galleries.calibrator.begin("team"), team.search_cross_subject().searches
    searches = [replace(each, subject_id=f"x{number % people}") for number, each in enumerate(some)]
    evidence = Evidence(CalibrationSource.PROBES, searches, 0, "", "0" * 64)
    with pytest.raises(TooFewSearches, match="at least 50 people") as refused:
        team.galleries.calibrator.calibrate(gallery, evidence, target_fpir=0.05)
    assert (refused.value.people, refused.value.people_needed) == (people, 50)


def test_an_empty_gallery_cannot_be_calibrated(team: Team) -> None:
    team.galleries.create_gallery("empty", display_name="", threshold=0.5)
    empty = team.galleries.calibrator.begin("empty")
    searches = [empty_search(f"x{n}") for n in range(200)]
    evidence = Evidence(CalibrationSource.PROBES, searches, 0, "", "0" * 64)
    with pytest.raises(TooFewSearches):
        team.galleries.calibrator.calibrate(empty, evidence, target_fpir=0.1)


def test_probes_without_a_face_count_as_searches_that_match_nobody(team: Team) -> None:
    calibrator = team.galleries.calibrator
    gallery, some = calibrator.begin("team"), team.search_cross_subject().searches
    found = Evidence(CalibrationSource.PROBES, some, 0, "set", "0" * 64)
    missed = replace(found, searches=[*some, *(empty_search(f"x{n}") for n in range(PEOPLE))], failures=PEOPLE)
    all_found, _ = calibrator.calibrate(gallery, found, target_fpir=0.1, validate_only=True)
    half_found, _ = calibrator.calibrate(gallery, missed, target_fpir=0.05, validate_only=True)
    assert half_found.threshold == pytest.approx(all_found.threshold, abs=0.01)
    assert half_found.calibration is not None
    assert (half_found.calibration.searches, half_found.calibration.failures) == (2 * PEOPLE, PEOPLE)


def test_an_imported_gallery_keeps_its_calibration(team: Team) -> None:
    calibrated = team.calibrate()
    transfer = team.galleries.transfer
    data = b"".join(piece.data for piece in transfer.export_gallery("team"))
    imported = transfer.import_gallery(io.BytesIO(data), "copy", check=lambda: None)
    assert (imported.calibration, imported.threshold_source) == (calibrated.calibration, ThresholdSource.CALIBRATION)
    assert team.galleries.calibrator.status(imported).state is CalibrationState.CURRENT


def test_own_pictures_are_forecast_by_comparing_each_with_the_others_of_its_subject(team: Team) -> None:
    for number in range(100):
        team.enroll(f"s{number:03}", team.near(team.vectors(PEOPLE, 0)[number], number), "another")
    evidence = team.search_cross_subject()
    assert [each.subject_id for each in evidence.own].count("s007") == 2
    assert {each.subject_id for each in evidence.own} == {f"s{number:03}" for number in range(100)}
    _, choice = team.galleries.calibrator.calibrate(team.gallery, evidence, target_fpir=0.05, validate_only=True)
    forecast = choice.forecast
    assert (forecast.own_searches, forecast.own_missed, forecast.fnir, forecast.unreliable) == (200, 0, 0, ())
    assert forecast.fnir_high == pytest.approx(0.03)
    assert (forecast.fpir_low, forecast.fpir, forecast.fpir_high) == (choice.fpir_low, choice.fpir, choice.fpir_high)


def test_a_threshold_that_misses_the_enrolled_people_is_refused_unless_insisted_upon(team: Team) -> None:
    for number in range(100):
        team.enroll(f"s{number:03}", team.near(team.vectors(PEOPLE, 0)[number], number, noise=1.3), "another")
    before, evidence = team.gallery, team.search_cross_subject()
    calibrate = team.galleries.calibrator.calibrate
    with pytest.raises(CalibrationUnreliable) as refused:
        calibrate(before, evidence, target_fpir=0.01)
    assert "own pictures missed" in refused.value.reasons
    assert float(refused.value.metadata["fnir"]) > 0.2
    assert team.gallery == before
    _, choice = calibrate(before, evidence, target_fpir=0.01, validate_only=True)
    assert choice.threshold == pytest.approx(refused.value.threshold)
    assert UnreliableReason.OWN_PICTURES_MISSED in choice.forecast.unreliable
    assert team.gallery == before
    calibrated, _ = calibrate(before, evidence, target_fpir=0.01, insist=True)
    assert team.gallery == calibrated
    assert calibrated.threshold == choice.threshold
