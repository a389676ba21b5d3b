"""How fast a large gallery is searched for duplicates, and what that costs the searches beside it."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.galleries.duplicates.planted_duplicates import Embedded
from facet.benchmarks.galleries.synthetic_gallery import CONTRACT, GALLERY, fill, name_of
from facet.benchmarks.galleries.templates import SEED, Faces, enlarged
from facet.benchmarks.process_memory import rss_mib
from facet.benchmarks.timing import milliseconds, percentile
from facet.runtime.cores import usable_cores
from gallery.galleries import Galleries
from gallery.search_pool import BACKGROUND, lower_priority
from gallery.stores.sqlite.sqlite_store import SqliteStore

_MILLION = 1_000_000
_PLANTED = 200
_LIVE_SEARCHES = 300
_LEAST_CHANCE, _MOST_FINDINGS = 0.5, 1000

_Seconds = tuple[float, float]
"""On the clock, and of all cores at work."""


@dataclass(frozen=True, slots=True)
class DuplicateSpeed:
    """The search of a large gallery, one template per subject, for duplicates.

    Attributes:
        templates: in the gallery.
        searched: how many of them were searched for.
        model_s: seconds to estimate the model of the gallery.
        per_s: templates searched for per second.
        minutes_per_million: minutes for a gallery of a million templates, the model included.
        cpu_minutes_per_million: the same of one core at work: on a busy machine, a better figure than the time.
        planted: duplicates among the templates that were searched for.
        planted_found: how many were found.
        memory_mb: resident memory in MiB that the search adds to that of the open gallery.
        alone_p50_ms: a search for one probe while nothing else runs, median.
        alone_p99_ms: 99th percentile.
        beside_p50_ms: the same beside the search for duplicates.
        beside_p99_ms: 99th percentile.
    """

    templates: int
    searched: int
    model_s: float
    per_s: float
    minutes_per_million: float
    cpu_minutes_per_million: float
    planted: int
    planted_found: int
    memory_mb: float
    alone_p50_ms: float
    alone_p99_ms: float
    beside_p50_ms: float
    beside_p99_ms: float


def measure_speed(
    faces: Embedded, count: int, searched: int, database: Path, *, live_searches: int = _LIVE_SEARCHES
) -> DuplicateSpeed:
    """Fill a gallery with the people of a set and synthetic strangers, and search it for duplicates.

    Args:
        faces: the set.
        count: templates in the gallery.
        searched: for how many of them is searched, the first in the order of subjects.
        database: a file that does not exist.
        live_searches: how many searches are timed beside it, and as many alone.
    """
    vectors, pairs = _gallery(faces, count, searched)
    with closing(SqliteStore(database)) as store:
        fill(store, vectors)
    probes = vectors[-live_searches:].copy()
    del vectors
    with closing(
        Galleries(
            SqliteStore(database),
            contract=CONTRACT,
            dimension=probes.shape[1],
            max_templates_per_subject=1,
            search_threads=usable_cores(),
        )
    ) as galleries:
        alone = _search_ms(galleries, probes)
        before = rss_mib()
        model, search, done, found = _searched(galleries, searched)
        memory = rss_mib() - before
        beside = _beside(galleries, probes)
    larger = max(1.0, _MILLION / count)
    wall, cpu = (
        (of_model + of_search / done * _MILLION) * larger / 60
        for of_model, of_search in zip(model, search, strict=True)
    )
    return DuplicateSpeed(
        templates=count,
        searched=done,
        model_s=round(model[0], 1),
        per_s=round(done / search[0], 1),
        minutes_per_million=round(wall, 1),
        cpu_minutes_per_million=round(cpu, 1),
        planted=len(pairs),
        planted_found=len(found & pairs),
        memory_mb=memory,
        alone_p50_ms=percentile(alone, 50),
        alone_p99_ms=percentile(alone, 99),
        beside_p50_ms=percentile(beside, 50),
        beside_p99_ms=percentile(beside, 99),
    )


def _gallery(faces: Embedded, count: int, searched: int) -> tuple[NDArray[np.float32], frozenset[tuple[str, str]]]:
    """Make the templates of a gallery in which some people are enrolled twice, and the pairs of their ids."""
    labels = np.array(faces.subject_ids)
    subjects, firsts, pictures = np.unique(labels, return_index=True, return_counts=True)
    nobody = np.empty((0, faces.embeddings.shape[1]), np.float32)
    set_of_one = Faces(faces.embeddings[firsts], nobody, np.empty(0, np.intp), nobody)
    vectors = enlarged(set_of_one, count)
    chance = np.random.default_rng(SEED)
    several = subjects[pictures > 1][:_PLANTED]
    places = chance.permutation(count)
    ones = chance.permutation(min(searched, count))[: several.size]
    others = np.setdiff1d(places, ones, assume_unique=True)[: several.size]
    for subject_id, one, other in zip(several.tolist(), ones.tolist(), others.tolist(), strict=True):
        first, second = np.flatnonzero(labels == subject_id)[:2]
        vectors[one], vectors[other] = faces.embeddings[first], faces.embeddings[second]
    pairs = frozenset(tuple(sorted(map(name_of, pair))) for pair in zip(ones.tolist(), others.tolist(), strict=True))
    return vectors, frozenset((one, other) for one, other in pairs)


def _searched(galleries: Galleries, searched: int) -> tuple[_Seconds, _Seconds, int, set[tuple[str, str]]]:
    """Return the seconds of the model and of the search, how many templates it was for, and the pairs found."""
    begun = _now()
    steps = galleries.duplicates.find(GALLERY, least_chance=_LEAST_CHANCE, limit=_MOST_FINDINGS)
    # The first step with a token has the searches for the model, and those of its own page.
    first = next(step for step in steps if step.resume_token)
    searching, done = _now(), first.templates_done
    found = {(each.subject_id, each.other_subject_id) for each in first.findings}
    for step in steps:
        done = step.templates_done
        found |= {(each.subject_id, each.other_subject_id) for each in step.findings}
        if done >= searched:
            break
    return _since(begun, searching), _since(searching, _now()), done - first.templates_done, found


def _now() -> _Seconds:
    return time.perf_counter(), time.process_time()


def _since(earlier: _Seconds, later: _Seconds) -> _Seconds:
    return later[0] - earlier[0], later[1] - earlier[1]


def _beside(galleries: Galleries, probes: NDArray[np.float32]) -> list[float]:
    """Time searches while the gallery is searched for duplicates on a thread like the server's."""
    is_over, has_begun = threading.Event(), threading.Event()

    def search() -> None:
        lower_priority(BACKGROUND)
        for step in galleries.duplicates.find(GALLERY, least_chance=_LEAST_CHANCE, limit=_MOST_FINDINGS):
            if step.resume_token:
                has_begun.set()
            if is_over.is_set():
                return

    thread = threading.Thread(target=search)
    thread.start()
    has_begun.wait()
    try:
        return _search_ms(galleries, probes)
    finally:
        is_over.set()
        thread.join()


def _search_ms(galleries: Galleries, probes: NDArray[np.float32]) -> list[float]:
    return [milliseconds(partial(galleries.search, GALLERY, probe[None], top_k=5)) for probe in probes]
