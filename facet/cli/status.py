"""``facet status``: a server's health, load, throughput, errors, galleries, models and latencies."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from facet import Client, FacetError, Unavailable
from facet.cli.shared.drift import as_plain as drift_as_plain
from facet.cli.shared.drift import assess, has_alarm, read_span
from facet.cli.shared.drift import rendered as rendered_drift
from facet.client.errors import StatusCode
from facet.terminal import console
from facet.terminal.counts import counted
from facet.terminal.help import Command
from facet.terminal.rendering import as_dict
from facet.terminal.tables import Shortened, listing, number, table, whole
from facet.terminal.visible import visible
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import server_service_pb2 as pb

SERVING = "SERVING"
NOT_SERVING = "NOT_SERVING"
UNREACHABLE = "UNREACHABLE"
HEALTH_SECONDS = 5.0
CHANGED = 3
"""Exit code: the faces of a camera or caller have changed."""
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

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


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
        problem: why it is not serving, for people; empty if it is.
    """

    health: str
    info: pb.GetServerInfoResponse | None = None
    galleries: Galleries | None = None
    uptime: float = 0.0
    problem: str = ""


@app.command(cls=Command)
def main(
    watch: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Repeat at this interval until Ctrl-C; 0: once.")
    ] = 0.0,
    drift: Annotated[
        bool, typer.Option("--drift", help="Show estimated errors and drift, by gallery and by camera or caller.")
    ] = False,
    gallery: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="With --drift: only this gallery; may be repeated.")
    ] = None,
    reference: Annotated[
        str, typer.Option(metavar="FROM..TO", help="With --drift: compare with this period, in UTC.")
    ] = "",
    fail_on_alarm: Annotated[
        bool, typer.Option("--fail-on-alarm", help="With --drift: exit with 3 if faces have changed.")
    ] = False,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    client_certificate: console.ClientCertificate = None,
    client_key: console.ClientKey = None,
    as_json: console.AsJson = False,
) -> None:
    """Show how a server is doing: health, load, throughput, errors, galleries, models and latencies.

    Throughput is requests per second over the last minute, to about 5 %; an item of a batch and a frame of a stream
    count as requests. A request is refused if the server has no room for it. Latencies are those of all requests
    since the server started, and of those that ended in the last minute, in milliseconds: half took no longer than
    p50, 99 % no longer than p99. Stages of one request that ran in parallel may add up to more than the request took.

    With [b]--json[/b] a line of JSON, with [b]--watch[/b] one each time: [i]health[/i], [i]version[/i], [i]caller[/i],
    [i]uptime_s[/i], [i]models[/i], [i]runtime[/i], [i]queue[/i], [i]requests_per_s[/i], [i]errors[/i],
    [i]open_streams[/i], [i]galleries[/i], and [i]stages[/i] and [i]methods[/i], each with [i]since_start[/i] and
    [i]last_minute[/i] of [i]count, p50_ms, p95_ms, p99_ms[/i].

    With [b]--drift[/b], what the counts of the last day show without labels: the share of unknown people, the expected
    FPIR and FNIR with 95 % intervals, which need a calibration, and which quantities differ from the reference period:
    the first 72 hours and 2,000 faces after the calibration. Needs the scope admin. Its JSON has [i]alarm[/i] and
    [i]galleries[/i], each with its [i]sources[/i].

    [b]Examples[/b]

      facet status
      facet status --drift
      facet status --drift --reference 2026-11-01..2026-11-08 --fail-on-alarm
      facet status --watch 2
      facet status --json | jq .stages.detect.last_minute.p99_ms

    Exit code: 0 the server serves, 1 it does not or cannot be reached, 2 bad usage, 3 faces have changed, with
    --fail-on-alarm. With --watch: the last state.
    """
    if not drift and (gallery or reference or fail_on_alarm):
        console.fail("--gallery, --reference and --fail-on-alarm need --drift", console.USAGE)
    span = read_span(reference, "--reference")
    if drift:
        if watch:
            console.fail("--drift and --watch exclude each other", console.USAGE)
        with console.connect(address, token, root_certificates, client_certificate, client_key) as client:
            found = assess(client, gallery or [], span)
        if as_json:
            console.print_json(drift_as_plain(found))
        else:
            console.out.print(rendered_drift(found))
        raise typer.Exit(CHANGED if fail_on_alarm and has_alarm(found) else console.DONE)
    status = Status(UNREACHABLE)
    with (
        console.connect(address, token, root_certificates, client_certificate, client_key) as client,
        suppress(KeyboardInterrupt),
    ):
        if watch and console.out.is_terminal and not as_json:
            with Live(console=console.out, auto_refresh=False) as live:
                while True:
                    status = ask(client, address, token)
                    live.update(rendered(status, address), refresh=True)
                    time.sleep(watch)
        while True:
            status = ask(client, address, token)
            if as_json:
                console.print_json(as_plain(status, address))
            else:
                console.out.print(rendered(status, address))
            if not watch:
                break
            time.sleep(watch)
    raise typer.Exit(console.DONE if status.info is not None else console.FAILED)


def ask(client: Client, address: str, token: str = "") -> Status:
    """Ask a server how it is doing; its address and token are for the description of a problem."""
    health = UNREACHABLE
    try:
        health = client.check_health(timeout=HEALTH_SECONDS).name
        if health != SERVING:
            return Status(health, problem=f"the server at {address} is shutting down")
        info = client.get_server_info()
    except Unavailable as error:
        return Status(NOT_SERVING if error.reason else UNREACHABLE, problem=console.explained(error, address, token))
    except FacetError as error:
        if error.code is StatusCode.DEADLINE_EXCEEDED:
            return Status(UNREACHABLE, problem=f"the server at {address} does not answer in time")
        return Status(health, problem=console.explained(error, address, token))
    galleries = None
    with suppress(FacetError):
        galleries = _galleries(client)
    uptime = (datetime.now(UTC) - info.start_time.ToDatetime(UTC)).total_seconds()
    return Status(health, info, galleries, max(uptime, 0.0))


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


def as_plain(status: Status, address: str) -> dict[str, Any]:
    """Convert a status to JSON values."""
    plain: dict[str, Any] = {"address": address, "health": status.health}
    if status.problem:
        plain["problem"] = status.problem
    if (info := status.info) is None:
        return plain
    rates = throughput(info, status.uptime)
    return plain | {
        "version": info.version,
        "caller": as_dict(info.caller),
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
        "requests_per_s": {
            "answered": round(rates.answered, 2),
            "refused": round(rates.refused, 2),
            "failed": round(rates.failed, 2),
        },
        "errors": [
            {
                "code": each.code,
                "reason": each.reason,
                "since_start": each.since_start,
                "last_minute": each.last_minute,
            }
            for each in info.errors
        ],
        "open_streams": dict(info.open_streams),
        "galleries": None if status.galleries is None else _plain_galleries(status.galleries),
        "stages": {latency.stage: _plain(latency) for latency in info.stage_latencies},
        "methods": {latency.method: _plain(latency) for latency in info.method_latencies},
    }


def rendered(status: Status, address: str) -> RenderableType:
    """Render a status for a terminal."""
    title = Text.assemble(address, "  ", (status.health, "bold green" if status.health == SERVING else "bold red"))
    if (info := status.info) is None:
        return Group(title, status.problem)
    title.append(visible(f"  Facet {info.version}, up {duration(status.uptime)}"))
    runtime = ", ".join(f"{name} {version}" for name, version in sorted(info.runtime.items()))
    parts = [title, _load(info, status), _errors(info), _largest(status.galleries), _latencies(info), _models(info)]
    return Group(*parts, runtime)


def duration(seconds: float) -> str:
    """Write a time in its two largest units."""
    days, rest = divmod(int(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    while len(units) > 1 and not units[0][0]:
        units.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in units[:2])


def _load(info: pb.GetServerInfoResponse, status: Status) -> RenderableType:
    rates, queue = throughput(info, status.uptime), info.queue
    streams = ", ".join(f"{count} {method}" for method, count in sorted(info.open_streams.items()))
    rows = listing()
    rows.add_row(
        "requests/s, last minute",
        f"{rates.answered:.1f} answered, {rates.refused:.1f} refused, {rates.failed:.1f} failed",
    )
    rows.add_row("workers", f"{queue.busy} of {counted(queue.workers, 'worker')} busy")
    rows.add_row(
        "queue", f"{counted(queue.waiting, 'request')} waiting, at most {queue.max_waiting} plus items of batches"
    )
    rows.add_row("open streams", streams or "none")
    rows.add_row("you are", _caller(info.caller))
    if status.galleries is None:
        rows.add_row("galleries", "not known: the server cannot list them")
    else:
        rows.add_row("galleries", str(status.galleries.count))
    return rows


def _errors(info: pb.GetServerInfoResponse) -> RenderableType:
    if not info.errors:
        return Text("no errors since the start")
    rows = table(whole("error"), "status code", number("last minute"), number("since start"))
    for each in sorted(info.errors, key=lambda error: (-error.last_minute, -error.since_start)):
        rows.add_row(each.reason, each.code, str(each.last_minute), str(each.since_start))
    return rows


def _caller(caller: pb.CallerInfo) -> str:
    """Who the server takes this program for, and what it may do."""
    name = f"{caller.id} ({caller.label})" if caller.label else caller.id
    until = f", until {caller.expire_time.ToDatetime(UTC):%Y-%m-%d %H:%M} UTC" if caller.HasField("expire_time") else ""
    return f"{name}: {' '.join(caller.scopes) or 'no scopes'} in {' '.join(caller.galleries) or 'no gallery'}{until}"


def _largest(galleries: Galleries | None) -> RenderableType:
    if galleries is None or not galleries.largest:
        return Text()
    more = galleries.count - len(galleries.largest)
    rows = table("gallery", number("people"), number("templates"), number("threshold"))
    for each in galleries.largest:
        cells = str(each.subject_count), str(each.template_count), f"{each.threshold:.4f}"
        rows.add_row(Shortened(each.gallery_id), *cells)
    return Group(rows, Text(f"and {counted(more, 'smaller gallery')}")) if more else rows


def _models(info: pb.GetServerInfoResponse) -> RenderableType:
    rows = table(whole("role"), "file", "head", "runs on", whole("SHA-256"))
    for model in info.models:
        rows.add_row(model.role, Shortened(model.name), model.head, model.runtime, model.sha256[:12])
    return rows


def _latencies(info: pb.GetServerInfoResponse) -> RenderableType:
    """Lay out latencies in columns of a fixed width, 76 in all."""
    if not (info.stage_latencies or info.method_latencies):
        return Text("no request has been answered yet")
    columns = f"{'count':>9}{'p50':>7}{'p95':>7}{'p99':>7}"
    lines = [f"{'milliseconds':16}{'since start':>30}{'last minute':>30}", f"{'':16}{columns}{columns}"]
    lines += [_latency_line(each.stage, each) for each in info.stage_latencies]
    lines.append("")
    lines += [_latency_line(each.method, each) for each in info.method_latencies]
    return Text(visible("\n".join(lines)))


def _latency_line(name: str, latency: pb.StageLatency | pb.MethodLatency) -> str:
    return f"{name:16}{_cells(latency.since_start)}{_cells(latency.last_minute)}"


def _cells(of: pb.Percentiles) -> str:
    if not of.count:
        return f"{'-':>9}{'-':>7}{'-':>7}{'-':>7}"
    values = (of.p50_ms, of.p95_ms, of.p99_ms)
    return f"{of.count:>9}" + "".join(f"{value:>7.2f}" if value < 10 else f"{value:>7.0f}" for value in values)


def _plain_galleries(galleries: Galleries) -> dict[str, Any]:
    return {
        "count": galleries.count,
        "largest": [
            {
                "gallery_id": each.gallery_id,
                "subjects": each.subject_count,
                "templates": each.template_count,
                "threshold": round(each.threshold, 4),
            }
            for each in galleries.largest
        ],
    }


def _rounded(milliseconds: float) -> float:
    """Drop digits beyond the server's accuracy of 1 %."""
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
