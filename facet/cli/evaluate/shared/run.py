"""The way of an evaluation to a server: one that runs, or one that is started for it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

import typer

from facet import AsyncClient, FacetError
from facet.client.tls import CA_VARIABLE
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.report.document import Report
from facet.terminal import console
from facet.terminal.connection import Connection, client_warnings, explained
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.local_server import local_server
from facet.terminal.tls import Tls
from facet.v1.server_service_pb2 import GetServerInfoResponse

R = TypeVar("R")
Advance = Callable[[], None]
"""Call it once for each step of a progress bar."""


@dataclass(frozen=True, slots=True)
class Target(Connection):
    """The connection to the server to measure; without an address, a server is started for the run."""

    address: Annotated[
        str,
        typer.Option(
            metavar="HOST", help="A running server, host:port. Default: a server that is started for the run."
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Measured(Generic[R]):
    """The result of a run.

    Attributes:
        run: what the evaluation measured.
        info: the server's description of itself.
        times: date and duration, for the document.
    """

    run: R
    info: GetServerInfoResponse
    times: Report


def labels(read: Callable[[], R]) -> R:
    """Read labels; exits with a message that names file and line if they are wrong."""
    try:
        return read()
    except LabelError as error:
        console.fail(str(error))


def measured(
    target: Connection, description: str, total: int, measure: Callable[[AsyncClient, Advance], Awaitable[R]]
) -> Measured[R]:
    """Run a measurement as :func:`attempted` does, if need be against a server that is started for it.

    Exits with a message if the server cannot be reached, or refuses everything.
    """
    tls = _certificates(target)
    with (
        interrupted_by_sigterm(),
        nullcontext(target.address) if target.address else local_server() as address,
    ):
        try:
            return attempted(address, target.token, tls, description, total, measure)
        except FacetError as error:
            console.fail(explained(error, address, target.token))


def attempted(
    address: str,
    token: str,
    tls: Tls,
    description: str,
    total: int,
    measure: Callable[[AsyncClient, Advance], Awaitable[R]],
) -> Measured[R]:
    """Run a measurement against a running server, with a progress bar.

    Args:
        address: host:port of the server.
        token: the server's token; may be empty.
        tls: the certificates of the connection.
        description: shown beside the bar.
        total: number of steps.
        measure: the measurement; it calls its second argument once per step.

    Raises:
        FacetError: the server cannot be reached, or refuses everything.
    """
    date, start = datetime.now(UTC), time.monotonic()

    async def connected(advance: Advance) -> tuple[R, GetServerInfoResponse]:
        with client_warnings():
            opened = AsyncClient(address, token=token or None, **tls)
        async with opened as client:
            info = await client.get_server_info()
            return await measure(client, advance), info

    with interrupted_by_sigterm(), console.progress(description, total) as bar:
        run, info = asyncio.run(connected(lambda: bar.advance(bar.task_ids[0])))
    times = {"date": date.isoformat(timespec="seconds"), "seconds": round(time.monotonic() - start, 1)}
    return Measured(run, info, times)


def _certificates(target: Connection) -> Tls:
    """The certificates of the connection. Those of the environment are not for a server that is started for the run."""
    if target.address:
        return target.certificates()
    if target.root_certificates and str(target.root_certificates) != os.environ.get(CA_VARIABLE):
        console.fail("--root-certificates is for a running server: name it with --address", console.USAGE)
    return Connection().certificates()
