"""A search for look-alikes that was made before the gallery is held is kept up with what has changed since."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gallery.enrollment.lookalikes import LookalikeSearch
from gallery.errors import LooksLikeAnotherSubject
from gallery.galleries import Galleries
from gallery.records.galleries import GalleryChange
from tests.unit.gallery.samples import CONTRACT, axis, between, face

Change = Callable[[Galleries], object]


def searched_ahead(galleries: Galleries, subject_id: str = "new") -> LookalikeSearch:
    """Search for those who look like the first axis."""
    lookalikes = LookalikeSearch(galleries._registry.find("g"), CONTRACT, subject_id, axis(1))
    lookalikes.search_ahead()
    return lookalikes


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda galleries: galleries.enroll("g", "ann", face(axis(1))), id="enrolled"),
        pytest.param(
            lambda galleries: [galleries.enroll("g", f"s{each}", face(axis(each))) for each in (2, 3, 1)],
            id="enrolled after others",
        ),
        pytest.param(
            lambda galleries: (
                galleries.enroll("g", "bob", face(between(axis(1), axis(2), 0.3))),
                galleries.update_gallery("g", GalleryChange(threshold=0.2)),
            ),
            id="within a lower threshold",
        ),
    ],
)
def test_whoever_came_after_the_search_is_seen(galleries: Galleries, change: Change) -> None:
    lookalikes = searched_ahead(galleries)
    change(galleries)
    with pytest.raises(LooksLikeAnotherSubject):
        lookalikes.refuse()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda galleries: galleries.delete_subject("g", "ann"), id="deleted"),
        pytest.param(lambda galleries: galleries.corrections.merge("g", "ann", "new"), id="merged"),
        pytest.param(
            lambda galleries: galleries.corrections.set_distinct("g", "ann", "new", is_distinct=True), id="told apart"
        ),
        pytest.param(
            lambda galleries: galleries.update_gallery("g", GalleryChange(threshold=0.99)), id="under the threshold"
        ),
    ],
)
def test_whoever_is_no_lookalike_any_more_refuses_nobody(galleries: Galleries, change: Change) -> None:
    galleries.enroll("g", "new", face(axis(2)))
    galleries.enroll("g", "ann", face(between(axis(1), axis(3), 0.9)))
    lookalikes = searched_ahead(galleries)
    change(galleries)
    lookalikes.refuse()


@pytest.mark.parametrize("mean_of_best", [1, 2])
def test_a_further_template_of_another_subject_is_seen(galleries: Galleries, mean_of_best: int) -> None:
    galleries.update_gallery("g", GalleryChange(mean_of_best=mean_of_best))
    for each in (0.55, 0.4):  # one above the threshold, and their mean below
        galleries.enroll("g", "ann", face(between(axis(1), axis(2), each if mean_of_best == 2 else each - 0.1)))
    lookalikes = searched_ahead(galleries)
    lookalikes.refuse()
    galleries.enroll("g", "ann", face(between(axis(1), axis(3), 0.7)))
    with pytest.raises(LooksLikeAnotherSubject):
        lookalikes.refuse()


def test_who_came_and_went_after_the_search_refuses_nobody(galleries: Galleries) -> None:
    lookalikes = searched_ahead(galleries)
    galleries.enroll("g", "ann", face(axis(1)))
    galleries._registry.find("g").remove_subject("ann")  # as when it expires: no other change is made
    lookalikes.refuse()


def test_the_next_one_is_found_if_the_nearest_is_gone(galleries: Galleries) -> None:
    galleries.enroll("g", "ann", face(axis(1)))
    galleries.enroll("g", "bob", face(between(axis(1), axis(3), 0.9), accept_lookalike=True))
    lookalikes = searched_ahead(galleries)
    galleries.delete_subject("g", "ann")
    with pytest.raises(LooksLikeAnotherSubject) as refused:
        lookalikes.refuse()
    assert refused.value.subject_id == "bob"
