"""Identification over tracks: what a server said frame by frame, held against who was there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from facet.evaluation.datasets.track_labels import Presence, Region, Span, presences

Box: TypeAlias = Region
Interval: TypeAlias = tuple[float, float]
"""Seconds, half-open."""


@dataclass(frozen=True, slots=True)
class SeenTrack:
    """Somebody in a frame, as answered.

    Attributes:
        track_id: of the track.
        subject: whom it was identified as; empty where it was not.
        face: where the face is; ``None`` where it is not seen.
        person: where the person is; ``None`` where only the face is seen.
    """

    track_id: int
    subject: str = ""
    face: Box | None = None
    person: Box | None = None

    def within(self, region: Region | None) -> bool:
        """Whether the middle of the face lies in a region; of one whose face is not seen, whether the person may."""
        if region is None:
            return True
        x1, y1, x2, y2 = region
        if self.face is not None:
            x, y = (self.face[0] + self.face[2]) / 2, (self.face[1] + self.face[3]) / 2
            return x1 <= x < x2 and y1 <= y < y2
        if self.person is None:
            return False
        return self.person[0] < x2 and x1 < self.person[2] and self.person[1] < y2 and y1 < self.person[3]


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """A frame, as answered.

    Attributes:
        time: seconds from the clip's start.
        tracks: who is in it; none where it failed.
        embedded: faces that were embedded for it.
        failure: the stable reason why it was not looked at; empty where it was.
    """

    time: float
    tracks: tuple[SeenTrack, ...] = ()
    embedded: int = 0
    failure: str = ""


@dataclass(slots=True)
class JudgedPresence:
    """What became of a presence.

    Attributes:
        presence: who was there.
        seconds: for which the face was visible, by the frames that were looked at.
        named: of them, those in which a track there had the right name.
        seen: of them, those in which a track there had a face at all.
        identified_after: seconds from its start until it was named first; ``None`` where it never was.
        switches: how often another track took the name over.
        track_id: of the track that had the name last; ``None`` before the first.
        names: when it was rightly named, the time with a hidden face included.
    """

    presence: Presence
    seconds: float = 0.0
    named: float = 0.0
    seen: float = 0.0
    identified_after: float | None = None
    switches: int = 0
    track_id: int | None = None
    names: list[Interval] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FalseName:
    """A track that had a name which was not that of whom the labels have there.

    Attributes:
        track_id: of the track.
        subject: the name.
        times: when it had it, rising.
    """

    track_id: int
    subject: str
    times: tuple[Interval, ...]


@dataclass(slots=True)
class JudgedStranger:
    """What became of a span in which the labels have a stranger.

    Attributes:
        span: the span.
        seconds: of it, by the frames that were looked at.
        named: of them, those in which a track there had a false name.
    """

    span: Span
    seconds: float = 0.0
    named: float = 0.0


@dataclass(frozen=True, slots=True)
class JudgedClip:
    """What became of a clip.

    Attributes:
        presences: of subjects, by their starts.
        strangers: spans, in the order of the labels.
        false_names: by the frames in which they came up.
        seconds: that were looked at.
        named_falsely: of them, those with a false name, several at a time counted once.
    """

    presences: tuple[JudgedPresence, ...]
    strangers: tuple[JudgedStranger, ...]
    false_names: tuple[FalseName, ...]
    seconds: float
    named_falsely: float


def judge(spans: Sequence[Span], frames: Sequence[SeenFrame], end: float, tolerance: float) -> JudgedClip:
    """Judge the answers of a clip. What a frame shows holds until the next one.

    A name is right where the labels have its subject at that time, or no further away than the tolerance, and in that
    place; of two tracks of one name the one that had it before is right. Any other name is false; of one track it is
    one false name, for however long, and also where the track is lost from sight in between. The tolerance only
    forgives: what counts for a presence happens between its start and its end.

    Args:
        spans: the labels.
        frames: by rising time.
        end: when the last frame is over, seconds.
        tolerance: how exact the labels are, seconds.
    """
    judged = [JudgedPresence(presence) for presence in presences(spans)]
    strangers = [JudgedStranger(span) for span in spans if not span.subject]
    false_names: dict[tuple[int, str], list[Interval]] = {}
    holders: dict[str, int] = {}
    named_falsely = 0.0
    for frame, until in _held(frames, end):
        seconds = until - frame.time
        right = _rightly_named(spans, frame, tolerance, holders)
        holders |= right
        false = [track for track in frame.tracks if track.subject and right.get(track.subject) != track.track_id]
        for track in false:
            key = track.track_id, track.subject
            false_names[key] = _with(false_names.get(key, []), frame.time, until)
        named_falsely += seconds * bool(false)
        for each in judged:
            _of_presence(each, frame, until, right.get(each.presence.subject))
        for stranger in strangers:
            if stranger.span.holds(frame.time):
                stranger.seconds += seconds
                stranger.named += seconds * any(track.within(stranger.span.region) for track in false)
    looked_at = end - frames[0].time if frames else 0.0
    found = [FalseName(*key, tuple(times)) for key, times in false_names.items()]
    return JudgedClip(tuple(judged), tuple(strangers), tuple(found), looked_at, named_falsely)


def _held(frames: Sequence[SeenFrame], end: float) -> Iterator[tuple[SeenFrame, float]]:
    """Each frame, and the time until which it holds."""
    ends = [*(frame.time for frame in frames[1:]), end]
    return zip(frames, ends, strict=False)


def _rightly_named(
    spans: Sequence[Span], frame: SeenFrame, tolerance: float, holders: dict[str, int]
) -> dict[str, int]:
    """The track of each subject who is rightly named."""
    right: dict[str, int] = {}
    for track in frame.tracks:
        places = [span.region for span in spans if span.subject == track.subject and span.holds(frame.time, tolerance)]
        if track.subject and any(map(track.within, places)):
            before = right.get(track.subject)
            if before is None or track.track_id == holders.get(track.subject):
                right[track.subject] = track.track_id
    return right


def _of_presence(judged: JudgedPresence, frame: SeenFrame, until: float, named_by: int | None) -> None:
    seconds = until - frame.time
    now = next((span for span in judged.presence.spans if span.holds(frame.time)), None)
    if now is None:
        return
    if not now.hidden:
        judged.seconds += seconds
        judged.named += seconds * (named_by is not None)
        judged.seen += seconds * any(track.face is not None and track.within(now.region) for track in frame.tracks)
    if named_by is None:
        return
    if judged.identified_after is None:
        judged.identified_after = max(0.0, frame.time - judged.presence.start)
    judged.switches += judged.track_id not in (None, named_by)
    judged.track_id = named_by
    judged.names = _with(judged.names, frame.time, until)


def _with(intervals: list[Interval], start: float, end: float) -> list[Interval]:
    """The intervals with one more, which goes on with the last where it touches it."""
    if intervals and math.isclose(intervals[-1][1], start, abs_tol=1e-6):
        return [*intervals[:-1], (intervals[-1][0], end)]
    return [*intervals, (start, end)]


def median(values: Sequence[float], weights: Sequence[int]) -> float | None:
    """The lower median of values that count so often; infinite ones, of what never came to pass, give ``None``."""
    spread = np.repeat(np.asarray(values, np.float64), np.asarray(weights, np.int64))
    if not len(spread):
        return None
    middle = float(np.sort(spread)[(len(spread) - 1) // 2])
    return middle if math.isfinite(middle) else None
