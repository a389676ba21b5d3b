"""FindDuplicates over gRPC: findings, resumption and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from facet import Client, DuplicateSearch, InvalidArgument, NotFound
from facet.client.retry import retry_while_busy
from facet.v1 import gallery_service_pb2 as pb

PEOPLE, TWICE = 700, 10
PAIRS = {(f"s{number:06}", f"z{number}") for number in range(TWICE)}


@pytest.fixture(scope="module")
def team(client: Client, crowd: Callable[..., bytes]) -> str:
    """The id of a gallery of 700 people, 10 of whom are enrolled twice."""
    return client.import_gallery(iter([crowd(PEOPLE, twice=TWICE)]), "duplicates-team").gallery_id


def pairs_of(findings: list[pb.DuplicateFinding]) -> set[tuple[str, str]]:
    """Return the ids of subjects who are one person."""
    return {
        (each.template.template.subject_id, each.other_template.template.subject_id)
        for each in findings
        if each.kind == pb.DuplicateFinding.KIND_SAME_PERSON
    }


def test_people_who_are_enrolled_twice_are_found(client: Client, team: str) -> None:
    told: list[tuple[int, int]] = []
    found = client.find_duplicates(team, progress=lambda done, total: told.append((done, total)))
    assert pairs_of(found) == PAIRS
    assert len(found) == TWICE
    assert all(0.9 < each.chance <= 1 for each in found)
    (first, *_) = found
    for side in (first.template, first.other_template):
        assert side.subject_create_time == client.get_subject(team, side.template.subject_id).create_time
    assert all(each.similarity > 0.9 and each.template.template.create_time.seconds for each in found)
    assert told == sorted(told)
    assert told[-1] == (PEOPLE + TWICE, PEOPLE + TWICE)


def test_a_search_that_breaks_off_goes_on_where_it_was(client: Client, team: str) -> None:
    request = pb.FindDuplicatesRequest(gallery_id=team)
    call: Any = client.galleries.FindDuplicates(request)
    search = DuplicateSearch()
    for response in call:
        search.take(response)
        if search.resume_token:
            break
    call.cancel()
    assert 0 < search.templates_done < PEOPLE
    again = DuplicateSearch(resume_token=search.resume_token, findings=search.findings)
    firsts: list[int] = []
    # The call that was cancelled may still be open for a moment.
    found = retry_while_busy(
        lambda: client.find_duplicates(team, search=again, progress=lambda done, _: firsts.append(done))
    )
    assert firsts[0] > search.templates_done
    assert pairs_of(found) == PAIRS


def test_the_most_probable_are_kept_up_to_a_limit(client: Client, team: str) -> None:
    found = client.find_duplicates(team, max_findings=3)
    assert len(found) == 3
    assert found == sorted(found, key=lambda each: -each.chance)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.FindDuplicatesRequest(gallery_id="No"), "gallery_id"),
        (pb.FindDuplicatesRequest(gallery_id="duplicates-team", least_chance=0.04), "least_chance"),
        (pb.FindDuplicatesRequest(gallery_id="duplicates-team", least_chance=float("nan")), "least_chance"),
        (pb.FindDuplicatesRequest(gallery_id="duplicates-team", max_findings=10_001), "max_findings"),
    ],
    ids=["gallery", "chance too low", "chance not a number", "too many findings"],
)
def test_a_field_out_of_range_is_named(
    client: Client, team: str, request_: pb.FindDuplicatesRequest, field: str
) -> None:
    with pytest.raises(InvalidArgument, match=field) as refused:
        list(client.galleries.FindDuplicates(request_))
    assert refused.value.reason == "INVALID_FIELD"


def test_a_token_of_another_gallery_is_refused(client: Client, team: str, gallery: str) -> None:
    search = DuplicateSearch()
    client.find_duplicates(team, search=search)
    with pytest.raises(InvalidArgument) as refused:
        client.find_duplicates(gallery, search=DuplicateSearch(resume_token=search.resume_token))
    assert refused.value.reason == "INVALID_RESUME_TOKEN"


def test_a_gallery_that_does_not_exist_has_no_duplicates(client: Client) -> None:
    with pytest.raises(NotFound) as refused:
        client.find_duplicates("nobody-here")
    assert refused.value.reason == "GALLERY_NOT_FOUND"


def test_an_empty_gallery_has_no_duplicates(client: Client, gallery: str) -> None:
    assert client.find_duplicates(gallery) == []
