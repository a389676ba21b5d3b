"""``facet bench postgres``: two servers' galleries in one PostgreSQL, beside the same gallery in SQLite."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from facet.benchmarks.galleries.postgres.gallery_process import DIMENSION, SCHEMA, GalleryProcess
from facet.benchmarks.galleries.postgres.postgres_server import temporary_server
from facet.benchmarks.galleries.synthetic_gallery import fill
from facet.benchmarks.galleries.templates import SEED
from facet.benchmarks.timing import percentile
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import listing
from gallery.errors import GalleryError
from gallery.index.files.index_folder import IndexFolder
from gallery.stores.postgres.postgres_store import PostgresStore
from gallery.stores.sqlite.sqlite_store import SqliteStore

_CLIENTS = 8
_BLOCK = 65_536
_AT_ONCE = 10
"""Searches before the other store has its turn."""


@dataclass(frozen=True, slots=True)
class PostgresFigures:
    """A gallery with one template per subject in PostgreSQL, which the processes of two servers have in memory.

    Attributes:
        templates: number of templates.
        bulk_insert_per_s: templates that an import stores a second.
        load_s: how long a server takes to load the gallery when it starts, seconds.
        sqlite_load_s: the same with SQLite, which the figures below have of one server, too.
        resumed_load_s: the same with index files of an earlier start.
        server_mib: memory of a server with the gallery.
        further_process_mib: memory that one more process of a server takes, which shares these files.
        sqlite_server_mib: the same with SQLite.
        search_p50_ms: a probe through ``Galleries.search`` for five subjects, median.
        search_p99_ms: 99th percentile.
        sqlite_search_p50_ms: the same with SQLite, measured in turns.
        sqlite_search_p99_ms: 99th percentile.
        search_ratio: the one median, times the other.
        enrollments_per_s: durable enrolments of eight clients through two servers.
        enroll_p99_ms: an enrolment meanwhile, 99th percentile.
        sqlite_enrollments_per_s: of eight clients through one server with SQLite.
        visible_p50_ms: from the answer to an enrolment until the other server finds the face, median.
        visible_p99_ms: 99th percentile.
        found_at_revision: the share of faces that the first search finds that asks for the enrolment's revision.
    """

    templates: int
    bulk_insert_per_s: float
    load_s: float
    sqlite_load_s: float
    resumed_load_s: float
    server_mib: float
    further_process_mib: float
    sqlite_server_mib: float
    search_p50_ms: float
    search_p99_ms: float
    sqlite_search_p50_ms: float
    sqlite_search_p99_ms: float
    search_ratio: float
    enrollments_per_s: float
    enroll_p99_ms: float
    sqlite_enrollments_per_s: float
    visible_p50_ms: float
    visible_p99_ms: float
    found_at_revision: float


def postgres(
    templates: Annotated[int, typer.Option(min=1000, max=10_000_000, help="Templates of the gallery.")] = 100_000,
    url: Annotated[
        str, typer.Option(help="A running PostgreSQL. Default: start one for the measurement.", show_default=False)
    ] = "",
    searches: Annotated[int, typer.Option(min=10, help="Number of single searches to time.")] = 300,
    enrollments: Annotated[int, typer.Option(min=16, help="Number of enrolments to time.")] = 800,
    as_json: AsJson = False,
) -> None:
    """Measure a gallery that two servers share in PostgreSQL, and how soon one sees what the other enrols.

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
    store = PostgresStore(url, schema=SCHEMA)
    stack.callback(store.drop)
    bulk = fill(store, vectors)
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="facet-bench-"))) / "facet.sqlite3"
    beside = SqliteStore(path)
    fill(beside, vectors)
    beside.close()
    probes = vectors[np.random.default_rng(SEED).integers(count, size=searches)]
    del vectors
    one = _opened(stack, url)
    sqlite = _opened(stack, str(path))
    load_s, memory = (one.load_s, sqlite.load_s), (one.call("memory"), sqlite.call("memory"))
    resumed_s, further_mib = _resumed(url)
    search_ms, sqlite_ms = _searches(one, sqlite, probes)
    sqlite_per_s, _ = _enrolled((sqlite,), enrollments)
    sqlite.close()
    servers = one, _opened(stack, url)
    per_s, enroll_ms = _enrolled(servers, enrollments)
    visible_ms, share = _visible(servers, max(16, enrollments // 8))
    return PostgresFigures(
        templates=count,
        bulk_insert_per_s=bulk,
        load_s=load_s[0],
        sqlite_load_s=load_s[1],
        resumed_load_s=resumed_s,
        server_mib=memory[0],
        further_process_mib=further_mib,
        sqlite_server_mib=memory[1],
        search_p50_ms=percentile(search_ms, 50),
        search_p99_ms=percentile(search_ms, 99),
        sqlite_search_p50_ms=percentile(sqlite_ms, 50),
        sqlite_search_p99_ms=percentile(sqlite_ms, 99),
        search_ratio=round(percentile(search_ms, 50) / percentile(sqlite_ms, 50), 3),
        enrollments_per_s=per_s,
        enroll_p99_ms=percentile(enroll_ms, 99),
        sqlite_enrollments_per_s=sqlite_per_s,
        visible_p50_ms=percentile(visible_ms, 50),
        visible_p99_ms=percentile(visible_ms, 99),
        found_at_revision=share,
    )


def _opened(stack: ExitStack, place: str) -> GalleryProcess:
    server = GalleryProcess(place)
    stack.callback(server.close)
    return server


def _resumed(url: str) -> tuple[float, float]:
    """Seconds that a second process takes to load the gallery with the files of the first, and its own memory, MiB."""
    with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
        snapshots = Path(folder) / "snapshots"
        with closing(GalleryProcess(url, snapshots)):
            IndexFolder(snapshots).close()  # waits until the first one has written
            with closing(GalleryProcess(url, snapshots)) as second:
                return second.load_s, second.call("own_memory")


def _strangers(count: int, seed: int) -> NDArray[np.float32]:
    """Random templates, shape ``(count, 512)``, unit length."""
    rng = np.random.default_rng(seed)
    vectors = np.empty((count, DIMENSION), np.float32)
    for start in range(0, count, _BLOCK):
        block = rng.standard_normal((min(_BLOCK, count - start), DIMENSION), np.float32)
        vectors[start : start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def _searches(
    one: GalleryProcess, other: GalleryProcess, probes: NDArray[np.float32]
) -> tuple[list[float], list[float]]:
    """Milliseconds of searches in two galleries, in turns, after some to warm up."""
    times: tuple[list[float], list[float]] = [], []
    for server in (one, other):
        server.call("search", probes[:_AT_ONCE])
    for start in range(0, len(probes), _AT_ONCE):
        for server, found in zip((one, other), times, strict=True):
            found += server.call("search", probes[start : start + _AT_ONCE])
    return times


def _enrolled(servers: Sequence[GalleryProcess], count: int) -> tuple[float, list[float]]:
    """Enrolments a second of eight clients through the servers, and the milliseconds of each."""
    shares = np.array_split(_strangers(count, SEED + 1), len(servers))
    clients = _CLIENTS // len(servers)
    waiting = [server.begin("enroll", share, clients) for server, share in zip(servers, shares, strict=True)]
    begun, ended, took = zip(*(wait() for wait in waiting), strict=True)
    return round(count / (max(ended) - min(begun)), 1), [each for times in took for each in times]


def _visible(servers: Sequence[GalleryProcess], count: int) -> tuple[list[float], float]:
    """Milliseconds from the answer to an enrolment until the other server finds the face.

    And the share of as many further faces that its first search finds which asks for the revision.
    """
    times, found = [], []
    turns = cycle((servers, servers[::-1]))
    pairs = _strangers(2 * count, SEED + 2).reshape(-1, 2, DIMENSION)
    for (face, further), (writer, reader) in zip(pairs, turns, strict=False):
        wait = reader.begin("found_at", face)
        acknowledged, _ = writer.call("enroll_one", face)
        times.append(max(0.0, wait() - acknowledged) * 1e3)
        _, revision = writer.call("enroll_one", further)
        found.append(reader.call("finds", further, revision))
    return times, sum(found) / len(found)


def _print(figures: PostgresFigures) -> None:
    shown = listing(f"{figures.templates:,} templates in PostgreSQL, two servers")
    rows = (
        ("import", f"{figures.bulk_insert_per_s:,.0f} templates/s"),
        ("start of a server", f"{figures.load_s:.1f} s; with SQLite {figures.sqlite_load_s:.1f} s"),
        ("  with index files", f"{figures.resumed_load_s:.1f} s"),
        ("memory of a server", f"{figures.server_mib:,.0f} MiB; with SQLite {figures.sqlite_server_mib:,.0f} MiB"),
        ("  of one more process", f"{figures.further_process_mib:,.0f} MiB"),
        ("a search, p50 / p99", f"{figures.search_p50_ms:.2f} / {figures.search_p99_ms:.2f} ms"),
        ("  p50, times that with SQLite", f"{figures.search_ratio:.2f}"),
        (
            f"enrolments of {_CLIENTS} clients",
            f"{figures.enrollments_per_s:,.0f}/s, p99 {figures.enroll_p99_ms:.0f} ms; "
            f"through one server with SQLite {figures.sqlite_enrollments_per_s:,.0f}/s",
        ),
        (
            "found by the other server, p50 / p99",
            f"{figures.visible_p50_ms:.0f} / {figures.visible_p99_ms:.0f} ms later",
        ),
        ("  by the first search with its revision", f"{figures.found_at_revision:.0%}"),
    )
    for row in rows:
        shown.add_row(*row)
    console.out.print(shown)
