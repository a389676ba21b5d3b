"""The figures of ``facet bench serving`` as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

from facet.benchmarks.serving.load import Point
from facet.benchmarks.serving.speed import CLIENTS
from facet.terminal import console, tables

if TYPE_CHECKING:
    from facet.benchmarks.serving.saturation import Saturation
    from facet.benchmarks.serving.serving import Serving


def show(measured: Serving) -> None:
    """Print all tables."""
    _print_pictures(measured)
    _print_throughput(measured)
    for title, saturation in (("with objects", measured.objects), ("without objects", measured.no_objects)):
        _print_closed(saturation, title)
        _print_open(saturation, title)
    _print_server(measured)


def _print_pictures(measured: Serving) -> None:
    table = tables.table(
        *("picture", "faces", "FaceAnalysis", "engine", "faster", "engine without objects", "faster", "gRPC", "wire"),
        title="Identify, one request at a time: medians in milliseconds",
    )
    for each in measured.pictures:
        found = (
            f"{each.faces}" if each.faces == each.faces_faceanalysis else f"{each.faces} / {each.faces_faceanalysis}"
        )
        table.add_row(
            *(each.picture, found, f"{each.faceanalysis_ms:.1f}"),
            *(f"{each.engine_ms:.1f}", f"{each.speedup:.2f}"),
            *(f"{each.engine_no_objects_ms:.1f}", f"{each.speedup_no_objects:.2f}"),
            *(f"{each.grpc_ms:.1f}", f"{each.wire_overhead_ms:.1f}"),
        )
    figures = measured.figures()
    table.add_section()
    table.add_row(
        *("geometric mean of the first three", "", f"{figures['faceanalysis_ms']:.1f}"),
        *(f"{figures['engine_ms']:.1f}", f"{figures['speedup']:.2f}"),
        *(f"{figures['engine_no_objects_ms']:.1f}", f"{figures['speedup_no_objects']:.2f}"),
        *(f"{figures['grpc_ms']:.1f}", f"{figures['wire_overhead_ms']:.1f}"),
    )
    console.out.print(table)
    console.out.print("Two numbers of faces: Facet's and FaceAnalysis's. Each face is embedded.\n")


def _print_throughput(measured: Serving) -> None:
    rates = measured.throughput
    table = tables.table("", "per second", title="One-face pictures without objects, as fast as can be")
    table.add_row("FaceAnalysis tuned, a thread a core", f"{rates.faceanalysis_threads_per_s:.1f}")
    table.add_row("FaceAnalysis tuned, a process a core", f"{rates.faceanalysis_processes_per_s:.1f}")
    ratio = measured.figures()["throughput_ratio_tuned"]
    table.add_row(f"Facet over gRPC, {CLIENTS} clients", f"{rates.grpc_per_s:.1f}, {ratio:.2f} times as many")
    console.out.print(table)


def _print_closed(saturation: Saturation, title: str) -> None:
    table = _points("picture", "clients", title=f"Closed loops, {title}")
    for picture, points in saturation.closed.items():
        for clients, point in points.items():
            table.add_row(picture, str(clients), *_columns(point))
    console.out.print(table)


def _print_open(saturation: Saturation, title: str) -> None:
    title = f"Frames of 1280x720 at fixed rates, {title}; saturation is {saturation.saturation_per_s:.1f} a second"
    table = _points("load", "due per second", title=title)
    for factor, point in saturation.open.items():
        table.add_row(f"{factor:g}", f"{point.offered_per_s:.1f}", *_columns(point))
    console.out.print(table)
    ratio = saturation.goodput_at_double_load_ratio
    console.out.print(f"Goodput at twice the saturation rate is {ratio:.2f} of the most at any.\n")


def _print_server(measured: Serving) -> None:
    memory = measured.memory
    table = tables.listing("The server")
    table.add_row("ready after", f"{measured.ready_s:.1f} s")
    table.add_row("memory at start", f"{memory.rss_mb_ready:.0f} MiB")
    table.add_row(f"after {memory.first_requests:,} mixed requests", f"{memory.rss_mb_start:.0f} MiB")
    table.add_row(f"after {memory.requests:,}", f"{memory.rss_mb_after:.0f} MiB, {memory.growth:+.1%}")
    table.add_row("how they ended", _reasons(memory.answers))
    table.add_row("machine", f"{measured.machine['processor']}, {measured.machine['cores']} cores")
    table.add_row("versions", ", ".join(f"{name} {value}" for name, value in measured.machine["runtime"].items()))
    console.out.print(table)


def _points(*columns: str, title: str) -> Table:
    rest = ("answered in time per second", "p50 ms", "p95 ms", "p99 ms", "late", "refused", "generator's lag, p99 ms")
    return tables.table(*columns, *rest, title=title)


def _columns(point: Point) -> tuple[str, ...]:
    percentiles = ("-" if each is None else f"{each:.1f}" for each in (point.p50_ms, point.p95_ms, point.p99_ms))
    lag = f"{point.lag_p99_ms:.1f}"
    return f"{point.goodput_per_s:.1f}", *percentiles, str(point.late), _reasons(point.refused) or "0", lag


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())
