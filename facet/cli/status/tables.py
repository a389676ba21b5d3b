"""A server's status as tables."""

from __future__ import annotations

from datetime import UTC

from rich.console import Group, RenderableType
from rich.text import Text

from facet.cli.status.server_status import (
    SERVING,
    Galleries,
    Status,
    throughput,
)
from facet.terminal.counts import counted
from facet.terminal.tables import Shortened, listing, number, table, whole
from facet.terminal.visible import visible
from facet.v1 import server_service_pb2 as pb


def rendered(status: Status, address: str) -> RenderableType:
    """Render a status for a terminal."""
    title = Text.assemble(address, "  ", (status.health, "bold green" if status.health == SERVING else "bold red"))
    if (info := status.info) is None:
        return Group(title, status.problem)
    title.append(visible(f"  Facet {info.version}, up {duration(status.uptime)}"))
    runtime = ", ".join(f"{name} {version}" for name, version in sorted(info.runtime.items()))
    parts = [
        title,
        _load(info, status),
        _errors(info),
        _largest(status.galleries),
        _latencies(info),
        _models(info),
    ]
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
        rows.add_row("galleries", visible(f"not known: {status.problem}"))
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
    problems = [
        Text(visible(f"cannot be searched: {each.problem}"), "red") for each in galleries.largest if each.problem
    ]
    rest = [Text(f"and {counted(more, 'smaller gallery')}")] if more else []
    return Group(rows, *rest, *problems)


def _models(info: pb.GetServerInfoResponse) -> RenderableType:
    rows = table(whole("role"), "file", "head", "runs on", whole("SHA-256"))
    for model in info.models:
        rows.add_row(model.role, Shortened(model.name), model.head, model.runtime, model.sha256[:12])
    embeddings = table(whole("embeddings"), number("values"), whole("contract"))
    for each in info.embedding_models:
        embeddings.add_row(Shortened(each.name), str(each.dimension), each.contract[:12])
    problem = [Text(visible(f"models.embedding_next: {text}"), "red")] if (text := info.embedding_next_problem) else []
    return Group(rows, embeddings, *problem)


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
