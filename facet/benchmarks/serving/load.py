"""Load on a server from a separate process: closed loops of clients, and requests at a fixed rate."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from facet import AsyncClient, DeadlineExceeded, FacetError
from facet.benchmarks.timing import observed_percentile
from facet.client.requests import identify_request
from facet.v1.gallery_service_pb2 import SearchEmbeddingRequest
from facet.v1.recognition_service_pb2 import IdentifyRequest

Arrivals = Literal["even", "poisson"]
Request: TypeAlias = IdentifyRequest | SearchEmbeddingRequest

LATE = "LATE"
"""Outcome of a request that was neither refused nor answered by its deadline."""

_SECONDS_AFTER_REFUSAL = 0.05
"""Pause of a closed loop's client after a refusal."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, with times in seconds from the start of the load.

    Attributes:
        due: when it should be sent.
        sent: when it was sent.
        end: when it was answered or given up.
        outcome: empty if it was answered in time, :data:`LATE`, or the reason of a refusal.
    """

    due: float
    sent: float
    end: float
    outcome: str


@dataclass(frozen=True, slots=True)
class Point:
    """Result of one load.

    Attributes:
        offered_per_s: requests due per second.
        goodput_per_s: requests answered in time, per second.
        sent: number of requests.
        answered: number answered in time.
        late: number neither refused nor answered by the deadline.
        refused: number refused, by reason.
        p50_ms: median time from when a request was due to its answer, of those answered in time; ``None`` without any.
        p95_ms: 95th percentile.
        p99_ms: 99th percentile.
        lag_p99_ms: 99th percentile of the time by which the generator itself sent late.
        generator_cores: processor time that the generator took, in cores: what it takes from a server on the same
            machine.
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
    generator_cores: float = 0.0

    @property
    def late_share(self) -> float:
        """Share of the requests that were neither refused nor answered by the deadline."""
        return round(self.late / self.sent, 4) if self.sent else 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """What happened to the requests of one load.

    Attributes:
        calls: all of them.
        seconds: duration in which they were due.
        processor_seconds: processor time of the generator.
    """

    calls: Sequence[Call]
    seconds: float
    processor_seconds: float = 0.0


def schedule(rate: float, seconds: float, arrivals: Arrivals, seed: int = 0) -> NDArray[np.float64]:
    """Times at which requests are due.

    Args:
        rate: requests per second.
        seconds: duration of the load.
        arrivals: evenly spaced, or a Poisson process.
        seed: of the Poisson process.

    Returns:
        Rising seconds below ``seconds``, shape ``(n,)``; evenly spaced arrivals have at least one.
    """
    if arrivals == "even":
        return np.arange(max(1, round(rate * seconds))) / rate
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1 / rate, size=int(2 * rate * seconds) + 20)
    due: NDArray[np.float64] = gaps.cumsum()
    return due[due < seconds]


def summary(calls: Sequence[Call], seconds: float) -> Point:
    """Summarise one load whose calls were due within this many seconds; see :func:`pooled`."""
    return pooled([Load(calls, seconds)])


def pooled(loads: Sequence[Load]) -> Point:
    """Summarise loads at the same rate.

    Latency counts from the time a request was due, not from the time a delayed generator sent it. Otherwise a slow
    server receives fewer requests and appears faster than it is ("coordinated omission", Tene 2013). Goodput counts
    until the last answer, because requests that wait when the load ends are answered after it.
    """
    calls = [each for load in loads for each in load.calls]
    good = [each for each in calls if not each.outcome]
    offered_for = sum(load.seconds for load in loads)
    lasted = sum(max([load.seconds, *(each.end for each in load.calls if not each.outcome)]) for load in loads)
    waits = [(each.end - each.due) * 1e3 for each in good]
    lags = [(each.sent - each.due) * 1e3 for each in calls]
    refused = Counter(each.outcome for each in calls if each.outcome not in ("", LATE))
    return Point(
        offered_per_s=round(len(calls) / offered_for, 2),
        goodput_per_s=round(len(good) / lasted, 2),
        sent=len(calls),
        answered=len(good),
        late=sum(each.outcome == LATE for each in calls),
        refused=dict(sorted(refused.items())),
        p50_ms=observed_percentile(waits, 50),
        p95_ms=observed_percentile(waits, 95),
        p99_ms=observed_percentile(waits, 99),
        lag_p99_ms=observed_percentile(lags, 99) or 0.0,
        generator_cores=round(sum(load.processor_seconds for load in loads) / lasted, 3),
    )


class LoadProcess:
    """A process that sends the same request again and again. It shares the machine's cores with the server.

    Args:
        address: of the server.
        gallery_id: gallery to search.
    """

    def __init__(self, address: str, gallery_id: str) -> None:
        self._address, self._gallery_id = address, gallery_id
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def closed(self, data: bytes, clients: int, seconds: float) -> Point:
        """Run a closed loop of Identify; see :meth:`closed_of`.

        Args:
            data: encoded picture.
            clients: number of simultaneous clients.
            seconds: duration.
        """
        return self.closed_of(identify_request(self._gallery_id, data), clients, seconds)

    def closed_of(self, request: Request, clients: int, seconds: float) -> Point:
        """Run a closed loop: each client sends its next request when the last one is answered.

        Args:
            request: what they send.
            clients: number of simultaneous clients.
            seconds: duration.
        """
        return pooled([self._process.submit(_closed, self._address, request, clients, seconds).result()])

    def at_rate(self, data: bytes, rate: float, seconds: float, deadline: float, arrivals: Arrivals) -> Load:
        """Run an open loop: requests are sent when they are due, whether earlier ones are answered or not.

        Args:
            data: encoded picture.
            rate: requests per second.
            seconds: duration.
            deadline: seconds from when a request is due until its answer is late.
            arrivals: spacing of the requests.
        """
        request = identify_request(self._gallery_id, data)
        due = schedule(rate, seconds, arrivals).tolist()
        return self._process.submit(_open, self._address, request, due, seconds, deadline).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.shutdown(cancel_futures=True)


def _closed(address: str, request: Request, clients: int, seconds: float) -> Load:
    async def run(client: AsyncClient) -> Load:
        start, processor = time.perf_counter(), time.process_time()
        calls: list[Call] = []

        async def repeat() -> None:
            while (sent := time.perf_counter() - start) < seconds:
                outcome = await _outcome(_sent(client, request))
                calls.append(Call(sent, sent, time.perf_counter() - start, outcome))
                if outcome:
                    await asyncio.sleep(_SECONDS_AFTER_REFUSAL)

        await asyncio.gather(*(repeat() for _ in range(clients)))
        return Load(calls, seconds, time.process_time() - processor)

    return asyncio.run(_connected(address, request, run))


def _open(address: str, request: IdentifyRequest, schedule: Iterable[float], seconds: float, deadline: float) -> Load:
    async def run(client: AsyncClient) -> Load:
        start, processor = time.perf_counter(), time.process_time()

        async def send(due: float) -> Call:
            sent = time.perf_counter() - start
            outcome = LATE
            if (left := due + deadline - sent) > 0:
                outcome = await _outcome(client.recognition.Identify(request, timeout=left))
            end = time.perf_counter() - start
            return Call(due, sent, end, LATE if not outcome and end > due + deadline else outcome)

        sending = []
        for due in schedule:
            await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)))
            sending.append(asyncio.create_task(send(due)))
        calls = await asyncio.gather(*sending)
        return Load(calls, seconds, time.process_time() - processor)

    return asyncio.run(_connected(address, request, run))


async def _connected(address: str, request: Request, run: Callable[[AsyncClient], Awaitable[Load]]) -> Load:
    """Run with a client that is connected and has had one answer."""
    async with AsyncClient(address) as client:
        await _sent(client, request)
        return await run(client)


def _sent(client: AsyncClient, request: Request) -> Awaitable[object]:
    if isinstance(request, SearchEmbeddingRequest):
        return client.galleries.SearchEmbedding(request)
    return client.recognition.Identify(request)


async def _outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except DeadlineExceeded:
        return LATE
    except FacetError as error:
        return error.reason or error.code.name
    return ""
