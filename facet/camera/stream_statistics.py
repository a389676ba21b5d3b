"""Statistics of a stream's answers: rates, ages, errors, events, and who was seen for how long."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from facet import from_status
from facet.camera.ages import AgeStatistics
from facet.camera.event_format import EVENT_NAMES, display_name
from facet.camera.reader import Frame
from facet.terminal.visible import visible
from facet.v1 import recognition_service_pb2 as pb

_RATE_SECONDS = 5.0


@dataclass(slots=True)
class PersonSeen:
    """How long an identified person was seen.

    Attributes:
        name: for people.
        first: capture time of the first frame with the person, seconds of the source.
        last: capture time of the last frame.
        frames: number of frames.
    """

    name: str
    first: float
    last: float
    frames: int = 0


class StreamStatistics:
    """Counts answers.

    Args:
        recorded: whether frames have a recording's own times.
        measure_ages: whether to measure ages. They mean nothing if the stream does not keep up with its source.
        clock: seconds that never go back.

    Attributes:
        answered: frames answered without an error.
        errors: frames answered with an error, by reason.
        detected: frames in which detection ran.
        embedded: faces that were embedded.
        events: events by name.
        people: who was identified, by subject id.
        connections: streams that were answered.
    """

    def __init__(self, *, recorded: bool, measure_ages: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.answered = self.detected = self.embedded = self.connections = 0
        self.errors: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.people: dict[str, PersonSeen] = {}
        self._recorded, self._clock = recorded, clock
        self._ages = AgeStatistics(clock) if measure_ages else None
        self._first_captured: float | None = None
        self._start = clock()
        self._recent: deque[float] = deque()
        self._dropped: dict[int, int] = {}
        self._tracks: list[pb.Track] = []

    @property
    def dropped(self) -> int:
        """Frames that the server dropped for newer ones, in all streams."""
        return sum(self._dropped.values())

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def source_seconds(self, captured: float) -> float:
        """A capture time in seconds since the first frame; of a recording its own time."""
        if self._recorded:
            return captured
        if self._first_captured is None:
            self._first_captured = captured
        return captured - self._first_captured

    def count(self, connection: int, answer: pb.IdentifyStreamResponse, frame: Frame | None) -> None:
        """Count an answer.

        Args:
            connection: the number of the stream.
            answer: the answer.
            frame: the frame it is about; ``None`` if that was given up, or at the end of a stream.
        """
        now = self._clock()
        self._dropped[connection] = answer.dropped
        self.connections = len(self._dropped)
        self._tracks = list(answer.tracks)
        self.events.update(EVENT_NAMES[event.kind] for event in answer.events)
        if answer.end_of_stream:
            return
        self.detected += answer.detected
        self.embedded += answer.embedded
        if answer.status.code:
            error = from_status(answer.status)
            self.errors[error.reason or error.code.name] += 1
        else:
            self.answered += 1
        self._recent.append(now)
        while self._recent[0] < now - _RATE_SECONDS:
            self._recent.popleft()
        if frame is None:
            return
        if self._ages is not None:
            self._ages.add(now - frame.read_at)
        seconds = self.source_seconds(frame.captured)
        for subject_id, name in {(track.subject_id, display_name(track)) for track in _identified(answer.tracks)}:
            person = self.people.setdefault(subject_id, PersonSeen(name, seconds, seconds))
            person.name, person.last, person.frames = name, seconds, person.frames + 1

    def status_line(self) -> Text:
        """The present state in one line for people."""
        rate = len(self._recent) / min(_RATE_SECONDS, max(self.seconds, 1.0))
        parts = [f"{rate:.1f} fps", f"dropped {self.dropped}"]
        if self._ages is not None and (ages := self._ages.last_minute()):
            parts.append(f"age p50 {ages.p50 * 1e3:.0f} ms, p95 {ages.p95 * 1e3:.0f} ms")
        text = Text("  ".join(parts) + "  ", no_wrap=True, overflow="ellipsis")
        for index, (name, style) in enumerate(self._people_now()):
            text.append(", " if index else "")
            text.append(visible(name), style)
        return text

    def summary(self) -> dict[str, Any]:
        """All statistics as plain values."""
        ages = self._ages.overall() if self._ages is not None else None
        seconds = self.seconds
        return {
            "answered": self.answered,
            "failed": self.errors.total(),
            "errors": dict(self.errors.most_common()),
            "dropped": self.dropped,
            "detected": self.detected,
            "embedded": self.embedded,
            "connections": self.connections,
            "seconds": round(seconds, 2),
            "fps": round((self.answered + self.errors.total()) / seconds, 2),
            "age_p50_ms": round(ages.p50 * 1e3, 1) if ages else None,
            "age_p95_ms": round(ages.p95 * 1e3, 1) if ages else None,
            "events": {name: self.events[name] for name in EVENT_NAMES.values()},
            "people": [
                {
                    "subject_id": subject_id,
                    "display_name": person.name,
                    "first_seconds": round(person.first, 3),
                    "last_seconds": round(person.last, 3),
                    "frames": person.frames,
                }
                for subject_id, person in sorted(self.people.items(), key=lambda each: each[1].first)
            ],
        }

    def _people_now(self) -> Iterator[tuple[str, str]]:
        """Who is in the last frame, each with the style to print it in."""
        for name in sorted({display_name(track) for track in _identified(self._tracks)}):
            yield name, "bold green"
        decisions = Counter(track.decision for track in self._tracks)
        if count := decisions[pb.TRACK_DECISION_UNKNOWN]:
            yield f"{count} unknown", ""
        if count := decisions[pb.TRACK_DECISION_UNDECIDED]:
            yield f"{count} undecided", "dim"
        if not self._tracks:
            yield "nobody", "dim"


def _identified(tracks: Iterable[pb.Track]) -> list[pb.Track]:
    return [track for track in tracks if track.decision == pb.TRACK_DECISION_IDENTIFIED]
