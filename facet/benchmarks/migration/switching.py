"""How long a switch and a rollback take in a gallery of many templates."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.timing import milliseconds, percentile
from facet.terminal import console
from gallery.etags import new_etag
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery
from gallery.records.migrations import ModelVersion
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import new_id, now

_GALLERY = "bench"
_OLD = ModelVersion("0" * 64, "old", "0" * 64, 512)
_NEW = ModelVersion("1" * 64, "new", "1" * 64, 128)
_AT_ONCE = 1000
_THRESHOLD = 0.34


@dataclass(frozen=True, slots=True)
class Switching:
    """Durations, in milliseconds.

    Attributes:
        templates: of the gallery.
        switch_ms: the longest switch.
        rollback_ms: the longest rollback.
        switch_median_ms: the median.
        rollback_median_ms: the median.
    """

    templates: int
    switch_ms: float
    rollback_ms: float
    switch_median_ms: float
    rollback_median_ms: float


def switching(templates: int, rounds: int) -> Switching:
    """Switch a gallery of random templates back and forth.

    Args:
        templates: how many.
        rounds: how often it is switched and rolled back.
    """
    with tempfile.TemporaryDirectory(prefix="facet-bench-") as folder:
        store = SqliteStore(Path(folder) / "gallery.sqlite3")
        try:
            _fill(store, templates)
            galleries = Galleries(
                store,
                contract=_OLD.contract,
                dimension=_OLD.dimension,
                max_templates_per_subject=1,
                further={_NEW.contract: _NEW.dimension},
            )
            galleries.migrations.models = (_OLD, _NEW)
            _embed(galleries, store, templates)
            galleries.migrations.update(_GALLERY, threshold=_THRESHOLD)
            switches, rollbacks = [], []
            for _ in range(rounds):
                switches.append(milliseconds(lambda: galleries.migrations.switch(_GALLERY)))
                rollbacks.append(milliseconds(lambda: galleries.migrations.roll_back(_GALLERY)))
        finally:
            store.close()
    return Switching(
        templates,
        round(max(switches), 1),
        round(max(rollbacks), 1),
        percentile(switches, 50),
        percentile(rollbacks, 50),
    )


def _fill(store: SqliteStore, templates: int) -> None:
    moment = now()
    gallery = Gallery(_GALLERY, "", _THRESHOLD, 1, _OLD.contract, 0, 0, moment, moment, new_etag())
    importing = store.begin_import(gallery)
    with console.progress("Filling a gallery", templates) as bar:
        for start, embeddings in _random(templates, _OLD.dimension):
            ids = [f"s{start + number:09d}" for number in range(len(embeddings))]
            importing.add(
                [
                    StoredFace(
                        Subject(_GALLERY, subject_id, "", 1, moment, moment, new_etag()),
                        Template(new_id(), _GALLERY, subject_id, "0" * 64, (0, 0, 1, 1), 1.0, moment),
                        embedding,
                        None,
                    )
                    for subject_id, embedding in zip(ids, embeddings, strict=True)
                ]
            )
            bar.advance(bar.task_ids[0], len(embeddings))
    importing.commit()


def _embed(galleries: Galleries, store: SqliteStore, templates: int) -> None:
    galleries.migrations.start(_GALLERY, _NEW.name)
    after = ("", "")
    with console.progress("Adding templates of a second model", templates) as bar:
        for _, embeddings in _random(templates, _NEW.dimension):
            faces = store.second_embeddings.missing(_GALLERY, _NEW.contract, after=after, limit=len(embeddings))
            galleries.migrations.add_embeddings(_GALLERY, _NEW.contract, faces, embeddings)
            after = faces[-1].key
            bar.advance(bar.task_ids[0], len(embeddings))


def _random(count: int, dimension: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    rng = np.random.default_rng(dimension)
    for start in range(0, count, _AT_ONCE):
        values = rng.normal(size=(min(_AT_ONCE, count - start), dimension)).astype(np.float32)
        yield start, values / np.linalg.norm(values, axis=1, keepdims=True)
