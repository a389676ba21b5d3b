"""What happened: the difference between what was told of everybody and how things are."""

from __future__ import annotations

from collections.abc import Iterable

from facet.tracking.decision import Verdict
from facet.tracking.records import EventKind, TrackEvent
from facet.tracking.track_state import Presence


class Story:
    """Tells each change once, and gives out track ids in the order in which people appear."""

    def __init__(self) -> None:
        self._told: dict[int, Verdict] = {}
        self._count = 0
        self._events: list[TrackEvent] = []

    def introduce(self, presence: Presence) -> None:
        """Give somebody an id, from when on changes are told."""
        self._count += 1
        presence.track_id = self._count

    def note(self, everybody: Iterable[Presence], time: float) -> None:
        """Compare with how things are now.

        Args:
            everybody: who is followed; whoever has no id is passed over.
            time: capture time, seconds.
        """
        now = {presence.track_id: presence.verdict for presence in everybody if presence.track_id}
        for track_id, verdict in self._told.items():
            if track_id not in now:
                self._tell(EventKind.LEFT, track_id, time, verdict)
        for track_id in sorted(now):
            before, verdict = self._told.get(track_id), now[track_id]
            if before is None:
                self._tell(EventKind.APPEARED, track_id, time, Verdict())
            was = before.subject_id if before else ""
            if verdict.subject_id != was:
                kind = EventKind.CHANGED if was else EventKind.IDENTIFIED
                self._tell(kind, track_id, time, verdict, was)
        self._told = now

    def events(self) -> tuple[TrackEvent, ...]:
        """What was not yet given out, once."""
        events, self._events = tuple(self._events), []
        return events

    def _tell(self, kind: EventKind, track_id: int, time: float, verdict: Verdict, previous: str = "") -> None:
        similarity = verdict.similarity if verdict.subject_id else -1.0
        self._events.append(
            TrackEvent(kind, track_id, time, verdict.subject_id, verdict.display_name, previous, similarity)
        )
