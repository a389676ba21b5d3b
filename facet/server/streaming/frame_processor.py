"""Processes the frames of one stream, one after the other, on worker threads."""

from __future__ import annotations

from dataclasses import dataclass

from facet.server.scheduling.work import Work
from facet.server.streaming import answers
from facet.server.streaming.latest_frame import Frame
from facet.server.streaming.perception import FramePerception, StreamGallery
from facet.server.wire import convert
from facet.server.wire.errors import field_at_fault
from facet.tracking.records import TrackerSettings
from facet.tracking.tracker import StreamTracker
from facet.v1 import recognition_service_pb2 as pb
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns


@dataclass(frozen=True, slots=True)
class ProcessedFrame:
    """The answer about a frame.

    Attributes:
        response: the answer, without what depends on the stream: id, age, drops, timings.
        error: what is wrong although the frame was processed; ``None`` if nothing is.
    """

    response: pb.IdentifyStreamResponse
    error: Exception | None = None


class FrameProcessor:
    """Tracks the people in front of a stream's camera.

    Args:
        pipeline: the models.
        gallery: the gallery to search.
        settings: how people are tracked.
        include_objects: whether to answer the detected objects.

    Attributes:
        pixels: pixels of the last frame, 0 before the first: the next one is probably of the same size.
    """

    def __init__(
        self, pipeline: FacePipeline, gallery: StreamGallery, settings: TrackerSettings, *, include_objects: bool
    ) -> None:
        self._pipeline = pipeline
        self._gallery = gallery
        self._tracker = StreamTracker(settings)
        self._include_objects = include_objects
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
        with field_at_fault("frame.picture"):
            picture = yield from self._pipeline.decode_in_turns(source, work)
        self.pixels = picture.shape[0] * picture.shape[1]
        perception = FramePerception(self._pipeline, self._gallery, work, self._include_objects)
        step = self._tracker.step(picture.pixels, frame.time, perception)
        objects = step.detections.objects if self._include_objects and step.detections is not None else None
        response = pb.IdentifyStreamResponse(
            detected=step.detections is not None,
            tracks=map(answers.track, step.tracks),
            events=map(answers.event, step.events),
            picture_size=convert.picture_size(picture),
            objects=() if objects is None else convert.objects(objects, self._pipeline.class_names),
            embedded=step.embedded,
        )
        return ProcessedFrame(response, step.gallery_error)

    def end_tracks(self) -> list[pb.TrackEvent]:
        """End all tracks: the events that were not answered yet, then LEFT for each track. No frame follows."""
        return [answers.event(each) for each in self._tracker.finish()]
