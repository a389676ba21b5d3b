"""Box tracking: ByteTrack (Zhang et al., 2022, arXiv:2110.06864).

The implementation is ``edgefirst-tracker``: one megabyte that needs only numpy. ``trackers`` follows as many people in
our clips but brings nearly 200 MB along (PyAV, matplotlib, ``supervision``); ``norfair`` requires numpy 1.
"""

from __future__ import annotations

import itertools

import numpy as np
from edgefirst.tracker import ByteTrack
from numpy.typing import NDArray

_STEPS_PER_SECOND = 30
"""Rate of the motion model: the library moves a box by one step per update, however much time has passed."""
_NANOSECONDS = 1_000_000_000
_UPDATE_GAIN = 0.25


class ByteTracker:
    """Assigns track ids to the boxes of one class over time.

    Kalman filters with constant velocity predict each box. Detections are assigned to predictions by IoU: first those
    with high scores, then those with low scores.

    Args:
        track_activation_threshold: minimum score of a box to start a track, [0, 1]; lower scores only continue one.
        min_iou: minimum IoU of a box and a prediction, (0, 1].
        lost_timeout: seconds for which a track is predicted without a detection before it is dropped.
        margin: fraction of its width and height by which a box is expanded on each side before matching. Small boxes
            such as faces move by their own size between two frames (C-BIoU: Yang et al., 2023, arXiv:2211.14317).
    """

    def __init__(
        self, *, track_activation_threshold: float, min_iou: float, lost_timeout: float, margin: float = 0.0
    ) -> None:
        self._byte_track = ByteTrack(
            track_activation_threshold, min_iou, _UPDATE_GAIN, round(lost_timeout * _NANOSECONDS)
        )
        self._lost_timeout = lost_timeout
        self._margin = margin
        self._start: float | None = None
        self._step_number = 0
        self._last_update = 0.0
        self._ids: dict[str, int] = {}
        self._offsets: dict[int, NDArray[np.float32]] = {}
        self._filtered: dict[int, NDArray[np.float32]] = {}
        self._motions: dict[int, NDArray[np.float32]] = {}
        self._next_id = itertools.count(1)

    def update(self, boxes: NDArray[np.float32], scores: NDArray[np.float32], time: float) -> NDArray[np.int64]:
        """Assign the detections of a frame to tracks.

        Args:
            boxes: ``(n, 4)``, xyxy pixels. Boxes that are empty or not finite are ignored.
            scores: ``(n,)`` in [0, 1].
            time: seconds, never decreasing.

        Returns:
            A track id for each box, counted from 1; -1 for a box that matches no track and scores too low to start one.
        """
        time = self._advance(time)
        step_number, updated = int(time * _STEPS_PER_SECOND), int(self._last_update * _STEPS_PER_SECOND)
        self._last_update = time
        ids = np.full(len(boxes), -1, np.int64)
        usable = np.flatnonzero(np.isfinite(boxes).all(1) & (boxes[:, 2:] > boxes[:, :2]).all(1))
        uuids = self._step(_expanded(boxes[usable], self._margin), scores[usable], time)
        self._step_number = step_number
        for index, uuid in zip(usable, uuids, strict=True):
            if uuid is not None:
                if uuid not in self._ids:
                    self._ids[uuid] = next(self._next_id)
                ids[index] = self._ids[uuid]
        before, filtered = self._filtered, self._filtered_boxes()
        steps = max(1, step_number - updated)
        self._motions = {
            each: ((box - before[each]) / steps).astype(np.float32) for each, box in filtered.items() if each in before
        }
        self._filtered = filtered
        for index in np.flatnonzero(ids > 0):
            self._offsets[int(ids[index])] = boxes[index] - filtered[int(ids[index])]
        self._offsets = {track_id: offset for track_id, offset in self._offsets.items() if track_id in filtered}
        return ids

    def predict(self, time: float) -> dict[int, NDArray[np.float32]]:
        """Predict the box ``(4,)`` of every active track at ``time``, by track id. No track is dropped.

        The last step is added to the boxes but not taken: an update at the same time takes it.
        """
        time = self._advance(time)
        pending = max(0, int(time * _STEPS_PER_SECOND) - self._step_number)
        return {
            track_id: box + self._offsets[track_id] + pending * self._motions.get(track_id, _NO_MOTION)
            for track_id, box in self._filtered_boxes().items()
        }

    def _filtered_boxes(self) -> dict[int, NDArray[np.float32]]:
        """The box of each active track according to its filter, which lags behind; forget the ids of dropped tracks."""
        active = {each.info.uuid: each.info.tracked_location for each in self._byte_track.get_active_tracks()}
        self._ids = {uuid: track_id for uuid, track_id in self._ids.items() if uuid in active}
        shrink = -self._margin / (1 + 2 * self._margin)
        return {track_id: _expanded(np.array(active[uuid], np.float32), shrink) for uuid, track_id in self._ids.items()}

    def _advance(self, time: float) -> float:
        """Run the motion model up to the last step before ``time``. No track is dropped.

        Returns:
            Seconds since the first call.
        """
        if self._start is None:
            self._start = time
        time -= self._start
        last = int(time * _STEPS_PER_SECOND) - 1
        steps = min(last - self._step_number, int(self._lost_timeout * _STEPS_PER_SECOND) + 1)
        for _ in range(steps):
            self._step(_NO_BOXES, _NO_SCORES, self._last_update)
        self._step_number = max(self._step_number, last)
        return time

    def _step(self, boxes: NDArray[np.float32], scores: NDArray[np.float32], time: float) -> list[str | None]:
        tracks = self._byte_track.update(
            np.ascontiguousarray(boxes, np.float32),
            np.ascontiguousarray(scores, np.float32),
            np.zeros(len(boxes), np.uintp),
            round(time * _NANOSECONDS),
        )
        return [None if track is None else track.uuid for track in tracks]


_NO_BOXES = np.empty((0, 4), np.float32)
_NO_SCORES = np.empty(0, np.float32)
_NO_MOTION = np.zeros(4, np.float32)


def _expanded(boxes: NDArray[np.float32], margin: float) -> NDArray[np.float32]:
    """Boxes ``(..., 4)`` expanded by a fraction of their size on each side; shrunk if it is negative."""
    sides = margin * (boxes[..., 2:] - boxes[..., :2])
    return np.concatenate((boxes[..., :2] - sides, boxes[..., 2:] + sides), axis=-1).astype(np.float32)
