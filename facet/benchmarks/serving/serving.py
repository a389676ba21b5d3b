"""``facet bench serving``: Facet compared with InsightFace's FaceAnalysis, one request at a time and under load."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from facet import Client, FacetError
from facet.benchmarks.serving import memory as mixed_requests
from facet.benchmarks.serving.in_process import GALLERY, SUBJECT
from facet.benchmarks.serving.inputs import Inputs
from facet.benchmarks.serving.load import LoadProcess
from facet.benchmarks.serving.pictures import mixed, samples
from facet.benchmarks.serving.results import Serving
from facet.benchmarks.serving.saturation import DOUBLE, HALF, Plan, saturate
from facet.benchmarks.serving.speed import Systems, compare_latency, compare_throughput
from facet.benchmarks.serving.systems import FacetInProcess, SystemProcess
from facet.benchmarks.serving.tables import show
from facet.benchmarks.this_machine import this_machine
from facet.runtime.models import ModelError
from facet.runtime.process import configure_for_models
from facet.server.config import NONE
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.local_server import LocalServer, local_process
from gallery.errors import GalleryError

_QUICK = Plan(seconds=0.3, clients=(4,), factors=(HALF, DOUBLE), turns=1)
_QUICK_REQUESTS = 20
_MAX_THROUGHPUT_ROUNDS = 3
_READY_SECONDS = 60.0


class Preset(StrEnum):
    """``server.preset``."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"


class Spacing(StrEnum):
    """Spacing of requests at a fixed rate."""

    EVEN = "even"
    POISSON = "poisson"


def serving(
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of pictures to time as well, at most 50 of them.", exists=True, file_okay=False),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.2, max=600, help="Duration of each load.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each system is timed on each picture.")] = 15,
    requests: Annotated[int, typer.Option(min=2, help="Mixed requests before memory is read.")] = 2000,
    deadline: Annotated[float, typer.Option(min=0.01, help="Deadline of requests at a fixed rate, seconds.")] = 1.0,
    arrivals: Annotated[Spacing, typer.Option(help="Spacing of requests at a fixed rate.")] = Spacing.EVEN,
    preset: Annotated[
        Preset | None, typer.Option(help="server.preset of Facet.", show_default="the server's default")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only a few calls of each kind, to see that it works.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the server with InsightFace's FaceAnalysis on the same weights and pictures.

    Takes about nine minutes (half a minute with [b]--quick[/b]) and measures, with and without the object detector:

      1. Latency of one request at a time, medians of interleaved calls:
         FaceAnalysis with its defaults at 640x640 and a NumPy search,
         Facet in process ("pipeline"), and Facet's server ("over gRPC").
      2. Throughput of the server, and of FaceAnalysis tuned to one thread
         per session and one request per core.
      3. The server with 1 to 8 clients, each of which waits for its answer
         (closed loops). The best rate is the saturation rate.
      4. The server at fixed rates, up to twice the saturation rate, two
         turns each. Latency counts from the time a request was due;
         "goodput" is the rate of answers within the deadline; "late" is
         what was neither refused nor answered by then.
      5. The server's memory after mixed requests.

    Every system runs in a process of its own and searches a gallery of 1,001 subjects. Clients share the cores of this
    machine with the server.

    [b]Examples[/b]

      facet bench serving
      facet bench serving --quick --json
      facet bench serving --images photos/ --preset throughput
    """
    plan = Plan(seconds=seconds, deadline=deadline, arrivals=arrivals.value)
    if quick:
        plan, rounds, requests = replace(_QUICK, deadline=deadline, arrivals=arrivals.value), 1, _QUICK_REQUESTS
    configure_for_models()
    try:
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
            inputs = Inputs.prepare(samples(images), Path(folder))
            measured = _measure(inputs, plan, rounds, requests, preset.value if preset else "")
    except BrokenProcessPool:
        console.fail("a process of the comparison died; its reason is above")
    except (ModelError, FacetError, GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(measured.document())
    else:
        show(measured)


def _measure(inputs: Inputs, plan: Plan, rounds: int, requests: int, preset: str) -> Serving:
    pictures, ready = inputs.pictures, []
    flags = ["--server.preset", preset] if preset else []
    with (
        _server(inputs.database("server"), *flags) as (server, server_ready_s),
        _server(inputs.database("server-no-objects"), "--models.objects", NONE, *flags) as (lean, lean_ready_s),
        LoadProcess(server.address, GALLERY) as load,
        LoadProcess(lean.address, GALLERY) as lean_load,
    ):
        ready += [server_ready_s, lean_ready_s]
        with ExitStack() as stack:
            systems = _systems(stack, inputs, server, lean, preset)
            latency = compare_latency(systems, pictures.all, rounds)
        tuned, throughput_rounds = inputs.baseline(tuned=True), min(_MAX_THROUGHPUT_ROUNDS, rounds)
        throughput = compare_throughput(tuned, pictures.one, lean_load, plan.seconds, throughput_rounds)
        objects = saturate(load, pictures.one, pictures.frame, plan, "with objects")
        no_objects = saturate(lean_load, pictures.one, pictures.frame, plan, "without objects")
        machine = _machine(server)
    with _server(inputs.database("server-mixed"), *flags) as (fresh, fresh_ready_s):
        ready.append(fresh_ready_s)
        memory = mixed_requests.measure(fresh, GALLERY, SUBJECT, mixed(pictures), requests)
    return Serving(
        pictures=latency,
        throughput=throughput,
        objects=objects,
        no_objects=no_objects,
        memory=memory,
        ready_s=round(statistics.median(ready), 2),
        machine=machine,
        preset=preset,
    )


def _systems(stack: ExitStack, inputs: Inputs, server: LocalServer, lean: LocalServer, preset: str) -> Systems:
    def pipeline(name: str, objects: str | None) -> SystemProcess:
        return stack.enter_context(SystemProcess(FacetInProcess(inputs.database(name), objects, preset or None)))

    return Systems(
        baseline=stack.enter_context(SystemProcess(inputs.baseline(tuned=False))),
        pipeline=pipeline("pipeline", None),
        pipeline_no_objects=pipeline("pipeline-no-objects", NONE),
        client=stack.enter_context(Client(server.address)),
        client_no_objects=stack.enter_context(Client(lean.address)),
    )


@contextmanager
def _server(database: Path, *flags: str) -> Iterator[tuple[LocalServer, float]]:
    """Run a server; gives it when it is ready, with the seconds that it took to start."""
    start = time.monotonic()
    quiet = ("--log.level", "error")  # overload and broken pictures are intended here
    with local_process("--gallery.database", str(database), *quiet, *flags) as server:
        with grpc.insecure_channel(server.address) as channel:
            health = HealthStub(channel)
            while not _is_serving(health) and time.monotonic() < start + _READY_SECONDS:
                time.sleep(0.01)
        yield server, time.monotonic() - start


def _is_serving(health: HealthStub) -> bool:
    answer: HealthCheckResponse = health.Check(HealthCheckRequest(), wait_for_ready=True, timeout=_READY_SECONDS)
    return bool(answer.status == HealthCheckResponse.SERVING)


def _machine(server: LocalServer) -> dict[str, Any]:
    with Client(server.address) as client:
        info = client.get_server_info()
    return this_machine() | {"facet": info.version, "runtime": dict(sorted(info.runtime.items()))}
