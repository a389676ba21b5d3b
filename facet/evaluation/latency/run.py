"""Timed calls to a server, from one or several clients."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Literal, TypeAlias

from facet import AsyncClient, picture
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import ITEM_ERRORS, Stopped, call_all, reason_of
from facet.evaluation.galleries import create_gallery, delete_gallery
from facet.evaluation.latency.report import STAGES, TimedCall
from facet.v1.recognition_service_pb2 import AnalyzeFacesResponse, IdentifyResponse
from facet.v1.types_pb2 import Picture

Method: TypeAlias = Literal["identify", "analyze"]
_Response: TypeAlias = AnalyzeFacesResponse | IdentifyResponse


@dataclass(frozen=True, slots=True)
class LatencyRun:
    """The timed calls.

    Attributes:
        calls: the answered calls, in the order of the pictures.
        refused: reasons by refused picture.
        seconds: from the start of the first call to the end of the last.
        stopped: where the server went away; ``None`` if it did not.
        left_behind: id of the gallery made for the run if it could not be deleted; otherwise empty.
    """

    calls: tuple[TimedCall, ...]
    refused: dict[str, str]
    seconds: float
    stopped: Stopped | None
    left_behind: str = ""


async def run_latency(
    client: AsyncClient,
    files: Mapping[str, Path],
    *,
    method: Method,
    contract: str = "",
    gallery: str | None,
    rounds: int,
    clients: int,
    advance: Callable[[], None],
) -> LatencyRun:
    """Time calls with all pictures, several times over. The first call of each client does not count.

    If the server is busy, a call is repeated, and the wait is part of its time, as for any client.

    Args:
        client: the connection.
        files: the pictures by name; each is read once, before the first call.
        method: Identify, or AnalyzeFaces with embeddings.
        contract: of the embeddings of AnalyzeFaces; empty for that of the server.
        gallery: the gallery to search; ``None`` for an empty one that is deleted at the end.
        rounds: how often each picture is sent.
        clients: number of concurrent calls.
        advance: called once per counted call.

    Raises:
        FacetError: the server went away before it answered anything, or there is no such gallery.
    """
    pictures: dict[str, Picture] = {}
    refused: dict[str, str] = {}
    for name, file in files.items():
        try:
            pictures[name] = picture(file)
        except OSError as error:
            refused[name] = reason_of(error)
    names, left_behind = [*pictures], ""
    if method == "identify" and gallery is None:
        left_behind = gallery = (await create_gallery(client, "latency")).gallery_id

    def call(name: str) -> Awaitable[_Response]:
        if method == "identify":
            return client.identify(gallery or "", pictures[name])
        return client.analyze_faces(pictures[name], include_embeddings=True, contract=contract)

    async def timed(name: str) -> TimedCall | str:
        start = time.monotonic()
        try:
            response = await retry_while_busy_async(lambda: call(name))
        except ITEM_ERRORS as error:
            return reason_of(error)
        milliseconds = (time.monotonic() - start) * 1000
        return TimedCall(name, milliseconds, tuple(getattr(response.timings, f"{stage}_ms") for stage in STAGES))

    async def counted(name: str) -> TimedCall | str:
        result = await timed(name)
        advance()
        return result

    try:
        await call_all([*islice(cycle(names), clients)], timed, in_flight=clients)
        start = time.monotonic()
        answers = await call_all(names * rounds, counted, in_flight=clients)
        seconds = time.monotonic() - start
    finally:
        if left_behind and await delete_gallery(client, left_behind):
            left_behind = ""
    for index, answer in answers.by_item.items():
        if isinstance(answer, str):
            refused[names[index % len(names)]] = answer
    return LatencyRun(
        calls=tuple(each for each in answers.by_item.values() if isinstance(each, TimedCall)),
        refused=refused,
        seconds=seconds,
        stopped=answers.stopped,
        left_behind=left_behind,
    )
