"""A gallery of 120 people, some of them enrolled twice, some with pictures of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gallery.duplicates.duplicate_finder import SearchProgress
from gallery.duplicates.findings import Finding
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite.sqlite_store import SqliteStore

DIMENSION = 128
PEOPLE = 120
TWICE = tuple(f"p{number:03d}" for number in range(0, 30, 3))
"""The people who are also enrolled as "again-" and their id."""
MISFILED, STRANGE = "p101", "p103"
"""The people with a picture of somebody else: of p102, and of somebody who is not enrolled."""
NOW = datetime(2026, 1, 2, tzinfo=UTC)

Vector = NDArray[np.float32]


@dataclass(slots=True)
class People:
    """Faces of people who look like themselves, and like nobody else.

    Attributes:
        chance: draws them.
        faces: what was enrolled.
    """

    chance: np.random.Generator
    faces: list[StoredFace] = field(default_factory=list)

    def person(self) -> Vector:
        """Make somebody new."""
        return self._drawn()

    def face_of(self, person: Vector) -> Vector:
        """Make a face of somebody; two of one person have a similarity of about 0.62."""
        face = 0.79 * person + 0.61 * self._drawn()
        return np.asarray(face / np.linalg.norm(face), np.float32)

    def enroll(self, subject_id: str, *persons: Vector) -> None:
        """Enrol a face of each of these people as one subject."""
        subject = Subject("team", subject_id, subject_id.title(), 1, NOW, NOW, "e")
        for person in persons:
            number = len(self.faces)
            template = Template(f"t{number:05d}", "team", subject_id, f"{number:064x}", (0, 0, 9, 9), 0.9, NOW)
            self.faces.append(StoredFace(subject, template, self.face_of(person), None))

    def _drawn(self) -> Vector:
        drawn = self.chance.standard_normal(DIMENSION)
        return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


@dataclass(frozen=True, slots=True)
class Team:
    """The gallery "team".

    Attributes:
        galleries: its galleries.
        store: their store.
    """

    galleries: Galleries
    store: SqliteStore

    def steps(
        self, *, least_chance: float = 0.5, limit: int = 100, token: str = "", page: int = 50
    ) -> Iterator[SearchProgress]:
        """Search for duplicates."""
        return self.galleries.duplicates.find(
            "team", least_chance=least_chance, limit=limit, token=token, templates_per_page=page
        )

    def found(self, *, least_chance: float = 0.5, limit: int = 100, page: int = 50) -> list[Finding]:
        """Search for duplicates; returns all findings."""
        return findings_of(list(self.steps(least_chance=least_chance, limit=limit, page=page)))


def findings_of(steps: Sequence[SearchProgress]) -> list[Finding]:
    """Return what was found, the most probable first; what two steps have found is there once."""
    found = {each.key: each for step in steps for each in step.findings}
    return sorted(found.values(), key=lambda each: each.order)


def open_team(path: Path, people: People) -> Team:
    """Make the gallery of some people."""
    store = SqliteStore(path)
    importing = store.begin_import(Gallery("team", "", 0.34, 1, "c", 0, 0, NOW, NOW, "e"))
    importing.add(people.faces)
    importing.commit()
    return Team(Galleries(store, contract="c", dimension=DIMENSION, max_templates_per_subject=99), store)


@pytest.fixture
def people() -> People:
    return People(np.random.default_rng(7))


@pytest.fixture
def team(tmp_path: Path, people: People) -> Iterator[Team]:
    """120 people with two or three pictures each."""
    persons = {f"p{number:03d}": people.person() for number in range(PEOPLE)}
    for number, (subject_id, person) in enumerate(persons.items()):
        others = {MISFILED: [persons["p102"]], STRANGE: [people.person()]}.get(subject_id, [])
        people.enroll(subject_id, *[person] * (2 + number % 2), *others)
        if subject_id in TWICE:
            people.enroll(f"again-{subject_id}", *[person] * (1 + number % 2))
    opened = open_team(tmp_path / "facet.sqlite3", people)
    yield opened
    opened.galleries.close()
