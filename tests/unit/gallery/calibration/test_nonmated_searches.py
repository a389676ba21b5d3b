"""Nonmated searches: of people outside a gallery, and of its own subjects among the others."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gallery.calibration.nonmated_searches import (
    Evidence,
    NonmatedSearch,
    empty_search,
    search_cross_subject,
)
from gallery.calibration.thresholds import choose_threshold
from gallery.errors import GalleryNotFound, StorageUnavailable
from gallery.index.memory_index import MemoryIndex
from gallery.records.calibrations import CalibrationSource
from gallery.records.galleries import GalleryChange
from gallery.records.templates import EmbeddedTemplates

if TYPE_CHECKING:
    from tests.unit.gallery.calibration.conftest import Team

PEOPLE = 300


def test_each_subject_is_searched_for_among_the_others(team: Team) -> None:
    vectors = team.vectors(PEOPLE, 0)
    team.enroll("s000", team.near(vectors[0], 1), "another")
    evidence = team.search_cross_subject()
    assert (evidence.source, evidence.failures, len(evidence.searches)) == (CalibrationSource.ITSELF, 0, PEOPLE + 1)
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1)
    for each in evidence.searches:
        assert each.other_id != each.subject_id
        assert each.templates == PEOPLE + 1
        if "s000" not in (each.subject_id, each.other_id):
            row = int(each.subject_id[1:])
            assert each.other_id == f"s{similarities[row].argmax():03}"
            assert each.similarity == pytest.approx(similarities[row].max(), abs=1e-6)


def test_evidence_depends_on_the_templates_alone(team: Team) -> None:
    first, second = team.search_cross_subject(), team.search_cross_subject()
    assert first == second
    team.enroll("new", team.vectors(1, 9)[0])
    assert team.search_cross_subject().data_set_sha256 != first.data_set_sha256


def cross_subject_evidence(team: Team, *, max_probes: int = 20_000, templates_per_page: int = 4096) -> Evidence:
    index = MemoryIndex(32)
    names = [f"s{number:03}" for number in range(PEOPLE)]
    index.add(EmbeddedTemplates(names, names, [str(number) for number in range(PEOPLE)], team.vectors(PEOPLE, 0)))
    return search_cross_subject(
        team.store,
        index,
        "team",
        "",
        contract="c",
        mean_of_best=1,
        check=lambda: None,
        max_probes=max_probes,
        templates_per_page=templates_per_page,
    )


def test_a_limited_number_of_probes_covers_every_subject_first(team: Team) -> None:
    for number, embedding in enumerate(team.vectors(PEOPLE, 0)):
        team.enroll(f"s{number:03}", team.near(embedding, number), "another")
    evidence = cross_subject_evidence(team, max_probes=PEOPLE + 10)
    assert len(evidence.searches) == PEOPLE + 10
    assert {each.subject_id for each in evidence.searches} == {f"s{number:03}" for number in range(PEOPLE)}


def test_probes_are_the_same_however_they_are_paged(team: Team) -> None:
    assert cross_subject_evidence(team, templates_per_page=7) == cross_subject_evidence(team)


def test_subjects_of_a_cohort_are_searched_for_unless_they_are_in_the_gallery(team: Team) -> None:
    team.galleries.create_gallery("cohort", display_name="", threshold=0.5)
    for number, embedding in enumerate(team.vectors(50, 5)):
        team.enroll(f"c{number}", embedding, gallery_id="cohort")
    team.enroll("s001", team.vectors(PEOPLE, 0)[1], gallery_id="cohort")
    evidence = team.search_cross_subject("cohort")
    assert (evidence.source, evidence.data_set) == (CalibrationSource.ITSELF_AND_COHORT, "cohort")
    searched = [each.subject_id for each in evidence.searches]
    assert sorted(searched) == sorted([f"s{n:03}" for n in range(PEOPLE)] + [f"c{n}" for n in range(50)])
    with pytest.raises(GalleryNotFound):
        team.search_cross_subject("unknown")


def test_a_template_deleted_between_two_pages_does_not_end_the_search(team: Team) -> None:
    pages = 0

    def delete_once() -> None:
        nonlocal pages
        pages += 1
        if pages == 1:
            team.galleries.delete_subject("team", "s099")

    index = MemoryIndex(32)
    evidence = search_cross_subject(
        team.store, index, "team", "", contract="c", mean_of_best=1, check=delete_once, templates_per_page=100
    )
    assert len(evidence.searches) == PEOPLE - 1


def test_a_store_that_fails_ends_the_search(team: Team) -> None:
    gallery = team.gallery
    team.galleries.close()
    with pytest.raises(StorageUnavailable):
        team.galleries.calibrator.search_cross_subject(gallery, "", check=lambda: None)


def test_enrolments_do_not_wait_for_nonmated_searches(team: Team) -> None:
    searching, enrolled = threading.Event(), threading.Event()
    gallery = team.gallery

    def wait_once() -> None:
        searching.set()
        assert enrolled.wait(60)

    thread = threading.Thread(
        target=lambda: team.galleries.calibrator.search_cross_subject(gallery, "", check=wait_once)
    )
    thread.start()
    assert searching.wait(60)
    team.enroll("meanwhile", team.vectors(1, 10)[0])
    enrolled.set()
    thread.join()


def test_searches_use_the_mean_of_best_from_the_beginning_of_the_calibration(team: Team) -> None:
    for number, embedding in enumerate(team.vectors(PEOPLE, 0)):
        team.enroll(f"s{number:03}", team.near(embedding, number), "another")
    calibrator = team.galleries.calibrator
    before = calibrator.begin("team")
    probes, names = team.vectors(9, 4), [f"x{number}" for number in range(9)]
    found, evidence = calibrator.search_nonmated(before, probes, names), team.search_cross_subject()
    changed = team.galleries.update_gallery("team", GalleryChange(mean_of_best=2))
    assert calibrator.search_nonmated(before, probes, names) == found
    assert calibrator.search_nonmated(changed, probes, names) != found
    assert calibrator.search_cross_subject(before, "", check=lambda: None) == evidence


def templates_of(team: Team) -> dict[str, str]:
    """The id of each subject's only template."""
    page = team.store.embedded_templates("team", after="", limit=2 * PEOPLE)
    return dict(zip(page.subject_ids, page.template_ids, strict=True))


def test_a_subject_is_left_out_of_its_own_search(team: Team) -> None:
    probes = team.vectors(PEOPLE, 0)[:2]
    known, unknown = team.galleries.calibrator.search_nonmated(team.gallery, probes, ["s000", "unknown"])
    assert (known.subject_id, known.templates) == ("s000", PEOPLE)
    assert known.other_id != "s000"
    expected = NonmatedSearch(
        "unknown",
        "s001",
        unknown.similarity,
        PEOPLE,
        unknown.runners_up,
        (False, False, False),
        other_template_id=templates_of(team)["s001"],
    )
    assert unknown == expected
    assert unknown.similarity == pytest.approx(1)
    assert list(unknown.runners_up) == pytest.approx(sorted(team.vectors(PEOPLE, 0) @ probes[1])[-3:-1][::-1], abs=1e-6)


def test_subjects_that_were_told_apart_are_sure_evidence_and_no_suspects(team: Team) -> None:
    vectors = team.vectors(PEOPLE, 0)
    team.enroll("twin", team.near(vectors[0], 1))
    before = {each.subject_id: each for each in team.search_cross_subject().searches}
    assert (before["twin"].other_id, before["s000"].other_id) == ("s000", "twin")
    team.store.set_distinct("team", "s000", "twin", is_distinct=True, limit=10)
    team.galleries.close()
    again = team.open(team.path)
    evidence = again.galleries.calibrator.search_cross_subject(again.gallery, "", check=lambda: None)
    after = {each.subject_id: each for each in evidence.searches}
    assert after["twin"].similarity == before["twin"].similarity
    assert (before["twin"].apart, after["twin"].apart) == ((False, False, False), (True, False, False))
    assert after["s000"].apart == (True, False, False)
    suspects = [
        choose_threshold(
            searched.scores(), target_fpir=0.1, for_templates=PEOPLE, without_suspects=True, own=searched.own_pictures()
        ).suspects
        for searched in (replace(evidence, searches=list(before.values())), evidence)
    ]
    assert {suspect.similarity for suspect in suspects[0]} == {before["twin"].similarity}
    assert suspects[1] == ()
    again.galleries.close()


def test_a_search_among_the_gallerys_own_people_names_both_templates(team: Team) -> None:
    evidence, templates = team.search_cross_subject(), templates_of(team)
    assert len(evidence.searches) == PEOPLE
    for each in evidence.searches:
        assert (each.template_id, each.other_template_id) == (templates[each.subject_id], templates[each.other_id])


def test_a_search_of_an_empty_gallery_compares_nothing(team: Team) -> None:
    team.galleries.create_gallery("empty", display_name="", threshold=0.5)
    empty = team.galleries.calibrator.begin("empty")
    names = [f"x{n}" for n in range(200)]
    found = team.galleries.calibrator.search_nonmated(empty, team.vectors(200, 4), names)
    assert found == [empty_search(name) for name in names]
