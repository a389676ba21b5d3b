"""Wilson's interval of a share."""

from __future__ import annotations

import math

import pytest

from gallery.intervals import wilson


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (1, 10), (2.5, 7), (997, 1000), (4, 4)])
def test_a_true_share_at_either_end_would_miss_the_measured_one_by_196_of_its_own_deviations(
    hits: float, trials: int
) -> None:
    share = hits / trials
    for end in wilson(hits, trials):
        assert abs(share - end) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / trials), abs=1e-4)
