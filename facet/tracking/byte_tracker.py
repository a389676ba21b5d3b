"""Which box of this look is which box of the looks before: ByteTrack (Zhang et al., 2022, arXiv:2110.06864).

The implementation is that of ``edgefirst-tracker``: a megabyte that needs nothing but numpy. ``trackers`` follows as
many people in our clips and brings nearly two hundred megabytes along (PyAV, matplotlib, ``supervision``); ``norfair``
wants numpy 1.
"""

from __future__ import annotations

import itertools
from typing import Protocol

import numpy as np
from edgefirst.tracker import ByteTrack
from numpy.typing import NDArray

_TICKS = 30
"""Steps of the motion model in a second: the library moves a box by one step an update, however long that took."""
_NANOSECONDS = 1_000_000_000
_GAIN = 0.25


class Tracker(Protocol):
    """Ties boxes of one kind over time."""

    def update(self, boxes: NDArray[np.float32], scores: NDArray[np.float32], time: float) -> NDArray[np.int64]:
        """Tie the boxes of a look to those of the looks before.

        Args:
            boxes: ``(n, 4)``, xyxy pixels.
            scores: ``(n,)`` in [0, 1].
            time: seconds, never falling.

        Returns:
            An id for each box, counted from 1; -1 where it is tied to nothing and too faint to begin something.
        """

    def predict(self, time: float) -> dict[int, NDArray[np.float32]]:
        """Where everything that is still followed should be at a time, by its motion: id to box ``(4,)``."""


class ByteTracker:
    """Kalman filters that expect constant velocity, and assignment by IoU: sure boxes first, faint ones afterwards.

    Args:
        new_score: what a box must score to begin something; below, it only continues.
        min_iou: least overlap of a box with where something is expected, (0, 1].
        patience: seconds for which something that is not seen is expected on.
        margin: boxes are compared with so much of their width and height added on each side: what is small, as faces
            are, moves on by its own size between two looks (C-BIoU: Yang et al., 2023, arXiv:2211.14317).
    """

    def __init__(self, *, new_score: float, min_iou: float, patience: float, margin: float = 0.0) -> None:
        self._byte_track = ByteTrack(new_score, min_iou, _GAIN, round(patience * _NANOSECONDS))
        self._patience = patience
        self._margin = margin
        self._start: float | None = None
        self._tick = 0
        self._updated = 0.0
        self._ids: dict[str, int] = {}
        self._offsets: dict[int, NDArray[np.float32]] = {}
        self._count = itertools.count(1)

    def update(self, boxes: NDArray[np.float32], scores: NDArray[np.float32], time: float) -> NDArray[np.int64]:
        """See :class:`Tracker`."""
        time = self._move(time, before=1)
        self._updated = time
        ids = np.full(len(boxes), -1, np.int64)
        usable = np.flatnonzero(np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1))
        found = self._step(_grown(boxes[usable], self._margin), scores[usable], time)
        for index, track in zip(usable, found, strict=True):
            if track is not None:
                if track not in self._ids:
                    self._ids[track] = next(self._count)
                ids[index] = self._ids[track]
        places = self._places()
        for index in np.flatnonzero(ids > 0):
            self._offsets[int(ids[index])] = boxes[index] - places[int(ids[index])]
        self._offsets = {number: offset for number, offset in self._offsets.items() if number in places}
        return ids

    def predict(self, time: float) -> dict[int, NDArray[np.float32]]:
        """See :class:`Tracker`."""
        self._move(time, before=0)
        return {number: box + self._offsets[number] for number, box in self._places().items()}

    def _places(self) -> dict[int, NDArray[np.float32]]:
        """Where everything is now in the eyes of its filter, which lag behind; what was given up is let go."""
        active = {each.info.uuid: each.info.tracked_location for each in self._byte_track.get_active_tracks()}
        self._ids = {uuid: number for uuid, number in self._ids.items() if uuid in active}
        shrink = -self._margin / (1 + 2 * self._margin)
        return {number: _grown(np.array(active[uuid], np.float32), shrink) for uuid, number in self._ids.items()}

    def _move(self, time: float, *, before: int) -> float:
        """Let the motion model take the steps until a time, but for the last ones; nothing is given up by that.

        Returns:
            The time since the first call, seconds.
        """
        if self._start is None:
            self._start = time
        time -= self._start
        tick = int(time * _TICKS)
        steps = min(tick - self._tick, int(self._patience * _TICKS) + 2)
        self._tick = tick
        for _ in range(steps - before):
            self._step(_NO_BOXES, _NO_SCORES, self._updated)
        return time

    def _step(self, boxes: NDArray[np.float32], scores: NDArray[np.float32], time: float) -> list[str | None]:
        found = self._byte_track.update(
            np.ascontiguousarray(boxes, np.float32),
            np.ascontiguousarray(scores, np.float32),
            np.zeros(len(boxes), np.uintp),
            round(time * _NANOSECONDS),
        )
        return [None if track is None else track.uuid for track in found]


_NO_BOXES = np.empty((0, 4), np.float32)
_NO_SCORES = np.empty(0, np.float32)


def _grown(boxes: NDArray[np.float32], margin: float) -> NDArray[np.float32]:
    """Boxes ``(..., 4)`` with a share of their size added on each side, or taken where it is negative."""
    sides = margin * (boxes[..., 2:] - boxes[..., :2])
    return np.concatenate((boxes[..., :2] - sides, boxes[..., 2:] + sides), axis=-1).astype(np.float32)
