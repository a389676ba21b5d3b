"""Where a stream shows another scene from one frame to the next: nothing in it continues what was there before."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE = (32, 18)
_SAMPLED = 96
"""About so many lines of a picture are looked at."""
_BINS = 6
_MAX_CORRELATION = 0.5
_MAX_COMMON = 0.92


class CutDetector:
    """Compares neighbouring frames: a cut is where neither the places nor the amounts of the colours are the same.

    When a camera is swung round, thumbnails correlate as little as after a cut (0.5 and less), but the colours stay:
    their histograms have 0.93 and more in common (Swain and Ballard, 1991), before and after cuts of one event 0.8 to
    0.9. A picture of another size is a cut.
    """

    def __init__(self) -> None:
        self._before: _Summary | None = None

    def is_cut(self, picture: NDArray[np.uint8]) -> bool:
        """Whether a frame begins another scene than the frame before; the first one begins none.

        Args:
            picture: BGR ``(h, w, 3)``.
        """
        before, now = self._before, _Summary.of(picture)
        self._before = now
        if before is None:
            return False
        if before.shape != now.shape:
            return True
        common = float(np.minimum(before.colours, now.colours).sum())
        return common < _MAX_COMMON and _correlation(before.thumbnail, now.thumbnail) < _MAX_CORRELATION


@dataclass(frozen=True, slots=True)
class _Summary:
    shape: tuple[int, ...]
    thumbnail: NDArray[np.float32]
    colours: NDArray[np.float32]

    @staticmethod
    def of(picture: NDArray[np.uint8]) -> _Summary:
        step = max(1, picture.shape[0] // _SAMPLED)
        sampled = np.ascontiguousarray(picture[::step, ::step])
        grey = cv2.resize(cv2.cvtColor(sampled, cv2.COLOR_BGR2GRAY), _SIZE, interpolation=cv2.INTER_AREA)
        colours = cv2.calcHist([sampled], [0, 1, 2], None, [_BINS] * 3, [0, 256] * 3)
        return _Summary(picture.shape, grey.astype(np.float32), colours / (sampled.shape[0] * sampled.shape[1]))


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Pearson's, in [-1, 1]; 0 where one of them is flat."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / scale if scale > 0 else 0.0
