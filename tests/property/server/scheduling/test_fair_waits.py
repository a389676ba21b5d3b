"""How long one caller waits while another one floods the workers, in virtual time."""

from __future__ import annotations

import asyncio
from functools import partial

from hypothesis import example, given, settings
from hypothesis import strategies as st

from facet.server.errors import QueueFull
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from tests.property.server.scheduling.virtual_time import Task, now, simulate

COSTS = st.floats(0.01, 0.5)


@example(threads=1, flood=[0.25] * 4, own=0.25, pauses=[0.0, 0.0], priority=Priority.ENROLLMENT)
@settings(deadline=None, max_examples=20)
@given(
    threads=st.integers(1, 4),
    flood=st.lists(COSTS, min_size=4, max_size=10),
    own=COSTS,
    pauses=st.lists(st.floats(0, 0.5), min_size=1, max_size=6),
    priority=st.sampled_from([Priority.LIVE, Priority.ENROLLMENT]),
)
def test_a_flood_delays_another_caller_by_at_most_a_few_of_its_requests(
    threads: int, flood: list[float], own: float, pauses: list[float], priority: Priority
) -> None:
    waits: list[float] = []

    async def scenario(workers: Workers) -> None:
        ended = False

        def begun(arrival: float) -> None:
            waits.append(now() - arrival)

        async def flooding(number: int) -> None:
            while not ended:
                for cost in flood[number % len(flood) :]:
                    work = Work(kind="flood", caller="flood", priority=priority)
                    try:
                        await workers.run(work, Task(cost))
                    except QueueFull:
                        await asyncio.sleep(0.1)

        floods = [asyncio.create_task(flooding(number)) for number in range(12)]
        for pause in pauses:
            await asyncio.sleep(pause)
            arrival = now()
            work = Work(kind="own", caller="other", priority=priority)
            await workers.run(work, Task(own, partial(begun, arrival)))
        ended = True
        await asyncio.gather(*floods)

    simulate(scenario, threads=threads, max_queue=8)
    assert len(waits) == len(pauses), "none was refused"
    assert max(waits) <= 2 * max(*flood, own) + 1e-6


@settings(deadline=None, max_examples=8)
@given(large=st.floats(0.2, 0.6), small=st.floats(0.05, 0.1), threads=st.integers(1, 3))
def test_callers_that_always_have_work_get_equal_time(large: float, small: float, threads: int) -> None:
    taken = {"large": 0.0, "small": 0.0}
    seconds = {"large": large, "small": small}

    async def scenario(workers: Workers) -> None:
        async def sending(caller: str, until: float) -> None:
            def begun() -> None:
                taken[caller] += seconds[caller]

            while now() < until:
                work = Work(kind="Identify", caller=caller, pixels=2**20 if caller == "small" else 2**26)
                await workers.run(work, Task(seconds[caller], begun))

        until = now() + 50 * large
        await asyncio.gather(*(sending(caller, until) for caller in taken for _ in range(2 * threads)))

    simulate(scenario, threads=threads, max_queue=64)
    assert 0.8 < taken["small"] / taken["large"] < 1.25
