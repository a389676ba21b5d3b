"""A person in front of a camera is counted once: when the track is decided, or when it leaves undecided."""

from __future__ import annotations

import pytest

from facet.tracking.records import SettledTrack
from gallery.records.identifications import Decision
from tests.unit.tracking.synthetic_clip import Clip, Person


def seen(clip: Clip, *people: Person, frames: int) -> list[SettledTrack]:
    return [each for _ in range(frames) for each in clip.show(*people).settled]


def test_a_known_and_an_unknown_person_are_counted_once_each() -> None:
    clip = Clip("anne")
    found = seen(clip, Person("anne", 100), Person("ben", 400), frames=60)
    found += seen(clip, frames=60)
    assert {each.decision for each in found} == {Decision.MATCH, Decision.UNKNOWN}
    assert len(found) == 2
    (known,) = [each for each in found if each.decision is Decision.MATCH]
    assert known.similarity == pytest.approx(1, abs=0.01)
    assert known.quality.size > 0
    assert 0 < known.score <= 1


def test_a_person_who_leaves_undecided_is_counted_as_refused() -> None:
    clip = Clip("anne")
    found = seen(clip, Person("ben", 400), frames=3)
    assert found == []
    found = seen(clip, frames=60)
    assert [(each.decision, each.similarity) for each in found] == [(Decision.REFUSED, None)]
