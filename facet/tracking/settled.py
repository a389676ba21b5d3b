"""Which people to count: each once, when the track is first decided, or when it leaves undecided."""

from __future__ import annotations

from collections.abc import Collection

from facet.tracking.decision import Decision
from facet.tracking.records import SettledTrack
from facet.tracking.track_state import TrackState
from gallery.records.identifications import Decision as SearchDecision
from recognizer.quality import Quality

_DECISIONS = {
    Decision.UNDECIDED: SearchDecision.REFUSED,
    Decision.IDENTIFIED: SearchDecision.MATCH,
    Decision.UNKNOWN: SearchDecision.UNKNOWN,
}


class SettledTracks:
    """Makes one :class:`SettledTrack` of each track with a face."""

    def __init__(self) -> None:
        self._unsettled: list[TrackState] = []

    def settle(self, tracks: Collection[TrackState]) -> tuple[SettledTrack, ...]:
        """Return the tracks that were decided since the last call, and those that left undecided.

        Args:
            tracks: all tracks now; those without an id are skipped.
        """
        present = [track for track in tracks if track.track_id]
        left = [track for track in self._unsettled if track not in present]
        decided = [track for track in present if track.identity.decision is not Decision.UNDECIDED]
        settled = [
            _settled(track, track.measured)
            for track in (*left, *decided)
            if not track.is_settled and track.measured is not None
        ]
        for track in (*left, *decided):
            track.is_settled = True
        self._unsettled = [track for track in present if not track.is_settled]
        return tuple(settled)


def _settled(track: TrackState, quality: Quality) -> SettledTrack:
    decision, match = _DECISIONS[track.identity.decision], track.match
    if decision is SearchDecision.REFUSED or match is None:
        return SettledTrack(decision, quality, track.face_score)
    runner_up = match.runner_up_similarity if match.next is not None else None
    return SettledTrack(decision, quality, track.face_score, match.similarity, runner_up)
