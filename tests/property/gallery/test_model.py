"""Galleries against a slow, obvious model, under any sequence of changes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray

from gallery.errors import LooksLikeAnotherSubject, SubjectNotFound, TooManyTemplates
from gallery.galleries import Galleries
from gallery.index.memory_index import MemoryIndex
from gallery.names import display_name
from gallery.records.enrollments import Enrollment
from gallery.records.identifications import Decision
from gallery.records.subjects import renaming
from gallery.records.templates import EmbeddedTemplates
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.property.gallery.accepted_names import accepted_by, characters

DIMENSION = 4
THRESHOLD = 0.75
MAX_TEMPLATES = 3
CONTRACT = "c"

Vector = NDArray[np.float32]

subject_ids = st.sampled_from(["a", "b", "c", "ä", "Z", "aa"])
names = accepted_by(display_name, st.text(characters, max_size=5))
# Few coordinates, so that equal vectors and ties are frequent.
vectors = (
    st.tuples(*[st.integers(-1, 1)] * DIMENSION)
    .filter(any)
    .map(lambda values: np.array(values, np.float32) / np.float32(np.linalg.norm(values)))
)


def cosine(one: Vector, other: Vector) -> float:
    """Compute a cosine in float64, rounded to float32."""
    return float(np.float32(sum(float(a) * float(b) for a, b in zip(one, other, strict=True))))


@dataclass
class ModelSubject:
    name: str
    templates: dict[str, Vector] = field(default_factory=dict)

    def best(self, probe: Vector) -> tuple[float, str]:
        return min((-cosine(each, probe), template_id) for template_id, each in self.templates.items())


Model = dict[str, ModelSubject]


def expected_candidates(model: Model, probe: Vector) -> list[tuple[str, str, float, str]]:
    found = []
    for subject_id, subject in model.items():
        if subject.templates:
            negative, template_id = subject.best(probe)
            found.append((negative, subject_id, template_id, subject.name))
    return [(subject, name, -negative, template) for negative, subject, template, name in sorted(found)]


class GalleryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.model: Model = {}
        self.enrolled = 0

    @initialize()
    def start(self) -> None:
        self.open()
        self.galleries.create_gallery("g", display_name="", threshold=THRESHOLD)

    def open(self) -> None:
        self.galleries = Galleries(
            SqliteStore(Path(self.folder.name) / "facet.db"),
            contract=CONTRACT,
            dimension=DIMENSION,
            max_templates_per_subject=MAX_TEMPLATES,
        )

    def teardown(self) -> None:
        self.galleries.close()
        self.folder.cleanup()

    @rule(subject_id=subject_ids, name=names, vector=vectors, accept=st.booleans())
    def enroll(self, subject_id: str, name: str, vector: Vector, accept: bool) -> None:
        self.enrolled += 1
        enrollment = Enrollment(vector, CONTRACT, f"{self.enrolled}", (0, 0, 1, 1), 1.0, name, accept_lookalike=accept)
        own = self.model.get(subject_id, ModelSubject(name))
        own_best = -own.best(vector)[0] if own.templates else -2.0
        others = [each for each in expected_candidates(self.model, vector) if each[0] != subject_id]
        if len(own.templates) >= MAX_TEMPLATES:
            with pytest.raises(TooManyTemplates):
                self.galleries.enroll("g", subject_id, enrollment)
        elif not accept and others and others[0][2] >= THRESHOLD and others[0][2] > own_best:
            with pytest.raises(LooksLikeAnotherSubject):
                self.galleries.enroll("g", subject_id, enrollment)
        else:
            answer = self.galleries.enroll("g", subject_id, enrollment)
            own.templates[answer.template.template_id] = vector
            self.model[subject_id] = own
            assert answer.subject.display_name == own.name
            assert answer.subject.template_count == len(own.templates)

    @rule(subject_id=subject_ids, name=names)
    def rename(self, subject_id: str, name: str) -> None:
        if subject_id in self.model:
            self.galleries.update_subject("g", subject_id, renaming(name))
            self.model[subject_id].name = name
        else:
            with pytest.raises(SubjectNotFound):
                self.galleries.update_subject("g", subject_id, renaming(name))

    @rule(subject_id=subject_ids)
    def delete_subject(self, subject_id: str) -> None:
        if subject_id in self.model:
            deleted = self.galleries.delete_subject("g", subject_id)
            assert deleted == len(self.model.pop(subject_id).templates)
        else:
            with pytest.raises(SubjectNotFound):
                self.galleries.delete_subject("g", subject_id)

    @precondition(lambda self: any(subject.templates for subject in self.model.values()))
    @rule(data=st.data())
    def delete_template(self, data: st.DataObject) -> None:
        subject_id, template_id = data.draw(
            st.sampled_from([(sid, tid) for sid, subject in self.model.items() for tid in subject.templates])
        )
        self.galleries.delete_template("g", subject_id, template_id)
        del self.model[subject_id].templates[template_id]

    @rule()
    def reopen(self) -> None:
        self.galleries.close()
        self.open()

    @rule(probes=st.lists(vectors, max_size=3), top_k=st.integers(1, 7))
    def search(self, probes: list[Vector], top_k: int) -> None:
        answers = self.galleries.search("g", np.array(probes, np.float32).reshape(-1, DIMENSION), top_k=top_k)
        assert len(answers) == len(probes)
        for probe, answer in zip(probes, answers, strict=True):
            expected = expected_candidates(self.model, probe)
            found = [
                (each.subject_id, each.display_name, each.similarity, each.template_id) for each in answer.candidates
            ]
            assert [each[:2] for each in found] == [each[:2] for each in expected[:top_k]]
            assert [each[3] for each in found] == [each[3] for each in expected[:top_k]]
            assert [each[2] for each in found] == pytest.approx([each[2] for each in expected[:top_k]], abs=1e-6)
            is_match = bool(expected) and expected[0][2] >= THRESHOLD
            assert (answer.decision is Decision.MATCH) == is_match
            assert (answer.margin is None) == (len(expected) < 2)
            assert answer.templates_compared == sum(len(each.templates) for each in self.model.values())

    @invariant()
    def lists_agree(self) -> None:
        if not hasattr(self, "galleries"):
            return
        listed = self.galleries.list_subjects("g", page_size=100).items
        assert [(each.subject_id, each.display_name, each.template_count) for each in listed] == [
            (subject_id, subject.name, len(subject.templates)) for subject_id, subject in sorted(self.model.items())
        ]


GalleryMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestGalleryMachine = GalleryMachine.TestCase


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    templates=st.integers(1, 400),
    people=st.integers(1, 30),
    top_k=st.integers(1, 12),
    dimension=st.sampled_from([1, 3, 64, 512]),
    distinct=st.integers(1, 400),
)
def test_ranking_does_not_depend_on_the_order_of_enrolment(
    seed: int, templates: int, people: int, top_k: int, dimension: int, distinct: int
) -> None:
    rng = np.random.default_rng(seed)
    pool = rng.normal(size=(distinct, dimension))
    pool /= np.linalg.norm(pool, axis=1, keepdims=True)
    faces = pool[rng.integers(distinct, size=templates)].astype(np.float32)
    # Most templates belong to few people.
    owners = np.minimum(rng.geometric(0.3, templates), people)
    probes = pool[rng.integers(distinct, size=3)].astype(np.float32)

    def ranked(order: NDArray[np.int64]) -> object:
        index = MemoryIndex(dimension)
        for row in order:
            index.add(EmbeddedTemplates((f"s{owners[row]}",), ("",), (f"t{row:03}",), faces[[row]]))
        return index.search(probes, subjects=top_k, mean_of_best=1)

    one = ranked(np.arange(templates))
    assert ranked(rng.permutation(templates)) == one

    exact = np.clip((faces[None].astype(np.float64) * probes[:, None]).sum(axis=2).astype(np.float32), -1, 1)
    for probe, answer in enumerate(one):  # type: ignore[arg-type, var-annotated]
        best: dict[str, tuple[float, str]] = {}
        for row, owner in enumerate(owners):
            key = (-float(exact[probe, row]), f"t{row:03}")
            best[f"s{owner}"] = min(key, best.get(f"s{owner}", key))
        expected = sorted((score, subject, template) for subject, (score, template) in best.items())[:top_k]
        assert [(-c.similarity, c.subject_id, c.template_id) for c in answer.candidates] == expected
