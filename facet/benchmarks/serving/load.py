"""Load on a server, made by a process of its own: closed loops of clients, and arrivals at a fixed rate."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from facet import AsyncClient, DeadlineExceeded, FacetError
from facet.client.requests import identify_request
from facet.v1.recognition_service_pb2 import IdentifyRequest

Arrivals = Literal["even", "poisson"]

LATE = "LATE"
"""What became of a request that was not refused, and not answered by its deadline."""

_PAUSE_AFTER_REFUSAL = 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a request.

    Attributes:
        due: when it was to be sent, seconds from the start.
        sent: when it was.
        end: when it was answered or given up.
        outcome: empty where it was answered in time, :data:`LATE`, or the reason of a refusal.
    """

    due: float
    sent: float
    end: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Point:
    """What a load came to.

    Attributes:
        offered_per_s: requests a second that were due.
        goodput_per_s: of these, answered in time.
        sent: requests.
        answered: in time.
        late: neither refused nor answered by the deadline.
        refused: how many, by reason.
        p50_ms: median from when a request was due to its answer, of those answered in time; ``None`` for none.
        p95_ms: the 95th percentile.
        p99_ms: the 99th.
        lag_p99_ms: by how much the generator itself sent too late, the 99th percentile.
    """

    offered_per_s: float
    goodput_per_s: float
    sent: int
    answered: int
    late: int
    refused: Mapping[str, int]
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    lag_p99_ms: float


def schedule(rate: float, seconds: float, arrivals: Arrivals, seed: int = 0) -> NDArray[np.float64]:
    """When requests are due, rising seconds below ``seconds``: evenly spaced, or as a Poisson process comes."""
    if arrivals == "even":
        return np.arange(max(1, round(rate * seconds))) / rate
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1 / rate, size=int(2 * rate * seconds) + 20)
    due: NDArray[np.float64] = gaps.cumsum()
    return due[due < seconds]


def summary(ended: Sequence[Ended], seconds: float) -> Point:
    """Sum up a load.

    Time counts from when a request was due, not from when a generator that was held up sent it: else whoever is slow
    is asked less, and its latency looks better than it is ("coordinated omission", Tene 2013). Goodput counts until
    the last answer, as what waits when the load ends is answered after it.

    Args:
        ended: all requests.
        seconds: for how long they were due.
    """
    good = [each for each in ended if not each.outcome]
    lasted = max([seconds, *(each.end for each in good)])
    waits = np.array([each.end - each.due for each in good]) * 1e3
    lags = np.array([each.sent - each.due for each in ended]) * 1e3
    refused = Counter(each.outcome for each in ended if each.outcome not in ("", LATE))
    return Point(
        offered_per_s=round(len(ended) / seconds, 2),
        goodput_per_s=round(len(good) / lasted, 2),
        sent=len(ended),
        answered=len(good),
        late=sum(each.outcome == LATE for each in ended),
        refused=dict(sorted(refused.items())),
        p50_ms=percentile(waits, 50),
        p95_ms=percentile(waits, 95),
        p99_ms=percentile(waits, 99),
        lag_p99_ms=percentile(lags, 99) or 0.0,
    )


class LoadProcess:
    """A process that sends Identify with one picture to a server. It shares the machine's cores with the server."""

    def __init__(self, address: str, gallery_id: str) -> None:
        self._address, self._gallery_id = address, gallery_id
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def closed(self, data: bytes, clients: int, seconds: float) -> Point:
        """So many clients, each of which sends the next request when it has the answer to the one before."""
        request = identify_request(self._gallery_id, data)
        return summary(self._process.submit(_closed, self._address, request, clients, seconds).result(), seconds)

    def at_rate(self, data: bytes, rate: float, seconds: float, deadline: float, arrivals: Arrivals) -> Point:
        """So many requests a second, whatever becomes of those before, each to be answered in ``deadline`` seconds."""
        request = identify_request(self._gallery_id, data)
        due = schedule(rate, seconds, arrivals).tolist()
        return summary(self._process.submit(_open, self._address, request, due, deadline).result(), seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.shutdown(cancel_futures=True)


def _closed(address: str, request: IdentifyRequest, clients: int, seconds: float) -> list[Ended]:
    async def run(client: AsyncClient) -> list[Ended]:
        start = time.perf_counter()
        ended: list[Ended] = []

        async def repeat() -> None:
            while (sent := time.perf_counter() - start) < seconds:
                outcome = await _outcome(client.recognition.Identify(request))
                ended.append(Ended(sent, sent, time.perf_counter() - start, outcome))
                if outcome:
                    await asyncio.sleep(_PAUSE_AFTER_REFUSAL)

        await asyncio.gather(*(repeat() for _ in range(clients)))
        return ended

    return asyncio.run(_connected(address, request, run))


def _open(address: str, request: IdentifyRequest, schedule: Iterable[float], deadline: float) -> list[Ended]:
    async def run(client: AsyncClient) -> list[Ended]:
        start = time.perf_counter()

        async def send(due: float) -> Ended:
            sent = time.perf_counter() - start
            outcome = LATE
            if (left := due + deadline - sent) > 0:
                outcome = await _outcome(client.recognition.Identify(request, timeout=left))
            end = time.perf_counter() - start
            return Ended(due, sent, end, LATE if not outcome and end > due + deadline else outcome)

        sending = []
        for due in schedule:
            await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)))
            sending.append(asyncio.create_task(send(due)))
        return await asyncio.gather(*sending)

    return asyncio.run(_connected(address, request, run))


async def _connected(
    address: str, request: IdentifyRequest, run: Callable[[AsyncClient], Awaitable[list[Ended]]]
) -> list[Ended]:
    """Run with a client that is connected and has been answered once."""
    async with AsyncClient(address) as client:
        await client.recognition.Identify(request)
        return await run(client)


async def _outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except DeadlineExceeded:
        return LATE
    except FacetError as error:
        return error.reason or error.code.name
    return ""


def percentile(values: NDArray[np.float64], percent: int) -> float | None:
    """By the nearest rank above: of few values the highest percentile is the largest."""
    return round(float(np.percentile(values, percent, method="higher")), 2) if len(values) else None
