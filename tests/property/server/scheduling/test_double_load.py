"""Twice as many requests as the workers can bear, in virtual time: goodput stays, and nothing is answered late."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from facet.server.errors import AdmissionRefused
from facet.server.scheduling.work import Work
from facet.server.scheduling.workers import Workers
from tests.property.server.scheduling.virtual_time import Task, now, simulate

DEADLINE, SECONDS = 1.0, 8.0
WIRE = 0.004
"""Longest way of a request or an answer, seconds."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("threads", "alone", "contention", "spread"),
    [
        (2, 0.032, 0.78, 0.15),
        (2, 0.016, 0.78, 0.15),
        (2, 0.043, 0.2, 0.15),
        (2, 0.032, 0.78, 0.3),
        (16, 0.02, 0.9, 0.15),
    ],
)
def test_at_double_load_the_workers_answer_what_they_can_and_nothing_late(
    threads: int, alone: float, contention: float, spread: float, seed: int
) -> None:
    rng, outcomes = random.Random(seed), Counter[str]()
    capacity = threads / (alone * (1 + contention * (threads - 1)))
    last = 0.0

    async def scenario(workers: Workers) -> None:
        start = now()

        async def one() -> None:
            nonlocal last
            due = now()
            await asyncio.sleep(rng.uniform(0.001, WIRE))
            # The slower half of the machine's pace comes and goes every second.
            pace = 1.0 + 0.25 * (int(now() - start) % 2)
            task = Task(alone * pace * rng.lognormvariate(-(spread**2) / 2, spread))
            try:
                await workers.run(Work(kind="Identify", deadline=due + DEADLINE), task)
                await asyncio.sleep(rng.uniform(0.001, WIRE))
                in_time = now() <= due + DEADLINE
                outcomes["answered" if in_time else "late"] += 1
                last = now() - start
            except AdmissionRefused:
                outcomes["refused" if now() <= due + DEADLINE else "late"] += 1

        sent = []
        for number in range(int(2 * capacity * SECONDS)):
            await asyncio.sleep(max(0.0, start + number / (2 * capacity) - now()))
            sent.append(asyncio.create_task(one()))
        await asyncio.gather(*sent)

    simulate(scenario, threads=threads, max_queue=32, contention=contention)
    pace = 1.125  # on average
    assert outcomes["late"] <= 0.01 * outcomes.total()
    assert outcomes["answered"] / last >= 0.93 * capacity / pace
