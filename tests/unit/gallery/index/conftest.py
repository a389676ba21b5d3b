"""Indexes with made-up templates; coded ones are made small, so that they have several segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.index.memory_index import MemoryIndex
from gallery.index.protocol import SearchResult
from gallery.index.sizes import IndexSizes
from gallery.records.templates import EmbeddedTemplates

Vectors = NDArray[np.float32]

DIMENSION = 64
EXACT_SIZES = IndexSizes()
CODED_SIZES = IndexSizes(exact_rows=20, segment_rows=64, nearest_share=1.0)


@dataclass(frozen=True, slots=True)
class Indexes:
    """Makes, fills and searches indexes.

    Attributes:
        rng: random numbers.
        sizes: the sizes of the indexes.
    """

    rng: np.random.Generator
    sizes: IndexSizes

    def unit(self, count: int, dimension: int = DIMENSION) -> Vectors:
        """Draw unit vectors."""
        vectors = self.rng.normal(size=(count, dimension))
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def empty(self) -> MemoryIndex:
        """Make an index without templates."""
        return MemoryIndex(DIMENSION, sizes=self.sizes)

    def filled(self, vectors: Vectors, *, templates_each: int = 1) -> MemoryIndex:
        """Make an index of subjects s00000, ... with templates t00000, ..."""
        index = MemoryIndex(vectors.shape[1], sizes=self.sizes)
        subjects = [number // templates_each for number in range(len(vectors))]
        index.add(
            EmbeddedTemplates(
                [f"s{subject:05}" for subject in subjects],
                [f"name {subject}" for subject in subjects],
                [f"t{number:05}" for number in range(len(vectors))],
                vectors,
            )
        )
        return index

    def add(self, index: MemoryIndex, subject_id: str, name: str, template_id: str, vector: Vectors) -> None:
        """Add one template."""
        index.add(EmbeddedTemplates((subject_id,), (name,), (template_id,), vector[None]))

    def search_one(self, index: MemoryIndex, probe: Vectors, subjects: int = 3, mean_of_best: int = 1) -> SearchResult:
        """Search for one probe."""
        (found,) = index.search(probe[None], subjects=subjects, mean_of_best=mean_of_best)
        return found

    def near(self, templates: Vectors, cosine: float) -> Vectors:
        """Draw probes with this cosine to templates, on average."""
        noise = self.unit(*templates.shape)
        probes = cosine * templates + np.sqrt(1 - cosine**2) * noise
        return np.asarray(probes / np.linalg.norm(probes, axis=1, keepdims=True), np.float32)


@pytest.fixture(params=[EXACT_SIZES, CODED_SIZES], ids=["exact", "coded"])
def indexes(request: pytest.FixtureRequest) -> Indexes:
    """Exact indexes, then coded ones."""
    return Indexes(np.random.default_rng(7), request.param)


@pytest.fixture
def exact() -> Indexes:
    return Indexes(np.random.default_rng(7), EXACT_SIZES)


@pytest.fixture
def sized() -> Callable[[IndexSizes], Indexes]:
    """Indexes of any sizes."""
    return lambda sizes: Indexes(np.random.default_rng(7), sizes)
