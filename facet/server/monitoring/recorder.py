"""Counts the answers of searches by gallery, by camera or caller, and by hour."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from facet.tracking.records import SettledTrack
from gallery.observations.records import HOUR, OTHER, Observation, start_of
from gallery.observations.tally import FaceMeasures, Tally
from gallery.records.identifications import Decision, Identification
from gallery.times import Clock, now
from recognizer.analysis import AlignedFace
from recognizer.quality import Quality

MAX_SOURCES = 40
"""Sources of a gallery that are kept apart in an hour; what comes from others is counted together."""
RESERVED_SOURCES = 8
"""Those that are kept for callers who have no source yet: cameras have the names that their callers choose."""
MAX_CELLS = 4096
"""Sources of all galleries that are kept apart at a time."""


@dataclass(slots=True)
class _Cell:
    """What was counted of a source, and since when."""

    since: datetime
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class _Hour:
    """What was counted since the last :meth:`Recorder.take`.

    Attributes:
        start: when it begins.
        end: when it ends.
        cells: what was counted, by gallery and source.
        sources: the sources of this hour, by gallery, and the caller who was the first with each.
    """

    start: datetime
    end: datetime
    cells: dict[tuple[str, str], _Cell] = field(default_factory=dict)
    sources: dict[str, dict[str, str]] = field(default_factory=dict)


class Recorder:
    """Counts faces. No vector, no picture and no id of a person gets here.

    A face takes some microseconds. Any thread may call the methods.

    Args:
        is_on: whether anything is counted.
        clock: tells the hour.

    Attributes:
        in_other: pictures, and frames of streams, that were counted in :data:`gallery.observations.records.OTHER`.
    """

    def __init__(self, *, is_on: bool = True, clock: Clock = now) -> None:
        self._is_on = is_on
        self._clock = clock
        self._lock = threading.Lock()
        self._hour: _Hour | None = None
        self._ended: list[Observation] = []
        self.in_other = 0

    def picture(
        self,
        gallery_id: str,
        caller_id: str,
        threshold: float,
        faces: Sequence[AlignedFace],
        answers: Sequence[Identification],
        seen: int,
    ) -> None:
        """Count the faces of a picture that a caller sent.

        Args:
            gallery_id: the gallery that was searched.
            caller_id: the caller.
            threshold: the gallery's, [-1, 1].
            faces: the faces that were identified.
            answers: the gallery's answers to them.
            seen: the number of faces in the picture.
        """
        if not self._is_on:
            return
        measured = [(_measures(each.quality, float(each.faces.scores[0]))) for each in faces]
        with self._lock:
            tally = self._tally(gallery_id, f"caller:{caller_id}", caller_id)
            tally.add_picture(seen)
            for measures, answer in zip(measured, answers, strict=True):
                tally.add_identification(measures, answer, threshold)

    def tracks(
        self,
        gallery_id: str,
        caller_id: str,
        camera: str,
        tracks: Sequence[SettledTrack],
        *,
        seen: int,
        templates_compared: int,
    ) -> None:
        """Count the people whom a camera's stream has decided about, as it has: each once, not in every frame.

        Args:
            gallery_id: the gallery that is searched.
            caller_id: the caller who sends the stream.
            camera: the name of the camera; empty if it has none.
            tracks: the people.
            seen: the number of faces in the frame.
            templates_compared: the number of templates that the last search compared.
        """
        if not self._is_on or not tracks:
            return
        with self._lock:
            tally = self._tally(gallery_id, f"camera:{camera}", caller_id)
            tally.add_picture(seen)
            for each in tracks:
                is_refused = each.decision is Decision.REFUSED
                tally.add_face(
                    _measures(each.quality, each.score),
                    each.decision,
                    best=each.similarity,
                    runner_up=each.runner_up_similarity,
                    templates_compared=0 if is_refused else templates_compared,
                )

    def undecoded(self, gallery_id: str, caller_id: str, *, camera: str | None = None) -> None:
        """Count a picture that could not be decoded, or a frame if ``camera`` is given.

        A frame of a camera that is no source in this hour is counted for its caller: callers choose such names, and
        these must take no places without a face.
        """
        if not self._is_on:
            return
        source, own = f"camera:{camera}", f"caller:{caller_id}"
        with self._lock:
            is_kept = camera is not None and source in self._hour_of(self._clock()).sources.get(gallery_id, {})
            self._tally(gallery_id, source if is_kept else own, caller_id).add_undecoded()

    def take(self) -> list[Observation]:
        """Return what was counted since the last call, and forget it."""
        with self._lock:
            if self._hour is not None:
                self._end_cells(self._hour)
                if self._clock() >= self._hour.end:
                    self._hour = None
            taken, self._ended = self._ended, []
            return taken

    def _tally(self, gallery_id: str, source: str, caller_id: str) -> Tally:
        moment = self._clock()
        hour = self._hour_of(moment)
        sources = hour.sources.setdefault(gallery_id, {})
        if source not in sources:
            room = MAX_SOURCES - len(sources)
            is_fair = room > RESERVED_SOURCES or (room > 0 and caller_id not in sources.values())
            if is_fair and len(hour.cells) < MAX_CELLS:
                sources[source] = caller_id
            else:
                source = OTHER
                self.in_other += 1
        place = gallery_id, source
        cell = hour.cells.get(place)
        if cell is None:
            cell = hour.cells[place] = _Cell(moment)
        return cell.tally

    def _hour_of(self, moment: datetime) -> _Hour:
        """The hour of a time, begun if it is another one."""
        if self._hour is None or not self._hour.start <= moment < self._hour.end:
            if self._hour is not None:
                self._end_cells(self._hour)
            start = start_of(moment, HOUR)
            self._hour = _Hour(start, start + HOUR)
        return self._hour

    def _end_cells(self, hour: _Hour) -> None:
        self._ended += [
            Observation(gallery_id, source, hour.start, HOUR, cell.tally.counts(), cell.since)
            for (gallery_id, source), cell in hour.cells.items()
        ]
        hour.cells = {}


def _measures(quality: Quality, score: float) -> FaceMeasures:
    return FaceMeasures(
        quality.value, quality.size, quality.yaw, quality.pitch, quality.sharpness, quality.brightness, score
    )


Store = Callable[[Sequence[Observation]], None]


class Unstored:
    """Observations that could not be stored yet. Those of one gallery, source and hour are added up.

    Attributes:
        lost: how many observations were dropped because there were too many.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str, datetime], Observation] = {}
        self.lost = 0

    def add(self, observations: Sequence[Observation]) -> None:
        """Add observations; if there are more than twice :data:`MAX_CELLS`, the oldest are dropped."""
        for each in observations:
            place = each.gallery_id, each.source, each.start
            waiting = self._waiting.get(place)
            self._waiting[place] = each if waiting is None else replace(waiting, counts=waiting.counts + each.counts)
        while len(self._waiting) > 2 * MAX_CELLS:
            del self._waiting[next(iter(self._waiting))]
            self.lost += 1

    def store(self, store: Store, *, at_once: int) -> None:
        """Store what waits, some at a time: what was stored is not stored again if a later part fails.

        Raises:
            StorageError: the store failed.
        """
        while self._waiting:
            some = {place: self._waiting.pop(place) for place in list(self._waiting)[:at_once]}
            try:
                store(list(some.values()))
            except BaseException:
                self._waiting |= some  # at the end: the next attempt begins with others
                raise
