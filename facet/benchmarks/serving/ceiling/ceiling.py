"""``facet bench ceiling``: how many requests a second one server process can feed to models, whatever these run on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from facet import Client, FacetError
from facet.benchmarks.galleries.synthetic_gallery import GALLERY
from facet.benchmarks.process_memory import processor_seconds
from facet.benchmarks.serving.ceiling.sleeping_server import SleepingServer, sleeping_server
from facet.benchmarks.serving.load import LoadProcess, Point, Request
from facet.benchmarks.serving.pictures import Samples, samples
from facet.benchmarks.this_machine import this_machine
from facet.client.requests import identify_request
from facet.runtime.models import ModelError
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import number, table, whole
from facet.v1.gallery_service_pb2 import SearchEmbeddingRequest
from facet.v1.types_pb2 import Embedding

_SEARCH, _SMALL, _TYPICAL = "search", "identify", "identify_typical"
_SUBJECT = "somebody"


@dataclass(frozen=True, slots=True)
class Rate:
    """One kind of request, sent as fast as it is answered.

    Attributes:
        per_s: answers per second.
        python_ms: processor time of the server's process per answer, milliseconds: Python and the native code that it
            calls, without decoders and models.
        server_cores: processor time of the server's process, in cores: about 1 if its interpreter lock is the limit.
        p50_ms: median latency, mean over the processes of clients.
        refused: requests that were refused.
    """

    per_s: float
    python_ms: float
    server_cores: float
    p50_ms: float
    refused: int


@dataclass(frozen=True, slots=True)
class Ceiling:
    """All results.

    Attributes:
        rates: by kind of request.
        machine: processor, cores, versions and date.
    """

    rates: Mapping[str, Rate]
    machine: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """The main figures and all results they are computed from."""
        search, small, typical = (self.rates[name] for name in (_SEARCH, _SMALL, _TYPICAL))
        return {
            "ceiling_search_per_s": search.per_s,
            "ceiling_identify_per_s": small.per_s,
            "ceiling_identify_typical_per_s": typical.per_s,
            "python_ms_per_request": round((search.python_ms + small.python_ms) / 2, 3),
            **asdict(self),
        }


def ceiling(
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="Duration of each turn.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each kind of request.")] = 3,
    model_ms: Annotated[float, typer.Option(min=0, max=10_000, help="How long each run of a model sleeps.")] = 2.0,
    workers: Annotated[int, typer.Option(min=1, max=256, help="server.workers.")] = 8,
    clients: Annotated[int, typer.Option(min=1, max=256, help="Clients at the same time, in each process.")] = 8,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes of clients.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Measure how many requests a second one server process can feed to models, whatever they run on.

    Starts a server on a real port whose models only sleep and return what they have returned before, as if an
    accelerator computed it. Clients in other processes send requests one after the other. What then limits the rate is
    the server's process: its event loop, and the lock of its Python interpreter, which one thread holds at a time. An
    accelerator that is faster needs more processes: [b]facet serve --processes[/b].

      ceiling_search_per_s    answers of SearchEmbedding a second, in a
                              gallery of 1,001 subjects
      ceiling_identify_per_s  answers of Identify a second, for a picture of
                              233x287 pixels with one face
      ceiling_identify_typical_per_s
                              the same for 1280x720 pixels and two faces
      python_ms_per_request   processor time of the server's process per
                              request, mean of SearchEmbedding and Identify
                              of the small picture; decoders are processes
                              of their own and do not count

    Clients and decoders take cores of this machine, too: if there are few, the server does not get a whole one, and the
    rates are lower than its ceiling ("cores of the server" says so). The processor time does not depend on that. The
    default takes about a minute.

    [b]Examples[/b]

      facet bench ceiling
      facet bench ceiling --model-ms 0 --seconds 2 --json
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix="facet-bench-") as folder,
            sleeping_server(Path(folder), model_ms / 1e3, workers) as server,
        ):
            measured = _measure(server, samples(None), seconds, rounds, clients, processes)
    except (EOFError, BrokenProcessPool):
        console.fail("a process of the benchmark died; its reason is above")
    except (ModelError, FacetError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(measured.document())
    else:
        _print(measured)


def _measure(
    server: SleepingServer, pictures: Samples, seconds: float, rounds: int, clients: int, processes: int
) -> Ceiling:
    requests = _requests(server, pictures)
    turns: dict[str, list[Rate]] = {name: [] for name in requests}
    with ExitStack() as stack:
        loads = [stack.enter_context(LoadProcess(server.address, GALLERY)) for _ in range(processes)]
        bar = stack.enter_context(console.progress("Requests", rounds * len(requests)))
        for request in requests.values():  # processes start, models compute each picture once, caches fill
            _turn(server, loads, request, clients, min(seconds, 0.5))
        for _ in range(rounds):
            for name, request in requests.items():
                turns[name].append(_turn(server, loads, request, clients, seconds))
                bar.advance(bar.task_ids[0])
    return Ceiling({name: _median(rates) for name, rates in turns.items()}, this_machine())


def _requests(server: SleepingServer, pictures: Samples) -> dict[str, Request]:
    """Enrol the person of the small picture, and make the requests."""
    with Client(server.address) as client:
        client.enroll(GALLERY, _SUBJECT, pictures.one.data)
        info = client.get_server_info()
    values = np.random.default_rng(7).standard_normal(info.embedding_dimension)
    probe = Embedding(values=(values / np.linalg.norm(values)).tolist(), contract=info.contract)
    return {
        _SEARCH: SearchEmbeddingRequest(gallery_id=GALLERY, embedding=probe),
        _SMALL: identify_request(GALLERY, pictures.one.data),
        _TYPICAL: identify_request(GALLERY, pictures.frame.data),
    }


def _turn(server: SleepingServer, loads: Sequence[LoadProcess], request: Request, clients: int, seconds: float) -> Rate:
    begun, taken = time.perf_counter(), processor_seconds(server.pid)
    with ThreadPoolExecutor(len(loads)) as pool:
        points: list[Point] = list(pool.map(lambda load: load.closed_of(request, clients, seconds), loads))
    taken, lasted = processor_seconds(server.pid) - taken, time.perf_counter() - begun
    answered = sum(point.answered for point in points)
    latencies = [point.p50_ms for point in points if point.p50_ms is not None]
    return Rate(
        per_s=round(sum(point.goodput_per_s for point in points), 1),
        python_ms=round(taken / answered * 1e3, 3) if answered else 0.0,
        server_cores=round(taken / lasted, 2),
        p50_ms=round(sum(latencies) / len(latencies), 2) if latencies else 0.0,
        refused=sum(sum(point.refused.values()) + point.late for point in points),
    )


def _median(rates: Sequence[Rate]) -> Rate:
    """The turn with the median processor time; the lower one of two in the middle."""
    return sorted(rates, key=lambda rate: rate.python_ms)[(len(rates) - 1) // 2]


def _print(measured: Ceiling) -> None:
    headings = ("a second", "Python, ms", "cores of the server", "p50, ms", "refused")
    shown = table(whole(""), *map(number, headings), title="Requests that one server process can feed")
    names = {_SEARCH: "SearchEmbedding", _SMALL: "Identify, small", _TYPICAL: "Identify, typical"}
    for name, rate in measured.rates.items():
        figures = (rate.per_s, rate.python_ms, rate.server_cores, rate.p50_ms, rate.refused)
        shown.add_row(names[name], *map(str, figures))
    console.out.print(shown)
