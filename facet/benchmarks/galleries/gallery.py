"""``facet bench gallery``: speed, agreement, memory and changes of a large gallery, compared with FAISS."""

from __future__ import annotations

import multiprocessing
import tempfile
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from facet.benchmarks.galleries.faiss_comparison import (
    compare_batches,
    compare_single_probes,
    flat_index,
    measure_hnsw,
)
from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.benchmarks.galleries.synthetic_gallery import BATCH, CONTRACT, GALLERY, enrollment_of, fill
from facet.benchmarks.galleries.templates import SEED, Faces, embed, enlarged
from facet.benchmarks.process_memory import rss_mib
from facet.benchmarks.timing import milliseconds, percentile, timed
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.cores import usable_cores
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import number, table
from gallery.errors import GalleryError
from gallery.galleries import Galleries
from gallery.stores.sqlite.sqlite_store import SqliteStore

_MAX_TEMPLATES_PER_SUBJECT = 100
_CHANGES = 200


@dataclass(frozen=True, slots=True)
class GalleryFigures:
    """A gallery with one template per subject, compared with FAISS.

    Attributes:
        templates: number of templates.
        flat_p50_ms: a probe in FAISS's flat index, median.
        flat_p99_ms: 99th percentile.
        ours_p50_ms: a mated probe through ``Galleries.search`` for five subjects, median.
        ours_p99_ms: 99th percentile.
        ours_nonmated_p50_ms: the same for nonmated probes, median.
        speedup: ``flat_p50_ms / ours_p50_ms``.
        flat_batch_per_s: probes per second in batches of 32, FAISS.
        ours_batch_per_s: the same, Facet.
        agreement: share of all probes for which both name the same first subject.
        agreement_mated: the same of mated probes.
        agreement_above_threshold: the same of mated probes whose similarity to their mate reaches the default
            threshold.
        probes: number of probes compared for agreement.
        bytes_per_template: memory, including the subject's id and name.
        disk_bytes_per_template: size of the database.
        rss_mb: resident memory in MiB of a process that has opened the gallery.
        load_s: seconds to open it.
        bulk_insert_per_s: templates imported per second, durably.
        single_insert_p50_ms: an enrolment, checked, durable and searchable, without inference, median.
        single_insert_p99_ms: 99th percentile.
        delete_p50_ms: deletion of a subject, with its data overwritten, median.
        delete_p99_ms: 99th percentile.
        hnsw: figures of FAISS's HNSW, if requested.
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
    templates: Annotated[int, typer.Option(min=5000, max=100_000_000, help="Templates of the gallery.")] = 100_000,
    protocol: Protocol = None,
    images: Images = None,
    rounds: Annotated[int, typer.Option(min=10, help="Single probes timed with FAISS.")] = 100,
    hnsw: Annotated[bool, typer.Option("--hnsw", help="Also measure FAISS's HNSW, which takes long to build.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare a large gallery with FAISS's flat index: speed, agreement, memory, changes.

    Embeds the faces of a labelled set and places its templates among synthetic strangers with the same mean and
    covariance, one template per subject. FAISS and Facet search for the same probes alternately. "same first subject"
    is the share of probes for which both name the same subject. Memory, opening, enrolment and deletion are measured in
    a separate process, which opens the database as a server does. Takes a few minutes for 100,000 templates: about two
    to embed LFW.

    [b]Examples[/b]

      facet bench gallery --templates 1000000
      facet bench gallery --templates 100000 --hnsw --json
      facet bench gallery --protocol faces.csv --images faces/
    """
    csv, folder = labelled_set(protocol, images)
    try:
        faces = embed(csv, folder)
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as temporary:
            count = max(templates, len(faces.templates))
            figures = _measure(faces, count, Path(temporary) / "facet.sqlite3", rounds, hnsw)
    except (LabelError, ModelError, PictureError, GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(asdict(figures))
    else:
        _print(figures)


def _measure(faces: Faces, count: int, database: Path, rounds: int, with_hnsw: bool) -> GalleryFigures:
    vectors = enlarged(faces, count)
    with closing(SqliteStore(database)) as store:
        bulk_per_s = fill(store, vectors)
    disk_bytes = sum(each.stat().st_size for each in database.parent.iterdir())
    with multiprocessing.get_context("spawn").Pool(1) as process:
        opened = process.apply(_open_and_change, (database, vectors.shape[1]))
    flat = flat_index(vectors)
    hnsw = measure_hnsw(vectors, faces, flat) if with_hnsw else None
    del vectors
    configure_for_models()  # after HNSW, which is built on all cores
    with closing(_galleries(database, faces.templates.shape[1])) as galleries:
        return GalleryFigures(
            templates=count,
            bulk_insert_per_s=bulk_per_s,
            disk_bytes_per_template=round(disk_bytes / count, 1),
            hnsw=hnsw,
            **opened,
            **compare_single_probes(faces, flat, galleries, rounds),
            **compare_batches(faces, flat, galleries),
        )


def _open_and_change(database: Path, dimension: int) -> dict[str, Any]:
    """Open the gallery, enrol strangers and delete them again; called in a process of its own."""
    configure_for_models()
    empty_mib = rss_mib()
    load_ms, galleries = timed(partial(_galleries, database, dimension))
    with closing(galleries):
        strangers = np.random.default_rng(SEED + 1).standard_normal((_CHANGES, dimension)).astype(np.float32)
        galleries.search(GALLERY, strangers[:1], top_k=5)
        opened_mib = rss_mib()
        templates = galleries.get_gallery(GALLERY).template_count
        enrolments = [timed(partial(galleries.enroll, GALLERY, "", enrollment_of(each))) for each in strangers]
        subject_ids = [enrolled.subject.subject_id for _, enrolled in enrolments]
        insert_ms = [duration for duration, _ in enrolments]
        delete_ms = [milliseconds(partial(galleries.delete_subject, GALLERY, each)) for each in subject_ids]
    return {
        "load_s": round(load_ms / 1e3, 2),
        "rss_mb": opened_mib,
        "bytes_per_template": round((opened_mib - empty_mib) * 2**20 / templates, 1),
        "single_insert_p50_ms": percentile(insert_ms, 50),
        "single_insert_p99_ms": percentile(insert_ms, 99),
        "delete_p50_ms": percentile(delete_ms, 50),
        "delete_p99_ms": percentile(delete_ms, 99),
    }


def _galleries(database: Path, dimension: int) -> Galleries:
    return Galleries(
        SqliteStore(database),
        contract=CONTRACT,
        dimension=dimension,
        max_templates_per_subject=_MAX_TEMPLATES_PER_SUBJECT,
        search_threads=usable_cores(),
    )


def _print(figures: GalleryFigures) -> None:
    shown = table(
        *("", number("FAISS flat"), "Facet"),
        title=f"{figures.templates:,} templates, one per subject; {figures.probes:,} probes",
    )
    rows = (
        ("mated probe, p50", f"{figures.flat_p50_ms:.2f} ms", f"{figures.ours_p50_ms:.2f} ms"),
        ("mated probe, p99", f"{figures.flat_p99_ms:.2f} ms", f"{figures.ours_p99_ms:.2f} ms"),
        ("speedup for a mated probe, p50", "", f"{figures.speedup}"),
        ("nonmated probe, p50", "", f"{figures.ours_nonmated_p50_ms:.2f} ms"),
        (f"in batches of {BATCH}", f"{figures.flat_batch_per_s:,.0f}/s", f"{figures.ours_batch_per_s:,.0f}/s"),
        ("same first subject, all probes", "", f"{figures.agreement:.4f}"),
        ("  mated probes", "", f"{figures.agreement_mated:.4f}"),
        ("  mated probes above the threshold", "", f"{figures.agreement_above_threshold:.4f}"),
        (
            *("memory of the process", ""),
            f"{figures.rss_mb:,.0f} MiB, {figures.bytes_per_template:,.0f} bytes/template",
        ),
        ("disk", "", f"{figures.disk_bytes_per_template:,.0f} bytes/template"),
        ("opening", "", f"{figures.load_s:.1f} s"),
        ("bulk import, durable", "", f"{figures.bulk_insert_per_s:,.0f} templates/s"),
        ("enrolment, p50 / p99", "", f"{figures.single_insert_p50_ms:.1f} / {figures.single_insert_p99_ms:.1f} ms"),
        ("deleting a subject, p50 / p99", "", f"{figures.delete_p50_ms:.1f} / {figures.delete_p99_ms:.1f} ms"),
    )
    for row in rows:
        shown.add_row(*row)
    for name, value in (figures.hnsw or {}).items():
        shown.add_row(f"FAISS HNSW {name}", f"{value}", "")
    console.out.print(shown)
