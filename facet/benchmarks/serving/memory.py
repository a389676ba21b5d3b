"""The memory of a server under mixed requests: all methods, pictures of all sizes, and what is no picture."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from facet import AsyncClient, FacetError, picture
from facet.benchmarks.serving.pictures import Sample
from facet.client.requests import identify_request, verify_request
from facet.terminal import console
from facet.terminal.local_server import LocalServer
from facet.v1.recognition_service_pb2 import AnalyzeFacesRequest, DetectRequest

OK = "OK"

_CLIENTS = 4
_FIRST = 1000
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the server's process, MiB.

    Attributes:
        requests: how many were sent, by four clients at a time.
        first_requests: how many of them before the second figure was taken.
        rss_mb_ready: before the first.
        rss_mb_start: after ``first_requests``.
        rss_mb_after: after all.
        growth: rss_mb_after / rss_mb_start - 1.
        answers: how many requests ended how, by the reason or ``OK``.
    """

    requests: int
    first_requests: int
    rss_mb_ready: float
    rss_mb_start: float
    rss_mb_after: float
    growth: float
    answers: Mapping[str, int]


def measure(server: LocalServer, gallery_id: str, subject_id: str, pictures: Sequence[Sample], requests: int) -> Memory:
    """Send so many requests, drawn at random and the same in every run."""
    begun = rss_mb(server.pid)
    first, after_first = min(_FIRST, requests // 2), begun
    answers: Counter[str] = Counter()
    files = [sample.data for sample in pictures]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process, console.progress("Mixed requests", requests) as bar:
        for start, end in parts(requests, first):
            call = (server.address, gallery_id, subject_id, files, end - start, start)
            answers += process.submit(_send, *call).result()
            bar.advance(bar.task_ids[0], end - start)
            if end == first:
                after_first = rss_mb(server.pid)
    after = rss_mb(server.pid)
    return Memory(
        requests=requests,
        first_requests=first,
        rss_mb_ready=begun,
        rss_mb_start=after_first,
        rss_mb_after=after,
        growth=round(after / after_first - 1, 4),
        answers=dict(sorted(answers.items())),
    )


def parts(requests: int, first: int) -> Iterator[tuple[int, int]]:
    """Ranges that cover all requests, of which one ends at ``first``."""
    ends = sorted({*range(_AT_ONCE, requests, _AT_ONCE), first, requests} - {0})
    yield from zip([0, *ends[:-1]], ends, strict=True)


def rss_mb(pid: int) -> float:
    """Resident memory of a process, MiB; Linux alone tells it so."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def _send(
    address: str, gallery_id: str, subject_id: str, files: Sequence[bytes], requests: int, seed: int
) -> Counter[str]:
    drawn = random.Random(seed)  # noqa: S311 - a benchmark's, and the same in every run
    left = iter(range(requests))
    answers: Counter[str] = Counter()

    async def one(client: AsyncClient) -> None:
        sent, stub = picture(drawn.choice(files)), client.recognition
        method = drawn.choice(("identify", "detect", "analyze", "verify"))
        if method == "identify":
            await stub.Identify(identify_request(gallery_id, sent, include_objects=True))
        elif method == "detect":
            await stub.Detect(DetectRequest(picture=sent))
        elif method == "analyze":
            await stub.AnalyzeFaces(AnalyzeFacesRequest(picture=sent, include_embeddings=True))
        else:
            await stub.Verify(verify_request((gallery_id, subject_id), sent))

    async def repeat(client: AsyncClient) -> None:
        for _ in left:
            try:
                await one(client)
                answers[OK] += 1
            except FacetError as error:
                answers[error.reason or error.code.name] += 1

    async def run() -> None:
        async with AsyncClient(address) as client:
            await asyncio.gather(*(repeat(client) for _ in range(_CLIENTS)))

    asyncio.run(run())
    return answers
