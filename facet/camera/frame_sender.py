"""Frames on their way to the server: which one is next, and which are not answered yet."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from facet import stream_frame
from facet.camera.source import Frame, SourceError
from facet.v1 import recognition_service_pb2 as pb

_UNDER_WAY = 32
"""Frames that are kept until their answers come, at the most."""


class Outbox:
    """Takes frames from a reader, and gives them to one stream after the other.

    Without ``lossless`` a frame that nobody has taken gives way to the next one, and those that a broken stream left
    unanswered are given up. With it the reader waits, and they are sent again.

    Args:
        lossless: whether every frame must be answered.

    Attributes:
        sent: frames that a stream took.
        skipped: frames that gave way before a stream took them.
    """

    def __init__(self, *, lossless: bool) -> None:
        self.sent = self.skipped = 0
        self._lossless = lossless
        self._changed = threading.Condition()
        self._next: Frame | None = None
        self._under_way: dict[int, Frame] = {}
        self._turn = 0
        self._ended = False
        self._problem = ""

    def put(self, frame: Frame) -> None:
        """A frame was read; waits for room with ``lossless``."""
        with self._changed:
            if self._lossless:
                self._changed.wait_for(lambda: self._next is None or self._ended)
            self.skipped += self._next is not None
            self._next = frame
            self._changed.notify_all()

    def end(self, problem: str = "") -> None:
        """There are no more; why not is for people."""
        with self._changed:
            self._ended, self._problem = True, self._problem or problem
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait until there is something to send; false where there will be nothing.

        Raises:
            SourceError: the source is gone.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._remains() or self._ended)
            if not self._remains() and self._problem:
                raise SourceError(self._problem)
            return self._remains()

    def again(self) -> Iterator[pb.StreamFrame]:
        """The frames for a new stream. One before, whose end its sender may not have noticed yet, gets no more."""
        with self._changed:
            self._turn += 1
            if not self._lossless:
                self._under_way.clear()
            self._changed.notify_all()
            return self._given(self._turn, dict(self._under_way))

    def answered(self, frame_id: int) -> Frame | None:
        """The frame that an answer is about, ``None`` where it was given up; none before it is answered any more."""
        with self._changed:
            frame = self._under_way.get(frame_id)
            for passed in [each for each in self._under_way if each <= frame_id]:
                del self._under_way[passed]
            self._changed.notify_all()
            return frame

    def _remains(self) -> bool:
        return self._next is not None or (self._lossless and bool(self._under_way))

    def _given(self, turn: int, unanswered: dict[int, Frame]) -> Iterator[pb.StreamFrame]:
        for number, frame in unanswered.items():
            if turn != self._turn:
                return
            yield stream_frame(number, frame.data, frame.captured)
        while (taken := self._taken(turn)) is not None:
            number, frame = taken
            yield stream_frame(number, frame.data, frame.captured)

    def _taken(self, turn: int) -> tuple[int, Frame] | None:
        """The next frame and its number, once there is one and room for it."""

        def can_go_on() -> bool:
            has_room = not self._lossless or len(self._under_way) < _UNDER_WAY
            return turn != self._turn or (self._next is not None and has_room) or (self._next is None and self._ended)

        with self._changed:
            self._changed.wait_for(can_go_on)
            if turn != self._turn or self._next is None:
                return None
            frame, self._next = self._next, None
            self.sent += 1
            self._under_way[self.sent] = frame
            if len(self._under_way) > _UNDER_WAY:
                del self._under_way[next(iter(self._under_way))]
            self._changed.notify_all()
            return self.sent, frame
