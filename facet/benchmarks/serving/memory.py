"""Memory of a server under mixed requests: every method, pictures in many sizes, and broken pictures."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from facet import AsyncClient, FacetError, picture
from facet.benchmarks.process_memory import rss_mib
from facet.benchmarks.serving.pictures import Sample
from facet.client.requests import identify_request, verify_request
from facet.terminal import console
from facet.terminal.local_server import LocalServer
from facet.v1.recognition_service_pb2 import AnalyzeFacesRequest, DetectRequest

OK = "OK"

_CLIENTS = 4
_FIRST_REQUESTS = 1000
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the server's process in MiB.

    Attributes:
        requests: number of requests, sent by four clients.
        first_requests: number of requests before ``rss_mb_start`` is read.
        rss_mb_ready: before the first request.
        rss_mb_start: after ``first_requests``.
        rss_mb_after: after all requests.
        growth: ``rss_mb_after / rss_mb_start - 1``.
        answers: number of requests by outcome: the error's reason, or ``OK``.
    """

    requests: int
    first_requests: int
    rss_mb_ready: float
    rss_mb_start: float
    rss_mb_after: float
    growth: float
    answers: Mapping[str, int]


def measure(server: LocalServer, gallery_id: str, subject_id: str, pictures: Sequence[Sample], requests: int) -> Memory:
    """Send random requests, the same in every run, and read the server's memory between them.

    Args:
        server: to be measured.
        gallery_id: gallery to search.
        subject_id: subject of it to verify.
        pictures: to choose from.
        requests: number of requests, at least 2.
    """
    ready = rss_mib(server.pid)
    first, after_first = min(_FIRST_REQUESTS, requests // 2), ready
    answers: Counter[str] = Counter()
    files = [sample.data for sample in pictures]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process, console.progress("Mixed requests", requests) as bar:
        for start, end in batches(requests, first):
            call = (server.address, gallery_id, subject_id, files, end - start, start)
            answers += process.submit(_send, *call).result()
            bar.advance(bar.task_ids[0], end - start)
            if end == first:
                after_first = rss_mib(server.pid)
    after = rss_mib(server.pid)
    return Memory(
        requests=requests,
        first_requests=first,
        rss_mb_ready=ready,
        rss_mb_start=after_first,
        rss_mb_after=after,
        growth=round(after / after_first - 1, 4) if after_first else 0.0,
        answers=dict(sorted(answers.items())),
    )


def batches(requests: int, first: int) -> Iterator[tuple[int, int]]:
    """Ranges that together cover all requests; one of them ends at ``first``."""
    ends = sorted({*range(_BATCH, requests, _BATCH), first, requests} - {0})
    yield from zip([0, *ends[:-1]], ends, strict=True)


def _send(
    address: str, gallery_id: str, subject_id: str, files: Sequence[bytes], requests: int, seed: int
) -> Counter[str]:
    rng = random.Random(seed)  # noqa: S311 - the same requests in every run, not a secret
    left = iter(range(requests))
    answers: Counter[str] = Counter()

    async def one(client: AsyncClient) -> None:
        sent, stub = picture(rng.choice(files)), client.recognition
        method = rng.choice(("identify", "detect", "analyze", "verify"))
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
