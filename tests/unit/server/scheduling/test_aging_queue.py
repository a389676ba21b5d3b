"""The order of the aging queue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from facet.server.scheduling.aging_queue import AgingQueue

SECONDS = st.integers(0, 20).map(float)


def test_equal_items_are_served_in_order_of_arrival() -> None:
    queue: AgingQueue[str] = AgingQueue()
    for item in "abc":
        queue.push(item, 1.0, 0.0)
    assert [queue.pop() for _ in range(4)] == ["a", "b", "c", None]


def test_an_item_yields_to_younger_ones_only_within_its_handicap() -> None:
    queue: AgingQueue[str] = AgingQueue()
    queue.push("batch", 0.0, 2.0)
    queue.push("live", 1.9, 0.0)
    queue.push("late", 2.1, 0.0)
    assert list(queue) == ["live", "batch", "late"]


def test_removing_an_item_twice_is_harmless() -> None:
    queue: AgingQueue[str] = AgingQueue()
    for item in "abc":
        queue.push(item, 0.0, 0.0)
    queue.remove("b")
    queue.remove("b")
    assert list(queue) == ["a", "c"]


@given(st.lists(st.tuples(SECONDS, SECONDS)), SECONDS, SECONDS)
def test_the_items_ahead_are_those_served_before(
    others: list[tuple[float, float]], arrival: float, handicap: float
) -> None:
    queue: AgingQueue[int] = AgingQueue()
    for item, (arrived, held_back) in enumerate(others):
        queue.push(item, arrived, held_back)
    ahead = queue.ahead_of(arrival, handicap)
    queue.push(-1, arrival, handicap)
    served = [queue.pop() for _ in range(len(queue))]
    assert served[: served.index(-1)] == ahead
