"""The load of a soak: random requests and streams, the same in every run, good and bad."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from facet import AsyncClient, FacetError, picture, stream_frame
from facet.benchmarks.watched_server import GALLERY, SUBJECT
from facet.client.requests import identify_request, verify_request
from facet.v1 import recognition_service_pb2 as pb

OK, CANCELLED = "OK", "CANCELLED BY THE CLIENT"
UNEXPECTED_CODES = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DATA_LOSS"})
"""Status codes that no request of this load deserves."""

_CLIENTS = 4
_CANCEL_AFTER = 0.005
_LOSSLESS_FRAMES = 3
_MAX_TRANSFERS = 2
"""``gallery.max_transfers`` by default; more exports at a time would be refused."""

Outcomes = Counter[str]


@dataclass(frozen=True, slots=True)
class Load:
    """A part of the load.

    Attributes:
        address: of the server.
        token: that it needs.
        pictures: encoded, good and bad ones.
        requests: number of requests.
        streams: number of streams to open.
        seed: of the choices.
    """

    address: str
    token: str
    pictures: Sequence[bytes]
    requests: int
    streams: int
    seed: int


def send(load: Load) -> Outcomes:
    """Send a part of the load with four clients; returns the number of requests and streams by outcome.

    An outcome is ``OK``, :data:`CANCELLED`, or the status code and the reason.
    """
    return asyncio.run(_Sender(load).all())


class _Sender:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._rng = random.Random(load.seed)  # noqa: S311 - the same load in every run, not a secret
        self._outcomes: Outcomes = Counter()
        self._numbers = itertools.count(load.seed * 1_000_000)
        self._transfers = asyncio.Semaphore(_MAX_TRANSFERS)

    async def all(self) -> Outcomes:
        kinds = ["request"] * self._load.requests + ["stream"] * self._load.streams
        self._rng.shuffle(kinds)
        left = iter(kinds)
        async with AsyncClient(self._load.address, token=self._load.token) as client:
            await asyncio.gather(*(self._repeat(client, left) for _ in range(_CLIENTS)))
        return self._outcomes

    async def _repeat(self, client: AsyncClient, left: Iterator[str]) -> None:
        for kind in left:
            choices = self._requests if kind == "request" else self._streams
            one: Callable[[AsyncClient], Awaitable[str | None]] = self._rng.choice(choices())
            try:
                self._outcomes[await one(client) or OK] += 1
            except FacetError as error:
                self._outcomes[f"{error.code.name} {error.reason}".strip()] += 1

    def _requests(self) -> list[Callable[[AsyncClient], Awaitable[str | None]]]:
        return [
            *(self._identify, self._detect, self._analyze, self._verify, self._search, self._enroll),
            *(self._list, self._info, self._health, self._invalid, self._without_token, self._cancelled),
        ]

    def _streams(self) -> list[Callable[[AsyncClient], Awaitable[str | None]]]:
        return [
            *(self._camera, self._lossless, self._batch, self._export),
            *(self._stream_of_unknown_gallery, self._abandoned_stream, self._abandoned_batch, self._watch),
        ]

    def _picture(self) -> bytes:
        return self._rng.choice(self._load.pictures)

    async def _identify(self, client: AsyncClient) -> None:
        await client.recognition.Identify(identify_request(GALLERY, self._picture(), include_objects=True))

    async def _detect(self, client: AsyncClient) -> None:
        await client.recognition.Detect(pb.DetectRequest(picture=picture(self._picture())))

    async def _analyze(self, client: AsyncClient) -> None:
        request = pb.AnalyzeFacesRequest(picture=picture(self._picture()), include_embeddings=True)
        await client.recognition.AnalyzeFaces(request)

    async def _verify(self, client: AsyncClient) -> None:
        await client.recognition.Verify(verify_request((GALLERY, SUBJECT), self._picture()))

    async def _search(self, client: AsyncClient) -> None:
        request = pb.AnalyzeFacesRequest(picture=picture(self._load.pictures[0]), include_embeddings=True)
        face = (await client.recognition.AnalyzeFaces(request)).faces[0]
        await client.search_embedding(GALLERY, face.embedding)

    async def _enroll(self, client: AsyncClient) -> None:
        subject = f"soak-{next(self._numbers)}"
        await client.enroll(GALLERY, subject, self._picture(), accept_low_quality=True, accept_lookalike=True)
        await client.delete_subject(GALLERY, subject)

    async def _list(self, client: AsyncClient) -> None:
        await client.list_subjects(GALLERY)

    async def _info(self, client: AsyncClient) -> None:
        await client.get_server_info()

    async def _health(self, client: AsyncClient) -> None:
        await client.check_health()

    async def _invalid(self, client: AsyncClient) -> None:
        await client.recognition.Identify(identify_request("not an id", self._picture()))

    async def _without_token(self, _: AsyncClient) -> None:
        async with AsyncClient(self._load.address, token="wrong") as stranger:  # noqa: S106 - wrong on purpose
            await stranger.get_server_info()

    async def _cancelled(self, client: AsyncClient) -> str:
        call = asyncio.ensure_future(self._identify(client))
        await asyncio.sleep(_CANCEL_AFTER)
        call.cancel()
        with suppress(asyncio.CancelledError, FacetError):
            await call
        return CANCELLED

    async def _camera(self, client: AsyncClient) -> None:
        await self._stream(client, 1, pb.StreamSettings(gallery_id=GALLERY, end_tracks=True))

    async def _lossless(self, client: AsyncClient) -> None:
        await self._stream(client, _LOSSLESS_FRAMES, pb.StreamSettings(gallery_id=GALLERY, lossless=True))

    async def _stream_of_unknown_gallery(self, client: AsyncClient) -> None:
        await self._stream(client, 1, pb.StreamSettings(gallery_id="nothing"))

    async def _stream(self, client: AsyncClient, frames: int, settings: pb.StreamSettings) -> None:
        async with aclosing(client.identify_stream(settings, self._frames(frames))) as answers:
            async for _ in answers:
                pass

    async def _frames(self, count: int) -> AsyncIterator[pb.StreamFrame]:
        for number in range(1, count + 1):
            yield stream_frame(number, self._picture(), float(number))

    async def _abandoned_stream(self, client: AsyncClient) -> str:
        settings = pb.StreamSettings(gallery_id=GALLERY)
        async with aclosing(client.identify_stream(settings, self._frames(1000))) as answers:
            with suppress(FacetError):
                await anext(answers)
        return CANCELLED

    async def _batch(self, client: AsyncClient) -> None:
        items = [(number, self._picture()) for number in range(self._rng.randrange(4))]
        async with aclosing(client.identify_batch(GALLERY, items)) as answers:
            async for _ in answers:
                pass

    async def _abandoned_batch(self, client: AsyncClient) -> str:
        items = [(number, self._picture()) for number in range(10)]
        async with aclosing(client.identify_batch(GALLERY, items)) as answers:
            with suppress(FacetError):
                await anext(answers)
        return CANCELLED

    async def _export(self, client: AsyncClient) -> None:
        async with self._transfers, aclosing(client.export_gallery(GALLERY)) as chunks:
            async for _ in chunks:
                pass

    async def _watch(self, client: AsyncClient) -> str:
        async with aclosing(client.watch_health()) as states:
            await anext(states)
        return CANCELLED
