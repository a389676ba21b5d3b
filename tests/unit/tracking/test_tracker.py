"""People who come, turn, hide, go and are forgotten, in pictures made up for it.

Everybody is a patch of an own colour; :class:`World` finds the patches where a test put them, and knows the colours.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet.tracking.decision import Decision, Match
from facet.tracking.records import EventKind, SceneSettings, Sight, Step, Track, TrackEvent
from facet.tracking.tracker import Scene
from recognizer.faces import Faces

NAMES = ("anne", "ben", "carl", "dora", "emil", "fay")
COLOURS = dict(
    zip(
        NAMES,
        [(220, 60, 60), (60, 220, 60), (60, 60, 220), (200, 200, 40), (200, 40, 200), (40, 200, 200)],
        strict=True,
    )
)
VECTORS = dict(zip(NAMES, np.eye(len(NAMES), 8, dtype=np.float32), strict=True))
LANDMARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
RATE = 15
APPEARED, IDENTIFIED, CHANGED, LEFT = EventKind.APPEARED, EventKind.IDENTIFIED, EventKind.CHANGED, EventKind.LEFT


@dataclass(frozen=True)
class Person:
    """Somebody in a frame; the face is 60 pixels wide at the top of the body."""

    name: str
    x: float
    y: float = 40
    face: bool = True
    body: bool = True
    score: float = 0.9
    size: float = 1

    @property
    def face_box(self) -> list[float]:
        return [self.x + 30, self.y + 10, self.x + 30 + 60 * self.size, self.y + 10 + 75 * self.size]

    @property
    def body_box(self) -> list[float]:
        return [self.x, self.y, self.x + 120, self.y + 300]


@dataclass
class World:
    """Senses that know whom a test has put where, and how often they were asked."""

    enrolled: set[str] = field(default_factory=set)
    people: Sequence[Person] = ()
    broken: str = ""
    looks: int = 0
    searches: int = 0

    def look(self, picture: NDArray[np.uint8]) -> Sight:
        self._fail("look")
        self.looks += 1
        faces = [each for each in self.people if each.face]
        boxes = np.array([each.face_box for each in faces], np.float32).reshape(-1, 4)
        landmarks = boxes[:, None, :2] + LANDMARKS * (boxes[:, None, 2:] - boxes[:, None, :2])
        bodies = [each for each in self.people if each.body]
        return Sight(
            Faces(boxes, landmarks, np.array([each.score for each in faces], np.float32)),
            np.array([each.body_box for each in bodies], np.float32).reshape(-1, 4),
            np.array([each.score for each in bodies], np.float32),
        )

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self._fail("embed")
        return np.stack([VECTORS[_whose(crop)] for crop in crops])

    def search(self, embeddings: NDArray[np.float32]) -> list[Match | None]:
        self._fail("search")
        self.searches += 1
        found: list[Match | None] = []
        for embedding in embeddings:
            best = sorted(((float(embedding @ VECTORS[name]), name) for name in self.enrolled), reverse=True)
            runner_up = best[1][0] if len(best) > 1 else -1.0
            found.append(Match(best[0][1], best[0][1].title(), best[0][0], 0.34, runner_up) if best else None)
        return found

    def revision(self) -> Hashable:
        return frozenset(self.enrolled)

    def known(self, subject_ids: Collection[str]) -> Collection[str]:
        return self.enrolled.intersection(subject_ids)

    def _fail(self, what: str) -> None:
        if self.broken == what:
            raise OSError(what)


def _whose(crop: NDArray[np.uint8]) -> str:
    colour = crop[30:80, 30:80].reshape(-1, 3).mean(0)
    return min(NAMES, key=lambda name: float(np.abs(colour - np.array(COLOURS[name]) * 0.75).sum()))


def painted(people: Iterable[Person], scenery: int = 1, size: tuple[int, int] = (360, 640)) -> NDArray[np.uint8]:
    hills = np.random.default_rng(scenery).integers(0, 60, (6, 10, 3)) + 60 * scenery
    picture = np.asarray(cv2.resize(hills.astype(np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    for each in people:
        x1, y1, x2, y2 = (int(max(0, edge)) for edge in each.face_box)
        rows, columns = np.mgrid[0 : max(0, min(size[0], y2) - y1), 0 : max(0, min(size[1], x2) - x1)]
        checks = np.where((rows // 4 + columns // 4) % 2, 1.0, 0.5)[..., None]
        picture[y1:y2, x1:x2] = np.array(COLOURS[each.name]) * checks
    return picture


class Film:
    """A scene that is shown one frame after the other."""

    def __init__(self, *enrolled: str, settings: SceneSettings | None = None) -> None:
        self.world = World(set(enrolled))
        self.scene = Scene(settings)
        self.time = 0.0
        self.steps: list[Step] = []

    def show(self, *people: Person, scenery: int = 1, size: tuple[int, int] = (360, 640)) -> Step:
        self.world.people = people
        step = self.scene.step(painted(people, scenery, size), self.time, self.world)
        self.steps.append(step)
        self.time += 1 / RATE
        return step

    def keep(self, *people: Person, seconds: float) -> Step:
        for _ in range(round(seconds * RATE)):
            step = self.show(*people)
        return step

    @property
    def events(self) -> list[TrackEvent]:
        return [event for step in self.steps for event in step.events]

    @property
    def story(self) -> list[tuple[EventKind, int, str]]:
        return [(event.kind, event.track_id, event.subject_id) for event in self.events]


def only(step: Step) -> Track:
    (track,) = step.tracks
    return track


def test_who_comes_is_identified_and_who_goes_has_left() -> None:
    film = Film("anne", "ben")
    film.keep(Person("anne", 100), seconds=1)
    film.keep(seconds=2)
    assert film.story == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne"), (LEFT, 1, "anne")]
    appeared, identified, left = film.events
    assert appeared.time == identified.time == 0
    assert identified.similarity == pytest.approx(1)
    assert 2.4 < left.time < 2.7


def test_a_track_says_what_is_seen_and_since_when() -> None:
    film = Film("anne")
    person = Person("anne", 100)
    track = only(film.keep(person, seconds=1))
    assert track.face_box is not None
    assert track.face_box.tolist() == person.face_box
    assert track.person_box is not None
    assert track.person_box.tolist() == person.body_box
    assert track.landmarks is not None
    assert track.landmarks.shape == (5, 2)
    assert track.quality is not None
    assert track.quality > 0.5
    assert track.verdict.display_name == "Anne"
    assert track.tracked_for == track.decided_for == pytest.approx(14 / RATE)


def test_a_steady_scene_costs_looks_alone() -> None:
    film = Film("anne", "ben")
    film.keep(Person("anne", 60), Person("ben", 400), seconds=10)
    assert sum(step.embedded for step in film.steps) / len(film.steps) < 0.1
    assert film.world.searches < 10


def test_a_stranger_is_unknown_after_a_while_and_never_named() -> None:
    film = Film("anne")
    assert film.keep(Person("ben", 60), seconds=0.2).tracks[0].verdict.decision is Decision.UNDECIDED
    assert only(film.keep(Person("ben", 60), seconds=3)).verdict.decision is Decision.UNKNOWN
    assert film.story == [(APPEARED, 1, "")]


def test_who_turns_away_keeps_the_name_while_the_body_is_seen() -> None:
    film = Film("anne")
    film.keep(Person("anne", 100), seconds=1)
    away = only(film.keep(Person("anne", 100, face=False), seconds=5))
    assert (away.track_id, away.verdict.subject_id) == (1, "anne")
    assert away.face_box is None
    assert away.quality is None
    assert away.person_box is not None
    back = only(film.keep(Person("anne", 100), seconds=1))
    assert back.track_id == 1
    assert len(film.story) == 2


@pytest.mark.parametrize(("interval", "rate"), [(10, 5), (100, 15), (1, 1.2)])
def test_looks_that_would_be_too_far_apart_are_made_sooner_and_cost_no_more_embeddings(
    interval: int, rate: float
) -> None:
    film = Film("anne", settings=SceneSettings(detection_interval=interval))
    embedded = 0
    for number in range(60):
        film.time = number / rate
        embedded += film.show(Person("anne", 100)).embedded
    assert film.story == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne")]
    assert embedded < 30


def test_who_is_forgotten_while_out_of_sight_leaves_without_a_name() -> None:
    film = Film("anne", "ben")
    film.keep(Person("anne", 100), seconds=1)
    film.keep(seconds=1)
    film.world.enrolled.discard("anne")
    film.keep(seconds=2)
    assert film.story[-2:] == [(CHANGED, 1, ""), (LEFT, 1, "")]


def test_a_short_occlusion_changes_nothing() -> None:
    film = Film("anne")
    film.keep(Person("anne", 100), seconds=1)
    film.keep(seconds=1)
    assert only(film.keep(Person("anne", 100), seconds=1)).track_id == 1
    assert len(film.story) == 2


def test_who_is_hidden_is_expected_for_a_moment_where_the_motion_leads() -> None:
    film = Film("anne")
    for frame in range(15):
        film.show(Person("anne", 100 + 4 * frame))
    expected = only(film.show())
    assert expected.face_box is None
    assert expected.person_box is not None
    assert expected.person_box[0] == pytest.approx(100 + 4 * 15, abs=5)
    assert film.keep(seconds=0.7).tracks == ()


def test_who_comes_out_somewhere_else_is_known_by_the_face() -> None:
    film = Film("anne")
    film.keep(Person("anne", 60), seconds=1)
    film.keep(seconds=1)
    assert only(film.keep(Person("anne", 480), seconds=1)).track_id == 1
    assert len(film.story) == 2


def test_a_face_without_a_body_is_a_track() -> None:
    film = Film("anne")
    track = only(film.keep(Person("anne", 100, body=False), seconds=1))
    assert track.person_box is None
    assert track.verdict.subject_id == "anne"


def test_a_body_is_a_track_and_is_named_when_it_shows_its_face() -> None:
    film = Film("anne")
    assert only(film.keep(Person("anne", 100, face=False), seconds=1)).verdict.decision is Decision.UNDECIDED
    assert only(film.keep(Person("anne", 100), seconds=1)).verdict.subject_id == "anne"
    assert film.story == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne")]


def test_a_face_gets_its_body_when_that_is_found() -> None:
    film = Film("anne")
    film.keep(Person("anne", 100, body=False), seconds=1)
    track = only(film.keep(Person("anne", 100), seconds=1))
    assert track.track_id == 1
    assert track.person_box is not None


def test_two_who_pass_each_other_keep_their_names() -> None:
    film = Film("anne", "ben")
    for frame in range(60):
        step = film.show(Person("anne", 20 + 7 * frame), Person("ben", 440 - 7 * frame, y=48))
    assert [(track.track_id, track.verdict.subject_id) for track in step.tracks] == [(1, "anne"), (2, "ben")]
    assert CHANGED not in [kind for kind, *_ in film.story]


def test_nobody_is_in_a_frame_twice() -> None:
    film = Film("anne")
    step = film.keep(Person("anne", 40), Person("anne", 400), seconds=2)
    assert [track.verdict.subject_id for track in step.tracks].count("anne") == 1


def test_somebody_else_s_face_on_a_body_that_had_turned_away_is_somebody_else() -> None:
    film = Film("anne", "ben")
    film.keep(Person("anne", 100), seconds=1)
    film.keep(Person("anne", 100, face=False), seconds=1)
    assert only(film.show(Person("ben", 100))).verdict.subject_id == "ben"
    film.keep(Person("ben", 100), seconds=2)
    assert film.story[2:] == [(APPEARED, 2, ""), (IDENTIFIED, 2, "ben"), (LEFT, 1, "anne")]


@pytest.mark.parametrize(("who", "name"), [("ben", "ben"), ("carl", "")])
def test_another_face_that_has_slipped_into_a_track_changes_its_name_at_the_next_refresh(who: str, name: str) -> None:
    film = Film("anne", "ben")
    film.keep(Person("anne", 100), seconds=1)
    film.keep(Person(who, 100), seconds=5)
    assert film.story[2:] == [(CHANGED, 1, name)]
    assert film.events[-1].previous_subject_id == "anne"


def test_a_face_that_is_suddenly_much_larger_is_another_one() -> None:
    film = Film("anne")
    film.keep(Person("anne", 100, body=False), seconds=1)
    assert [track.track_id for track in film.show(Person("ben", 80, body=False, size=1.8)).tracks] == [2]


def test_a_faint_find_is_believed_when_it_is_seen_again() -> None:
    film = Film("anne")
    assert film.show(Person("anne", 100, score=0.6)).tracks == ()
    assert only(film.show(Person("anne", 100, score=0.6))).track_id == 1


def test_a_faint_find_that_is_not_seen_again_was_nobody() -> None:
    film = Film("anne")
    film.show(Person("anne", 100, score=0.6))
    film.keep(seconds=3)
    assert film.story == []
    assert only(film.show(Person("anne", 100))).track_id == 1


def test_between_looks_boxes_move_on() -> None:
    film = Film("anne", settings=SceneSettings(detection_interval=3))
    for frame in range(30):
        step = film.show(Person("anne", 20 + 6 * frame))
    assert [step.detected for step in film.steps] == [True, False, False] * 10
    assert film.world.looks == 10
    track = only(step)
    assert track.face_box is not None
    assert track.landmarks is not None
    assert track.face_box[0] == pytest.approx(Person("anne", 20 + 6 * 29).face_box[0], abs=8)
    assert track.landmarks[2, 0] == pytest.approx(track.face_box[[0, 2]].mean(), abs=1)
    assert track.verdict.subject_id == "anne"


def test_after_a_cut_a_person_is_the_same_and_a_place_is_not() -> None:
    film = Film("anne", "ben", settings=SceneSettings(detection_interval=5))
    film.keep(Person("anne", 60), Person("ben", 400), seconds=1)
    cut = film.show(Person("ben", 60), scenery=2)
    assert cut.detected
    assert [(track.track_id, track.verdict.subject_id) for track in cut.tracks] == [(2, "ben")]
    for _ in range(2 * RATE):
        film.show(Person("ben", 60), scenery=2)
    assert film.story[-1] == (LEFT, 1, "anne")


@pytest.mark.parametrize("gap", [5.0, 3600.0, 250e9])
def test_a_long_gap_is_survived(gap: float) -> None:
    film = Film("anne", "ben")
    film.keep(Person("anne", 100), Person("ben", 400), seconds=1)
    film.time += gap
    step = film.show(Person("anne", 400))
    assert [(track.track_id, track.verdict.subject_id) for track in step.tracks] == [(1, "anne")]
    assert film.story[-1] == (LEFT, 2, "ben")


def test_frames_may_change_their_size() -> None:
    film = Film("anne")
    film.keep(Person("anne", 400), seconds=1)
    step = film.show(Person("anne", 40, y=10), size=(330, 240))
    assert (only(step).track_id, only(step).verdict.subject_id) == (1, "anne")


def test_a_clock_that_is_set_back_is_survived() -> None:
    film = Film("anne")
    film.keep(Person("anne", 100), seconds=1)
    film.time -= 1000
    assert only(film.keep(Person("anne", 100), seconds=1)).track_id == 1
    film.keep(seconds=2)
    assert film.story[-1] == (LEFT, 1, "anne")


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused_and_does_no_harm(time: float) -> None:
    film = Film("anne")
    film.show(Person("anne", 100))
    with pytest.raises(ValueError, match="finite"):
        film.scene.step(painted([]), time, film.world)
    assert only(film.show(Person("anne", 100))).track_id == 1


def test_whoever_is_forgotten_is_nameless_in_the_next_frame() -> None:
    film = Film("anne", "ben", settings=SceneSettings(detection_interval=100))
    film.keep(Person("anne", 100), seconds=0.5)
    film.world.enrolled.remove("anne")
    step = film.show(Person("anne", 100))
    assert not step.detected
    assert only(step).verdict.subject_id == ""
    assert [(event.kind, event.previous_subject_id) for event in step.events] == [(CHANGED, "anne")]


def test_where_a_gallery_cannot_be_searched_forgotten_names_are_gone_nevertheless() -> None:
    film = Film("anne")
    film.keep(Person("anne", 100), seconds=0.5)
    film.world.enrolled.clear()
    film.world.broken = "search"
    with pytest.raises(OSError, match="search"):
        film.show(Person("anne", 100))
    film.world.broken = ""
    step = film.show(Person("anne", 100))
    assert only(step).verdict.subject_id == ""
    assert [event.kind for event in step.events] == [CHANGED]


def test_whoever_is_enrolled_is_named_in_the_next_frame_without_an_embedding() -> None:
    film = Film("ben")
    film.keep(Person("anne", 100), seconds=3)
    film.world.enrolled.add("anne")
    step = film.show(Person("anne", 100))
    assert only(step).verdict.subject_id == "anne"
    assert step.embedded == 0


def test_nobody_is_searched_for_while_nothing_changes() -> None:
    film = Film("anne")
    film.keep(Person("anne", 100), seconds=1)
    before = film.world.searches
    film.keep(Person("anne", 100), seconds=1)
    assert film.world.searches == before


@pytest.mark.parametrize("sense", ["look", "embed", "search"])
def test_a_sense_that_fails_costs_one_frame_and_no_event(sense: str) -> None:
    film = Film("anne")
    film.world.broken = sense
    with pytest.raises(OSError, match=sense):
        film.show(Person("anne", 100))
    film.world.broken = ""
    film.keep(Person("anne", 100), seconds=1)
    assert film.story == [(APPEARED, 1, ""), (IDENTIFIED, 1, "anne")]


def test_a_search_that_failed_is_made_up_for_at_the_next_look() -> None:
    film = Film("anne")
    film.world.broken = "search"
    for _ in range(5):
        with pytest.raises(OSError, match="search"):
            film.show(Person("anne", 100))
        film.time += 1 / RATE
    film.world.broken = ""
    assert only(film.show(Person("anne", 100))).verdict.subject_id == "anne"


def test_embeddings_of_a_frame_are_bounded_and_everybody_s_turn_comes() -> None:
    film = Film(*NAMES, settings=SceneSettings(max_embeddings=2))
    people = [Person(name, 100 * place, body=False) for place, name in enumerate(NAMES)]
    step = film.keep(*people, seconds=1)
    assert max(step.embedded for step in film.steps) == 2
    assert [track.verdict.subject_id for track in step.tracks] == list(NAMES)


def test_the_same_frames_give_the_same_steps() -> None:
    def replay() -> list[TrackEvent]:
        film = Film("anne", "ben", settings=SceneSettings(detection_interval=2))
        for frame in range(90):
            film.show(
                *([Person("anne", 10 + 5 * frame)] if frame < 60 else []),
                *([Person("ben", 450 - 4 * frame, face=frame % 20 < 10)] if frame > 10 else []),
                *([Person("carl", 250, score=0.55)] if 30 < frame < 50 else []),
            )
        return film.events

    assert replay() == replay()
