"""Wilson's interval of a share."""

from __future__ import annotations

import math

_Z = 1.959963984540054
"""95 % of a normal distribution lie within this many standard deviations."""


def wilson(hits: float, trials: int) -> tuple[float, float]:
    """Return both ends of the 95 % score interval (Wilson 1927) of a share of independent trials.

    Args:
        hits: successful trials, 0 to ``trials``; an expected number need not be whole.
        trials: at least 1.
    """
    share = hits / trials
    middle = share + _Z**2 / (2 * trials)
    half = _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    scale = 1 + _Z**2 / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
