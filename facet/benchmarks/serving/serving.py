"""``facet bench serving``: Facet beside InsightFace's FaceAnalysis, alone and under load."""

from __future__ import annotations

import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import grpc
import numpy as np
import typer
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from facet import Client, FacetError
from facet.benchmarks.galleries.people import fill
from facet.benchmarks.serving import memory as bench_memory
from facet.benchmarks.serving.contenders import Contender, FacetEngine
from facet.benchmarks.serving.in_process import GALLERY, SUBJECT, defaults, opened
from facet.benchmarks.serving.insightface_baseline import Neighbour, link_pack
from facet.benchmarks.serving.load import LoadProcess
from facet.benchmarks.serving.memory import Memory
from facet.benchmarks.serving.pictures import Samples, mixed, samples
from facet.benchmarks.serving.saturation import DOUBLE, HALF, Plan, Saturation, saturate
from facet.benchmarks.serving.speed import Compared, Sides, Throughput, compare, geometric_mean, throughput
from facet.benchmarks.serving.tables import show
from facet.evaluation.report.provenance import processor
from facet.runtime.cores import usable_cores
from facet.runtime.models import ModelError
from facet.runtime.process import configure_for_models
from facet.server.config import NONE
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.local_server import LocalServer, local_process
from gallery.errors import GalleryError
from gallery.stores.sqlite.sqlite_store import SqliteStore

STRANGERS = 1000
"""Templates of the gallery beside the one of the portrait."""

_QUICK = Plan(seconds=0.3, clients=(4,), factors=(HALF, DOUBLE))
_QUICK_REQUESTS = 20
_READY_WITHIN = 60.0


class Preset(StrEnum):
    """Of the server."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"


class Spacing(StrEnum):
    """Of arrivals at a fixed rate."""

    EVEN = "even"
    POISSON = "poisson"


@dataclass(frozen=True, slots=True)
class Serving:
    """All that is measured.

    Attributes:
        pictures: the three that speed is judged on, then the frame, then those of the folder.
        throughput: against the tuned neighbour.
        objects: the server with its defaults under load.
        no_objects: the one without an object detector.
        memory: of the server with its defaults.
        ready_s: from starting a server until its health says SERVING, the median of those started.
        machine: processor, cores, versions and date.
        preset: of the servers; empty for the default.
    """

    pictures: list[Compared]
    throughput: Throughput
    objects: Saturation
    no_objects: Saturation
    memory: Memory
    ready_s: float
    machine: dict[str, Any]
    preset: str

    def figures(self) -> dict[str, Any]:
        """The figures by which speed is judged; milliseconds and speedups are geometric means over three pictures."""
        judged = self.pictures[:3]
        names = ("faceanalysis_ms", "engine_ms", "engine_no_objects_ms", "grpc_ms", "speedup", "speedup_no_objects")
        means = {name: round(geometric_mean([getattr(each, name) for each in judged]), 3) for name in names}
        rate = self.throughput.faceanalysis_per_s
        return {
            **means,
            "wire_overhead_ms": round(statistics.median(each.wire_overhead_ms for each in judged), 2),
            "faceanalysis_tuned_per_s": rate,
            "throughput_ratio_tuned": round(self.throughput.grpc_per_s / rate, 3),
            "max_goodput_per_s": self.objects.max_goodput_per_s,
            "p99_at_half_load_ms": self.objects.p99_at_half_load_ms,
            "goodput_at_double_load_ratio": self.objects.goodput_at_double_load_ratio,
            "rss_mb_ready": self.memory.rss_mb_ready,
            "rss_mb_start": self.memory.rss_mb_start,
            "rss_mb_after": self.memory.rss_mb_after,
            "ready_s": self.ready_s,
        }

    def document(self) -> dict[str, Any]:
        """The figures, and all they come from."""
        under_load = {"objects": self.objects.document(), "no_objects": self.no_objects.document()}
        return {**self.figures(), **asdict(self), **under_load}


def serving(
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of further pictures to time, at most 50.", exists=True, file_okay=False),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="Duration of each point under load.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Number of times each side is timed on each picture.")] = 15,
    requests: Annotated[int, typer.Option(min=2, help="Number of mixed requests for the memory figures.")] = 2000,
    deadline: Annotated[float, typer.Option(min=0.01, help="Deadline of requests at a fixed rate, seconds.")] = 1.0,
    arrivals: Annotated[Spacing, typer.Option(help="Spacing of requests at a fixed rate.")] = Spacing.EVEN,
    preset: Annotated[
        Preset | None, typer.Option(help="Preset of the server.", show_default="the server's own")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Make a few calls of each, to check that it works.")] = False,
    as_json: AsJson = False,
) -> None:
    """Facet's pipeline and server beside InsightFace's FaceAnalysis, on the same weights and pictures.

    One run measures (a) FaceAnalysis in process, with its defaults at 640x640, then a search with NumPy; (a2) the same,
    tuned: one thread per session and one request per core; (b) Facet's pipeline in process; (c) its server in closed
    loops with 1 to 8 clients; (d) the server at fixed rates up to twice the throughput of (c), with latency counted
    from the time a request was due. Facet runs with and without the object detector. Each side is a process of its own,
    and they take turns. Clients share the machine's cores with the server.
    """
    plan = Plan(seconds=seconds, deadline=deadline, arrivals=arrivals.value)
    if quick:
        plan, rounds, requests = replace(_QUICK, deadline=deadline, arrivals=arrivals.value), 1, _QUICK_REQUESTS
    chosen = preset.value if preset else ""
    try:
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
            measured = _measure(_prepare(samples(images), Path(folder)), plan, rounds, requests, chosen)
    except BrokenProcessPool:
        console.fail("a process of the comparison ended early; it said why above")
    except (ModelError, FacetError, GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(measured.document())
    else:
        show(measured)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Pictures, and the gallery that all sides search."""

    pictures: Samples
    folder: Path

    @property
    def strangers(self) -> Path:
        return self.folder / "strangers.npy"

    def neighbour(self, *, tuned: bool) -> Neighbour:
        """The same weights and the same gallery for the other side."""
        return Neighbour(self.folder / "pack", self.strangers, self.pictures.one.data, tuned)

    def database(self, name: str) -> Path:
        """A copy of the gallery for one side alone."""
        copy = self.folder / name
        shutil.copytree(self.folder / "gallery", copy)
        return copy / "facet.sqlite3"


def _prepare(pictures: Samples, folder: Path) -> _Prepared:
    configure_for_models()
    prepared = _Prepared(pictures, folder)
    link_pack(folder / "pack")
    (folder / "gallery").mkdir()
    database = folder / "gallery" / "facet.sqlite3"
    with opened(defaults(database, objects=NONE)) as local:
        contract, dimension = local.pipeline.contract, local.pipeline.dimension
    vectors = np.random.default_rng(0).standard_normal((STRANGERS, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(prepared.strangers, vectors)
    store = SqliteStore(database)
    try:
        fill(store, vectors, contract)
    finally:
        store.close()
    with opened(defaults(database, objects=NONE)) as local:
        local.enroll(pictures.one.data)
    return prepared


def _measure(prepared: _Prepared, plan: Plan, rounds: int, requests: int, preset: str) -> Serving:
    pictures, ready = prepared.pictures, []
    flags = ["--server.preset", preset] if preset else []
    with (
        _serving(prepared.database("server"), *flags) as (server, ready_s),
        _serving(prepared.database("server-none"), "--models.objects", NONE, *flags) as (lean, lean_ready_s),
        LoadProcess(server.address, GALLERY) as load,
        LoadProcess(lean.address, GALLERY) as lean_load,
    ):
        ready += [ready_s, lean_ready_s]
        with ExitStack() as stack:
            compared = compare(_sides(stack, prepared, server, lean, preset), pictures.all, rounds)
        tuned = throughput(prepared.neighbour(tuned=True), pictures.one, lean_load, plan.seconds, min(3, rounds))
        objects = saturate(load, pictures.one, pictures.frame, plan, "with objects")
        no_objects = saturate(lean_load, pictures.one, pictures.frame, plan, "without objects")
        machine = _machine(server)
    with _serving(prepared.database("server-mixed"), *flags) as (fresh, fresh_ready_s):
        ready.append(fresh_ready_s)
        memory = bench_memory.measure(fresh, GALLERY, SUBJECT, mixed(pictures), requests)
    return Serving(
        pictures=compared,
        throughput=tuned,
        objects=objects,
        no_objects=no_objects,
        memory=memory,
        ready_s=round(statistics.median(ready), 2),
        machine=machine,
        preset=preset,
    )


def _sides(stack: ExitStack, prepared: _Prepared, server: LocalServer, lean: LocalServer, preset: str) -> Sides:
    def engine(name: str, objects: str | None) -> Contender:
        return stack.enter_context(Contender(FacetEngine(prepared.database(name), objects, preset or None)))

    return Sides(
        neighbour=stack.enter_context(Contender(prepared.neighbour(tuned=False))),
        engine=engine("engine", None),
        engine_no_objects=engine("engine-none", NONE),
        client=stack.enter_context(Client(server.address)),
        client_no_objects=stack.enter_context(Client(lean.address)),
    )


@contextmanager
def _serving(database: Path, *flags: str) -> Iterator[tuple[LocalServer, float]]:
    """A server that is ready, and after how many seconds it was."""
    begun = time.monotonic()
    quiet = ("--log.level", "error")  # slow requests are what is asked for here
    with local_process("--gallery.database", str(database), *quiet, *flags) as server:
        with grpc.insecure_channel(server.address) as channel:
            health = HealthStub(channel)
            while not _is_serving(health) and time.monotonic() < begun + _READY_WITHIN:
                time.sleep(0.01)
        yield server, time.monotonic() - begun


def _is_serving(health: HealthStub) -> bool:
    answer: HealthCheckResponse = health.Check(HealthCheckRequest(), wait_for_ready=True, timeout=_READY_WITHIN)
    return bool(answer.status == HealthCheckResponse.SERVING)


def _machine(server: LocalServer) -> dict[str, Any]:
    with Client(server.address) as client:
        info = client.get_server_info()
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).date().isoformat(),
        "facet": info.version,
        "runtime": dict(sorted(info.runtime.items())),
    }
