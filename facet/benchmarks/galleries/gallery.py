"""``facet bench gallery``: a large gallery beside FAISS's flat index, in one run."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
import typer
from numpy.typing import NDArray

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
from facet.runtime.cores import usable_cores
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.server.config import GalleryConfig
from facet.terminal import console, tables
from facet.terminal.console import AsJson
from gallery.errors import GalleryError
from gallery.galleries import Galleries
from gallery.stores.sqlite.sqlite_store import SqliteStore

_LFW = Path(__file__).resolve().parents[4] / "shared" / "data" / "lfw"
_TEMPLATES_OF_A_SUBJECT = 100
_CHANGES = 200
_TURN = 10
_OURS_PER_FLAT = 3


@dataclass(frozen=True, slots=True)
class Costs:
    """What a gallery of one template a subject costs.

    Attributes:
        templates: how many there are.
        flat_p50_ms: a probe in FAISS's flat index, median.
        flat_p99_ms: the 99th percentile.
        ours_p50_ms: a probe through Galleries.search, the best five subjects, median.
        ours_p99_ms: the 99th percentile.
        ours_nonmated_p50_ms: the same for probes of people who are not in the gallery.
        speedup: flat_p50_ms / ours_p50_ms.
        flat_batch_per_s: probes a second in batches of 32.
        ours_batch_per_s: the same of ours.
        agreement: share of all probes, mated and not, that have the same subject in the first place.
        agreement_mated: the same of the mated ones.
        agreement_above_threshold: the same of the mated ones whose mate reaches the default threshold.
        probes: how many were compared for that.
        bytes_per_template: of memory, its subject's id and name among them.
        disk_bytes_per_template: of the database.
        rss_mb: resident memory of a process that has opened the gallery, MiB.
        load_s: how long it took to open it.
        bulk_insert_per_s: templates a second, durable, through an import.
        single_insert_p50_ms: an enrolment, checked, durable and searchable, without inference.
        single_insert_p99_ms: the 99th percentile.
        delete_p50_ms: forgetting a subject, its traces erased.
        delete_p99_ms: the 99th percentile.
        hnsw: what FAISS's HNSW would do, where it was asked for.
    """

    templates: int
    flat_p50_ms: float
    flat_p99_ms: float
    ours_p50_ms: float
    ours_p99_ms: float
    ours_nonmated_p50_ms: float
    speedup: float
    flat_batch_per_s: float
    ours_batch_per_s: float
    agreement: float
    agreement_mated: float
    agreement_above_threshold: float
    probes: int
    bytes_per_template: float
    disk_bytes_per_template: float
    rss_mb: float
    load_s: float
    bulk_insert_per_s: float
    single_insert_p50_ms: float
    single_insert_p99_ms: float
    delete_p50_ms: float
    delete_p99_ms: float
    hnsw: dict[str, float] | None


def gallery(
    templates: Annotated[int, typer.Option(min=5000, max=100_000_000, help="Number of templates.")] = 100_000,
    protocol: Annotated[
        Path,
        typer.Option(help="CSV with role, subject, image: the faces for templates and probes.", show_default="LFW"),
    ] = _LFW / "identification.csv",
    images: Annotated[Path, typer.Option(help="Folder of its images.", show_default="LFW")] = _LFW / "images",
    rounds: Annotated[int, typer.Option(min=10, help="Number of single probes to time the flat index with.")] = 100,
    hnsw: Annotated[bool, typer.Option("--hnsw", help="Measure FAISS's HNSW as well; building it takes long.")] = False,
    as_json: AsJson = False,
) -> None:
    """A gallery of many templates: speed, agreement with an exact search, memory, enrolling and forgetting.

    The faces of a labelled set are embedded and mixed with random strangers that have the mean and covariance of these
    embeddings. FAISS's flat index and Facet's take turns at searching the same probes. Memory and loading time are
    measured in a process of its own, which opens the database as a starting server does.
    """
    try:
        faces = embed(protocol, images)
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
            costs = _measure(faces, max(templates, len(faces.templates)), Path(folder) / "facet.sqlite3", rounds, hnsw)
    except (LabelError, ModelError, PictureError, GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(asdict(costs))
    else:
        _print(costs)


def _measure(faces: Faces, count: int, database: Path, rounds: int, with_hnsw: bool) -> Costs:
    vectors = planted(faces, count)
    with closing(SqliteStore(database)) as store:
        bulk_per_s = fill(store, vectors)
    disk = sum(each.stat().st_size for each in database.parent.iterdir())
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as process:
        served = process.apply(_serve, (database, faces.templates.shape[1]))
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    hnsw = _hnsw(vectors, faces, flat) if with_hnsw else None
    del vectors
    configure_for_models()  # not before: FAISS builds its graph on all cores
    galleries = _opened(database, faces.templates.shape[1])
    try:
        return Costs(
            templates=count,
            bulk_insert_per_s=bulk_per_s,
            disk_bytes_per_template=round(disk / count, 1),
            hnsw=hnsw,
            **served,
            **_take_turns(faces, flat, galleries, rounds),
            **_agree(faces, flat, galleries),
        )
    finally:
        galleries.close()


def _take_turns(faces: Faces, flat: faiss.IndexFlatIP, galleries: Galleries, rounds: int) -> dict[str, Any]:
    """Single probes, some by the one, then some by the other, so that a change of the machine's pace meets both."""
    flat_ms, ours_ms, nonmated_ms = [], [], []
    rng = np.random.default_rng(SEED)
    with console.progress("Searching by turns", rounds) as bar:
        for _ in range(0, rounds, _TURN):
            mated = faces.mated[rng.integers(len(faces.mated), size=_OURS_PER_FLAT * _TURN)]
            nonmated = faces.nonmated[rng.integers(len(faces.nonmated), size=_TURN)]
            flat_ms += [milliseconds(lambda probe: flat.search(probe, 5), probe[None]) for probe in mated[:_TURN]]
            ours_ms += [
                milliseconds(lambda probe: galleries.search(GALLERY, probe, top_k=5), probe[None]) for probe in mated
            ]
            nonmated_ms += [
                milliseconds(lambda probe: galleries.search(GALLERY, probe, top_k=5), probe[None]) for probe in nonmated
            ]
            bar.advance(bar.task_ids[0], _TURN)
    return {
        "flat_p50_ms": percentile(flat_ms, 50),
        "flat_p99_ms": percentile(flat_ms, 99),
        "ours_p50_ms": percentile(ours_ms, 50),
        "ours_p99_ms": percentile(ours_ms, 99),
        "ours_nonmated_p50_ms": percentile(nonmated_ms, 50),
        "speedup": round(percentile(flat_ms, 50) / percentile(ours_ms, 50), 1),
    }


def _agree(faces: Faces, flat: faiss.IndexFlatIP, galleries: Galleries) -> dict[str, Any]:
    """All probes in batches by turns: how fast, and how often both have the same subject in the first place."""
    probes = np.concatenate([faces.mated, faces.nonmated])
    flat_s, ours_s, same = [], [], []
    with console.progress("Searching in batches", len(probes)) as bar:
        for start in range(0, len(probes) - BATCH + 1, BATCH):
            batch = probes[start : start + BATCH]
            begun = time.perf_counter()
            _, nearest = flat.search(batch, 1)
            between = time.perf_counter()
            found = galleries.search(GALLERY, batch, top_k=1)
            ours_s.append(time.perf_counter() - between)
            flat_s.append(between - begun)
            same += [
                each.candidates[0].subject_id == name_of(row) for each, row in zip(found, nearest[:, 0], strict=True)
            ]
            bar.advance(bar.task_ids[0], len(batch))
    agree = np.array(same)
    mated = agree[: len(faces.mated)]
    cosines = (faces.mated * faces.templates[faces.mates]).sum(axis=1)
    is_above = cosines[: len(mated)] >= GalleryConfig().default_threshold
    return {
        "flat_batch_per_s": round(BATCH / statistics.median(flat_s), 1),
        "ours_batch_per_s": round(BATCH / statistics.median(ours_s), 1),
        "agreement": round(float(agree.mean()), 5),
        "agreement_mated": round(float(mated.mean()), 5),
        "agreement_above_threshold": round(float(mated[is_above].mean()), 5),
        "probes": len(agree),
    }


def _serve(database: Path, dimension: int) -> dict[str, Any]:
    """In a process of its own: open the gallery, and change it; what is enrolled is forgotten again."""
    configure_for_models()
    empty_mb = _rss_mb()
    begun = time.perf_counter()
    galleries = _opened(database, dimension)
    load_s = time.perf_counter() - begun
    try:
        rng = np.random.default_rng(SEED + 1)
        strangers = rng.standard_normal((_CHANGES, dimension)).astype(np.float32)
        galleries.search(GALLERY, strangers[:1], top_k=5)
        rss_mb = _rss_mb()
        templates = galleries.get_gallery(GALLERY).template_count
        enrolled: list[str] = []
        inserts = [
            milliseconds(lambda each: enrolled.append(_enrolled(galleries, each)), stranger) for stranger in strangers
        ]
        deletes = [
            milliseconds(lambda each: galleries.delete_subject(GALLERY, each), subject_id) for subject_id in enrolled
        ]
    finally:
        galleries.close()
    return {
        "load_s": round(load_s, 2),
        "rss_mb": rss_mb,
        "bytes_per_template": round((rss_mb - empty_mb) * 2**20 / templates, 1),
        "single_insert_p50_ms": percentile(inserts, 50),
        "single_insert_p99_ms": percentile(inserts, 99),
        "delete_p50_ms": percentile(deletes, 50),
        "delete_p99_ms": percentile(deletes, 99),
    }


def _hnsw(vectors: NDArray[np.float32], faces: Faces, flat: faiss.IndexFlatIP) -> dict[str, Any]:
    """FAISS's HNSW with 32 links a node, at several breadths of search."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    begun = time.perf_counter()
    index.add(vectors)
    measured = {"build_s": round(time.perf_counter() - begun, 1)}
    _, nearest = flat.search(faces.mated, 1)
    for breadth in (64, 256, 1024):
        index.hnsw.efSearch = breadth
        measured[f"p50_ms@ef={breadth}"] = percentile(
            [milliseconds(lambda probe: index.search(probe, 5), each[None]) for each in faces.mated[:300]], 50
        )
        _, found = index.search(faces.mated, 1)
        measured[f"agreement_mated@ef={breadth}"] = round(float((found == nearest).mean()), 5)
    return measured


def _opened(database: Path, dimension: int) -> Galleries:
    return Galleries(
        SqliteStore(database),
        contract=CONTRACT,
        dimension=dimension,
        max_templates_per_subject=_TEMPLATES_OF_A_SUBJECT,
        search_threads=usable_cores(),
    )


def _enrolled(galleries: Galleries, embedding: NDArray[np.float32]) -> str:
    return galleries.enroll(GALLERY, "", enrollment_of(embedding)).subject.subject_id


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _print(costs: Costs) -> None:
    title = f"{costs.templates:,} templates of as many subjects, {costs.probes:,} probes"
    table = tables.table("", "FAISS flat", "Facet", title=title)
    rows = (
        ("a probe, p50", f"{costs.flat_p50_ms:.2f} ms", f"{costs.ours_p50_ms:.2f} ms, {costs.speedup} times faster"),
        ("a probe, p99", f"{costs.flat_p99_ms:.2f} ms", f"{costs.ours_p99_ms:.2f} ms"),
        ("a stranger's probe, p50", "", f"{costs.ours_nonmated_p50_ms:.2f} ms"),
        (f"in batches of {BATCH}", f"{costs.flat_batch_per_s:,.0f}/s", f"{costs.ours_batch_per_s:,.0f}/s"),
        ("the same in the first place", "", f"{costs.agreement:.4f}"),
        ("  of mated probes", "", f"{costs.agreement_mated:.4f}"),
        ("  whose mate is above the threshold", "", f"{costs.agreement_above_threshold:.4f}"),
        ("memory of the process", "", f"{costs.rss_mb:,.0f} MiB, {costs.bytes_per_template:,.0f} bytes a template"),
        ("disk", "", f"{costs.disk_bytes_per_template:,.0f} bytes a template"),
        ("opening it", "", f"{costs.load_s:.1f} s"),
        ("bulk import, durable", "", f"{costs.bulk_insert_per_s:,.0f}/s"),
        ("an enrolment, p50 / p99", "", f"{costs.single_insert_p50_ms:.1f} / {costs.single_insert_p99_ms:.1f} ms"),
        ("forgetting, p50 / p99", "", f"{costs.delete_p50_ms:.1f} / {costs.delete_p99_ms:.1f} ms"),
    )
    for row in rows:
        table.add_row(*row)
    for name, value in (costs.hnsw or {}).items():
        table.add_row(f"HNSW {name}", f"{value}", "")
    console.out.print(table)
