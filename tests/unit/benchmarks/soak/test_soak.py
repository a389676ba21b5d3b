"""Whether figures stay flat, computed from readings."""

from __future__ import annotations

import pytest

from facet.benchmarks.soak.growth import growth
from facet.benchmarks.soak.soak import parts, summary
from facet.benchmarks.watched_server import Sample

STEPS = range(100, 1100, 100)


def test_a_steady_rise_has_its_slope_and_its_growth() -> None:
    found = growth(STEPS, [500 + each / 100 for each in STEPS])
    assert found.per_1000 == pytest.approx(10)
    assert (found.start, found.end, found.total) == (501.5, 509.5, 8.0)


def test_a_single_high_reading_is_no_growth() -> None:
    values = [500.0] * 10
    values[7] = 900.0
    assert growth(STEPS, values).total == 0


def test_one_reading_has_no_slope() -> None:
    assert growth([1], [5.0]).per_1000 == 0


@pytest.mark.parametrize(("requests", "streams"), [(20_000, 10_000), (50, 0), (101, 7)])
def test_parts_are_equal_and_make_up_the_load(requests: int, streams: int) -> None:
    divided = list(parts(requests, streams))
    assert (sum(each for each, _ in divided), sum(each for _, each in divided)) == (requests, streams)
    assert max(each for each, _ in divided) - min(each for each, _ in divided) <= 1


def soaked(*megabytes: float, outcomes: dict[str, int] | None = None) -> list[str]:
    readings = [Sample(float(at), each, 40, 25) for at, each in enumerate(megabytes)]
    return summary(50, 50, outcomes or {"OK": 100}, range(len(readings)), readings, 0, 0).missed()


def test_the_warm_up_is_not_counted() -> None:
    assert soaked(100, 500, *[800] * 8) == []
    assert soaked(*[800] * 5, *[900] * 5) == ["memory"]


def test_answers_that_nobody_deserves_are_missed() -> None:
    refused = {"OK": 90, "INVALID_ARGUMENT INVALID_PICTURE": 10}
    assert soaked(*[800] * 10, outcomes=refused) == []
    assert soaked(*[800] * 10, outcomes=refused | {"UNAVAILABLE": 1}) == ["unexpected answers"]
