"""A well-behaved camera: it sends frames when they are due, and notes when each is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

from facet import AsyncClient, from_status, stream_frame
from facet.v1 import recognition_service_pb2 as pb


class Frames:
    """The frames of a camera, over one stream after the other.

    A frame that the server replaces by a newer one counts as answered when the newer one is.

    Args:
        frames: encoded pictures, shown in a loop.
        fps: frames per second.
        start: when the first one is due, as of ``time.monotonic``.
        patience: seconds to wait for an answer.
        began: called with the time that a frame is due; returns its number.
        ended: called with the number of a frame, when it was due, and its failure, empty if it was answered.
    """

    def __init__(
        self,
        frames: Sequence[bytes],
        fps: float,
        start: float,
        patience: float,
        began: Callable[[float], int],
        ended: Callable[[int, float, str], None],
    ) -> None:
        self._frames, self._fps, self._start, self._patience = frames, fps, start, patience
        self._began, self._ended = began, ended
        self._sent = 0
        self._open: dict[int, tuple[int, float]] = {}

    async def stream(self, client: AsyncClient, settings: pb.StreamSettings) -> None:
        """Send frames until the stream ends.

        Raises:
            FacetError: the stream failed.
            TimeoutError: a frame was not answered in time.
        """
        async with aclosing(client.identify_stream(settings, self._due_frames())) as answers:
            while True:
                async with asyncio.timeout(self._patience):
                    answer = await anext(answers, None)
                if answer is None:
                    return
                failed = from_status(answer.status).reason or "ERROR" if answer.status.code else ""
                self._answered(answer.frame_id, failed)

    def give_up(self, reason: str) -> None:
        """Count the frames that are not answered yet as failed; at least one, because a stream failed."""
        if not self._open:
            due = time.monotonic()
            self._ended(self._began(due), due, reason)
        for number, due in self._open.values():
            self._ended(number, due, reason)
        self._open.clear()

    async def _due_frames(self) -> AsyncIterator[pb.StreamFrame]:
        while True:
            # Frames that were due while no stream was open are not sent: a camera shows what it sees now.
            late = int((time.monotonic() - self._start) * self._fps)
            self._sent = max(self._sent + 1, late)
            due = self._start + self._sent / self._fps
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._open[self._sent] = self._began(due), due
            yield stream_frame(self._sent, self._frames[self._sent % len(self._frames)], due)

    def _answered(self, frame_id: int, failed: str) -> None:
        for each in [each for each in self._open if each <= frame_id]:
            number, due = self._open.pop(each)
            self._ended(number, due, failed)
