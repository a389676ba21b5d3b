"""A search for duplicates finds who is enrolled twice, and pictures under wrong names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gallery.duplicates.findings import FindingKind
from gallery.errors import GalleryNotFound
from gallery.galleries import Galleries
from gallery.records.subjects import renaming
from tests.unit.gallery.duplicates.conftest import (
    DIMENSION,
    MISFILED,
    STRANGE,
    TWICE,
    People,
    Team,
    findings_of,
    open_team,
)

PAIRS = [(f"again-{subject_id}", subject_id) for subject_id in TWICE]


def test_people_who_are_enrolled_twice_are_found_and_nobody_else(team: Team) -> None:
    found = [each for each in team.found() if each.kind is FindingKind.SAME_PERSON]
    assert sorted((each.subject_id, each.other_subject_id) for each in found) == PAIRS
    assert all(each.similarity > 0.4 for each in found)
    assert all(each.template_id in each.template_ids for each in found)


def test_pictures_under_a_wrong_name_are_found_with_the_right_one(team: Team) -> None:
    (misfiled,) = [each for each in team.found() if each.kind is FindingKind.OTHER_SUBJECT]
    *_, wrong = team.store.templates("team", MISFILED, after="", limit=9)
    assert (misfiled.subject_id, misfiled.other_subject_id) == (MISFILED, "p102")
    assert (misfiled.template_id, misfiled.template_ids) == (wrong.template_id, (wrong.template_id,))
    assert misfiled.own_similarity is not None
    assert misfiled.own_similarity < 0.3 < misfiled.similarity


def test_a_picture_of_nobody_in_the_gallery_is_unlike_the_others_of_its_subject(team: Team) -> None:
    (strange,) = [each for each in team.found() if each.kind is FindingKind.UNLIKE_SUBJECT]
    *_, wrong = team.store.templates("team", STRANGE, after="", limit=9)
    assert (strange.subject_id, strange.template_ids) == (STRANGE, (wrong.template_id,))
    assert strange.similarity < 0.3


def test_many_pictures_under_the_name_of_another_person_are_one_finding(tmp_path: Path, people: People) -> None:
    for number in range(100):
        people.enroll(f"p{number:03d}", *[people.person()] * 2)
    one, other = people.person(), people.person()
    people.enroll("ann", *[one] * 6)
    people.enroll("ben", *[other] * 5, *[one] * 4)
    team = open_team(tmp_path / "facet.sqlite3", people)
    (found,) = team.found()
    assert (found.kind, found.subject_id, found.other_subject_id) == (FindingKind.OTHER_SUBJECT, "ben", "ann")
    assert len(found.template_ids) == 4
    team.galleries.close()


def test_subjects_that_were_told_apart_are_left_out(team: Team) -> None:
    one, other = PAIRS[0]
    team.store.set_distinct("team", one, other, is_distinct=True, limit=9)
    galleries = Galleries(team.store, contract="c", dimension=DIMENSION, max_templates_per_subject=99)
    found = Team(galleries, team.store).found()
    pairs = [(each.subject_id, each.other_subject_id) for each in found if each.kind is FindingKind.SAME_PERSON]
    assert sorted(pairs) == PAIRS[1:]


def test_a_search_in_parts_finds_the_same_as_one_search(team: Team) -> None:
    parts, token = [], ""
    while step := next((each for each in team.steps(token=token) if each.resume_token), None):
        parts.append(step)
        token = step.resume_token
    assert len(parts) > 3
    whole, resumed = ({each.key: each.chance for each in found} for found in (team.found(), findings_of(parts)))
    assert resumed == pytest.approx(whole)
    assert parts[-1].templates_done == parts[-1].templates == team.galleries.get_gallery("team").template_count


def test_the_size_of_pages_makes_no_difference(team: Team) -> None:
    small, large = ({each.key: each.chance for each in team.found(page=page)} for page in (11, 1000))
    assert small == pytest.approx(large)


def test_a_limit_leaves_the_most_probable(team: Team) -> None:
    wanted = [each.key for each in team.found()[:3]]
    assert [each.key for each in team.found(limit=3)[:3]] == wanted


def test_a_search_goes_on_while_people_are_forgotten_renamed_and_enrolled(team: Team, people: People) -> None:
    steps = team.steps()
    first = next(each for each in steps if each.resume_token)
    one, other = PAIRS[-1]
    team.galleries.delete_subject("team", one)
    team.galleries.update_subject("team", other, renaming("Somebody"))
    found = {(each.subject_id, each.other_subject_id) for each in findings_of([first, *steps])}
    assert found >= set(PAIRS[:-1])


def test_a_search_ends_when_the_gallery_is_deleted(team: Team) -> None:
    steps = team.steps()
    next(each for each in steps if each.resume_token)
    team.galleries.delete_gallery("team", force=True)
    with pytest.raises(GalleryNotFound):
        list(steps)


@pytest.mark.parametrize("templates", [0, 1, 2], ids=["empty", "one template", "two templates"])
def test_a_gallery_of_nobody_or_of_one_person_has_no_duplicates(tmp_path: Path, people: People, templates: int) -> None:
    if templates:
        people.enroll("ann", *[people.person()] * templates)
    team = open_team(tmp_path / "facet.sqlite3", people)
    assert team.found() == []
    team.galleries.close()


def test_two_subjects_with_one_face_are_one_person_even_if_nobody_else_is_enrolled(
    tmp_path: Path, people: People
) -> None:
    person = people.person()
    people.enroll("ann", person)
    people.enroll("bea", person)
    team = open_team(tmp_path / "facet.sqlite3", people)
    assert [(each.subject_id, each.other_subject_id) for each in team.found()] == [("ann", "bea")]
    team.galleries.close()


def test_all_are_found_if_everybody_is_enrolled_twice_with_one_template_each(tmp_path: Path, people: People) -> None:
    persons = [people.person() for _ in range(60)]
    for side in ("again", "first"):
        for number, person in enumerate(persons):
            people.enroll(f"{side}-{number:02d}", person)
    team = open_team(tmp_path / "facet.sqlite3", people)
    found = [(each.subject_id, each.other_subject_id) for each in team.found()]
    pairs = {(f"again-{number:02d}", f"first-{number:02d}") for number in range(60)}
    assert len(pairs & set(found)) >= 57
    assert set(found) <= pairs
    team.galleries.close()


def test_people_of_a_group_who_resemble_each_other_are_not_one_person(tmp_path: Path, people: People) -> None:
    common = people.person()
    for number in range(100):
        person = people.person()
        if number < 25:
            person = np.asarray(0.7 * common + 0.714 * person, np.float32)
        people.enroll(f"p{number:03d}", person)
    team = open_team(tmp_path / "facet.sqlite3", people)
    assert team.found() == []
    team.galleries.close()


def test_a_subject_whose_pictures_are_mostly_of_another_is_not_merged_into_that(tmp_path: Path, people: People) -> None:
    for number in range(100):
        people.enroll(f"p{number:03d}", *[people.person()] * 2)
    blair, powell = people.person(), people.person()
    people.enroll("blair", *[blair] * 3, *[powell] * 20)
    people.enroll("powell", *[powell] * 8)
    team = open_team(tmp_path / "facet.sqlite3", people)
    (found,) = team.found()
    assert (found.kind, found.subject_id, found.other_subject_id) == (FindingKind.OTHER_SUBJECT, "blair", "powell")
    assert len(found.template_ids) == 20
    team.galleries.close()
