"""How a server is doing: health, load, throughput and galleries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from facet import Client, FacetError, Unavailable
from facet.client.errors import StatusCode
from facet.terminal.connection import explained
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import server_service_pb2 as pb

SERVING = "SERVING"
NOT_SERVING = "NOT_SERVING"
UNREACHABLE = "UNREACHABLE"
HEALTH_SECONDS = 5.0
LARGEST_GALLERIES = 10

_OWN_CALLS = frozenset({"GetServerInfo", "ListGalleries"})
"""Methods that this command calls; they do not count as throughput."""
_LAST_MINUTE_SECONDS = 57.5
"""The server's last minute covers 55 to 60 seconds."""
_REFUSALS = frozenset(
    {
        "QUEUE_FULL",
        "DEADLINE_TOO_SHORT",
        "TOO_MANY_CALLS",
        "TOO_MANY_BYTES",
        "CALLER_RATE_EXCEEDED",
        "CALLER_CONCURRENCY_EXCEEDED",
        "OUT_OF_RESOURCES",
        "TOO_MANY_TRANSFERS",
        "CALIBRATION_UNDER_WAY",
        "DUPLICATE_SEARCH_UNDER_WAY",
        "AUDIT_UNAVAILABLE",
        "SHUTTING_DOWN",
        StatusCode.RESOURCE_EXHAUSTED.name,
        StatusCode.UNAVAILABLE.name,
    }
)
"""Reasons of requests that the server had no room for, or whose caller was at its limit. An error without a reason has
its status code instead."""
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Galleries:
    """The galleries of a server.

    Attributes:
        count: all of them.
        largest: those with the most templates, at most :data:`LARGEST_GALLERIES`, the largest first.
    """

    count: int
    largest: list[gallery_pb.Gallery]


@dataclass(frozen=True, slots=True)
class Throughput:
    """Requests per second over the last minute.

    Attributes:
        answered: requests that were answered OK.
        refused: requests that the server had no room for.
        failed: requests that ended with another error.
    """

    answered: float
    refused: float
    failed: float


@dataclass(frozen=True, slots=True)
class Status:
    """How a server is doing.

    Attributes:
        health: SERVING, NOT_SERVING, or UNREACHABLE if no server answers.
        info: the answer of GetServerInfo; ``None`` if there is none.
        galleries: ``None`` if the server cannot list them.
        uptime: seconds since the server started, by this machine's clock.
        problem: why it is not serving, or cannot list its galleries, for people; empty if neither is so.
    """

    health: str
    info: pb.GetServerInfoResponse | None = None
    galleries: Galleries | None = None
    uptime: float = 0.0
    problem: str = ""


def ask(client: Client, address: str, token: str = "") -> Status:
    """Ask a server how it is doing; its address and token are for the description of a problem."""
    health = UNREACHABLE
    try:
        health = client.check_health(timeout=HEALTH_SECONDS).name
        if health != SERVING:
            return Status(health, problem=f"the server at {address} is shutting down")
        info = client.get_server_info()
    except Unavailable as error:
        return Status(NOT_SERVING if error.reason else UNREACHABLE, problem=explained(error, address, token))
    except FacetError as error:
        if error.code is StatusCode.DEADLINE_EXCEEDED:
            return Status(UNREACHABLE, problem=f"the server at {address} does not answer in time")
        return Status(health, problem=explained(error, address, token))
    galleries, problem = None, ""
    try:
        galleries = _galleries(client)
    except FacetError as error:
        problem = explained(error, address, token)
    uptime = (datetime.now(UTC) - info.start_time.ToDatetime(UTC)).total_seconds()
    return Status(health, info, galleries, max(uptime, 0.0), problem)


def _galleries(client: Client) -> Galleries:
    count, largest = 0, list[gallery_pb.Gallery]()
    for gallery in client.iter_galleries(page_size=_PAGE):
        count += 1
        largest = sorted((*largest, gallery), key=lambda each: -each.template_count)[:LARGEST_GALLERIES]
    return Galleries(count, largest)


def throughput(info: pb.GetServerInfoResponse, uptime: float) -> Throughput:
    """Compute requests per second over the last minute, or since the server started if that is less."""
    seconds = max(min(uptime, _LAST_MINUTE_SECONDS), 1.0)
    answered = sum(each.last_minute.count for each in info.method_latencies if each.method not in _OWN_CALLS)
    refused = sum(each.last_minute for each in info.errors if (each.reason or each.code) in _REFUSALS)
    failed = sum(each.last_minute for each in info.errors) - refused
    return Throughput(answered / seconds, refused / seconds, failed / seconds)
