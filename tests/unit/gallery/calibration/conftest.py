"""A gallery of 300 people with one template each, to search and to calibrate."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.calibration.nonmated_searches import Evidence
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.galleries import Gallery
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 32
PEOPLE = 300

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Team:
    """The gallery "team" in a database of its own.

    Attributes:
        path: the database.
        store: its store.
        galleries: its galleries.
    """

    path: Path
    store: SqliteStore
    galleries: Galleries

    @staticmethod
    def open(path: Path, contract: str = "c") -> Team:
        """Open a database."""
        store = SqliteStore(path)
        galleries = Galleries(store, contract=contract, dimension=DIMENSION, max_templates_per_subject=9)
        return Team(path, store, galleries)

    @property
    def gallery(self) -> Gallery:
        """The gallery as it is now."""
        return self.galleries.get_gallery("team")

    def enroll(self, subject_id: str, embedding: Vectors, picture: str = "p", gallery_id: str = "team") -> None:
        """Enrol a face."""
        digest = hashlib.sha256(picture.encode()).hexdigest()
        face = Enrollment(embedding, "c", digest, (0, 0, 9, 9), 1.0, accept_lookalike=True)
        self.galleries.enroll(gallery_id, subject_id, face)

    def search_cross_subject(self, cohort: str = "") -> Evidence:
        """Search for the gallery's subjects among each other."""
        return self.galleries.calibrator.search_cross_subject(self.gallery, cohort, check=lambda: None)

    def calibrate(self, target_fpir: float = 0.05, **options: Any) -> Gallery:
        """Calibrate the gallery on its own subjects."""
        gallery = self.galleries.calibrator.begin("team")
        evidence = self.search_cross_subject()
        return self.galleries.calibrator.calibrate(gallery, evidence, target_fpir=target_fpir, **options)[0]

    def vectors(self, count: int, seed: int) -> Vectors:
        """Draw unit vectors; those of seed 0 are the templates of the gallery."""
        return vectors(count, seed)

    def near(self, vector: Vectors, seed: int, noise: float = 0.2) -> Vectors:
        """Draw a unit vector near another one."""
        values = vector + noise * vectors(1, seed)[0]
        return np.asarray(values / np.linalg.norm(values), np.float32)


def vectors(count: int, seed: int) -> Vectors:
    values = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def team_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database, to be copied."""
    path = tmp_path_factory.mktemp("team") / "facet.db"
    made = Team.open(path)
    made.galleries.create_gallery("team", display_name="", threshold=0.5)
    for number, embedding in enumerate(vectors(PEOPLE, 0)):
        made.enroll(f"s{number:03}", embedding)
    made.galleries.close()
    return path


@pytest.fixture
def team(tmp_path: Path, team_database: Path) -> Iterator[Team]:
    made = Team.open(Path(shutil.copy(team_database, tmp_path / "facet.db")))
    yield made
    made.galleries.close()
