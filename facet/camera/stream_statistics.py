"""What the answers of a stream come to: rates, ages, who was there, and for how long."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from facet import from_status
from facet.camera.source import Frame
from facet.server.observability.latencies import Latencies, Percentiles
from facet.v1 import recognition_service_pb2 as pb

EVENTS = {
    pb.TRACK_EVENT_KIND_APPEARED: "appeared",
    pb.TRACK_EVENT_KIND_IDENTIFIED: "identified",
    pb.TRACK_EVENT_KIND_CHANGED: "changed",
    pb.TRACK_EVENT_KIND_LEFT: "left",
}
_RATE_SECONDS = 5.0
_AGE = "age"


@dataclass(slots=True)
class Presence:
    """How much of somebody was there.

    Attributes:
        name: for people.
        first: seconds of the source when the first frame with them named was captured.
        last: the same of the last frame.
        frames: how many frames they are named in.
    """

    name: str
    first: float
    last: float
    frames: int = 0


class Tally:
    """Counts answers in.

    Args:
        recorded: frames have a recording's own times.
        ages: whether ages are measured; without a stream that keeps up with its source they mean nothing.
        clock: seconds that never go back.

    Attributes:
        answered: frames that were looked at.
        errors: the others that were answered, by reason.
        detected: frames in which faces and persons were looked for.
        embedded: faces that were embedded.
        events: what happened, by name.
        people: who was named, by subject id.
        connections: streams that were answered.
    """

    def __init__(self, *, recorded: bool, ages: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.answered = self.detected = self.embedded = self.connections = 0
        self.errors: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.people: dict[str, Presence] = {}
        self._recorded, self._measures_age, self._clock = recorded, ages, clock
        self._began: float | None = None
        self._start = clock()
        self._ages: Latencies[str] = Latencies(clock)
        self._recent: deque[float] = deque()
        self._dropped: dict[int, int] = {}
        self._tracks: list[pb.Track] = []

    @property
    def dropped(self) -> int:
        """Frames that the server let go for newer ones."""
        return sum(self._dropped.values())

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._start

    def seconds_of(self, captured: float) -> float:
        """A capture time in seconds of the source: since the first frame, or of a recording its own."""
        if self._recorded:
            return captured
        if self._began is None:
            self._began = captured
        return captured - self._began

    def count(self, connection: int, answer: pb.IdentifyStreamResponse, frame: Frame | None) -> None:
        """Count an answer of the stream of that number, and the frame that it is about."""
        now = self._clock()
        self._dropped[connection] = answer.dropped
        self.connections = len(self._dropped)
        self._tracks = list(answer.tracks)
        self.events.update(EVENTS[event.kind] for event in answer.events)
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
        if self._measures_age:
            self._ages.observe({_AGE: now - frame.read})
        seconds = self.seconds_of(frame.captured)
        for subject_id, name in {(track.subject_id, named(track)) for track in _identified(answer.tracks)}:
            there = self.people.setdefault(subject_id, Presence(name, seconds, seconds))
            there.name, there.last, there.frames = name, seconds, there.frames + 1

    def line(self) -> Text:
        """How it goes, in a line for people."""
        rate = len(self._recent) / min(_RATE_SECONDS, max(self.seconds, 1.0))
        said = [f"{rate:.1f} fps", f"dropped {self.dropped}"]
        if self._measures_age:
            ages = self._percentiles(last_minute=True)
            said.append(f"age p50 {ages.p50 * 1e3:.0f} ms, p95 {ages.p95 * 1e3:.0f} ms")
        text = Text("  ".join(said) + "  ", no_wrap=True, overflow="ellipsis")
        for index, (name, style) in enumerate(self._there()):
            text.append(", " if index else "")
            text.append(name, style)
        return text

    def summary(self) -> dict[str, Any]:
        """All of it as plain values."""
        ages = self._percentiles(last_minute=False)
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
            "age_p50_ms": round(ages.p50 * 1e3, 1) if ages.count else None,
            "age_p95_ms": round(ages.p95 * 1e3, 1) if ages.count else None,
            "events": {name: self.events[name] for name in EVENTS.values()},
            "people": [
                {
                    "subject_id": subject_id,
                    "display_name": there.name,
                    "first_seconds": round(there.first, 3),
                    "last_seconds": round(there.last, 3),
                    "frames": there.frames,
                }
                for subject_id, there in sorted(self.people.items(), key=lambda each: each[1].first)
            ],
        }

    def _percentiles(self, *, last_minute: bool) -> Percentiles:
        found = self._ages.all().get(_AGE)
        if found is None:
            return Percentiles(0, 0.0, 0.0, 0.0)
        return found.last_minute if last_minute else found.since_start

    def _there(self) -> Iterator[tuple[str, str]]:
        """Who is there now, and in what style to write that."""
        for name in sorted({named(track) for track in _identified(self._tracks)}):
            yield name, "bold green"
        decisions = Counter(track.decision for track in self._tracks)
        if count := decisions[pb.TRACK_DECISION_UNKNOWN]:
            yield f"{count} unknown", ""
        if count := decisions[pb.TRACK_DECISION_UNDECIDED]:
            yield f"{count} undecided", "dim"
        if not self._tracks:
            yield "nobody", "dim"


def named(whose: pb.Track | pb.TrackEvent) -> str:
    """The name for people, or the subject's id; empty where it is nobody known."""
    return whose.display_name or whose.subject_id


def _identified(tracks: Any) -> list[pb.Track]:
    return [track for track in tracks if track.decision == pb.TRACK_DECISION_IDENTIFIED]
