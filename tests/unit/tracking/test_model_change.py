"""Another model embeds the faces of a stream from one frame to the next, because its gallery was switched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facet.tracking.decision import DecisionSettings
from facet.tracking.records import ContractReplaced, StepResult, TrackerSettings
from tests.unit.tracking.synthetic_clip import (
    APPEARED,
    CHANGED,
    IDENTIFIED,
    NAMES,
    UNKNOWN,
    VECTORS,
    Clip,
    Person,
)

OFTEN = TrackerSettings(refresh_interval=0.1, embedding_interval=0.1)
"""Soon, enough was seen of everybody."""
ANNE, BEN, CARL = Person("anne", 20), Person("ben", 220), Person("carl", 420)


def names(step: StepResult) -> list[str]:
    return [track.identity.subject_id for track in step.tracks]


def test_tracks_keep_their_names_through_a_switch_and_a_rollback() -> None:
    clip = Clip("anne", "ben", settings=OFTEN)
    clip.keep(ANNE, BEN, CARL, seconds=1)
    before = len(clip.steps)
    assert names(clip.steps[-1]) == ["anne", "ben", ""]
    for contract in ("second", "first", "second"):
        clip.perception.contract = contract
        clip.keep(ANNE, BEN, CARL, seconds=0.5)
    assert {tuple(names(step)) for step in clip.steps[before:]} == {("anne", "ben", "")}
    assert not [event for step in clip.steps[before:] for event in step.events]


def test_somebody_who_was_out_of_sight_during_the_switch_is_the_same_track() -> None:
    clip = Clip("anne")
    clip.keep(ANNE, CARL, seconds=2)
    clip.keep(seconds=0.6)
    clip.perception.contract = "second"
    clip.keep(seconds=0.6)
    clip.keep(Person("anne", 420), Person("carl", 20), seconds=1)
    assert [track.track_id for track in clip.steps[-1].tracks] == [1, 2]
    assert names(clip.steps[-1]) == ["anne", ""]
    assert [kind for kind, _, _ in clip.log].count(APPEARED) == 2


def test_somebody_else_in_the_same_place_after_the_switch_does_not_get_the_name() -> None:
    """The new face is compared with the old ones as the new model sees them: to it, fay looks as anne did before."""
    clip = Clip("anne", "carl")
    clip.keep(ANNE, seconds=1)
    before = len(clip.steps)
    clip.perception.contract = "second"
    clip.keep(Person("fay", 20), seconds=1)
    assert {name for step in clip.steps[before:] for name in names(step)} == {""}


def test_a_track_that_the_new_model_takes_for_another_subject_changes_its_name_in_the_same_frame() -> None:
    clip = Clip("anne", "ben")
    clip.keep(ANNE, seconds=2)
    templates = clip.perception.templates["second"]
    templates["anne"], templates["ben"] = templates["ben"], templates["anne"]
    clip.perception.contract = "second"
    step = clip.show(ANNE)
    assert names(step) == ["ben"]
    assert [(event.kind, event.subject_id, event.previous_subject_id) for event in step.events] == [
        (CHANGED, "ben", "anne")
    ]


def test_a_track_whose_subject_the_new_model_does_not_know_loses_its_name_if_enough_was_seen() -> None:
    for seconds, expected in ((0.3, []), (1, [CHANGED, UNKNOWN])):
        clip = Clip("anne", settings=OFTEN)
        clip.keep(ANNE, seconds=seconds)
        assert names(clip.steps[-1]) == ["anne"]
        clip.perception.templates["second"]["anne"] = VECTORS["fay"]
        clip.perception.contract = "second"
        assert [event.kind for event in clip.show(ANNE).events] == expected


def test_a_track_of_few_samples_loses_such_a_name_soon() -> None:
    """And not only after several refreshes, 4 seconds each."""
    clip = Clip("anne")
    clip.keep(ANNE, seconds=1)
    clip.perception.templates["second"]["anne"] = VECTORS["fay"]
    clip.perception.contract = "second"
    assert clip.show(ANNE).events == ()
    clip.keep(ANNE, seconds=1.2)
    assert clip.log[2:] == [(CHANGED, 1, ""), (UNKNOWN, 1, "")]


def test_a_track_that_was_unknown_gets_its_name_from_the_new_model() -> None:
    clip = Clip("anne")
    clip.perception.templates["first"]["anne"] = VECTORS["fay"]
    clip.keep(ANNE, seconds=3)
    assert clip.log == [(APPEARED, 1, ""), (UNKNOWN, 1, "")]
    clip.perception.contract = "second"
    clip.show(ANNE)
    assert clip.log[2:] == [(IDENTIFIED, 1, "anne")]


def test_faces_are_embedded_anew_once_and_only_if_there_are_any() -> None:
    clip = Clip("anne", settings=TrackerSettings(detection_interval=100))
    clip.perception.contract = "second"
    clip.show()
    assert clip.perception.batches == []
    clip.keep(ANNE, seconds=0.5)
    done = len(clip.perception.batches)
    clip.perception.contract = "first"
    clip.keep(ANNE, seconds=0.5)
    assert len(clip.perception.batches) == done + 1


def test_a_crowd_is_embedded_anew_within_limits() -> None:
    clip = Clip(*NAMES, settings=replace(OFTEN, max_embeddings_anew=9, decision=DecisionSettings(min_samples=1)))
    crowd = [Person(name, 105 * number) for number, name in enumerate(NAMES)]
    for count, expected in ((1, 5), (4, 8), (6, 6)):
        clip.keep(*crowd[:count], seconds=1)
        clip.perception.contract = "first" if clip.perception.contract == "second" else "second"
        done = len(clip.perception.batches)
        assert names(clip.show(*crowd[:count])) == list(NAMES[:count])
        assert clip.perception.batches[done] == expected


@pytest.mark.parametrize("broken", ["embed", "search"])
def test_a_step_that_fails_at_the_switch_loses_nothing(broken: str) -> None:
    clip = Clip("anne")
    clip.keep(ANNE, seconds=2)
    events = len(clip.events)
    clip.perception.contract = "second"
    clip.perception.broken = broken
    with pytest.raises(OSError, match=broken):
        clip.show(ANNE)
    clip.perception.broken = ""
    assert names(clip.keep(ANNE, seconds=5)) == ["anne"]
    assert len(clip.events) == events


def test_a_frame_can_be_shown_again_with_the_new_model_if_the_old_one_was_dropped_during_its_step() -> None:
    clip = Clip("anne")
    clip.keep(ANNE, seconds=4)
    clip.perception.subjects.add("dora")  # the gallery is searched again
    clip.perception.replaced = True
    with pytest.raises(ContractReplaced):
        clip.show(ANNE)
    clip.perception.replaced = False
    clip.perception.contract = "second"
    assert names(clip.show(ANNE)) == ["anne"]
    assert clip.log == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne")]
