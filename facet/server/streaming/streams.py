"""Streams of a camera's frames: the newest frame, or every frame in order, is answered with tracks and events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog

from facet.server.access import identity, limits
from facet.server.calls.messages import hold
from facet.server.errors import InvalidField, RequestExpired, ShuttingDown, TransferStalled
from facet.server.monitoring.recorder import Recorder
from facet.server.observability import telemetry
from facet.server.outcomes.answer_ids import AnswerIds, source_of_camera
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from facet.server.streaming.batches import in_band
from facet.server.streaming.clock import StreamClock
from facet.server.streaming.frame_processor import FrameProcessor, ProcessedFrame
from facet.server.streaming.intake import Intake
from facet.server.streaming.latest_frame import Frame, LatestFrame
from facet.server.streaming.perception import StreamGallery
from facet.server.wire import convert, validate
from facet.tracking.records import GalleryUnavailable, SettledTrack, TrackerSettings
from facet.v1 import recognition_service_pb2 as pb
from gallery import times
from gallery.errors import StorageError
from gallery.galleries import Galleries
from recognizer.pipeline import FacePipeline
from recognizer.progress import Turns

_log = structlog.get_logger("facet.streams")

_T = TypeVar("_T")

_Requests = AsyncIterator[pb.IdentifyStreamRequest]


class Streams:
    """Serves streams of frames.

    A stream has at most one frame in the workers' queue and joins it at the end, so streams take turns frame by frame.

    Args:
        pipeline: the models.
        workers: run them.
        galleries: all galleries.
        recorder: counts the people whose tracks are decided.
        answer_ids: gives decisions their ids.
        stall_seconds: how long an idle stream waits for its client's next frame.
    """

    def __init__(
        self,
        pipeline: FacePipeline,
        workers: Workers,
        galleries: Galleries,
        recorder: Recorder,
        answer_ids: AnswerIds,
        *,
        stall_seconds: float,
    ) -> None:
        self._pipeline = pipeline
        self._workers = workers
        self._galleries = galleries
        self._recorder = recorder
        self._answer_ids = answer_ids
        self._stall_seconds = stall_seconds
        self._intake = Intake()

    def drain(self) -> None:
        """Accept no more frames: those that wait are answered, then every stream ends."""
        self._intake.close()

    async def answers(
        self, requests: _Requests, begin: Callable[[Priority], Work]
    ) -> AsyncGenerator[pb.IdentifyStreamResponse, None]:
        """Answer a stream in the order of its frames. However it ends, the frame that waits is answered first.

        With ``end_tracks``, a last answer has a LEFT event for each track.

        Args:
            requests: the settings, then frames.
            begin: begins the work on a frame.

        Raises:
            InvalidField: the settings are invalid, or a message has no frame.
            GalleryNotFound: the gallery does not exist when the stream begins.
            ContractMismatch: the gallery belongs to another embedding model when the stream begins.
            TransferStalled: the client sent nothing for too long.
            RequestExpired: the stream's deadline has passed.
            ShuttingDown: the server accepts no more frames.
        """
        settings = await self._settings(requests)
        processor = await asyncio.to_thread(self._processor, settings)
        work = partial(begin, Priority.BATCH if settings.lossless else Priority.LIVE)
        latest = LatestFrame(lossless=settings.lossless)
        reading = asyncio.ensure_future(self._read(requests, latest))
        answered = dropped = frame_id = 0
        ended_by: Exception | None = None
        try:
            try:
                while await self._timely(latest.wait()):
                    response = await self._answer(processor, latest, work)
                    answered, frame_id = answered + 1, response.frame_id
                    telemetry.dropped(latest.dropped - dropped)
                    response.dropped = dropped = latest.dropped
                    yield response
                await reading
            except (InvalidField, ShuttingDown, TransferStalled) as error:  # the client can still be answered
                ended_by = error
            if settings.end_tracks:
                events = await asyncio.to_thread(processor.end_tracks)
                yield pb.IdentifyStreamResponse(
                    frame_id=frame_id, dropped=latest.dropped, events=events, end_of_stream=True
                )
            if ended_by is not None:
                raise ended_by
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            telemetry.dropped(latest.dropped - dropped)
            _log.info("stream", camera=settings.camera, answered=answered, dropped=latest.dropped)

    async def _settings(self, requests: _Requests) -> pb.StreamSettings:
        """The first message, validated."""
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
        convert.turn(settings.turn, "settings.turn")
        return settings

    def _processor(self, settings: pb.StreamSettings) -> FrameProcessor:
        gallery = StreamGallery(
            self._galleries,
            settings.gallery_id,
            threshold=settings.threshold if settings.HasField("threshold") else None,
        )
        tracker_settings = TrackerSettings(detection_interval=settings.detection_interval)
        caller_id = identity.current().id

        def record(tracks: Sequence[SettledTrack], seen: int, templates_compared: int) -> None:
            self._recorder.tracks(
                settings.gallery_id,
                caller_id,
                settings.camera,
                tracks,
                seen=seen,
                templates_compared=templates_compared,
            )

        return FrameProcessor(
            self._pipeline,
            gallery,
            tracker_settings,
            record,
            include_objects=settings.include_objects,
            mark=partial(self._mark, gallery, settings.gallery_id, source_of_camera(settings.camera)),
            turn=convert.turn(settings.turn, "settings.turn"),
            undecoded=partial(self._recorder.undecoded, settings.gallery_id, caller_id, camera=settings.camera),
        )

    def _mark(
        self, gallery: StreamGallery, gallery_id: str, source: str, events: Sequence[pb.TrackEvent], contract: str
    ) -> None:
        """Give the decisions among these events their ids; none get one while the gallery is not there."""
        with suppress(GalleryUnavailable, StorageError):
            self._answer_ids.mark_events(gallery_id, events, gallery.threshold(contract), source, contract)

    async def _read(self, requests: _Requests, latest: LatestFrame) -> None:
        """Read frames; raises what the client's side of the stream ends with."""
        clock, last_id = StreamClock(), -1
        try:
            while (request := await self._intake.next(requests)) is not None:
                if request.WhichOneof("part") != "frame":
                    raise InvalidField("frame", "is missing: every message but the first must have a frame")
                frame = _frame(request.frame, clock, last_id)
                last_id = max(last_id, request.frame.frame_id)
                await latest.put(frame)
                del request, frame  # else both are kept until the next one has come
        finally:
            latest.close()

    async def _answer(
        self, processor: FrameProcessor, latest: LatestFrame, begin: Callable[[], Work]
    ) -> pb.IdentifyStreamResponse:
        """Process a frame as soon as a worker is free: the latest then, which may be newer than the one waiting now."""
        await limits.turn()
        with telemetry.item():
            work = begin()
            work.pixels = processor.pixels
            frame, result = await self._workers.run_in_turns(work, _process(processor, latest, work), never_refuse=True)
            frame.release()
            response = result.response
            if result.error is not None:
                response.status.CopyFrom(in_band(result.error))
            response.frame_id = frame.message.frame_id
            response.timings.CopyFrom(work.stopwatch.timings())
            response.age_ms = (time.monotonic() - frame.captured_at) * 1e3
            return response

    async def _timely(self, awaitable: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._stall_seconds):
                return await awaitable
        except TimeoutError:
            raise TransferStalled from None


def _frame(message: pb.StreamFrame, clock: StreamClock, last_id: int) -> Frame:
    """A frame that has just arrived, after one with the id ``last_id``."""
    arrival, now = time.monotonic(), times.now().timestamp()
    if message.frame_id <= last_id:
        return Frame(message, now, arrival, InvalidField("frame.frame_id", f"must be higher than {last_id}"), hold())
    if not message.HasField("capture_time"):
        return Frame(message, now, arrival, release=hold())
    try:
        captured = validate.moment(message.capture_time, "frame.capture_time")
    except InvalidField as error:
        return Frame(message, now, arrival, error, hold())
    return Frame(message, captured, arrival - clock.lateness(captured, arrival), release=hold())


def _process(processor: FrameProcessor, latest: LatestFrame, work: Work) -> Turns[tuple[Frame, ProcessedFrame]]:
    frame = latest.take()
    try:
        return frame, (yield from processor.process(frame, work))
    except RequestExpired:
        raise
    except Exception as error:
        return frame, ProcessedFrame(pb.IdentifyStreamResponse(), error)
