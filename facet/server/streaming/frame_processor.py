"""One stream's frames, one after the other, to answers; on workers' threads."""

from __future__ import annotations

from facet.server.scheduling.workers import Work
from facet.server.streaming import answers as stream_answers
from facet.server.streaming.latest_frame import Frame
from facet.server.streaming.perception import StreamSenses
from facet.server.wire import convert
from facet.server.wire.errors import field_at_fault
from facet.tracking.records import SceneSettings
from facet.tracking.tracker import Scene
from facet.v1 import recognition_service_pb2 as pb
from recognizer.pipeline import FacePipeline


class StreamScene:
    """Follows the people in front of a stream's camera.

    Args:
        pipeline: the models.
        senses: what the scene sees with.
        settings: how it is followed.
        objects_wanted: whether objects are answered.
    """

    def __init__(
        self, pipeline: FacePipeline, senses: StreamSenses, settings: SceneSettings, *, objects_wanted: bool
    ) -> None:
        self._pipeline = pipeline
        self._senses = senses
        self._scene = Scene(settings)
        self._objects_wanted = objects_wanted

    def answer(self, frame: Frame, work: Work) -> tuple[pb.IdentifyStreamResponse, Exception | None]:
        """Who is in a frame, and what is wrong nevertheless; one frame at a time.

        Raises:
            InvalidField: something of the frame is not as it must be.
            PictureError: its picture is not.
            RequestExpired: nobody waits for it any more.
            StorageError: whether somebody is still enrolled cannot be told now; the next answer tells what is not told.
        """
        if frame.error is not None:
            raise frame.error
        source = convert.source(frame.message.picture, "frame.picture")
        with field_at_fault("frame.picture"):
            picture = self._pipeline.decode(source, work)
        self._senses.begin(work)
        step = self._scene.step(picture, frame.time, self._senses)
        seen = self._senses.seen
        objects = self._objects_wanted and seen is not None
        response = pb.IdentifyStreamResponse(
            detected=step.detected,
            tracks=map(stream_answers.track, step.tracks),
            events=map(stream_answers.event, step.events),
            picture_size=convert.picture_size(picture),
            objects=convert.analysis_objects(seen, self._pipeline.class_names, wanted=True) if objects and seen else (),
            embedded=step.embedded,
        )
        return response, self._senses.gone
