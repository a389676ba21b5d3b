"""Timed calls of a server: one or several clients, picture after picture."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Literal, TypeAlias
from uuid import uuid4

from facet import AsyncClient, picture
from facet.client.requests import identify_request
from facet.client.retry import retry_while_busy_async
from facet.evaluation.calls import ITEM_ERRORS, Stopped, call_all, reason_of
from facet.evaluation.galleries import delete_gallery
from facet.evaluation.latency.report import STAGES, Call
from facet.v1.recognition_service_pb2 import AnalyzeFacesRequest, AnalyzeFacesResponse, IdentifyResponse
from facet.v1.types_pb2 import Picture

Method: TypeAlias = Literal["identify", "analyze"]
_Answer: TypeAlias = AnalyzeFacesResponse | IdentifyResponse


@dataclass(frozen=True, slots=True)
class LatencyRun:
    """What was timed.

    Attributes:
        calls: that were answered, in the order in which they were to be made.
        refused: why pictures were refused, by their path.
        seconds: from the start of the first call to the end of the last.
        stopped: where the server went away; ``None`` where it did not.
        left_behind: the id of the gallery made for the purpose, where it could not be deleted; empty where it was.
    """

    calls: tuple[Call, ...]
    refused: dict[str, str]
    seconds: float
    stopped: Stopped | None
    left_behind: str = ""


async def run_latency(
    client: AsyncClient,
    files: Mapping[str, Path],
    *,
    method: Method,
    gallery: str | None,
    rounds: int,
    clients: int,
    advance: Callable[[], None],
) -> LatencyRun:
    """Call with every picture in turn, over and over. A first call for every client is not counted.

    Where the server is busy a call is made again, and the wait is part of its time, as it is for any client.

    Args:
        client: the connection.
        files: the pictures by their names; each is read once, before anything is timed.
        method: Identify, or AnalyzeFaces with embeddings.
        gallery: where to search; ``None`` for an empty one, made for the purpose and deleted in the end.
        rounds: how often each picture is sent.
        clients: how many calls are under way at a time.
        advance: called once for each call that is counted.

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
    read, made = [*pictures], ""
    if method == "identify" and gallery is None:
        made = gallery = (await client.create_gallery(f"latency-{uuid4()}", display_name="being timed")).gallery_id

    def call(name: str) -> Awaitable[_Answer]:
        if method == "identify":
            return client.recognition.Identify(identify_request(gallery or "", pictures[name]))
        return client.recognition.AnalyzeFaces(AnalyzeFacesRequest(picture=pictures[name], include_embeddings=True))

    async def timed(name: str) -> Call | str:
        start = time.monotonic()
        try:
            answer = await retry_while_busy_async(lambda: call(name))
        except ITEM_ERRORS as error:
            return reason_of(error)
        taken = (time.monotonic() - start) * 1000
        return Call(name, taken, tuple(getattr(answer.timings, f"{stage}_ms") for stage in STAGES))

    async def counted(name: str) -> Call | str:
        found = await timed(name)
        advance()
        return found

    try:
        await call_all([*islice(cycle(read), clients)], timed, in_flight=clients)
        start = time.monotonic()
        found = await call_all(read * rounds, counted, in_flight=clients)
        seconds = time.monotonic() - start
    finally:
        if made and await delete_gallery(client, made):
            made = ""
    for at, each in found.by_item.items():
        if isinstance(each, str):
            refused[read[at % len(read)]] = each
    return LatencyRun(
        calls=tuple(each for each in found.by_item.values() if isinstance(each, Call)),
        refused=refused,
        seconds=seconds,
        stopped=found.stopped,
        left_behind=made,
    )
