"""Events: the differences between what was reported of each track and its state now."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from facet.tracking.decision import Decision, Identity
from facet.tracking.records import EventKind, TrackEvent
from facet.tracking.track_state import TrackState


class EventRecorder:
    """Reports each change once, and assigns track ids in the order in which people appear."""

    def __init__(self) -> None:
        self._reported: dict[int, Identity] = {}
        self._last_id = 0
        self._events: list[TrackEvent] = []

    def assign_id(self, track: TrackState) -> None:
        """Give a track its id; from now on its changes are reported."""
        self._last_id += 1
        track.track_id = self._last_id

    @property
    def subjects(self) -> set[str]:
        """The subjects that the events to come may name."""
        waiting = {each for event in self._events for each in (event.subject_id, event.previous_subject_id)}
        return (waiting | {identity.subject_id for identity in self._reported.values()}) - {""}

    def forget(self, subjects: Collection[str]) -> None:
        """Name these subjects in no event any more: they are no longer enrolled."""
        for track_id, identity in self._reported.items():
            if identity.subject_id in subjects:
                self._reported[track_id] = replace(identity, subject_id="", display_name="")
        self._events = [_without(event, subjects) for event in self._events]

    def record(self, tracks: Iterable[TrackState], time: float) -> None:
        """Record what has changed since the last call.

        Args:
            tracks: all tracks now; those without an id are skipped.
            time: capture time, seconds.
        """
        identities = {track.track_id: track.identity for track in tracks if track.track_id}
        for track_id, identity in self._reported.items():
            if track_id not in identities:
                self._add(EventKind.LEFT, track_id, time, identity)
        for track_id in sorted(identities):
            before, identity = self._reported.get(track_id), identities[track_id]
            if before is None:
                self._add(EventKind.APPEARED, track_id, time, Identity())
            previous_id = before.subject_id if before else ""
            # It may have lost a subject that is forgotten.
            was_identified = before is not None and before.decision is Decision.IDENTIFIED
            has_lost = was_identified and identity.decision is not Decision.IDENTIFIED
            if identity.subject_id != previous_id or has_lost:
                kind = EventKind.CHANGED if was_identified else EventKind.IDENTIFIED
                self._add(kind, track_id, time, identity, previous_id)
            was_unknown = before is not None and before.decision is Decision.UNKNOWN
            if identity.decision is Decision.UNKNOWN and not was_unknown:
                self._add(EventKind.UNKNOWN, track_id, time, identity)
        self._reported = identities

    def take(self) -> tuple[TrackEvent, ...]:
        """The events recorded since the last call, in order."""
        events, self._events = tuple(self._events), []
        return events

    def _add(self, kind: EventKind, track_id: int, time: float, identity: Identity, previous_id: str = "") -> None:
        similarity = identity.similarity if identity.subject_id else -1.0
        self._events.append(
            TrackEvent(kind, track_id, time, identity.subject_id, identity.display_name, previous_id, similarity)
        )


def _without(event: TrackEvent, subjects: Collection[str]) -> TrackEvent:
    if event.subject_id in subjects:
        event = replace(event, subject_id="", display_name="", similarity=-1.0)
    return replace(event, previous_subject_id="") if event.previous_subject_id in subjects else event
