"""The results of ``facet bench serving`` as tables."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Column, Table

from facet.benchmarks.serving.load import Point
from facet.benchmarks.serving.results import Serving
from facet.benchmarks.serving.saturation import Saturation
from facet.benchmarks.serving.speed import CLIENTS
from facet.terminal import console
from facet.terminal.tables import Shortened, listing, number, table


def show(measured: Serving) -> None:
    """Print all tables."""
    _print_latency(measured)
    _print_throughput(measured)
    for title, saturation in (("with objects", measured.objects), ("without objects", measured.no_objects)):
        _print_closed(saturation, title)
        _print_open(saturation, title)
    _print_server(measured)


def _print_latency(measured: Serving) -> None:
    shown = table(
        *("picture", "faces", number("Face-\nAnalysis"), number("pipeline"), number("speed-\nup")),
        *map(number, ("without\nobjects", "speed-\nup", "over\ngRPC", "over-\nhead")),
        title="One request at a time: medians in milliseconds",
    )
    for each in measured.pictures:
        faces = [each.faces] if each.faces == each.faces_faceanalysis else [each.faces, each.faces_faceanalysis]
        shown.add_row(
            *(Shortened(each.picture), "/".join(map(str, faces)), f"{each.faceanalysis_ms:.1f}"),
            *(f"{each.engine_ms:.1f}", f"{each.speedup:.2f}"),
            *(f"{each.engine_no_objects_ms:.1f}", f"{each.speedup_no_objects:.2f}"),
            *(f"{each.grpc_ms:.1f}", f"{each.wire_overhead_ms:.1f}"),
        )
    figures = measured.figures()
    shown.add_section()
    shown.add_row(
        *("mean of 3", "", f"{figures['faceanalysis_ms']:.1f}"),
        *(f"{figures['engine_ms']:.1f}", f"{figures['speedup']:.2f}"),
        *(f"{figures['engine_no_objects_ms']:.1f}", f"{figures['speedup_no_objects']:.2f}"),
        *(f"{figures['grpc_ms']:.1f}", f"{figures['wire_overhead_ms']:.1f}"),
    )
    console.out.print(shown)
    console.out.print("Two numbers of faces: Facet's/FaceAnalysis's. The mean of the first 3 is geometric.\n")


def _print_throughput(measured: Serving) -> None:
    rates = measured.throughput
    ratio = measured.figures()["throughput_ratio_tuned"]
    shown = table("", number("per second"), title="Highest throughput: one-face pictures, without objects")
    shown.add_row("FaceAnalysis tuned, one thread per core", f"{rates.faceanalysis_threads_per_s:.1f}")
    shown.add_row("FaceAnalysis tuned, one process per core", f"{rates.faceanalysis_processes_per_s:.1f}")
    shown.add_row(f"Facet over gRPC, {CLIENTS} clients", f"{rates.grpc_per_s:.1f}")
    console.out.print(shown)
    console.out.print(f"Facet's throughput is {ratio:.2f} times the better one of FaceAnalysis.\n")


def _print_closed(saturation: Saturation, title: str) -> None:
    shown = _points("picture", number("clients"), title=f"Closed loops, {title}")
    for picture, points in saturation.closed.items():
        for clients, point in points.items():
            shown.add_row(picture, str(clients), *_cells(point))
    console.out.print(shown)
    console.out.print()


def _print_open(saturation: Saturation, title: str) -> None:
    shown = _points(number("load"), number("offered\nper s"), title=f"Frames of 1280x720 at fixed rates, {title}")
    for factor, point in saturation.open.items():
        shown.add_row(f"{factor:g}", f"{point.offered_per_s:.1f}", *_cells(point))
    console.out.print(shown)
    ratio = saturation.goodput_at_double_load_ratio
    console.out.print(
        f"Load 1 is the saturation rate, {saturation.saturation_per_s:.1f} per second. "
        f"Goodput at load 2 is {ratio:.2f} of the highest, and {saturation.late_share_at_double_load:.1%} was late. "
        f"The clients took at most {max(each.generator_cores for each in saturation.open.values()):.2f} cores.\n"
    )


def _print_server(measured: Serving) -> None:
    memory, machine = measured.memory, measured.machine
    shown = listing("Server")
    shown.add_row("ready after", f"{measured.ready_s:.1f} s")
    shown.add_row("memory when ready", f"{memory.rss_mb_ready:.0f} MiB")
    shown.add_row(f"after {memory.first_requests:,} mixed requests", f"{memory.rss_mb_start:.0f} MiB")
    shown.add_row(f"after {memory.requests:,}", f"{memory.rss_mb_after:.0f} MiB, {memory.growth:+.1%}")
    shown.add_row("their outcomes", _counts(memory.answers))
    shown.add_row("machine", f"{machine['processor']}, {machine['cores']} cores")
    shown.add_row("versions", ", ".join(f"{name} {value}" for name, value in machine["runtime"].items()))
    console.out.print(shown)


def _points(*columns: str | Column, title: str) -> Table:
    figures = map(number, ("goodput\nper s", "p50\nms", "p95\nms", "p99\nms", "late"))
    return table(*columns, *figures, "refused", number("lag p99\nms"), title=title)


def _cells(point: Point) -> tuple[str, ...]:
    percentiles = ("-" if each is None else f"{each:.1f}" for each in (point.p50_ms, point.p95_ms, point.p99_ms))
    lag = f"{point.lag_p99_ms:.1f}"
    return f"{point.goodput_per_s:.1f}", *percentiles, str(point.late), _counts(point.refused) or "0", lag


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())
