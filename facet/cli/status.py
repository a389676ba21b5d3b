"""How a server does: its health, what it runs, its queue, and how long its stages take."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from facet import Client, FacetError, Unavailable
from facet.client.errors import StatusCode
from facet.terminal import console
from facet.v1 import server_service_pb2 as pb

SERVING = "SERVING"
NOT_SERVING = "NOT_SERVING"
UNREACHABLE = "UNREACHABLE"
HEALTH_SECONDS = 5.0

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Status:
    """How a server does.

    Attributes:
        health: SERVING, NOT_SERVING, or UNREACHABLE where nobody answers.
        info: what it says of itself; ``None`` where it answers nothing more.
        uptime: seconds since its start, by this machine's clock.
        problem: why it is not serving, for people; empty where it is.
    """

    health: str
    info: pb.GetServerInfoResponse | None = None
    uptime: float = 0.0
    problem: str = ""


@app.command()
def main(
    watch: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Ask again every so many seconds until Ctrl-C; 0: once.")
    ] = 0.0,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Show how a server does: health, version, models, its queue, and latencies by stage and by method.

    Latencies are those of all requests since the server started, and of those that ended in the last minute: half
    took no longer than p50, 99 % no longer than p99. Stages of one request that ran side by side may add up to more
    than the request took.

    With [b]--json[/b] a line of JSON, with [b]--watch[/b] one each time: [i]health[/i], [i]version[/i],
    [i]uptime_s[/i], [i]models[/i], [i]runtime[/i], [i]queue[/i], [i]stages[/i] and [i]methods[/i], each with
    [i]since_start[/i] and [i]last_minute[/i] of [i]count, p50_ms, p95_ms, p99_ms[/i].

    [b]Examples[/b]

      status.py
      status.py --watch 2
      status.py --json | jq .stages.detect.last_minute.p99_ms

    Exit code: 0 the server serves, 1 it does not, does not say, or cannot be reached, 2 bad usage. With --watch: as it
    was at last.
    """
    status = Status(UNREACHABLE)
    certificates = console.certificates(root_certificates)
    with Client(address, token=token or None, root_certificates=certificates) as client, suppress(KeyboardInterrupt):
        if watch and console.out.is_terminal and not as_json:
            with Live(console=console.out, auto_refresh=False) as live:
                while True:
                    status = ask(client, address)
                    live.update(shown(status, address), refresh=True)
                    time.sleep(watch)
        while True:
            status = ask(client, address)
            if as_json:
                console.print_json(as_plain(status, address))
            else:
                console.out.print(shown(status, address))
            if not watch:
                break
            time.sleep(watch)
    raise typer.Exit(console.DONE if status.info is not None else console.FAILED)


def ask(client: Client, address: str) -> Status:
    """How the server does now."""
    health = UNREACHABLE
    try:
        health = client.check_health(timeout=HEALTH_SECONDS).name
        if health != SERVING:
            return Status(health, problem=f"the server at {address} is going down")
        info = client.get_server_info()
    except Unavailable as error:
        return Status(NOT_SERVING if error.reason else UNREACHABLE, problem=console.explained(error, address))
    except FacetError as error:
        if error.code is StatusCode.DEADLINE_EXCEEDED:
            return Status(UNREACHABLE, problem=f"the server at {address} does not answer in time")
        return Status(health, problem=console.explained(error, address))
    uptime = (datetime.now(UTC) - info.start_time.ToDatetime(UTC)).total_seconds()
    return Status(health, info, max(uptime, 0.0))


def as_plain(status: Status, address: str) -> dict[str, Any]:
    """For programs."""
    said: dict[str, Any] = {"address": address, "health": status.health}
    if status.problem:
        said["problem"] = status.problem
    if (info := status.info) is None:
        return said
    return said | {
        "version": info.version,
        "uptime_s": round(status.uptime, 1),
        "models": [
            {
                "role": model.role,
                "name": model.name,
                "head": model.head,
                "runtime": model.runtime,
                "sha256": model.sha256,
            }
            for model in info.models
        ],
        "runtime": dict(info.runtime),
        "queue": {
            "waiting": info.queue.waiting,
            "max_waiting": info.queue.max_waiting,
            "busy": info.queue.busy,
            "workers": info.queue.workers,
        },
        "stages": {latency.stage: _plain(latency) for latency in info.stage_latencies},
        "methods": {latency.method: _plain(latency) for latency in info.method_latencies},
    }


def shown(status: Status, address: str) -> RenderableType:
    """For eyes."""
    title = Text.assemble(address, "  ", (status.health, "bold green" if status.health == SERVING else "bold red"))
    if (info := status.info) is None:
        return Group(title, status.problem)
    title.append(f"  Facet {info.version}, up {duration(status.uptime)}")
    models = Table("role", "file", "head", "runs on", "SHA-256")
    for model in info.models:
        models.add_row(model.role, model.name, model.head, model.runtime, model.sha256[:12])
    runtime = ", ".join(f"{name} {version}" for name, version in sorted(info.runtime.items()))
    queue = info.queue
    now = f"{queue.busy} of {queue.workers} workers busy, {queue.waiting} requests waiting"
    bound = f"(items of batches apart, at most {queue.max_waiting} may)"
    return Group(title, f"{now} {bound}", _latencies(info), models, runtime)


def duration(seconds: float) -> str:
    """A time in its two largest units."""
    days, rest = divmod(int(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    while len(units) > 1 and not units[0][0]:
        units.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in units[:2])


def _latencies(info: pb.GetServerInfoResponse) -> RenderableType:
    if not (info.stage_latencies or info.method_latencies):
        return "no request has been answered yet"
    table = Table(caption="milliseconds", caption_justify="left")
    table.add_column("")
    for period in ("since start", "last minute"):
        table.add_column(f"{period}\ncount", justify="right")
        for percentile in ("p50", "p95", "p99"):
            table.add_column(f"\n{percentile}", justify="right")
    for latency in info.stage_latencies:
        table.add_row(latency.stage, *_cells(latency.since_start), *_cells(latency.last_minute))
    table.add_section()
    for method in info.method_latencies:
        table.add_row(method.method, *_cells(method.since_start), *_cells(method.last_minute))
    return table


def _cells(of: pb.Percentiles) -> list[str]:
    if not of.count:
        return ["-"] * 4
    values = (of.p50_ms, of.p95_ms, of.p99_ms)
    return [str(of.count), *(f"{value:.2f}" if value < 10 else f"{value:.0f}" for value in values)]


def _rounded(milliseconds: float) -> float:
    """Without digits that the server does not know: it counts to 1 %."""
    return float(f"{milliseconds:.3g}")


def _plain(latency: pb.StageLatency | pb.MethodLatency) -> dict[str, Any]:
    return {
        period: {
            "count": of.count,
            "p50_ms": _rounded(of.p50_ms),
            "p95_ms": _rounded(of.p95_ms),
            "p99_ms": _rounded(of.p99_ms),
        }
        for period, of in (("since_start", latency.since_start), ("last_minute", latency.last_minute))
    }
