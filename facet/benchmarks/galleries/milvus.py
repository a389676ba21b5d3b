"""``facet bench milvus``: galleries in Milvus, and when one server sees what another enrolled."""

from __future__ import annotations

import importlib
import multiprocessing
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from facet.benchmarks.galleries.milvus_server import MilvusServer
from facet.benchmarks.galleries.people import (
    BATCH,
    CONTRACT,
    GALLERY,
    enrollment_of,
    fill,
    milliseconds,
    name_of,
    percentile,
)
from facet.benchmarks.galleries.templates import SEED, Faces, embed, planted
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.terminal import console, tables
from facet.terminal.console import AsJson
from gallery.errors import GalleryError
from gallery.galleries import Galleries
from gallery.stores.milvus.milvus_store import MilvusStore
from gallery.stores.milvus.schema import IndexType

LEVELS = ("Strong", "Session", "Bounded", "Eventually")

_LFW = Path(__file__).resolve().parents[4] / "shared" / "data" / "lfw"
_ENROLMENTS = 40
_SEEN = "bench_seen"
_GIVE_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Level:
    """What a consistency level of Milvus costs and gives.

    Attributes:
        search_p50_ms: a search where nothing was written lately, median.
        search_p99_ms: the 99th percentile.
        own_p50_ms: the first search after a write of the same process, median.
        own_seen: the share of these that saw it.
        other_p50_ms: from the end of a write until a search of another process has seen it, median.
        other_max_ms: the longest.
    """

    search_p50_ms: float
    search_p99_ms: float
    own_p50_ms: float
    own_seen: float
    other_p50_ms: float
    other_max_ms: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What a gallery of one template a subject costs in a Milvus.

    Attributes:
        templates: how many there are.
        index: its type.
        import_per_s: templates imported a second.
        settled_s: from the import's end until Milvus had moved all to indexed segments.
        search_p50_ms: a probe through Galleries.search, the best five subjects, where nothing was written lately.
        search_p99_ms: the 99th percentile.
        search_fresh_p50_ms: the same before Milvus had moved them.
        batch_per_s: probes a second in batches of 32.
        agreement: the share of probes for which the same subject is first as in an exact comparison.
        agreement_above_threshold: the same of mated probes whose mate reaches 0.34.
        enroll_p50_ms: an enrolment.
        enroll_p99_ms: the 99th percentile.
        search_after_enroll_p50_ms: the first search after it.
        server_rss_mb: memory of the Milvus, where it is of this command's own; 0 otherwise.
        levels: of consistency.
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


def milvus(
    templates: Annotated[int, typer.Option(min=5000, max=100_000_000, help="Number of templates.")] = 10_000,
    index: Annotated[str, typer.Option(help="FLAT or HNSW.")] = "FLAT",
    uri: Annotated[str, typer.Option(help="The Milvus to measure. Default: one that is started for the run.")] = "",
    token: Annotated[str, typer.Option(envvar="FACET_GALLERY__MILVUS_TOKEN", help="Token of that Milvus.")] = "",
    protocol: Annotated[
        Path,
        typer.Option(help="CSV with role, subject, image: the faces for templates and probes.", show_default="LFW"),
    ] = _LFW / "identification.csv",
    images: Annotated[Path, typer.Option(help="Folder of its images.", show_default="LFW")] = _LFW / "images",
    rounds: Annotated[int, typer.Option(min=10, help="Number of single searches to time.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Galleries in Milvus: speed, agreement with an exact search, and when other servers see a change.

    Fills a gallery in collections whose names begin with "bench_". Without --uri they are in a temporary Milvus, which
    the package milvus brings.
    """
    kind: IndexType = "HNSW" if index == "HNSW" else "FLAT"
    try:
        faces = embed(protocol, images)
        with ExitStack() as stack:
            process_id = 0
            if not uri:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="facet-milvus-")))
                server = MilvusServer(folder)
                stack.callback(server.stop)
                uri, token, process_id = server.uri, server.token, server.process_id
            store = MilvusStore(uri, token=token, prefix="bench", index=kind, timeout=60)
            stack.callback(store.close)
            costs = _measure(store, faces, max(templates, len(faces.templates)), kind, rounds, (uri, token), process_id)
    except (LabelError, ModelError, PictureError, GalleryError, OSError, ModuleNotFoundError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(asdict(costs))
    else:
        _print(costs)


def _measure(
    store: MilvusStore,
    faces: Faces,
    count: int,
    index: IndexType,
    rounds: int,
    address: tuple[str, str],
    process_id: int,
) -> Costs:
    vectors = planted(faces, count)
    dimension = vectors.shape[1]
    configure_for_models()
    galleries = Galleries(store, contract=CONTRACT, dimension=dimension, max_templates_per_subject=100)
    per_s = fill(store, vectors)
    fresh = _searches(galleries, faces.mated, rounds)
    client = importlib.import_module("pymilvus").MilvusClient(address[0], token=address[1], timeout=60)
    try:
        settled = _settle(client, count)
        quiet = _searches(galleries, faces.mated, rounds)
        begun = time.perf_counter()
        batches = range(0, min(len(faces.mated), 20 * BATCH) - BATCH + 1, BATCH)
        for start in batches:
            galleries.search(GALLERY, faces.mated[start : start + BATCH], top_k=5)
        per_batch = (time.perf_counter() - begun) / len(batches)
        agreement, above = _agreement(galleries, faces, vectors)
        rss = _rss_mb(process_id) if process_id else 0.0
        enrolled, after = _enrolments(galleries, dimension)
        levels = _levels(client, address, dimension, rounds)
    finally:
        client.close()
    return Costs(
        templates=count,
        index=index,
        import_per_s=per_s,
        settled_s=settled,
        search_p50_ms=percentile(quiet, 50),
        search_p99_ms=percentile(quiet, 99),
        search_fresh_p50_ms=percentile(fresh, 50),
        batch_per_s=round(BATCH / per_batch, 1),
        agreement=agreement,
        agreement_above_threshold=above,
        enroll_p50_ms=percentile(enrolled, 50),
        enroll_p99_ms=percentile(enrolled, 99),
        search_after_enroll_p50_ms=percentile(after, 50),
        server_rss_mb=rss,
        levels=levels,
    )


def _settle(client: Any, count: int) -> float:
    """Let Milvus seal what it has, and wait until it is indexed; seconds."""
    (collection,) = (name for name in client.list_collections() if name.startswith("bench_templates_"))
    begun = time.perf_counter()
    client.flush(collection, timeout=600)
    while client.describe_index(collection, "embedding")["indexed_rows"] < count:
        time.sleep(0.5)
    client.refresh_load(collection, timeout=600)
    return round(time.perf_counter() - begun, 1)


def _searches(galleries: Galleries, probes: NDArray[np.float32], rounds: int) -> list[float]:
    chosen = probes[np.random.default_rng(SEED).integers(len(probes), size=rounds)]
    galleries.search(GALLERY, chosen[:1], top_k=5)
    return [milliseconds(lambda probe: galleries.search(GALLERY, probe[None], top_k=5), probe) for probe in chosen]


def _agreement(galleries: Galleries, faces: Faces, vectors: NDArray[np.float32]) -> tuple[float, float]:
    same = []
    probes = faces.mated[: 20 * BATCH]
    for start in range(0, len(probes), BATCH):
        batch = probes[start : start + BATCH]
        nearest = (batch @ vectors.T).argmax(axis=1)
        found = galleries.search(GALLERY, batch, top_k=1)
        same += [each.candidates[0].subject_id == name_of(row) for each, row in zip(found, nearest, strict=True)]
    agree = np.array(same)
    cosines = (probes * faces.templates[faces.mates[: len(probes)]]).sum(axis=1)
    return round(float(agree.mean()), 5), round(float(agree[cosines >= 0.34].mean()), 5)


def _enrolments(galleries: Galleries, dimension: int) -> tuple[list[float], list[float]]:
    enrolled, after = [], []
    for stranger in np.random.default_rng(SEED + 1).standard_normal((_ENROLMENTS, dimension)).astype(np.float32):
        face = enrollment_of(stranger)
        enrolled.append(milliseconds(lambda each: galleries.enroll(GALLERY, "", each), face))
        after.append(milliseconds(lambda probe: galleries.search(GALLERY, probe[None], top_k=1), stranger))
    # The first one made what is made once.
    return enrolled[1:], after[1:]


def _levels(client: Any, address: tuple[str, str], dimension: int, rounds: int) -> dict[str, Level]:
    """Every level, with a small collection that two processes search."""
    pymilvus = importlib.import_module("pymilvus")
    schema = client.create_schema(auto_id=True)
    schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
    schema.add_field("embedding", pymilvus.DataType.FLOAT_VECTOR, dim=dimension)
    indexes = client.prepare_index_params()
    indexes.add_index("embedding", index_type="FLAT", metric_type="IP")
    client.create_collection(_SEEN, schema=schema, index_params=indexes)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    other = context.Process(target=_watch, args=(theirs, *address), daemon=True)
    other.start()
    theirs.close()
    try:
        ours.recv()
        rng = np.random.default_rng(SEED + 2)
        client.insert(_SEEN, [{"embedding": each} for each in _units(rng, 1000, dimension)])
        return {level: _level(client, ours, rng, dimension, level, rounds) for level in LEVELS}
    finally:
        ours.close()
        other.join()
        client.drop_collection(_SEEN)


def _level(client: Any, other: Connection, rng: np.random.Generator, dimension: int, level: str, rounds: int) -> Level:
    time.sleep(2.0)
    quiet = [
        milliseconds(lambda probe: _is_seen(client, probe, level), each) for each in _units(rng, rounds, dimension)
    ]
    own, seen, others = [], [], []
    for vector in _units(rng, _ENROLMENTS, dimension):
        time.sleep(rng.uniform(0.3, 0.5))
        other.send((vector, level))
        other.recv()
        client.insert(_SEEN, [{"embedding": vector}])
        written = time.monotonic()
        others.append(1e3 * (other.recv() - written))
    for vector in _units(rng, _ENROLMENTS, dimension):
        time.sleep(rng.uniform(0.3, 0.5))
        client.insert(_SEEN, [{"embedding": vector}])
        begun = time.perf_counter()
        seen.append(_is_seen(client, vector, level))
        own.append(1e3 * (time.perf_counter() - begun))
    return Level(
        search_p50_ms=percentile(quiet, 50),
        search_p99_ms=percentile(quiet, 99),
        own_p50_ms=percentile(own, 50),
        own_seen=round(float(np.mean(seen)), 3),
        other_p50_ms=percentile(others, 50),
        other_max_ms=round(max(others), 2),
    )


def _watch(pipe: Connection, uri: str, token: str) -> None:
    """In a process of its own: say when a search sees a vector, by the clock that all processes share."""
    client = importlib.import_module("pymilvus").MilvusClient(uri, token=token, timeout=60)
    pipe.send("ready")
    while True:
        try:
            vector, level = pipe.recv()
        except EOFError:
            return
        pipe.send("looking")
        until = time.monotonic() + _GIVE_UP_SECONDS
        while not _is_seen(client, vector, level) and time.monotonic() < until:
            pass
        pipe.send(time.monotonic())


def _is_seen(client: Any, vector: NDArray[np.float32], level: str) -> bool:
    (hits,) = client.search(_SEEN, data=[vector], limit=1, anns_field="embedding", consistency_level=level, timeout=60)
    return bool(hits) and hits[0]["distance"] > 0.999


def _units(rng: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    drawn = rng.standard_normal((count, dimension)).astype(np.float32)
    unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def _rss_mb(process_id: int) -> float:
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return round(pages * 4096 / 2**20, 1)


def _print(costs: Costs) -> None:
    table = tables.table("", "", title=f"{costs.templates} templates in a Milvus, {costs.index}")
    for name, value in asdict(costs).items():
        if name != "levels":
            table.add_row(name, str(value))
    console.out.print(table)
    names = list(Level.__dataclass_fields__)
    levels = tables.table("level", *names)
    for name, level in costs.levels.items():
        levels.add_row(name, *(str(getattr(level, each)) for each in names))
    console.out.print(levels)
