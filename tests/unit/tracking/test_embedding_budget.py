"""When faces are embedded and searched."""

from __future__ import annotations

from facet.tracking.records import TrackerSettings
from tests.unit.tracking.synthetic_clip import NAMES, Clip, Person


def test_a_steady_scene_needs_few_embeddings_and_searches() -> None:
    clip = Clip("anne", "ben")
    clip.keep(Person("anne", 60), Person("ben", 400), seconds=10)
    assert sum(step.embedded for step in clip.steps) / len(clip.steps) < 0.1
    assert clip.perception.searches < 10


def test_the_gallery_is_not_searched_while_nothing_changes() -> None:
    clip = Clip("anne")
    clip.keep(Person("anne", 100), seconds=1)
    before = clip.perception.searches
    clip.keep(Person("anne", 100), seconds=1)
    assert clip.perception.searches == before


def test_embeddings_per_frame_are_bounded_and_every_track_gets_its_turn() -> None:
    clip = Clip(*NAMES, settings=TrackerSettings(max_embeddings=2))
    people = [Person(name, 100 * place, body=False) for place, name in enumerate(NAMES)]
    step = clip.keep(*people, seconds=1)
    assert max(step.embedded for step in clip.steps) == 2
    assert [track.identity.subject_id for track in step.tracks] == list(NAMES)
