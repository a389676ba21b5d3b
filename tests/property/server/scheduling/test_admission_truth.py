"""What the workers promise in refusals and admissions, in virtual time."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from facet.server.errors import AdmissionRefused
from facet.server.scheduling.work import Priority, Work
from facet.server.scheduling.workers import Workers
from tests.property.server.scheduling.virtual_time import Task, now, simulate

SECONDS = {"short": 0.05, "middle": 0.2, "long": 0.7}
KINDS = st.sampled_from(sorted(SECONDS))
PRIORITIES = st.sampled_from([Priority.LIVE, Priority.ENROLLMENT])
QUEUED = st.lists(st.tuples(KINDS, PRIORITIES, st.sampled_from("ab")), max_size=12)


async def learn(workers: Workers) -> None:
    """Teach the costs so well that hardly any margin is left."""
    for _ in range(25):
        for kind, seconds in SECONDS.items():
            await workers.run(Work(kind=kind), Task(seconds))


async def occupy(workers: Workers, queued: list[tuple[str, Priority, str]], after: float) -> list[asyncio.Task[None]]:
    """Fill the threads and the queue, then let some time pass."""
    running = [("long", Priority.LIVE, "a")] * workers.threads
    sent = [
        asyncio.create_task(workers.run(Work(kind=kind, priority=priority, caller=caller), Task(SECONDS[kind])))
        for kind, priority, caller in [*running, *queued]
    ]
    await asyncio.sleep(after)
    return sent


@settings(deadline=None, max_examples=60)
@given(
    threads=st.integers(1, 3),
    max_queue=st.integers(0, 8),
    queued=QUEUED,
    after=st.floats(0, 0.6),
    kind=KINDS,
    priority=PRIORITIES,
    timeout=st.one_of(st.none(), st.floats(0.1, 3.0)),
    jitter=st.floats(0, 0.99),
)
def test_a_request_that_comes_back_when_it_was_told_to_is_admitted(
    threads: int,
    max_queue: int,
    queued: list[tuple[str, Priority, str]],
    after: float,
    kind: str,
    priority: Priority,
    timeout: float | None,
    jitter: float,
) -> None:
    async def scenario(workers: Workers) -> None:
        def again() -> Work:
            return Work(kind=kind, priority=priority, caller="b", deadline=timeout and now() + timeout)

        await learn(workers)
        sent = await occupy(workers, queued, after)
        try:
            await workers.run(again(), Task(SECONDS[kind]))
        except AdmissionRefused as refused:
            await asyncio.sleep((refused.retry_seconds or 0.0) + 1e-6)
            await workers.run(again(), Task(SECONDS[kind]))
        await asyncio.gather(*sent, return_exceptions=True)

    simulate(scenario, threads=threads, max_queue=max_queue, jitter=lambda: jitter)


@settings(deadline=None, max_examples=60)
@given(
    threads=st.integers(1, 3),
    arrivals=st.lists(st.tuples(st.floats(0, 0.2), KINDS, st.sampled_from("ab"), st.floats(0.1, 3.0)), max_size=30),
)
def test_what_costs_as_much_as_expected_is_in_time_or_refused(
    threads: int, arrivals: list[tuple[float, str, str, float]]
) -> None:
    async def scenario(workers: Workers) -> None:
        await learn(workers)

        async def one(kind: str, caller: str, patience: float) -> None:
            deadline, waited = now() + patience, workers.busy == workers.threads
            try:
                await workers.run(Work(kind=kind, caller=caller, deadline=deadline), Task(SECONDS[kind]))
            except AdmissionRefused:
                assert now() < deadline, "it is refused while its client still waits"
            else:
                assert now() <= deadline or not waited, "a free thread takes any request"

        sent = []
        for pause, kind, caller, patience in arrivals:
            await asyncio.sleep(pause)
            sent.append(asyncio.create_task(one(kind, caller, patience)))
        await asyncio.gather(*sent)

    simulate(scenario, threads=threads, max_queue=16)
