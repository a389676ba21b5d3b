"""The order of the fair queue."""

from __future__ import annotations

from facet.server.scheduling.fair_queue import FairQueue


def push(
    queue: FairQueue[str],
    item: str,
    *,
    caller: str = "",
    arrival: float = 0.0,
    handicap: float = 0.0,
    cost: float = 1.0,
) -> None:
    queue.push(item, caller=caller, arrival=arrival, handicap=handicap, cost=cost)


def serve(queue: FairQueue[str], now: float = 0.0) -> list[str]:
    served = []
    while (item := queue.first(now)) is not None:
        queue.take(item)
        served.append(item)
    return served


def test_equal_items_are_served_in_order_of_arrival() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in "abc":
        push(queue, item)
    assert len(queue) == 3
    assert serve(queue) == ["a", "b", "c"]
    assert len(queue) == 0


def test_an_item_yields_to_more_urgent_ones_only_until_it_has_waited_for_its_handicap() -> None:
    queue: FairQueue[str] = FairQueue()
    push(queue, "batch", handicap=2.0)
    push(queue, "live", arrival=1.9)
    push(queue, "late", arrival=2.1)
    assert queue.order(now=1.95) == ["live", "late", "batch"]
    assert queue.order(now=2.2) == ["live", "batch", "late"]


def test_callers_take_turns_whatever_one_of_them_has_queued() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(4):
        push(queue, f"a{number}", caller="a")
    for number in range(2):
        push(queue, f"b{number}", caller="b", arrival=1.0)
    assert serve(queue, now=1.0) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_shares_are_measured_in_seconds_and_not_in_items() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        push(queue, f"large{number}", caller="a", cost=4.0)
    for number in range(8):
        push(queue, f"small{number}", caller="b", cost=1.0)
    order = serve(queue)
    assert order[:2] == ["large0", "small0"]
    assert order.index("large1") == 5, "four small ones cost as much as a large one"


def test_a_caller_that_was_idle_is_next_and_does_not_make_up_for_its_absence() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(6):
        push(queue, f"a{number}", caller="a")
    for item in ("a0", "a1", "a2"):
        queue.take(item)
    for number in range(3):
        push(queue, f"b{number}", caller="b", arrival=1.0)
    assert serve(queue, now=1.0) == ["b0", "a3", "b1", "a4", "b2", "a5"]


def test_a_low_priority_that_has_waited_does_not_let_a_flood_pass_another_caller() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(4):
        push(queue, f"a{number}", caller="a", handicap=0.5)
    queue.take("a0")
    push(queue, "b", caller="b", arrival=9.0)
    assert queue.first(now=9.0) == "b"


def test_callers_take_turns_whose_items_have_waited_and_whose_have_not() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(4):
        push(queue, f"a{number}", caller="a", handicap=0.5)
    queue.take("a0")
    for number in range(2):
        push(queue, f"b{number}", caller="b", arrival=9.0, handicap=0.5)
    assert queue.order(now=9.0) == ["b0", "a1", "b1", "a2", "a3"]
    assert serve(queue, now=9.0) == ["b0", "a1", "b1", "a2", "a3"]


def test_a_turn_that_waiting_has_earned_goes_to_the_same_priority_only() -> None:
    queue: FairQueue[str] = FairQueue()
    push(queue, "old", caller="a", handicap=0.5)
    push(queue, "new", caller="b", arrival=9.0, handicap=0.5)
    push(queue, "batch", caller="c", arrival=9.0, handicap=2.0)
    push(queue, "live", caller="d", arrival=9.0)
    push(queue, "later", caller="d", arrival=9.0)
    assert serve(queue, now=9.0) == ["old", "live", "later", "new", "batch"]


def test_an_item_that_took_longer_than_expected_counts_against_its_caller() -> None:
    queue: FairQueue[str] = FairQueue()
    for caller in "ab":
        for number in range(3):
            push(queue, f"{caller}{number}", caller=caller)
    queue.take("a0")
    queue.correct("a", 2.0)
    assert serve(queue) == ["b0", "b1", "b2", "a1", "a2"]


def test_an_item_that_is_removed_costs_its_caller_nothing() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        push(queue, f"a{number}", caller="a")
    push(queue, "b", caller="b", arrival=1.0)
    assert queue.remove("a0")
    assert not queue.remove("a0")
    assert serve(queue, now=1.0) == ["a1", "b", "a2"]


def test_callers_without_cost_take_turns_too() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(3):
        push(queue, f"a{number}", caller="a", cost=0.0)
    push(queue, "b", caller="b", arrival=1.0, cost=0.0)
    assert serve(queue, now=1.0) == ["a0", "b", "a1", "a2"]


def test_what_is_remembered_does_not_grow_with_the_number_of_callers() -> None:
    queue: FairQueue[str] = FairQueue()
    push(queue, "waits", caller="patient", handicap=1e9)
    for number in range(10_000):
        push(queue, "item", caller=str(number))
        queue.take("item")
        queue.take("waits")
        push(queue, "waits", caller="patient", handicap=1e9)
    assert len(queue._tags) < 1000
