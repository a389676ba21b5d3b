"""What is done with each answer about a camera's frame."""

from __future__ import annotations

import time

from rich.live import Live

from facet import from_status
from facet.camera.output import Outputs, event_line, event_row
from facet.camera.source import Frame
from facet.camera.stream_statistics import Tally
from facet.terminal import console
from facet.terminal.drawing import draw_tracks
from facet.v1 import recognition_service_pb2 as pb

_REFRESH_SECONDS = 0.25


class Answers:
    """Takes the answers of the streams: counts them, says what happened, and passes them to the outputs.

    Args:
        camera: its name.
        outputs: where they go.
        live: where to show how it goes.
        recorded: the frames are of a recording.
        timed: ages mean something.
        prints: whether to print what happens.

    Attributes:
        tally: what they come to.
    """

    def __init__(
        self, camera: str, outputs: Outputs, live: Live | None, *, recorded: bool, timed: bool, prints: bool
    ) -> None:
        self.tally = Tally(recorded=recorded, ages=timed)
        self._camera, self._outputs, self._live = camera, outputs, live
        self._recorded, self._prints = recorded, prints
        self._shown = float("-inf")
        self._problem = ""

    def __call__(self, connection: int, answer: pb.IdentifyStreamResponse, frame: Frame | None) -> bool:
        """Take one; see :data:`facet.camera.run.Took`."""
        self.tally.count(connection, answer, frame)
        self._tell_problem(answer)
        for event in answer.events:
            self._happened(connection, answer.frame_id, event)
        if self._live is not None and time.monotonic() >= self._shown + _REFRESH_SECONDS:
            self._shown = time.monotonic()
            self._live.update(self.tally.line(), refresh=True)
        video, window = self._outputs.video, self._outputs.window
        if frame is None or (video is None and window is None):
            return True
        drawn = draw_tracks(frame.picture, answer.tracks)
        if video is not None:
            video.add(drawn, frame.captured)
        return window is None or window.show(drawn)

    def _happened(self, connection: int, frame_id: int, event: pb.TrackEvent) -> None:
        seconds = self.tally.seconds_of(event.time.ToNanoseconds() / 1e9)
        if self._outputs.events is not None:
            row = event_row(self._camera, connection, frame_id, event, seconds, recorded=self._recorded)
            self._outputs.events.add(row)
        if self._prints:
            shares_terminal = self._live is not None and console.out.is_terminal
            target = console.err if shares_terminal else console.out  # above the line of how it goes, not into it
            target.print(event_line(event, seconds, recorded=self._recorded), soft_wrap=True)

    def _tell_problem(self, answer: pb.IdentifyStreamResponse) -> None:
        """Say what is wrong with a frame, where it is another thing than with the one before."""
        problem = ""
        if answer.status.code:
            error = from_status(answer.status)
            problem = f"{error.reason or error.code.name}: {error.message}"
        if problem and problem != self._problem:
            console.err.print(f"frame {answer.frame_id}: {problem}", soft_wrap=True)
        self._problem = problem
