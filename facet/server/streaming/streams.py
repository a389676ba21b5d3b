"""Streams of a camera's frames: the newest is looked at, or every one in order, and answered with who is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import structlog

from facet.server.errors import InvalidField, RequestExpired, TransferStalled
from facet.server.observability import telemetry
from facet.server.scheduling.workers import Priority, Work, Workers
from facet.server.streaming.batches import in_band
from facet.server.streaming.clock import StreamClock
from facet.server.streaming.frames import StreamScene
from facet.server.streaming.intake import Intake
from facet.server.streaming.latest_frame import Frame, Slot
from facet.server.streaming.perception import StreamSenses
from facet.server.wire import validate
from facet.tracking.records import SceneSettings
from facet.v1 import recognition_service_pb2 as pb
from gallery.galleries import Galleries
from recognizer.pipeline import FacePipeline

_log = structlog.get_logger("facet.streams")

_T = TypeVar("_T")

_Requests = AsyncIterator[pb.IdentifyStreamRequest]
_Answer = tuple[pb.IdentifyStreamResponse, Exception | None]


class Streams:
    """What the streams of frames have in common.

    A stream has one frame at most in the workers' line, and joins at its end: so streams take turns, a frame each.

    Args:
        pipeline: the models.
        workers: where they run.
        galleries: who is known.
        stall_seconds: how long a stream on which nothing is under way waits for its client's next frame.
        default_threshold: of galleries of which nobody says one.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        workers: Workers,
        galleries: Galleries,
        *,
        stall_seconds: float,
        default_threshold: float,
    ) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._galleries = galleries
        self._stall_seconds = stall_seconds
        self._default_threshold = default_threshold
        self._intake = Intake()

    def drain(self) -> None:
        """Take nothing more in: what waits is answered, then every stream ends."""
        self._intake.close()

    async def answers(
        self, requests: _Requests, begin: Callable[[Priority], Work]
    ) -> AsyncGenerator[pb.IdentifyStreamResponse, None]:
        """The answers to a stream, in the order of its frames. Whatever it ends with, the frame that waits is answered.

        Args:
            requests: the settings, and then frames.
            begin: begins the work on a frame.

        Raises:
            InvalidField: the settings are not as they must be, or a message is no frame.
            GalleryNotFound: the gallery does not exist as the stream begins.
            ContractMismatch: it is of another contract then.
            TransferStalled: nothing came for too long, while nothing was under way here.
            RequestExpired: the stream's deadline has passed.
            ShuttingDown: the server takes nothing more in.
        """
        settings = await self._settings(requests)
        scene = self._scene(settings)
        work = partial(begin, Priority.BATCH if settings.lossless else Priority.LIVE)
        slot = Slot(lossless=settings.lossless)
        reading = asyncio.ensure_future(self._read(requests, slot))
        answered = dropped = 0
        try:
            while await self._timely(slot.wait()):
                response = await self._answer(scene, slot, work)
                answered += 1
                telemetry.dropped(slot.dropped - dropped)
                response.dropped = dropped = slot.dropped
                yield response
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            telemetry.dropped(slot.dropped - dropped)
            _log.info("stream", camera=settings.camera, answered=answered, dropped=slot.dropped)

    async def _settings(self, requests: _Requests) -> pb.StreamSettings:
        """The first message, checked."""
        first = await self._timely(self._intake.next(requests))
        if first is None or first.WhichOneof("part") != "settings":
            raise InvalidField("settings", "is missing: the first message must have the settings")
        settings = pb.StreamSettings()
        settings.CopyFrom(first.settings)
        settings.camera = validate.caller_id(settings.camera, "settings.camera")
        settings.gallery_id = validate.gallery_id(settings.gallery_id, "settings.gallery_id")
        if settings.HasField("threshold"):
            validate.similarity(settings.threshold, "settings.threshold")
        interval = settings.detection_interval if settings.HasField("detection_interval") else None
        settings.detection_interval = validate.detection_interval(interval, "settings.detection_interval")
        await asyncio.to_thread(self._galleries.need_searchable, settings.gallery_id)
        return settings

    def _scene(self, settings: pb.StreamSettings) -> StreamScene:
        senses = StreamSenses(
            self._pipeline,
            self._galleries,
            settings.gallery_id,
            threshold=settings.threshold if settings.HasField("threshold") else None,
            default_threshold=self._default_threshold,
            objects_wanted=settings.include_objects,
        )
        followed = SceneSettings(detection_interval=settings.detection_interval)
        return StreamScene(self._pipeline, senses, followed, objects_wanted=settings.include_objects)

    async def _read(self, requests: _Requests, slot: Slot) -> None:
        """Put frames where they wait; raises what the client's side of the stream ends with."""
        clock, last = StreamClock(), -1
        try:
            while (request := await self._intake.next(requests)) is not None:
                if request.WhichOneof("part") != "frame":
                    raise InvalidField("frame", "is missing: every message but the first must have a frame")
                frame = _frame(request.frame, clock, last)
                last = max(last, request.frame.frame_id)
                await slot.put(frame)
        finally:
            slot.close()

    async def _answer(self, scene: StreamScene, slot: Slot, begin: Callable[[], Work]) -> pb.IdentifyStreamResponse:
        """Look at the frame that waits when a worker has time for it, which may be a newer one than waits now."""
        with telemetry.item():
            work = begin()
            frame, outcome = await self._workers.run(work, partial(_look, scene, slot, work), patient=True)
            response, error = (pb.IdentifyStreamResponse(), outcome) if isinstance(outcome, Exception) else outcome
            if error is not None:
                response.status.CopyFrom(in_band(error))
            response.frame_id = frame.message.frame_id
            response.timings.CopyFrom(work.stopwatch.timings())
            response.age_ms = (time.monotonic() - frame.born) * 1e3
            return response

    async def _timely(self, something: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._stall_seconds):
                return await something
        except TimeoutError:
            raise TransferStalled from None


def _frame(message: pb.StreamFrame, clock: StreamClock, last: int) -> Frame:
    """A frame that has just arrived, after one with the id ``last``."""
    arrival, moment = time.monotonic(), time.time()
    if message.frame_id <= last:
        return Frame(message, moment, arrival, InvalidField("frame.frame_id", f"must be higher than {last}"))
    if not message.HasField("capture_time"):
        return Frame(message, moment, arrival)
    try:
        captured = validate.moment(message.capture_time, "frame.capture_time")
    except InvalidField as error:
        return Frame(message, moment, arrival, error)
    return Frame(message, captured, arrival - clock.lateness(captured, arrival))


def _look(scene: StreamScene, slot: Slot, work: Work) -> tuple[Frame, _Answer | Exception]:
    frame = slot.take()
    try:
        return frame, scene.answer(frame, work)
    except RequestExpired:
        raise
    except Exception as error:
        return frame, error
