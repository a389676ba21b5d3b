"""The exact test of a paired difference."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

from facet.evaluation.comparison.sign_test import sign_test


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (0, 5), (0, 6), (3, 9), (7, 7), (20, 41)])
def test_with_one_trial_of_each_person_it_is_the_test_of_mcnemar(only_first: int, only_second: int) -> None:
    count, fewer = only_first + only_second, min(only_first, only_second)
    mcnemar = min(1.0, 2 * sum(comb(count, hits) for hits in range(fewer + 1)) / 2**count)
    differences = np.array([-1] * only_first + [1] * only_second + [0] * 100, np.int64)
    assert sign_test(differences) == pytest.approx(mcnemar)


def test_several_trials_of_a_person_count_together() -> None:
    differences = np.array([4, 3, -1, 2, 0, 1], np.int64)
    sums = [abs(int(np.dot(signs, differences))) for signs in product((-1, 1), repeat=len(differences))]
    expected = np.mean([total >= abs(differences.sum()) for total in sums])
    assert sign_test(differences) == pytest.approx(expected)
    assert sign_test(np.array([9], np.int64)) == 1, "one person alone says nothing"
