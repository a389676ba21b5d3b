"""Processes the frames of one stream, one after the other, on worker threads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from facet.runtime.pictures import PictureError
from facet.server.scheduling.work import Work
from facet.server.streaming import answers
from facet.server.streaming.camera_turn import CameraTurn
from facet.server.streaming.latest_frame import Frame
from facet.server.streaming.perception import FramePerception, StreamGallery
from facet.server.wire import convert
from facet.server.wire.errors import field_at_fault
from facet.tracking.records import ContractReplaced, SettledTrack, StepResult, Track, TrackerSettings
from facet.tracking.tracker import StreamTracker
from facet.v1 import recognition_service_pb2 as pb
from gallery.errors import StorageError
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns
from recognizer.search.orientation import boxes_turned_back, points_turned_back, turned


def _no_marks(_: Sequence[pb.TrackEvent], __: str) -> None:
    """Give no ids."""


@dataclass(frozen=True, slots=True)
class ProcessedFrame:
    """The answer about a frame.

    Attributes:
        response: the answer, without what depends on the stream: id, age, drops, timings.
        error: what is wrong although the frame was processed; ``None`` if nothing is.
    """

    response: pb.IdentifyStreamResponse
    error: Exception | None = None


Record = Callable[[Sequence[SettledTrack], int, int], None]
"""Counts people; told the number of faces in the frame, and of templates that were compared."""


class FrameProcessor:
    """Tracks the people in front of a stream's camera.

    Args:
        pipeline: the models.
        gallery: the gallery to search.
        settings: how people are tracked.
        record: counts the people whose tracks are decided.
        include_objects: whether to answer the detected objects.
        mark: gives the decisions among the events their ids; told the embedding contract of the model that searched.
        turn: the camera's turn, see :mod:`recognizer.search.orientation`; ``None`` finds it out.

    Attributes:
        pixels: pixels of the last frame, 0 before the first: the next one is probably of the same size.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        gallery: StreamGallery,
        settings: TrackerSettings,
        record: Record,
        *,
        include_objects: bool,
        mark: Callable[[Sequence[pb.TrackEvent], str], None] = _no_marks,
        turn: int | None = None,
        undecoded: Callable[[], None] = lambda: None,
    ) -> None:
        self._pipeline = pipeline
        self._undecoded = undecoded
        self._gallery = gallery
        self._tracker = StreamTracker(settings)
        self._record = record
        self._include_objects = include_objects
        self._mark = mark
        self._camera_turn = CameraTurn(pipeline, turn)
        self._turn = turn or 0
        self._contract = ""
        self.pixels = 0

    def process(self, frame: Frame, work: Work) -> Turns[ProcessedFrame]:
        """Process the next frame; yields while a large picture is decoded. Calls must not overlap.

        Raises:
            InvalidField: a field of the frame is invalid.
            PictureError: its picture is invalid.
            RequestExpired: nobody waits for the answer any more.
            StorageError: the gallery's store does not answer. The next frame reports what this one would have.
        """
        if frame.error is not None:
            raise frame.error
        source = convert.source(frame.message.picture, "frame.picture")
        try:
            with field_at_fault("frame.picture"):
                picture = yield from self._pipeline.decode_in_turns(source, work)
        except PictureError:
            self._undecoded()
            raise
        self.pixels = picture.shape[0] * picture.shape[1]
        turn = self._camera_turn.of(picture.pixels, frame.time, work)
        if turn != self._turn:
            self._turn = turn
            self._tracker.turned()
        step = self._step(turned(picture.pixels, turn), frame.time, work)
        if step.settled:
            seen = sum(track.face_box is not None for track in step.tracks)
            self._record(step.settled, seen, self._gallery.templates_compared)
        objects = step.detections.objects if self._include_objects and step.detections is not None else None
        if objects is not None:
            objects = replace(objects, boxes=boxes_turned_back(objects.boxes, turn, picture.shape))
        response = pb.IdentifyStreamResponse(
            detected=step.detections is not None,
            tracks=[answers.track(_turned_back(each, turn, picture.shape)) for each in step.tracks],
            events=map(answers.event, step.events),
            picture_size=convert.picture_size(picture),
            objects=() if objects is None else convert.objects(objects, self._pipeline.class_names),
            embedded=step.embedded,
            turn=turn,
        )
        self._mark(response.events, self._contract)
        return ProcessedFrame(response, step.gallery_error)

    def _step(self, picture: NDArray[np.uint8], time: float, work: Work) -> StepResult:
        """Track the people in a frame with the gallery's model; again if the gallery is given another one meanwhile."""
        while True:
            self._contract = self._gallery.contract()
            perception = FramePerception(self._pipeline, self._gallery, work, self._include_objects, self._contract)
            with suppress(ContractReplaced):
                return self._tracker.step(picture, time, perception)

    def end_tracks(self) -> list[pb.TrackEvent]:
        """End all tracks: the events that were not answered yet, then LEFT for each track. No frame follows."""
        events = [answers.event(each) for each in self._tracker.finish(self._still_enrolled)]
        self._mark(events, self._contract)
        return events

    def _still_enrolled(self, subject_ids: Collection[str]) -> Collection[str]:
        """The given subjects that are enrolled; none if the store does not answer, for they may be erased."""
        try:
            return self._gallery.enrolled(subject_ids)
        except StorageError:
            return ()


def _turned_back(track: Track, turn: int, shape: tuple[int, ...]) -> Track:
    """Map a track from the turned frame to the frame of ``shape`` (height, width)."""
    if not turn:
        return track
    face, person = (
        None if box is None else boxes_turned_back(box[None], turn, shape)[0]
        for box in (track.face_box, track.person_box)
    )
    landmarks = None if track.landmarks is None else points_turned_back(track.landmarks, turn, shape)
    return replace(track, face_box=face, person_box=person, landmarks=landmarks)
