"""Handles the answers of the streams: statistics, messages for people, and outputs."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.text import Text

from facet import from_status
from facet.camera.event_format import event_line, event_row
from facet.camera.outputs import Outputs
from facet.camera.reader import Frame
from facet.camera.stream_statistics import StreamStatistics
from facet.terminal.pictures.drawing import draw_tracks, without_fonts
from facet.v1 import recognition_service_pb2 as pb

_REFRESH_SECONDS = 0.25


class AnswerHandler:
    """Handles one answer after the other.

    Args:
        camera: the camera's name.
        outputs: where frames and events go.
        recorded: whether the frames come from a recording.
        measure_ages: see :class:`facet.camera.stream_statistics.StreamStatistics`.
        say: prints a problem for people.
        print_event: prints an event for people; ``None`` for nowhere.
        show_status: shows the line of statistics, four times a second; ``None`` for nowhere.

    Attributes:
        statistics: of all answers.
    """

    def __init__(
        self,
        camera: str,
        outputs: Outputs,
        *,
        recorded: bool,
        measure_ages: bool,
        say: Callable[[str], None],
        print_event: Callable[[str], None] | None = None,
        show_status: Callable[[Text], None] | None = None,
    ) -> None:
        self.statistics = StreamStatistics(recorded=recorded, measure_ages=measure_ages)
        self._camera, self._outputs, self._recorded = camera, outputs, recorded
        self._say, self._print_event, self._show_status = say, print_event, show_status
        self._status_shown_at = float("-inf")
        self._problem, self._has_said_fonts = "", False

    def __call__(self, connection: int, answer: pb.IdentifyStreamResponse, frame: Frame | None) -> bool:
        """Handle an answer; see :data:`facet.camera.session.OnAnswer`."""
        self.statistics.count(connection, answer, frame)
        self._say_problem(answer)
        for event in answer.events:
            self._handle_event(connection, answer.frame_id, event)
        if self._show_status is not None and time.monotonic() >= self._status_shown_at + _REFRESH_SECONDS:
            self._status_shown_at = time.monotonic()
            self._show_status(self.statistics.status_line())
        video, window = self._outputs.video, self._outputs.window
        if frame is None or (video is None and window is None):
            return True
        drawn = draw_tracks(frame.picture, answer.tracks)
        if not self._has_said_fonts and (problem := without_fonts(track.display_name for track in answer.tracks)):
            self._has_said_fonts = True
            self._say(problem)
        if video is not None:
            video.add(drawn, frame.captured)
        return window is None or window.show(drawn)

    def _handle_event(self, connection: int, frame_id: int, event: pb.TrackEvent) -> None:
        seconds = self.statistics.source_seconds(event.time.ToNanoseconds() / 1e9)
        if self._outputs.events is not None:
            row = event_row(self._camera, connection, frame_id, event, seconds, recorded=self._recorded)
            self._outputs.events.add(row)
        if self._print_event is not None:
            self._print_event(event_line(event, seconds, recorded=self._recorded))

    def _say_problem(self, answer: pb.IdentifyStreamResponse) -> None:
        """Print what is wrong with a frame, unless it is the same as with the frame before."""
        problem = ""
        if answer.status.code:
            error = from_status(answer.status)
            problem = f"{error.reason or error.code.name}: {error.message}"
        if problem and problem != self._problem:
            self._say(f"frame {answer.frame_id}: {problem}")
        self._problem = problem
