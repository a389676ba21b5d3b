"""Identification over tracks: the answers to the frames of a clip, compared with its labels."""

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
class TrackAnswer:
    """A track in a frame.

    Attributes:
        track_id: id of the track.
        subject: the identified subject; empty if there is none.
        face: box of the face; ``None`` if it is not visible.
        person: box of the person; ``None`` if only the face is visible.
    """

    track_id: int
    subject: str = ""
    face: Box | None = None
    person: Box | None = None

    def within(self, region: Region | None) -> bool:
        """Whether the centre of the face lies in a region, or, without a face, whether the person overlaps it."""
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
class FrameAnswer:
    """The answer to a frame.

    Attributes:
        time: seconds from the start of the clip.
        tracks: the tracks in the frame; none if it failed.
        embedded: number of faces embedded for this frame.
        failure: the stable reason why the frame failed; empty on success.
    """

    time: float
    tracks: tuple[TrackAnswer, ...] = ()
    embedded: int = 0
    failure: str = ""


@dataclass(slots=True)
class PresenceResult:
    """The result for a presence. Times are seconds, at the resolution of the answered frames.

    Attributes:
        presence: the presence.
        seconds: time with a visible face.
        named: part of it in which a track at that place had the right name.
        seen: part of it in which a track at that place had a face.
        identified_after: time from the start to the first right name; ``None`` if there was none.
        switches: how often another track took over the name.
        track_id: the last track that had the name; ``None`` before the first one.
        names: when the subject was rightly named, including times with a hidden face.
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
    """A name on a track that shows somebody else.

    Attributes:
        track_id: id of the track.
        subject: the name.
        times: when the track had it, rising.
    """

    track_id: int
    subject: str
    times: tuple[Interval, ...]


@dataclass(slots=True)
class StrangerResult:
    """The result for a labelled stranger.

    Attributes:
        span: the line of the labels.
        seconds: its time, at the resolution of the answered frames.
        named: part of it in which a track at that place had a false name.
    """

    span: Span
    seconds: float = 0.0
    named: float = 0.0


@dataclass(frozen=True, slots=True)
class ClipResult:
    """The result for a clip.

    Attributes:
        presences: presences of subjects, by their start.
        strangers: strangers, in the order of the labels.
        false_names: false names, in the order of their first frame.
        seconds: duration of the answered frames.
        falsely_named: part of it with at least one false name.
    """

    presences: tuple[PresenceResult, ...]
    strangers: tuple[StrangerResult, ...]
    false_names: tuple[FalseName, ...]
    seconds: float
    falsely_named: float


def judge_clip(spans: Sequence[Span], frames: Sequence[FrameAnswer], end: float, tolerance: float) -> ClipResult:
    """Compare the answers of a clip with its labels. The content of a frame holds until the next frame.

    A name is right if the labels have its subject at that place and at that time, give or take the tolerance. If two
    tracks carry one name, only the one that had it first is right. Any other name is false. A track with one false
    name counts once, however long and even if it is lost in between. The tolerance only forgives false names: a right
    name counts for a presence only between its start and its end.

    Args:
        spans: the labels.
        frames: the answers, by rising time.
        end: end of the last frame, seconds.
        tolerance: assumed precision of the labels, seconds.
    """
    results = [PresenceResult(presence) for presence in presences(spans)]
    strangers = [StrangerResult(span) for span in spans if not span.subject]
    false_names: dict[tuple[int, str], list[Interval]] = {}
    holders: dict[str, int] = {}
    falsely_named = 0.0
    for frame, until in _with_ends(frames, end):
        seconds = until - frame.time
        right = _right_tracks(spans, frame, tolerance, holders)
        holders |= right
        false = [track for track in frame.tracks if track.subject and right.get(track.subject) != track.track_id]
        for track in false:
            key = track.track_id, track.subject
            false_names[key] = _extended(false_names.get(key, []), frame.time, until)
        falsely_named += seconds * bool(false)
        for result in results:
            _add_frame(result, frame, until, right.get(result.presence.subject))
        for stranger in strangers:
            if stranger.span.holds(frame.time):
                stranger.seconds += seconds
                stranger.named += seconds * any(track.within(stranger.span.region) for track in false)
    return ClipResult(
        presences=tuple(results),
        strangers=tuple(strangers),
        false_names=tuple(FalseName(*key, tuple(times)) for key, times in false_names.items()),
        seconds=end - frames[0].time if frames else 0.0,
        falsely_named=falsely_named,
    )


def _with_ends(frames: Sequence[FrameAnswer], end: float) -> Iterator[tuple[FrameAnswer, float]]:
    """Each frame with the time until which it holds."""
    ends = [*(frame.time for frame in frames[1:]), end]
    return zip(frames, ends, strict=False)


def _right_tracks(
    spans: Sequence[Span], frame: FrameAnswer, tolerance: float, holders: dict[str, int]
) -> dict[str, int]:
    """The track of each rightly named subject.

    Args:
        spans: the labels.
        frame: the answer to a frame.
        tolerance: assumed precision of the labels, seconds.
        holders: the last rightly named track of each subject.
    """
    right: dict[str, int] = {}
    for track in frame.tracks:
        regions = [span.region for span in spans if span.subject == track.subject and span.holds(frame.time, tolerance)]
        if track.subject and any(map(track.within, regions)):
            other = right.get(track.subject)
            if other is None or track.track_id == holders.get(track.subject):
                right[track.subject] = track.track_id
    return right


def _add_frame(result: PresenceResult, frame: FrameAnswer, until: float, named_track: int | None) -> None:
    seconds = until - frame.time
    span = next((span for span in result.presence.spans if span.holds(frame.time)), None)
    if span is None:
        return
    if not span.hidden:
        result.seconds += seconds
        result.named += seconds * (named_track is not None)
        result.seen += seconds * any(track.face is not None and track.within(span.region) for track in frame.tracks)
    if named_track is None:
        return
    if result.identified_after is None:
        result.identified_after = max(0.0, frame.time - result.presence.start)
    result.switches += result.track_id not in (None, named_track)
    result.track_id = named_track
    result.names = _extended(result.names, frame.time, until)


def _extended(intervals: list[Interval], start: float, end: float) -> list[Interval]:
    """The intervals with one more, joined with the last one if they touch."""
    if intervals and math.isclose(intervals[-1][1], start, abs_tol=1e-6):
        return [*intervals[:-1], (intervals[-1][0], end)]
    return [*intervals, (start, end)]


def weighted_median(values: Sequence[float], weights: Sequence[int]) -> float | None:
    """The lower median of weighted values; ``None`` if it is infinite or there are no values."""
    repeated = np.repeat(np.asarray(values, np.float64), np.asarray(weights, np.int64))
    if not len(repeated):
        return None
    median = float(np.sort(repeated)[(len(repeated) - 1) // 2])
    return median if math.isfinite(median) else None
