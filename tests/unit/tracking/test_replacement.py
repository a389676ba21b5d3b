"""Another person takes the place of one: a name is reported only of a face that was looked at."""

from __future__ import annotations

import pytest

from facet.tracking.decision import Decision
from facet.tracking.records import TrackerSettings
from tests.unit.tracking.synthetic_clip import APPEARED, IDENTIFIED, LEFT, Clip, Person, only

RATES = [0.5, 0.9, 1.2, 2, 5, 15]


def show(clip: Clip, who: str, rate: float, frames: int) -> list[str]:
    """Show somebody at the same place; the names in the frames."""
    names = []
    for _ in range(frames):
        before = clip.time
        names += [track.identity.subject_id for track in clip.show(Person(who, 100, body=False)).tracks]
        clip.time = before + 1 / rate
    return names


@pytest.mark.parametrize("rate", RATES)
def test_a_stranger_in_the_place_of_a_subject_never_has_its_name(rate: float) -> None:
    clip = Clip("anne", "ben")
    assert show(clip, "anne", rate, 6)[-1] == "anne"
    assert set(show(clip, "carl", rate, 6)) == {""}


@pytest.mark.parametrize("rate", RATES)
def test_a_subject_in_the_place_of_another_has_its_own_name_at_once_and_so_has_the_first_when_it_is_back(
    rate: float,
) -> None:
    clip = Clip("anne", "ben")
    show(clip, "anne", rate, 6)
    assert set(show(clip, "ben", rate, 6)) == {"ben"}
    assert set(show(clip, "anne", rate, 6)) == {"anne"}


def test_the_other_person_is_a_new_track() -> None:
    clip = Clip("anne", "ben")
    show(clip, "anne", 5, 6)
    show(clip, "ben", 5, 12)
    assert clip.log[2:] == [(APPEARED, 2, ""), (IDENTIFIED, 2, "ben"), (LEFT, 1, "anne")]


def test_capture_times_that_stand_still_or_jump_hide_no_replacement() -> None:
    clip = Clip("anne", "ben")
    show(clip, "anne", 5, 6)
    clip.time -= 100
    assert set(show(clip, "carl", 1e9, 6)) == {""}
    clip.time += 1e6
    assert set(show(clip, "ben", 1e9, 2)) == {"ben"}


def test_a_name_is_not_reported_while_the_face_that_replaces_it_is_too_poor_to_tell() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100, body=False), seconds=1)
    poor = Person("carl", 100 + 24, 40 + 30, body=False, size=0.2)
    names = [[track.identity.subject_id for track in clip.show(poor).tracks] for _ in range(10)]
    assert all(name in ([], [""]) for name in names)


def test_a_face_that_waits_for_its_look_has_no_name_meanwhile() -> None:
    clip = Clip("anne", "ben", settings=TrackerSettings(max_embeddings=1))
    clip.keep(Person("anne", 60, body=False), Person("ben", 400, body=False), seconds=1)
    step = clip.show(Person("carl", 60, body=False), Person("emil", 400, body=False))
    assert step.embedded == 1
    assert {track.identity.subject_id for track in step.tracks} == {""}
    assert Decision.UNDECIDED in {track.identity.decision for track in step.tracks}


def test_whoever_has_a_name_to_lose_is_looked_at_before_strangers() -> None:
    strangers = [Person(who, left, body=False) for who, left in (("carl", 200), ("emil", 300), ("ben", 400))]
    clip = Clip("anne", settings=TrackerSettings(max_embeddings=1))
    clip.keep(Person("anne", 60, body=False), *strangers, seconds=3)
    for down in (90, 40, 90, 40):  # everybody jumps, as when the camera moves fast
        step = clip.show(*(Person(each.name, each.x, down, body=False) for each in (*strangers, Person("anne", 60))))
        assert step.embedded == 1
        assert "anne" in {track.identity.subject_id for track in step.tracks}


def test_a_still_face_is_not_embedded_again_for_its_looks() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100), seconds=1)
    assert clip.keep(Person("anne", 100), seconds=2).embedded == 0
    assert only(clip.steps[-1]).identity.subject_id == "anne"
