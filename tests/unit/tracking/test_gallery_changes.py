"""Enrolment, deletion and errors while people are tracked."""

from __future__ import annotations

import numpy as np
import pytest

from facet.tracking.records import GalleryUnavailable, TrackerSettings
from tests.unit.tracking.synthetic_clip import (
    APPEARED,
    CHANGED,
    IDENTIFIED,
    LEFT,
    RATE,
    VECTORS,
    Clip,
    Person,
    only,
)


def test_a_subject_deleted_while_out_of_sight_leaves_without_a_name() -> None:
    clip = Clip("anne", "ben")
    clip.keep(Person("anne", 100), seconds=1)
    clip.keep(seconds=1)
    clip.perception.subjects.discard("anne")
    clip.keep(seconds=2)
    assert clip.log[-2:] == [(CHANGED, 1, ""), (LEFT, 1, "")]


def test_no_event_names_a_subject_who_was_deleted_meanwhile() -> None:
    """Neither that of a track that ends in the same step, nor one that a failed step left."""
    clip = Clip("anne", "ben", settings=TrackerSettings(confirmation_score=0.5))
    clip.keep(Person("anne", 100), Person("ben", 400), seconds=1)
    for method, deleted in (("", "anne"), ("detect", "ben")):
        before = len(clip.events)
        clip.perception.subjects.remove(deleted)
        clip.perception.broken = method
        clip.time += 2
        if method:
            with pytest.raises(OSError, match=method):
                clip.show()
            clip.perception.broken = ""
        clip.show()
        assert LEFT in {each.kind for each in clip.events[before:]}
        assert not [each for each in clip.events[before:] if deleted in (each.subject_id, each.previous_subject_id)]
        clip.keep(Person("anne", 100), Person("ben", 400), seconds=1)


def test_the_events_of_the_end_name_nobody_who_was_deleted() -> None:
    clip = Clip("anne")
    assert only(clip.keep(Person("anne", 100), seconds=1)).identity.subject_id == "anne"
    clip.perception.subjects.remove("anne")
    left = clip.tracker.finish(clip.perception.enrolled)
    assert {(each.kind, each.subject_id, each.display_name, each.similarity) for each in left} == {(LEFT, "", "", -1.0)}


def test_a_deleted_subject_loses_its_name_in_the_next_frame() -> None:
    clip = Clip("anne", "ben", settings=TrackerSettings(detection_interval=100))
    clip.keep(Person("anne", 100), seconds=0.5)
    clip.perception.subjects.remove("anne")
    step = clip.show(Person("anne", 100))
    assert step.detections is None
    assert only(step).identity.subject_id == ""
    assert [(event.kind, event.previous_subject_id) for event in step.events] == [(CHANGED, "")]


def test_a_deleted_subject_loses_its_name_even_if_the_search_fails() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100), seconds=0.5)
    clip.perception.subjects.clear()
    clip.perception.broken = "search"
    with pytest.raises(OSError, match="search"):
        clip.show(Person("anne", 100))
    clip.perception.broken = ""
    step = clip.show(Person("anne", 100))
    assert only(step).identity.subject_id == ""
    assert [event.kind for event in step.events] == [CHANGED]


def test_an_enrolled_subject_is_named_in_the_next_frame_without_an_embedding() -> None:
    clip = Clip("ben")
    clip.keep(Person("anne", 100), seconds=3)
    clip.perception.subjects.add("anne")
    step = clip.show(Person("anne", 100))
    assert only(step).identity.subject_id == "anne"
    assert step.embedded == 0


@pytest.mark.parametrize("method", ["detect", "embed", "search"])
def test_an_error_costs_one_frame_and_no_event(method: str) -> None:
    clip = Clip("anne")
    clip.perception.broken = method
    with pytest.raises(OSError, match=method):
        clip.show(Person("anne", 100))
    clip.perception.broken = ""
    clip.keep(Person("anne", 100), seconds=1)
    assert clip.log == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne")]


def test_a_failed_search_is_repeated_at_the_next_detection() -> None:
    clip = Clip("anne")
    clip.perception.broken = "search"
    for _ in range(5):
        with pytest.raises(OSError, match="search"):
            clip.show(Person("anne", 100))
        clip.time += 1 / RATE
    clip.perception.broken = ""
    assert only(clip.show(Person("anne", 100))).identity.subject_id == "anne"


def test_tracks_go_on_without_names_while_the_gallery_is_unavailable() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100), seconds=1)
    clip.perception.unavailable = GalleryUnavailable(LookupError("gone"))
    step = clip.show(Person("anne", 100))
    assert (only(step).track_id, only(step).identity.subject_id) == (1, "")
    assert [(event.kind, event.previous_subject_id) for event in step.events] == [(CHANGED, "")]
    assert isinstance(step.gallery_error, LookupError)
    assert isinstance(clip.show(Person("anne", 100)).gallery_error, LookupError)
    clip.perception.unavailable = None
    step = clip.show(Person("anne", 100))
    assert only(step).identity.subject_id == "anne"
    assert step.gallery_error is None


def test_a_gallery_that_goes_between_two_calls_is_reported_and_takes_no_names_yet() -> None:
    clip = Clip("anne")
    clip.show(Person("ben", 100))
    clip.perception.unavailable, clip.perception.unavailable_from = GalleryUnavailable(LookupError("gone")), "search"
    step = clip.show(Person("ben", 100))
    assert isinstance(step.gallery_error, LookupError)
    assert only(step).identity.subject_id == ""


def test_a_lookalike_who_comes_while_the_gallery_is_unavailable_does_not_get_the_name_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookalike = np.zeros(8, np.float32)
    lookalike[[0, 2]] = 0.33, (1 - 0.33**2) ** 0.5  # the threshold is 0.34
    monkeypatch.setitem(VECTORS, "carl", lookalike)
    clip = Clip("anne")
    clip.keep(Person("anne", 100, body=False), seconds=1)
    clip.perception.unavailable = GalleryUnavailable(LookupError("gone"))
    clip.show(Person("anne", 100, body=False))
    clip.keep(Person("carl", 100, body=False), seconds=0.7)
    clip.perception.unavailable = None
    for _ in range(RATE):
        step = clip.show(Person("carl", 100, body=False))
        assert {track.identity.subject_id for track in step.tracks} == {""}
