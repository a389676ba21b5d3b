"""The forecast of the queue, compared with a simulation tick by tick."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from facet.server.scheduling.forecast import start_times

TICKS = st.integers(0, 12)


def tick_by_tick(free: list[int], costs: list[int]) -> list[int]:
    """The starts of tasks in order: at every tick, each free thread takes the next one until it gets one that lasts."""
    left, waiting, starts, tick = list(free), list(costs), [], 0
    while waiting:
        for thread in range(len(left)):
            while waiting and left[thread] == 0:
                starts.append(tick)
                left[thread] = waiting.pop(0)
        left = [max(0, each - 1) for each in left]
        tick += 1
    return starts


@given(st.lists(TICKS, min_size=1, max_size=4), st.lists(TICKS, max_size=20))
def test_the_forecast_is_what_happens_tick_by_tick(free: list[int], costs: list[int]) -> None:
    assert list(start_times(free, costs)) == tick_by_tick(free, costs)


@given(st.lists(TICKS, min_size=1, max_size=4), st.lists(TICKS, max_size=20), st.integers(0, 20))
def test_what_comes_last_does_not_change_the_start_of_what_is_ahead(
    free: list[int], costs: list[int], last: int
) -> None:
    assert list(start_times(free, [*costs, last]))[:-1] == list(start_times(free, costs))
