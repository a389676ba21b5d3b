"""Synthetic clips for the tracker: each person is a patch of one colour.

:class:`FakePerception` detects the people that a test has placed, and embeds a patch by its colour.

It has two models, of the contracts "first" and "second". To each, a person looks as the next one does to the other: who
compares embeddings of both finds the wrong name.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from detector.yolo import Detections
from facet.tracking.decision import Match
from facet.tracking.records import (
    ContractReplaced,
    EventKind,
    FrameDetections,
    GalleryUnavailable,
    StepResult,
    Track,
    TrackerSettings,
    TrackEvent,
)
from facet.tracking.tracker import StreamTracker
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
SECOND_VECTORS = dict(zip(NAMES, (VECTORS[name] for name in (*NAMES[1:], NAMES[0])), strict=True))
MODELS = {"first": VECTORS, "second": SECOND_VECTORS}
LANDMARKS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
RATE = 15
APPEARED, IDENTIFIED, CHANGED = EventKind.APPEARED, EventKind.IDENTIFIED, EventKind.CHANGED
UNKNOWN, LEFT = EventKind.UNKNOWN, EventKind.LEFT


@dataclass(frozen=True)
class Person:
    """A person in a frame; the face is 60 pixels wide, at the top of the body."""

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
class FakePerception:
    """Detects, embeds and searches the people that a test has placed, and counts the calls."""

    subjects: set[str] = field(default_factory=set)
    people: Sequence[Person] = ()
    broken: str = ""
    unavailable: GalleryUnavailable | None = None
    unavailable_from: str = "revision"
    detections: int = 0
    searches: int = 0
    contract: str = "first"
    templates: dict[str, dict[str, NDArray[np.float32]]] = field(
        default_factory=lambda: {contract: dict(vectors) for contract, vectors in MODELS.items()}
    )
    replaced: bool = False
    batches: list[int] = field(default_factory=list)

    def detect(self, picture: NDArray[np.uint8]) -> FrameDetections:
        self._fail("detect")
        self.detections += 1
        faces = [each for each in self.people if each.face]
        boxes = np.array([each.face_box for each in faces], np.float32).reshape(-1, 4)
        landmarks = boxes[:, None, :2] + LANDMARKS * (boxes[:, None, 2:] - boxes[:, None, :2])
        bodies = [each for each in self.people if each.body]
        return FrameDetections(
            Faces(boxes, landmarks, np.array([each.score for each in faces], np.float32)),
            Detections(
                np.array([each.body_box for each in bodies], np.float32).reshape(-1, 4),
                np.array([each.score for each in bodies], np.float32),
                np.zeros(len(bodies), np.int32),
                None,
                None,
            ),
            np.arange(len(bodies)),
        )

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self._fail("embed")
        self.batches.append(len(crops))
        return np.stack([MODELS[self.contract][_whose(crop)] for crop in crops])

    def search(self, embeddings: NDArray[np.float32]) -> list[Match | None]:
        self._fail("search")
        self._need_gallery()
        if self.replaced:
            raise ContractReplaced
        self.searches += 1
        templates = self.templates[self.contract]
        found: list[Match | None] = []
        for embedding in embeddings:
            best = sorted(((float(embedding @ templates[name]), name) for name in self.subjects), reverse=True)
            match: Match | None = None
            for likeness, name in reversed(best):
                match = Match(name, name.title(), likeness, 0.34, match.similarity if match else -1.0, match)
            found.append(match)
        return found

    def revision(self) -> Hashable:
        if self.unavailable_from == "revision":
            self._need_gallery()
        return frozenset(self.subjects)

    def enrolled(self, subject_ids: Collection[str]) -> Collection[str]:
        self._need_gallery()
        return self.subjects.intersection(subject_ids)

    def _need_gallery(self) -> None:
        if self.unavailable is not None:
            raise self.unavailable

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
        cell = round(4 * each.size)  # a face that comes nearer shows the same, larger
        checks = np.where((rows // cell + columns // cell) % 2, 1.0, 0.5)[..., None]
        picture[y1:y2, x1:x2] = np.array(COLOURS[each.name]) * checks
    return picture


class Clip:
    """A tracker that is shown frame after frame."""

    def __init__(self, *enrolled: str, settings: TrackerSettings | None = None) -> None:
        self.perception = FakePerception(set(enrolled))
        self.tracker = StreamTracker(settings)
        self.time = 0.0
        self.steps: list[StepResult] = []

    def show(self, *people: Person, scenery: int = 1, size: tuple[int, int] = (360, 640)) -> StepResult:
        self.perception.people = people
        step = self.tracker.step(painted(people, scenery, size), self.time, self.perception)
        self.steps.append(step)
        self.time += 1 / RATE
        return step

    def keep(self, *people: Person, seconds: float) -> StepResult:
        for _ in range(round(seconds * RATE)):
            step = self.show(*people)
        return step

    @property
    def events(self) -> list[TrackEvent]:
        return [event for step in self.steps for event in step.events]

    @property
    def log(self) -> list[tuple[EventKind, int, str]]:
        return [(event.kind, event.track_id, event.subject_id) for event in self.events]


def only(step: StepResult) -> Track:
    (track,) = step.tracks
    return track
