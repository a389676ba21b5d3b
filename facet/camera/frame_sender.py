"""Feeds frames to the server: which frame is next, and which are not answered yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from facet import stream_frame
from facet.camera.errors import SourceError
from facet.camera.reader import Frame
from facet.v1 import recognition_service_pb2 as pb

_MAX_UNANSWERED = 32
_GRACE_SECONDS = 2.0


class FrameSender:
    """Takes frames from a reader and feeds them to one stream at a time.

    Without ``lossless`` a frame that is not taken yet is replaced by the next one, and frames that a broken stream left
    unanswered are given up. With it the reader waits, and unanswered frames are sent again.

    If the source is lost, the stream ends, so that the server ends its tracks. The next frame begins another stream. A
    source that is back within ``grace_seconds`` keeps its stream.

    Args:
        lossless: whether every frame must be answered.
        grace_seconds: how long a source may be lost before the stream ends.
        clock: seconds that never go back, as :func:`time.monotonic`.

    Attributes:
        sent: frames that a stream has taken.
        skipped: frames that were replaced before a stream took them.
    """

    def __init__(
        self, *, lossless: bool, grace_seconds: float = _GRACE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.sent = self.skipped = 0
        self._lossless, self._grace_seconds, self._clock = lossless, grace_seconds, clock
        self._changed = threading.Condition()
        self._next: Frame | None = None
        self._unanswered: dict[int, Frame] = {}
        self._stream_number = 0
        self._lost_since: float | None = None
        self._ended = False
        self._problem = ""

    def put(self, frame: Frame) -> None:
        """Add a frame; with ``lossless``, wait for room."""
        with self._changed:
            if self._lossless:
                self._changed.wait_for(lambda: self._next is None or self._ended)
            self.skipped += self._next is not None
            self._next = frame
            self._lost_since = None
            self._changed.notify_all()

    def source_lost(self, since: float) -> None:
        """The source is gone since a time of the clock. It is back with the next frame."""
        with self._changed:
            self._lost_since = since
            self._changed.notify_all()

    def end(self, problem: str = "") -> None:
        """No more frames come. ``problem`` says why, for people; empty if the source ended normally."""
        with self._changed:
            self._ended, self._problem = True, self._problem or problem
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait until there is a frame to send; false if there will be none.

        Raises:
            SourceError: the source is gone.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._has_frames() or self._ended)
            if not self._has_frames() and self._problem:
                raise SourceError(self._problem)
            return self._has_frames()

    def new_stream(self) -> Iterator[pb.StreamFrame]:
        """The frames for a new stream. An earlier stream, whose end gRPC may not have noticed yet, gets no more."""
        with self._changed:
            self._stream_number += 1
            if not self._lossless:
                self._unanswered.clear()
            self._changed.notify_all()
            return self._frames(self._stream_number, dict(self._unanswered))

    def answered(self, frame_id: int) -> Frame | None:
        """The frame that an answer is about; ``None`` if it was given up. Earlier frames will not be answered."""
        with self._changed:
            frame = self._unanswered.get(frame_id)
            for passed in [each for each in self._unanswered if each <= frame_id]:
                del self._unanswered[passed]
            self._changed.notify_all()
            return frame

    def _has_frames(self) -> bool:
        return self._next is not None or (self._lossless and bool(self._unanswered))

    def _frames(self, stream_number: int, unanswered: dict[int, Frame]) -> Iterator[pb.StreamFrame]:
        for frame_id, frame in unanswered.items():
            if stream_number != self._stream_number:
                return
            yield stream_frame(frame_id, frame.data, frame.captured)
        while (taken := self._take(stream_number)) is not None:
            frame_id, frame = taken
            yield stream_frame(frame_id, frame.data, frame.captured)

    def _take(self, stream_number: int) -> tuple[int, Frame] | None:
        """Wait for the next frame, and for room; return it with its id, or ``None`` if the stream ends."""
        with self._changed:
            while not self._can_take(stream_number):
                grace = None
                if self._lost_since is not None:
                    grace = self._lost_since + self._grace_seconds - self._clock()
                    if grace <= 0:
                        return None
                self._changed.wait(grace)
            if stream_number != self._stream_number or self._next is None:
                return None
            frame, self._next = self._next, None
            self.sent += 1
            self._unanswered[self.sent] = frame
            if len(self._unanswered) > _MAX_UNANSWERED:
                del self._unanswered[next(iter(self._unanswered))]
            self._changed.notify_all()
            return self.sent, frame

    def _can_take(self, stream_number: int) -> bool:
        """Whether there is a frame and room for it, or the stream is over."""
        has_room = not self._lossless or len(self._unanswered) < _MAX_UNANSWERED
        is_over = stream_number != self._stream_number or (self._next is None and self._ended)
        return is_over or (self._next is not None and has_room)
