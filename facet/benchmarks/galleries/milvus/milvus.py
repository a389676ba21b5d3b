"""``facet bench milvus``: speed and consistency of a gallery stored in Milvus."""

from __future__ import annotations

import importlib
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from facet.benchmarks.galleries.milvus.consistency import Level, measure_levels
from facet.benchmarks.galleries.milvus.milvus_server import MilvusServer
from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.benchmarks.galleries.synthetic_gallery import BATCH, CONTRACT, GALLERY, enrollment_of, fill, name_of
from facet.benchmarks.galleries.templates import SEED, Faces, embed, enlarged
from facet.benchmarks.process_memory import rss_mib
from facet.benchmarks.timing import milliseconds, percentile
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.server.config import GalleryConfig
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import listing, number, table
from gallery.errors import GalleryError
from gallery.galleries import Galleries
from gallery.stores.milvus.milvus_store import MilvusStore

_ENROLMENTS = 40
_MAX_TEMPLATES_PER_SUBJECT = 100
_MAX_BATCHES = 20


class MilvusIndex(StrEnum):
    """Index type of Milvus."""

    FLAT = "FLAT"
    HNSW = "HNSW"


@dataclass(frozen=True, slots=True)
class MilvusFigures:
    """A gallery with one template per subject in Milvus.

    Attributes:
        templates: number of templates.
        index: index type.
        import_per_s: templates imported per second.
        settled_s: seconds from the end of the import until Milvus had moved all templates to indexed segments.
        search_p50_ms: a probe through ``Galleries.search`` for five subjects, without recent writes, median.
        search_p99_ms: 99th percentile.
        search_fresh_p50_ms: the same before Milvus had moved the templates, median.
        batch_per_s: probes per second in batches of 32.
        agreement: share of mated probes with the same first subject as an exact search.
        agreement_above_threshold: the same of probes whose similarity to their mate reaches the default threshold.
        enroll_p50_ms: an enrolment, median.
        enroll_p99_ms: 99th percentile.
        search_after_enroll_p50_ms: the first search after an enrolment, median.
        server_rss_mb: memory in MiB of the Milvus server that this command started; 0 if it used another one.
        levels: figures by consistency level.
    """

    templates: int
    index: str
    import_per_s: float
    settled_s: float
    search_p50_ms: float
    search_p99_ms: float
    search_fresh_p50_ms: float
    batch_per_s: float
    agreement: float
    agreement_above_threshold: float
    enroll_p50_ms: float
    enroll_p99_ms: float
    search_after_enroll_p50_ms: float
    server_rss_mb: float
    levels: dict[str, Level]


@dataclass(frozen=True, slots=True)
class _Server:
    """The Milvus to measure; ``pid`` is ``None`` if this command did not start it."""

    uri: str
    token: str
    pid: int | None


def milvus(
    templates: Annotated[int, typer.Option(min=5000, max=100_000_000, help="Templates of the gallery.")] = 10_000,
    index: Annotated[MilvusIndex, typer.Option(help="Index type of Milvus.")] = MilvusIndex.FLAT,
    uri: Annotated[
        str, typer.Option(help="A running Milvus. Default: start one for the measurement.", show_default=False)
    ] = "",
    token: Annotated[
        str,
        typer.Option(envvar="FACET_GALLERY__MILVUS_TOKEN", help="Token of the running Milvus.", show_default=False),
    ] = "",
    protocol: Protocol = None,
    images: Images = None,
    rounds: Annotated[int, typer.Option(min=10, help="Number of single searches to time.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Measure a gallery stored in Milvus: speed, agreement with an exact search, and when writes become visible.

    Embeds the faces of a labelled set and places its templates among synthetic strangers, one template per subject.
    Then measures each consistency level of Milvus with two processes: the time of a search, whether the first search
    after a write of the same process sees it, and how long a write takes to become visible to the other process.
    Without [b]--uri[/b] a temporary Milvus is started, from the Python package milvus. In a running Milvus the
    command uses collections whose names begin with "bench_". Takes about ten minutes, longer for more templates.

    [b]Examples[/b]

      facet bench milvus
      facet bench milvus --templates 100000 --index HNSW --json
      facet bench milvus --uri http://milvus:19530
    """
    csv, folder = labelled_set(protocol, images)
    try:
        faces = embed(csv, folder)
        with ExitStack() as stack:
            server = _Server(uri, token, None) if uri else _start(stack)
            store = MilvusStore(server.uri, token=server.token, prefix="bench", index=index.value, timeout=60)
            stack.callback(store.close)
            figures = _measure(store, faces, max(templates, len(faces.templates)), index, rounds, server)
    except (LabelError, ModelError, PictureError, GalleryError, OSError, ModuleNotFoundError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(asdict(figures))
    else:
        _print(figures)


def _start(stack: ExitStack) -> _Server:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="facet-milvus-")))
    server = MilvusServer(folder)
    stack.callback(server.stop)
    return _Server(server.uri, server.token, server.process_id)


def _measure(
    store: MilvusStore, faces: Faces, count: int, index: MilvusIndex, rounds: int, server: _Server
) -> MilvusFigures:
    vectors = enlarged(faces, count)
    dimension = vectors.shape[1]
    configure_for_models()
    galleries = Galleries(
        store, contract=CONTRACT, dimension=dimension, max_templates_per_subject=_MAX_TEMPLATES_PER_SUBJECT
    )
    import_per_s = fill(store, vectors)
    fresh_ms = _search(galleries, faces.mated, rounds)
    client = importlib.import_module("pymilvus").MilvusClient(server.uri, token=server.token, timeout=60)
    try:
        settled_s = _settle(client, count)
        settled_ms = _search(galleries, faces.mated, rounds)
        batch_per_s = _search_batches(galleries, faces.mated)
        agreement, agreement_above = _agreement(galleries, faces, vectors)
        server_mib = rss_mib(server.pid) if server.pid is not None else 0.0
        enroll_ms, after_ms = _enroll(galleries, dimension)
        levels = measure_levels(client, server.uri, server.token, dimension, rounds)
    finally:
        client.close()
    return MilvusFigures(
        templates=count,
        index=index.value,
        import_per_s=import_per_s,
        settled_s=settled_s,
        search_p50_ms=percentile(settled_ms, 50),
        search_p99_ms=percentile(settled_ms, 99),
        search_fresh_p50_ms=percentile(fresh_ms, 50),
        batch_per_s=batch_per_s,
        agreement=agreement,
        agreement_above_threshold=agreement_above,
        enroll_p50_ms=percentile(enroll_ms, 50),
        enroll_p99_ms=percentile(enroll_ms, 99),
        search_after_enroll_p50_ms=percentile(after_ms, 50),
        server_rss_mb=server_mib,
        levels=levels,
    )


def _settle(client: Any, count: int) -> float:
    """Let Milvus seal its segments, and wait until all rows are indexed; seconds."""
    (collection,) = (name for name in client.list_collections() if name.startswith("bench_templates_"))
    begun = time.perf_counter()
    client.flush(collection, timeout=600)
    while client.describe_index(collection, "embedding")["indexed_rows"] < count:
        time.sleep(0.5)
    client.refresh_load(collection, timeout=600)
    return round(time.perf_counter() - begun, 1)


def _search(galleries: Galleries, probes: NDArray[np.float32], rounds: int) -> list[float]:
    """Milliseconds of searches for random probes, after one to warm up."""
    chosen = probes[np.random.default_rng(SEED).integers(len(probes), size=rounds)]
    galleries.search(GALLERY, chosen[:1], top_k=5)
    return [milliseconds(partial(galleries.search, GALLERY, probe[None], top_k=5)) for probe in chosen]


def _search_batches(galleries: Galleries, probes: NDArray[np.float32]) -> float:
    """Probes per second in batches."""
    starts = range(0, min(len(probes), _MAX_BATCHES * BATCH) - BATCH + 1, BATCH)
    batches = [probes[start : start + BATCH] for start in starts]
    total_ms = sum(milliseconds(partial(galleries.search, GALLERY, batch, top_k=5)) for batch in batches)
    return round(BATCH * len(batches) * 1e3 / total_ms, 1)


def _agreement(galleries: Galleries, faces: Faces, vectors: NDArray[np.float32]) -> tuple[float, float]:
    """Share of mated probes with the same first subject as an exact search: all, and those above the threshold."""
    same = []
    probes = faces.mated[: _MAX_BATCHES * BATCH]
    for start in range(0, len(probes), BATCH):
        batch = probes[start : start + BATCH]
        nearest = (batch @ vectors.T).argmax(axis=1)
        found = galleries.search(GALLERY, batch, top_k=1)
        same += [each.candidates[0].subject_id == name_of(row) for each, row in zip(found, nearest, strict=True)]
    agree = np.array(same)
    cosines = (probes * faces.templates[faces.mates[: len(probes)]]).sum(axis=1)
    is_above = cosines >= GalleryConfig().default_threshold
    return round(float(agree.mean()), 5), round(float(agree[is_above].mean()), 5)


def _enroll(galleries: Galleries, dimension: int) -> tuple[list[float], list[float]]:
    """Milliseconds of enrolments, and of the first search after each."""
    enroll_ms, after_ms = [], []
    strangers = np.random.default_rng(SEED + 1).standard_normal((_ENROLMENTS, dimension)).astype(np.float32)
    for stranger in strangers:
        enroll_ms.append(milliseconds(partial(galleries.enroll, GALLERY, "", enrollment_of(stranger))))
        after_ms.append(milliseconds(partial(galleries.search, GALLERY, stranger[None], top_k=1)))
    # The first enrolment also creates collections.
    return enroll_ms[1:], after_ms[1:]


def _print(figures: MilvusFigures) -> None:
    shown = listing(f"{figures.templates:,} templates in Milvus, index {figures.index}")
    rows = (
        ("import", f"{figures.import_per_s:,.0f} templates/s, indexed {figures.settled_s:.0f} s later"),
        ("a search, p50 / p99", f"{figures.search_p50_ms:.1f} / {figures.search_p99_ms:.1f} ms"),
        ("  right after the import, p50", f"{figures.search_fresh_p50_ms:.1f} ms"),
        (f"in batches of {BATCH}", f"{figures.batch_per_s:,.0f} probes/s"),
        ("same first subject as an exact search", f"{figures.agreement:.4f}"),
        ("  probes above the threshold", f"{figures.agreement_above_threshold:.4f}"),
        ("enrolment, p50 / p99", f"{figures.enroll_p50_ms:.0f} / {figures.enroll_p99_ms:.0f} ms"),
        ("search after an enrolment, p50", f"{figures.search_after_enroll_p50_ms:.0f} ms"),
        ("memory of Milvus", f"{figures.server_rss_mb:,.0f} MiB" if figures.server_rss_mb else "-"),
    )
    for row in rows:
        shown.add_row(*row)
    console.out.print(shown)
    console.out.print()
    levels = table(
        *("level", number("search\np50 / p99"), number("after own\nwrite, p50"), number("own write\nseen")),
        number("other process sees\na write, p50 / max"),
        title="Consistency levels, milliseconds",
    )
    for name, level in figures.levels.items():
        levels.add_row(
            *(name, f"{level.search_p50_ms:.0f} / {level.search_p99_ms:.0f}", f"{level.own_p50_ms:.0f}"),
            *(f"{level.own_seen:.0%}", f"{level.other_p50_ms:.0f} / {level.other_max_ms:.0f}"),
        )
    console.out.print(levels)
