"""Tracking with the embedded models: a camera pans over a picture of many people."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facet.tracking.decision import Match
from facet.tracking.records import EventKind, FrameDetections, StepResult, TrackerSettings
from facet.tracking.tracker import StreamTracker
from recognizer.choice import largest
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.sources import Encoded

if TYPE_CHECKING:
    from tests.conftest import Pictures

RATE = 15
WIDTH, HEIGHT = 640, 480
TOP = 150
SPEED = 12
LEFT_PLAYER, RIGHT_PLAYER = (192.0, 446.0), (1063.0, 248.0)
"""Where two faces of the picture are, pixels."""

Picture = NDArray[np.uint8]


@dataclass
class EnrolledFaces:
    """The models and a few enrolled faces; the detections of each frame are cached."""

    pipeline: FacePipeline
    templates: dict[str, NDArray[np.float32]]
    threshold: float = 0.45
    seen: dict[bytes, FrameDetections] = field(default_factory=dict)

    def detect(self, picture: Picture) -> FrameDetections:
        key = picture.tobytes()
        if key not in self.seen:
            analysis = self.pipeline.analyze_picture(picture)
            persons = self.pipeline.persons(analysis.objects)
            self.seen[key] = FrameDetections(analysis.faces, analysis.objects, persons)
        return self.seen[key]

    def embed(self, crops: Sequence[Picture]) -> NDArray[np.float32]:
        return self.pipeline.embed_crops(crops)

    @property
    def contract(self) -> Hashable:
        return self.pipeline.contract

    def search(self, embeddings: NDArray[np.float32]) -> list[Match | None]:
        found: list[Match | None] = []
        for embedding in embeddings:
            ranked = sorted(((float(embedding @ each), name) for name, each in self.templates.items()), reverse=True)
            found.append(Match(ranked[0][1], ranked[0][1], ranked[0][0], self.threshold, ranked[1][0]))
        return found

    def revision(self) -> Hashable:
        return 1

    def enrolled(self, subject_ids: Collection[str]) -> Collection[str]:
        return subject_ids


@pytest.fixture(scope="module")
def players(pictures: Pictures) -> Picture:
    return np.asarray(cv2.imdecode(np.frombuffer(pictures.players, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.fixture(scope="module")
def perception(players: Picture) -> EnrolledFaces:
    pipeline = FacePipeline(load_models())
    analysis = pipeline.analyze_picture(players)
    aligned = pipeline.align(analysis)
    enrolled = {}
    for name, place in (("left", LEFT_PLAYER), ("right", RIGHT_PLAYER)):
        centres = (analysis.faces.boxes[:, :2] + analysis.faces.boxes[:, 2:]) / 2
        nearest = int(np.argmin(np.abs(centres - np.array(place)).sum(1)))
        enrolled[name] = pipeline.embed([aligned[nearest]], as_template=True)[0]
    return EnrolledFaces(pipeline, enrolled)


@pytest.fixture(scope="module")
def pan(players: Picture) -> list[Picture]:
    places = range(0, players.shape[1] - WIDTH, SPEED)
    return [np.ascontiguousarray(players[TOP : TOP + HEIGHT, x : x + WIDTH]) for x in places]


def replay(
    frames: Iterable[Picture], perception: EnrolledFaces, settings: TrackerSettings | None = None
) -> list[StepResult]:
    tracker = StreamTracker(settings)
    return [tracker.step(frame, index / RATE, perception) for index, frame in enumerate(frames)]


@pytest.mark.parametrize("interval", [1, 3])
def test_enrolled_people_are_named_at_their_places_and_nobody_else_is(
    pan: list[Picture], perception: EnrolledFaces, interval: int
) -> None:
    steps = replay(pan, perception, TrackerSettings(detection_interval=interval))
    events = [event for step in steps for event in step.events]
    named = [event.subject_id for event in events if event.kind is EventKind.IDENTIFIED]
    assert named == ["left", "right"]
    assert EventKind.CHANGED not in {event.kind for event in events}
    for index, step in enumerate(steps):
        for track in step.tracks:
            if track.identity.subject_id and track.face_box is not None:
                x, y = LEFT_PLAYER if track.identity.subject_id == "left" else RIGHT_PLAYER
                centre = (track.face_box[:2] + track.face_box[2:]) / 2
                assert centre.tolist() == pytest.approx(
                    [x - SPEED * index, y - TOP], abs=15 if step.detections is not None else 2 * SPEED + 15
                )


def test_they_are_named_almost_while_their_faces_are_visible(pan: list[Picture], perception: EnrolledFaces) -> None:
    steps = replay(pan, perception)
    for name, (x, _) in (("left", LEFT_PLAYER), ("right", RIGHT_PLAYER)):
        visible = [step for index, step in enumerate(steps) if 30 < x - SPEED * index < WIDTH - 30]
        named = [name in {track.identity.subject_id for track in step.tracks} for step in visible]
        assert sum(named) >= 0.9 * len(visible)


def test_a_replay_gives_the_same_steps(pan: list[Picture], perception: EnrolledFaces) -> None:
    one, other = replay(pan, perception), replay(pan, perception)
    assert [step.events for step in one] == [step.events for step in other]
    assert [[track.track_id for track in step.tracks] for step in one] == [
        [track.track_id for track in step.tracks] for step in other
    ]


def test_a_steady_scene_needs_few_embeddings(players: Picture, perception: EnrolledFaces) -> None:
    still = np.ascontiguousarray(players[400:740, 120:440])
    steps = replay([still] * (10 * RATE), perception)
    assert [track.identity.subject_id for track in steps[-1].tracks if track.face_box is not None].count("left") == 1
    assert sum(step.embedded for step in steps) / len(steps) < 0.25


def test_one_enrolled_picture_names_a_man_seen_small_and_in_profile_and_nobody_else(
    shared: Path, perception: EnrolledFaces
) -> None:
    """At the threshold that a gallery of one or two subjects affords: docs/evaluation.md, error against size."""
    analysis = perception.pipeline.analyze(Encoded((shared / "data/people/train/alex_lacamoire/img1.jpg").read_bytes()))
    aligned = perception.pipeline.align(analysis, largest)
    alex = perception.pipeline.embed(aligned, as_template=True)[0]
    watching = EnrolledFaces(perception.pipeline, {"alex": alex, "left": perception.templates["left"]}, threshold=0.2)
    clip = cv2.VideoCapture(str(shared / "data/video/hamilton.mp4"))
    frames = [clip.read()[1] for _ in range(int(clip.get(cv2.CAP_PROP_FRAME_COUNT)))]
    steps = replay([np.asarray(frame, np.uint8) for frame in frames[:150:2]], watching)
    events = [event for step in steps for event in step.events]
    assert {event.subject_id for event in events} == {"", "alex"}
    assert [event.time for event in events if event.kind is EventKind.IDENTIFIED] == pytest.approx([0.1, 0.75], abs=0.2)
    named = sum("alex" in {track.identity.subject_id for track in step.tracks} for step in steps[:23])
    assert named >= 0.8 * 23
    assert not any(track.identity.subject_id for step in steps[42:] for track in step.tracks)
