"""``facet bench postgres``: two servers' galleries in one PostgreSQL, beside the same gallery in SQLite."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from facet.benchmarks.galleries.postgres.postgres_server import temporary_server
from facet.benchmarks.galleries.synthetic_gallery import CONTRACT, GALLERY, enrollment_of, fill
from facet.benchmarks.galleries.templates import SEED
from facet.benchmarks.timing import milliseconds, percentile
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import listing
from gallery.errors import GalleryError
from gallery.galleries import Galleries
from gallery.records.identifications import Decision
from gallery.stores.base import Store
from gallery.stores.postgres.postgres_store import PostgresStore
from gallery.stores.sqlite.sqlite_store import SqliteStore

_DIMENSION = 512
_CLIENTS = 8
_BLOCK = 65_536
_GIVE_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class PostgresFigures:
    """A gallery with one template per subject in PostgreSQL, which two servers have in memory.

    Attributes:
        templates: number of templates.
        bulk_insert_per_s: templates that an import stores a second.
        load_s: how long a server takes to load the gallery when it starts, seconds.
        search_p50_ms: a probe through ``Galleries.search`` for five subjects, median.
        search_p99_ms: 99th percentile.
        search_ratio: the median, times that of the same gallery in SQLite, measured in turns.
        enrollments_per_s: durable enrolments of eight clients through two servers.
        enroll_p99_ms: an enrolment meanwhile, 99th percentile.
        visible_p50_ms: from the answer to an enrolment until the other server finds the face, median.
        visible_p99_ms: 99th percentile.
    """

    templates: int
    bulk_insert_per_s: float
    load_s: float
    search_p50_ms: float
    search_p99_ms: float
    search_ratio: float
    enrollments_per_s: float
    enroll_p99_ms: float
    visible_p50_ms: float
    visible_p99_ms: float


def postgres(
    templates: Annotated[int, typer.Option(min=1000, max=10_000_000, help="Templates of the gallery.")] = 100_000,
    url: Annotated[
        str, typer.Option(help="A running PostgreSQL. Default: start one for the measurement.", show_default=False)
    ] = "",
    searches: Annotated[int, typer.Option(min=10, help="Number of single searches to time.")] = 300,
    enrollments: Annotated[int, typer.Option(min=16, help="Number of enrolments to time.")] = 800,
    as_json: AsJson = False,
) -> None:
    """Measure a gallery that two servers share in PostgreSQL: import, start, search, enrolment, and when others see it.

    The templates are random. Searches take turns with those of the same gallery in SQLite. Without [b]--url[/b] a
    temporary server is started, from Debian's package postgresql; in a running one the command makes the schema
    "facet_bench", and drops it in the end.

    [b]Examples[/b]

      facet bench postgres
      facet bench postgres --templates 1000000 --json
    """
    try:
        with ExitStack() as stack:
            database = url or stack.enter_context(temporary_server()).url
            figures = _measure(stack, database, templates, searches, enrollments)
    except (GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(asdict(figures))
    else:
        _print(figures)


def _measure(stack: ExitStack, url: str, count: int, searches: int, enrollments: int) -> PostgresFigures:
    vectors = _strangers(count, SEED)
    first = PostgresStore(url, schema="facet_bench")
    stack.callback(first.drop)
    bulk = fill(first, vectors)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="facet-bench-"))
    beside = SqliteStore(Path(folder) / "facet.sqlite3")
    fill(beside, vectors)
    probes = vectors[np.random.default_rng(SEED).integers(count, size=searches)]
    del vectors
    begun = time.perf_counter()
    one = _opened(stack, first)
    load_s = round(time.perf_counter() - begun, 2)
    sqlite = _opened(stack, beside)
    search_ms, sqlite_ms = _searches(one, sqlite, probes)
    sqlite.close()
    servers = one, _opened(stack, PostgresStore(url, schema="facet_bench"))
    per_s, enroll_ms = _enrolled(servers, enrollments)
    visible_ms = _visible(servers, max(16, enrollments // 8))
    return PostgresFigures(
        templates=count,
        bulk_insert_per_s=bulk,
        load_s=load_s,
        search_p50_ms=percentile(search_ms, 50),
        search_p99_ms=percentile(search_ms, 99),
        search_ratio=round(percentile(search_ms, 50) / percentile(sqlite_ms, 50), 3),
        enrollments_per_s=per_s,
        enroll_p99_ms=percentile(enroll_ms, 99),
        visible_p50_ms=percentile(visible_ms, 50),
        visible_p99_ms=percentile(visible_ms, 99),
    )


def _opened(stack: ExitStack, store: Store) -> Galleries:
    galleries = Galleries(store, contract=CONTRACT, dimension=_DIMENSION, max_templates_per_subject=100)
    stack.callback(galleries.close)
    return galleries


def _strangers(count: int, seed: int) -> NDArray[np.float32]:
    """Random templates, shape ``(count, 512)``, unit length."""
    rng = np.random.default_rng(seed)
    vectors = np.empty((count, _DIMENSION), np.float32)
    for start in range(0, count, _BLOCK):
        block = rng.standard_normal((min(_BLOCK, count - start), _DIMENSION), np.float32)
        vectors[start : start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def _searches(one: Galleries, other: Galleries, probes: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Milliseconds of searches in two galleries, in turns, after some to warm up."""
    times: tuple[list[float], list[float]] = [], []
    for place, probe in enumerate((*probes[:10], *probes)):
        for galleries, found in zip((one, other), times, strict=True):
            took = milliseconds(partial(galleries.search, GALLERY, probe[None], top_k=5))
            if place >= 10:
                found.append(took)
    return times


def _enrolled(servers: Sequence[Galleries], count: int) -> tuple[float, list[float]]:
    """Enrolments a second of eight clients through the servers, and the milliseconds of each."""
    faces = _strangers(count, SEED + 1)

    def enroll(place: int) -> float:
        server = servers[place % len(servers)]
        return milliseconds(partial(server.enroll, GALLERY, "", enrollment_of(faces[place])))

    begun = time.perf_counter()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        took = list(clients.map(enroll, range(count)))
    return round(count / (time.perf_counter() - begun), 1), took


def _visible(servers: Sequence[Galleries], count: int) -> list[float]:
    """Milliseconds from the answer to an enrolment until the other server finds the face."""
    times = []
    turns = cycle((servers, servers[::-1]))
    for face, (writer, reader) in zip(_strangers(count, SEED + 2), turns, strict=False):
        writer.enroll(GALLERY, "", enrollment_of(face))
        begun = time.perf_counter()
        _wait(lambda face=face, reader=reader: _finds(reader, face))  # type: ignore[misc]
        times.append((time.perf_counter() - begun) * 1e3)
    return times


def _finds(galleries: Galleries, face: NDArray[np.float32]) -> bool:
    (found,) = galleries.search(GALLERY, face[None], top_k=1)
    return found.decision is Decision.MATCH


def _wait(condition: Callable[[], bool]) -> None:
    give_up = time.perf_counter() + _GIVE_UP_SECONDS
    pause = threading.Event()
    while not condition():
        if time.perf_counter() > give_up:
            raise TimeoutError(f"the other server did not find a face within {_GIVE_UP_SECONDS:.0f} s")
        pause.wait(0.001)


def _print(figures: PostgresFigures) -> None:
    shown = listing(f"{figures.templates:,} templates in PostgreSQL, two servers")
    rows = (
        ("import", f"{figures.bulk_insert_per_s:,.0f} templates/s"),
        ("start of a server", f"{figures.load_s:.1f} s"),
        ("a search, p50 / p99", f"{figures.search_p50_ms:.2f} / {figures.search_p99_ms:.2f} ms"),
        ("  p50, times that with SQLite", f"{figures.search_ratio:.2f}"),
        (
            f"enrolments of {_CLIENTS} clients",
            f"{figures.enrollments_per_s:,.0f}/s, p99 {figures.enroll_p99_ms:.0f} ms",
        ),
        (
            "found by the other server, p50 / p99",
            f"{figures.visible_p50_ms:.0f} / {figures.visible_p99_ms:.0f} ms later",
        ),
    )
    for row in rows:
        shown.add_row(*row)
    console.out.print(shown)
