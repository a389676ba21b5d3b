"""The exact test of a paired difference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sign_test(differences: NDArray[np.int64]) -> float:
    """The probability that chance alone gives a difference as large as this one, either way.

    If neither model is better, the sign of each person's difference is as likely plus as minus (Fisher's randomisation
    test for matched pairs). All combinations of signs are counted, so that the probability is exact. If nobody has more
    than one trial that only one model gets right, this is the exact test of McNemar (1947). More than one trial of a
    person are not independent, which McNemar's test would assume.

    Args:
        differences: of each person: trials that only the second model gets right, minus those that only the first one
            does, shape ``(people,)``.
    """
    steps = np.abs(differences[differences != 0])
    total = int(steps.sum())
    chances = np.zeros(2 * total + 1)
    chances[total] = 1.0
    for step in steps.tolist():
        chances = (np.roll(chances, step) + np.roll(chances, -step)) / 2
    far = np.abs(np.arange(-total, total + 1)) >= abs(int(differences.sum()))
    return min(1.0, float(chances[far].sum()))
