"""Faces for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from recognizer.faces import Faces


@pytest.fixture(scope="session")
def faces() -> Callable[..., Faces]:
    """Make faces from boxes, with falling scores unless they are given, and all landmarks at 0."""

    def make(boxes: Sequence[Sequence[float]], scores: Sequence[float] | None = None) -> Faces:
        count = len(boxes)
        falling = np.linspace(0.9, 0.5, count) if scores is None else scores
        return Faces(np.array(boxes, np.float32), np.zeros((count, 5, 2), np.float32), np.array(falling, np.float32))

    return make
