"""A gallery that is calibrated: the searches, what is kept, and what searches answer then."""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.calibration.searches import Closest, Evidence, nobody
from gallery.errors import EtagMismatch, GalleryNotFound, InvalidImport, StorageUnavailable, TooFewSearches
from gallery.galleries import Galleries
from gallery.index.memory_index import MemoryIndex
from gallery.records.calibrations import CalibrationSource, CalibrationState, StaleReason
from gallery.records.records import EmbeddedTemplates, Enrollment, Gallery
from gallery.stores.sqlite.store import SqliteStore
from gallery.stores.sqlite.verify import verify
from gallery.transfer.manifest import from_json, to_json
from gallery.transfer.parquet_import import Reader

DIMENSION = 32
PEOPLE = 300

Vectors = NDArray[np.float32]


def opened(path: Path, contract: str = "c") -> Galleries:
    return Galleries(SqliteStore(path), contract=contract, dimension=DIMENSION, max_templates_per_subject=9)


def vectors(count: int, seed: int) -> Vectors:
    values = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def near(vector: Vectors, seed: int, noise: float = 0.2) -> Vectors:
    values = vector + noise * vectors(1, seed)[0]
    return np.asarray(values / np.linalg.norm(values), np.float32)


def enroll(galleries: Galleries, gallery_id: str, subject_id: str, embedding: Vectors, picture: str = "p") -> None:
    digest = hashlib.sha256(picture.encode()).hexdigest()
    face = Enrollment(embedding, "c", digest, (0, 0, 9, 9), 1.0, accept_lookalike=True)
    galleries.enroll(gallery_id, subject_id, face)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with 300 people, to be copied."""
    path = tmp_path_factory.mktemp("full") / "facet.db"
    made = opened(path)
    made.create_gallery("team", display_name="", threshold=0.5)
    for number, embedding in enumerate(vectors(PEOPLE, 0)):
        enroll(made, "team", f"s{number:03}", embedding)
    made.close()
    return path


@pytest.fixture
def galleries(tmp_path: Path, full: Path) -> Iterator[Galleries]:
    made = opened(Path(shutil.copy(full, tmp_path / "facet.db")))
    yield made
    made.close()


def unhindered() -> None:
    pass


def itself(galleries: Galleries, cohort: str = "") -> Evidence:
    return galleries.search_itself(galleries.get_gallery("team"), cohort, check=unhindered)


def calibrated(galleries: Galleries, target: float = 0.05, **fields: Any) -> Gallery:
    gallery = galleries.begin_calibration("team")
    return galleries.calibrate(gallery, itself(galleries), target_fpir=target, **fields)[0]


def test_each_of_its_people_is_searched_for_among_the_others(galleries: Galleries) -> None:
    enroll(galleries, "team", "s000", near(vectors(PEOPLE, 0)[0], 1), "another")
    evidence = itself(galleries)
    assert (evidence.source, evidence.failures, len(evidence.closest)) == (CalibrationSource.ITSELF, 0, PEOPLE + 1)
    similarities = vectors(PEOPLE, 0) @ vectors(PEOPLE, 0).T
    np.fill_diagonal(similarities, -1)
    for each in evidence.closest:
        assert each.other_id != each.subject_id
        assert each.templates == PEOPLE + 1
        if "s000" not in (each.subject_id, each.other_id):
            row = int(each.subject_id[1:])
            assert each.other_id == f"s{similarities[row].argmax():03}"
            assert each.similarity == pytest.approx(similarities[row].max(), abs=1e-6)


def test_what_is_searched_for_depends_on_nothing_but_the_templates(galleries: Galleries) -> None:
    first, second = itself(galleries), itself(galleries)
    assert first == second
    enroll(galleries, "team", "new", vectors(1, 9)[0])
    assert itself(galleries).data_set_sha256 != first.data_set_sha256


def test_at_most_so_many_templates_are_searched_for_one_of_everybody_first(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, embedding in enumerate(vectors(PEOPLE, 0)):
        enroll(galleries, "team", f"s{number:03}", near(embedding, number), "another")
    monkeypatch.setattr("gallery.calibration.searches.MOST_TEMPLATES", PEOPLE + 10)
    evidence = itself(galleries)
    assert len(evidence.closest) == PEOPLE + 10
    assert {each.subject_id for each in evidence.closest} == {f"s{number:03}" for number in range(PEOPLE)}


def test_a_cohort_is_searched_for_but_for_those_who_are_in_the_gallery(galleries: Galleries) -> None:
    galleries.create_gallery("cohort", display_name="", threshold=0.5)
    for number, embedding in enumerate(vectors(50, 5)):
        enroll(galleries, "cohort", f"c{number}", embedding)
    enroll(galleries, "cohort", "s001", vectors(PEOPLE, 0)[1])
    evidence = itself(galleries, "cohort")
    assert (evidence.source, evidence.data_set) == (CalibrationSource.ITSELF_AND_COHORT, "cohort")
    searched = [each.subject_id for each in evidence.closest]
    assert sorted(searched) == sorted([f"s{n:03}" for n in range(PEOPLE)] + [f"c{n}" for n in range(50)])
    with pytest.raises(GalleryNotFound):
        itself(galleries, "nobody")


def test_runners_up_of_a_large_gallery_are_the_true_ones() -> None:
    """Behind one's own template, as near as it can be, the others are not to be missed."""
    embeddings = vectors(20_000, 3)
    index = MemoryIndex(DIMENSION)
    names = [f"s{number}" for number in range(len(embeddings))]
    index.add(EmbeddedTemplates(names, names, [str(number) for number in range(len(embeddings))], embeddings))
    index.settle()
    rows = np.arange(0, 20_000, 200)
    similarities = embeddings[rows] @ embeddings.T
    similarities[np.arange(len(rows)), rows] = -1
    ranked = index.search(embeddings[rows], subjects=2, mean_of_best=1, thorough=True)
    found = np.array([each.candidates[1].similarity for each in ranked])
    assert (np.abs(found - similarities.max(axis=1)) < 1e-3).mean() >= 0.98


def test_a_threshold_is_chosen_and_kept_with_its_evidence(galleries: Galleries) -> None:
    before = galleries.get_gallery("team")
    kept = calibrated(galleries)
    assert kept == galleries.get_gallery("team")
    calibration = kept.calibration
    assert calibration is not None
    assert kept.threshold == calibration.threshold == galleries.threshold("team")
    assert kept.etag != before.etag
    assert (calibration.searches, calibration.identities, calibration.templates) == (PEOPLE, PEOPLE, PEOPLE)
    assert (calibration.for_templates, calibration.contract, calibration.mean_of_best) == (PEOPLE, "c", 1)
    assert calibration.fpir_low < 0.05 < calibration.fpir_high
    reached = np.mean([each.similarity >= kept.threshold for each in itself(galleries).closest])
    assert reached == pytest.approx(0.05, abs=0.02)


def test_a_search_says_how_often_a_stranger_comes_as_near(galleries: Galleries) -> None:
    (before,) = galleries.search("team", vectors(1, 7), top_k=1)
    assert (before.calibration, before.false_positive_rate) == (CalibrationState.NOT_CALIBRATED, None)
    kept = calibrated(galleries)
    answers = galleries.search("team", vectors(500, 7), top_k=1)
    rates = np.array([answer.false_positive_rate for answer in answers])
    assert {answer.calibration for answer in answers} == {CalibrationState.CURRENT}
    for share in (0.5, 0.2, 0.1):
        assert (rates <= share).mean() == pytest.approx(share, abs=0.07)
    for answer, rate in zip(answers, rates, strict=True):
        if answer.candidates[0].similarity >= kept.threshold:
            assert rate <= 0.0501


def test_searches_ask_the_store_for_nothing(galleries: Galleries) -> None:
    calibrated(galleries)
    galleries.close()
    (answer,) = galleries.search("team", vectors(1, 7), top_k=1)
    assert answer.calibration is CalibrationState.CURRENT
    assert answer.false_positive_rate is not None


def test_a_calibration_goes_stale_and_searches_say_so(galleries: Galleries, tmp_path: Path) -> None:
    def now() -> tuple[CalibrationState, tuple[StaleReason, ...], bool]:
        stands = galleries.calibration_of(galleries.get_gallery("team"))
        (answer,) = galleries.search("team", vectors(1, 7), top_k=1)
        assert answer.calibration is stands.state
        return stands.state, stands.reasons, answer.false_positive_rate is not None

    chosen = calibrated(galleries).threshold
    assert now() == (CalibrationState.CURRENT, (), True)
    galleries.update_gallery("team", threshold=0.9)
    assert now() == (CalibrationState.STALE, (StaleReason.THRESHOLD_CHANGED,), True)
    galleries.update_gallery("team", threshold=chosen)
    assert now()[0] is CalibrationState.CURRENT
    galleries.update_gallery("team", mean_of_best=2)
    assert now() == (CalibrationState.STALE, (StaleReason.MEAN_OF_BEST_CHANGED,), False)
    galleries.update_gallery("team", mean_of_best=1)
    for number, embedding in enumerate(vectors(31, 8)):
        assert now()[0] is CalibrationState.CURRENT
        enroll(galleries, "team", f"more {number}", embedding)
    assert now() == (CalibrationState.STALE, (StaleReason.OUTGROWN,), True)
    galleries.close()
    other = opened(tmp_path / "facet.db", contract="d")
    stands = other.calibration_of(other.get_gallery("team"))
    assert stands.reasons == (StaleReason.OUTGROWN, StaleReason.CONTRACT_CHANGED)
    other.close()


def test_a_calibration_outlives_the_server(galleries: Galleries, tmp_path: Path) -> None:
    kept = calibrated(galleries)
    (before,) = galleries.search("team", vectors(1, 7), top_k=1)
    galleries.close()
    again = opened(tmp_path / "facet.db")
    assert again.get_gallery("team") == kept
    assert again.search("team", vectors(1, 7), top_k=1) == (before,)
    again.close()


def test_a_calibration_that_is_damaged_is_found(galleries: Galleries, tmp_path: Path) -> None:
    calibrated(galleries)
    galleries.close()
    path = tmp_path / "facet.db"
    assert verify(path).problems == ()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE galleries SET calibration = '{}'")
    connection.close()
    (problem,) = verify(path).problems
    assert "its calibration" in problem
    with pytest.raises(StorageUnavailable):
        opened(path)


def test_nothing_is_kept_of_a_check_or_of_what_broke_off(galleries: Galleries) -> None:
    before = galleries.get_gallery("team")
    checked = calibrated(galleries, validate_only=True)
    assert checked.threshold != before.threshold
    assert galleries.get_gallery("team") == before

    def gone() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        calibrated(galleries, check=gone)
    with pytest.raises(TimeoutError):
        galleries.search_itself(before, "", check=gone)
    assert galleries.get_gallery("team") == before
    assert galleries.threshold("team") == before.threshold


def test_somebody_elses_change_in_between_is_not_overwritten(galleries: Galleries) -> None:
    before = galleries.begin_calibration("team")
    changed = galleries.update_gallery("team", threshold=0.7)
    for validate_only in (False, True):
        with pytest.raises(EtagMismatch):
            galleries.calibrate(
                before, itself(galleries), target_fpir=0.05, etag=before.etag, validate_only=validate_only
            )
    with pytest.raises(EtagMismatch):
        galleries.begin_calibration("team", etag=before.etag)
    assert galleries.get_gallery("team") == changed


def test_a_gallery_that_was_made_anew_meanwhile_is_left_alone(galleries: Galleries) -> None:
    before, evidence = galleries.begin_calibration("team"), itself(galleries)
    galleries.delete_gallery("team", force=True)
    galleries.create_gallery("team", display_name="", threshold=0.5)
    for validate_only in (False, True):
        with pytest.raises(GalleryNotFound):
            galleries.calibrate(before, evidence, target_fpir=0.05, validate_only=validate_only)
    assert galleries.get_gallery("team").calibration is None


def test_similarities_that_are_taken_otherwise_by_the_end_set_no_threshold(galleries: Galleries) -> None:
    for number, embedding in enumerate(vectors(PEOPLE, 0)):
        enroll(galleries, "team", f"s{number:03}", near(embedding, number), "another")
    before = galleries.begin_calibration("team")
    probes, names = vectors(9, 4), [f"x{number}" for number in range(9)]
    found, evidence = galleries.search_strangers(before, probes, names), itself(galleries)
    changed = galleries.update_gallery("team", mean_of_best=2)
    assert galleries.search_strangers(before, probes, names) == found
    assert galleries.search_strangers(changed, probes, names) != found
    assert galleries.search_itself(before, "", check=unhindered) == evidence
    with pytest.raises(EtagMismatch):
        galleries.calibrate(before, evidence, target_fpir=0.05)
    assert galleries.get_gallery("team") == changed


def test_enrolments_do_not_wait_for_the_searches(galleries: Galleries) -> None:
    searching, done = threading.Event(), threading.Event()
    gallery = galleries.get_gallery("team")

    def wait_once() -> None:
        searching.set()
        assert done.wait(60)

    thread = threading.Thread(target=lambda: galleries.search_itself(gallery, "", check=wait_once))
    thread.start()
    assert searching.wait(60)
    enroll(galleries, "team", "meanwhile", vectors(1, 10)[0])
    done.set()
    thread.join()


def test_a_template_that_is_deleted_between_two_pages_does_not_end_the_search(
    galleries: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gallery.calibration.searches._READ_AT_ONCE", 100)
    pages = 0

    def delete_once() -> None:
        nonlocal pages
        pages += 1
        if pages == 1:
            galleries.delete_subject("team", "s099")

    evidence = galleries.search_itself(galleries.get_gallery("team"), "", check=delete_once)
    assert len(evidence.closest) == PEOPLE - 1


def test_a_store_that_fails_ends_the_search(galleries: Galleries) -> None:
    galleries.close()
    with pytest.raises(StorageUnavailable):
        itself(galleries)


def test_people_who_are_enrolled_twice_are_told_and_do_not_count(galleries: Galleries) -> None:
    alone = calibrated(galleries, 0.03, validate_only=True)
    for number in range(3):
        enroll(galleries, "team", f"twice {number}", near(vectors(PEOPLE, 0)[number], number))
    gallery = galleries.begin_calibration("team")
    kept, chosen = galleries.calibrate(gallery, itself(galleries), target_fpir=0.03)
    pairs = {frozenset((each.subject_id, each.other_id)) for each in chosen.suspects}
    assert pairs == {frozenset((f"s{n:03}", f"twice {n}")) for n in range(3)}
    assert kept.threshold == pytest.approx(alone.threshold, abs=0.02)
    assert kept.calibration is not None
    assert kept.calibration.searches == PEOPLE - 3


@pytest.mark.parametrize(("count", "target", "needed"), [(99, 0.05, 100), (150, 0.001, 500)])
def test_too_few_searches_are_refused_with_how_many_it_takes(
    galleries: Galleries, count: int, target: float, needed: int
) -> None:
    gallery = galleries.begin_calibration("team")
    some = itself(galleries).closest[:count]
    evidence = Evidence(CalibrationSource.PROBES, [*some, *[nobody("x")] * 500], 500, "", "0" * 64)
    with pytest.raises(TooFewSearches) as refused:
        galleries.calibrate(gallery, evidence, target_fpir=target)
    assert (refused.value.found, refused.value.needed) == (count, needed)


def test_a_target_that_searches_without_a_face_nearly_meet_alone_is_refused(galleries: Galleries) -> None:
    gallery, some = galleries.begin_calibration("team"), itself(galleries).closest[:150]
    found = Evidence(CalibrationSource.PROBES, [*some, *(nobody(f"x{n}") for n in range(850))], 850, "", "0" * 64)
    kept, _ = galleries.calibrate(gallery, found, target_fpir=0.075, validate_only=True)
    assert kept.threshold == pytest.approx(np.median([each.similarity for each in some]), abs=0.01)
    for target, needed in ((0.08, 160), (0.2, 400)):
        with pytest.raises(TooFewSearches) as refused:
            galleries.calibrate(gallery, found, target_fpir=target)
        assert (refused.value.found, refused.value.needed) == (150, needed)


@pytest.mark.parametrize("people", [1, 49])
def test_searches_of_a_few_people_are_too_few_however_many_there_are(galleries: Galleries, people: int) -> None:
    gallery, some = galleries.begin_calibration("team"), itself(galleries).closest
    closest = [replace(each, subject_id=f"x{number % people}") for number, each in enumerate(some)]
    evidence = Evidence(CalibrationSource.PROBES, closest, 0, "", "0" * 64)
    with pytest.raises(TooFewSearches, match="of at least 50 people") as refused:
        galleries.calibrate(gallery, evidence, target_fpir=0.05)
    assert (refused.value.people, refused.value.people_needed) == (people, 50)


def test_an_empty_gallery_cannot_be_calibrated(galleries: Galleries) -> None:
    galleries.create_gallery("empty", display_name="", threshold=0.5)
    empty = galleries.begin_calibration("empty")
    found = galleries.search_strangers(empty, vectors(200, 4), [f"x{n}" for n in range(200)])
    assert found == [nobody(f"x{n}") for n in range(200)]
    evidence = Evidence(CalibrationSource.PROBES, found, 0, "", "0" * 64)
    with pytest.raises(TooFewSearches):
        galleries.calibrate(empty, evidence, target_fpir=0.1)


def test_probes_without_a_face_count_as_searches_that_found_nobody(galleries: Galleries) -> None:
    gallery, some = galleries.begin_calibration("team"), itself(galleries).closest
    found = Evidence(CalibrationSource.PROBES, some, 0, "set", "0" * 64)
    missed = replace(found, closest=[*some, *(nobody(f"x{n}") for n in range(PEOPLE))], failures=PEOPLE)
    all_found, _ = galleries.calibrate(gallery, found, target_fpir=0.1, validate_only=True)
    half_found, _ = galleries.calibrate(gallery, missed, target_fpir=0.05, validate_only=True)
    assert half_found.threshold == pytest.approx(all_found.threshold, abs=0.01)
    assert half_found.calibration is not None
    assert (half_found.calibration.searches, half_found.calibration.failures) == (2 * PEOPLE, PEOPLE)


def test_a_subject_is_left_out_of_its_own_search(galleries: Galleries) -> None:
    probes = vectors(PEOPLE, 0)[:2]
    known, unknown = galleries.search_strangers(galleries.get_gallery("team"), probes, ["s000", "somebody"])
    assert (known.subject_id, known.templates) == ("s000", PEOPLE)
    assert known.other_id != "s000"
    assert unknown == Closest("somebody", "s001", unknown.similarity, PEOPLE)
    assert unknown.similarity == pytest.approx(1)


def test_an_exported_gallery_keeps_its_calibration(galleries: Galleries) -> None:
    kept = calibrated(galleries)
    data = b"".join(piece.data for piece in galleries.export_gallery("team"))
    imported = galleries.import_gallery(io.BytesIO(data), "copy", check=unhindered)
    assert imported.calibration == kept.calibration
    assert galleries.calibration_of(imported).state is CalibrationState.CURRENT


def test_a_manifest_without_a_calibration_is_one_of_before_and_a_bad_one_is_refused(galleries: Galleries) -> None:
    never = Reader(io.BytesIO(b"".join(piece.data for piece in galleries.export_gallery("team")))).manifest
    assert b"calibration" not in to_json(never)
    assert from_json(to_json(never)) == never
    kept = replace(never, calibration=calibrated(galleries).calibration)
    assert from_json(to_json(kept)) == kept
    with pytest.raises(InvalidImport) as refused:
        from_json(to_json(kept).replace(b'"model"', b'"modal"'))
    assert refused.value.field == "manifest.calibration"
