"""The order in which what waits is served."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from facet.server.scheduling.aging_queue import WaitingLine

SECONDS = st.integers(0, 20).map(float)


def test_equals_are_served_as_they_came() -> None:
    line: WaitingLine[str] = WaitingLine()
    for item in "abc":
        line.join(item, 1.0, 0.0)
    assert [line.take() for _ in range(4)] == ["a", "b", "c", None]


def test_who_has_a_handicap_lets_the_younger_by_only_for_so_long() -> None:
    line: WaitingLine[str] = WaitingLine()
    line.join("batch", 0.0, 2.0)
    line.join("live", 1.9, 0.0)
    line.join("late", 2.1, 0.0)
    assert list(line) == ["live", "batch", "late"]


def test_who_leaves_is_gone_and_may_leave_again() -> None:
    line: WaitingLine[str] = WaitingLine()
    for item in "abc":
        line.join(item, 0.0, 0.0)
    line.leave("b")
    line.leave("b")
    assert list(line) == ["a", "c"]


@given(st.lists(st.tuples(SECONDS, SECONDS)), SECONDS, SECONDS)
def test_who_is_ahead_is_who_is_served_before(
    others: list[tuple[float, float]], arrival: float, handicap: float
) -> None:
    line: WaitingLine[int] = WaitingLine()
    for item, (came, stands_back) in enumerate(others):
        line.join(item, came, stands_back)
    ahead = line.ahead(arrival, handicap)
    line.join(-1, arrival, handicap)
    served = [line.take() for _ in range(len(line))]
    assert served[: served.index(-1)] == ahead
