"""Searches of one gallery by FAISS and by Facet: time and agreement."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from facet.benchmarks.galleries.synthetic_gallery import BATCH, GALLERY, name_of
from facet.benchmarks.galleries.templates import SEED, Faces
from facet.benchmarks.timing import milliseconds, percentile, timed
from facet.server.config import GalleryConfig
from facet.terminal import console
from gallery.galleries import Galleries

_TOP_K = 5
_FLAT_PROBES, _FACET_PROBES = 10, 30
"""Probes of each system before the other one continues."""
_HNSW_LINKS, _HNSW_EF_CONSTRUCTION, _HNSW_EF_SEARCH = 32, 200, (64, 256, 1024)
_HNSW_PROBES = 300


def flat_index(vectors: NDArray[np.float32]) -> faiss.IndexFlatIP:
    """FAISS's exact index of templates, shape ``(n, dimension)``."""
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    return flat


def compare_single_probes(faces: Faces, flat: faiss.IndexFlatIP, galleries: Galleries, rounds: int) -> dict[str, Any]:
    """Time single probes, some by FAISS, then some by Facet, so that changes in the machine's speed affect both.

    Args:
        faces: probes.
        flat: FAISS's index of the gallery.
        galleries: Facet's gallery of the same templates.
        rounds: number of probes by FAISS.

    Returns:
        The fields ``flat_*_ms``, ``ours_*_ms`` and ``speedup`` of the benchmark's result.
    """
    flat_ms, mated_ms, nonmated_ms = [], [], []
    rng = np.random.default_rng(SEED)

    def search_flat(probe: NDArray[np.float32]) -> float:
        return milliseconds(partial(flat.search, probe[None], _TOP_K))

    def search_facet(probe: NDArray[np.float32]) -> float:
        return milliseconds(partial(galleries.search, GALLERY, probe[None], top_k=_TOP_K))

    with console.progress("Searching for single probes", rounds) as bar:
        for _ in range(0, rounds, _FLAT_PROBES):
            mated = faces.mated[rng.integers(len(faces.mated), size=_FACET_PROBES)]
            nonmated = faces.nonmated[rng.integers(len(faces.nonmated), size=_FLAT_PROBES)]
            flat_ms += [search_flat(probe) for probe in mated[:_FLAT_PROBES]]
            mated_ms += [search_facet(probe) for probe in mated]
            nonmated_ms += [search_facet(probe) for probe in nonmated]
            bar.advance(bar.task_ids[0], _FLAT_PROBES)
    return {
        "flat_p50_ms": percentile(flat_ms, 50),
        "flat_p99_ms": percentile(flat_ms, 99),
        "ours_p50_ms": percentile(mated_ms, 50),
        "ours_p99_ms": percentile(mated_ms, 99),
        "ours_nonmated_p50_ms": percentile(nonmated_ms, 50),
        "speedup": round(percentile(flat_ms, 50) / percentile(mated_ms, 50), 1),
    }


def compare_batches(faces: Faces, flat: faiss.IndexFlatIP, galleries: Galleries) -> dict[str, Any]:
    """Search for all probes in batches, alternately by FAISS and by Facet.

    Args:
        faces: probes.
        flat: FAISS's index of the gallery.
        galleries: Facet's gallery of the same templates.

    Returns:
        The fields ``*_batch_per_s``, ``agreement*`` and ``probes`` of the benchmark's result.
    """
    probes = np.concatenate([faces.mated, faces.nonmated])
    flat_ms, facet_ms, same = [], [], []
    with console.progress("Searching in batches", len(probes)) as bar:
        for start in range(0, len(probes) - BATCH + 1, BATCH):
            batch = probes[start : start + BATCH]
            duration, (_, nearest) = timed(partial(flat.search, batch, 1))
            flat_ms.append(duration)
            duration, found = timed(partial(galleries.search, GALLERY, batch, top_k=1))
            facet_ms.append(duration)
            same += [
                each.candidates[0].subject_id == name_of(row) for each, row in zip(found, nearest[:, 0], strict=True)
            ]
            bar.advance(bar.task_ids[0], len(batch))
    agree = np.array(same)
    mated = agree[: len(faces.mated)]
    cosines = (faces.mated * faces.templates[faces.mates]).sum(axis=1)
    is_above = cosines[: len(mated)] >= GalleryConfig().default_threshold
    return {
        "flat_batch_per_s": round(BATCH * 1e3 / statistics.median(flat_ms), 1),
        "ours_batch_per_s": round(BATCH * 1e3 / statistics.median(facet_ms), 1),
        "agreement": round(float(agree.mean()), 5),
        "agreement_mated": round(float(mated.mean()), 5),
        "agreement_above_threshold": round(float(mated[is_above].mean()), 5),
        "probes": len(agree),
    }


def measure_hnsw(vectors: NDArray[np.float32], faces: Faces, flat: faiss.IndexFlatIP) -> dict[str, float]:
    """Time FAISS's HNSW graph, and compare it with the exact index.

    Args:
        vectors: templates, shape ``(n, dimension)``.
        faces: probes.
        flat: FAISS's exact index of the same templates.

    Returns:
        ``build_s``, and for several values of efSearch ``p50_ms@ef=...`` and ``agreement_mated@ef=...``.
    """
    index = faiss.IndexHNSWFlat(vectors.shape[1], _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = _HNSW_EF_CONSTRUCTION
    begun = time.perf_counter()
    index.add(vectors)
    measured = {"build_s": round(time.perf_counter() - begun, 1)}
    _, nearest = flat.search(faces.mated, 1)
    for ef in _HNSW_EF_SEARCH:
        index.hnsw.efSearch = ef
        times = [milliseconds(partial(index.search, probe[None], _TOP_K)) for probe in faces.mated[:_HNSW_PROBES]]
        measured[f"p50_ms@ef={ef}"] = percentile(times, 50)
        _, found = index.search(faces.mated, 1)
        measured[f"agreement_mated@ef={ef}"] = round(float((found == nearest).mean()), 5)
    return measured
