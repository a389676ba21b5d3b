"""The index in memory against a slow, obvious one, under any sequence of changes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray

from gallery.index.memory_index import MemoryIndex
from gallery.index.sizes import IndexSizes
from gallery.records.templates import EmbeddedTemplates

DIMENSION = 24
CODED_ERROR = 4e-4
"""Maximum error of a similarity in a coded segment."""
SIZES = IndexSizes(exact_rows=12, segment_rows=24, nearest_share=1.0)
"""So small that templates become coded, segments full, and both are compacted."""

Vector = NDArray[np.float32]


@dataclass
class ReferenceIndex:
    """Compares a probe with every template, one by one."""

    templates: dict[str, tuple[str, Vector]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def similarities(self, probe: Vector, mean_of_best: int) -> dict[str, float]:
        """Return the similarity of every subject."""
        of_subject: dict[str, list[float]] = {}
        for subject_id, vector in self.templates.values():
            of_subject.setdefault(subject_id, []).append(float(vector.astype(np.float64) @ probe))
        return {
            subject_id: float(np.mean(sorted(scores, reverse=True)[:mean_of_best]))
            for subject_id, scores in of_subject.items()
        }

    def remove(self, template_id: str) -> None:
        """Remove a template, and its subject if it was the last one."""
        subject_id, _ = self.templates.pop(template_id)
        if all(owner != subject_id for owner, _ in self.templates.values()):
            del self.names[subject_id]


def random_vectors(seed: int, count: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


class IndexMachine(RuleBasedStateMachine):
    """Changes both indexes in the same way, and compares their searches."""

    def __init__(self) -> None:
        super().__init__()
        self.added = 0

    def teardown(self) -> None:
        self.index.settle()

    @initialize()
    def start(self) -> None:
        self.index, self.reference = MemoryIndex(DIMENSION, sizes=SIZES), ReferenceIndex()

    @rule(owners=st.lists(st.integers(0, 9), min_size=1, max_size=15), seed=st.integers(0, 2**32 - 1))
    def add(self, owners: list[int], seed: int) -> None:
        vectors = random_vectors(seed, len(owners))
        template_ids = [f"t{self.added + number}" for number in range(len(owners))]
        subject_ids = [f"s{owner}" for owner in owners]
        names = [f"{subject_id} of {self.added}" for subject_id in subject_ids]
        self.index.reserve(len(owners))
        self.index.add(EmbeddedTemplates(subject_ids, names, template_ids, vectors))
        for template_id, subject_id, name, vector in zip(template_ids, subject_ids, names, vectors, strict=True):
            self.reference.templates[template_id] = (subject_id, vector)
            self.reference.names.setdefault(subject_id, name)
        self.added += len(owners)

    @precondition(lambda self: self.reference.templates)
    @rule(data=st.data())
    def remove_template(self, data: st.DataObject) -> None:
        template_id = data.draw(st.sampled_from(sorted(self.reference.templates)))
        self.index.remove_template(self.reference.templates[template_id][0], template_id)
        self.reference.remove(template_id)

    @rule(owner=st.integers(0, 9))
    def remove_subject(self, owner: int) -> None:
        self.index.remove_subject(f"s{owner}")
        for template_id in [each for each, (subject, _) in self.reference.templates.items() if subject == f"s{owner}"]:
            self.reference.remove(template_id)

    @rule(owner=st.integers(0, 9), name=st.text(max_size=4))
    def rename(self, owner: int, name: str) -> None:
        self.index.rename(f"s{owner}", name)
        if f"s{owner}" in self.reference.names:
            self.reference.names[f"s{owner}"] = name

    @rule(
        owners=st.sets(st.integers(0, 9), min_size=1, max_size=4),
        added=st.integers(0, 4),
        data=st.data(),
        seed=st.integers(0, 2**32 - 1),
    )
    def replace_subjects(self, owners: set[int], added: int, data: st.DataObject, seed: int) -> None:
        subjects = sorted(f"s{owner}" for owner in owners)
        before = {each: vector for each, (owner, vector) in self.reference.templates.items() if owner in subjects}
        templates = {
            each: (data.draw(st.sampled_from(subjects)), vector)
            for each, vector in before.items()
            if data.draw(st.booleans())
        }
        for number, vector in enumerate(random_vectors(seed, added)):
            templates[f"t{self.added + number}"] = data.draw(st.sampled_from(subjects)), vector
        names = {owner: f"{owner} anew {self.added}" for owner, _ in templates.values()}
        self.index.replace_subjects(
            subjects,
            EmbeddedTemplates(
                [owner for owner, _ in templates.values()],
                [names[owner] for owner, _ in templates.values()],
                list(templates),
                np.array([vector for _, vector in templates.values()], np.float32).reshape(-1, DIMENSION),
            ),
        )
        for template_id in before:
            self.reference.remove(template_id)
        self.reference.templates |= templates
        self.reference.names |= names
        self.added += added

    @rule()
    def settle(self) -> None:
        self.index.settle()

    @rule()
    def clear(self) -> None:
        self.index.clear()
        self.reference = ReferenceIndex()

    @rule(
        seed=st.integers(0, 2**32 - 1),
        count=st.sampled_from([1, 2, 40]),
        subjects=st.integers(1, 12),
        mean_of_best=st.integers(1, 4),
    )
    def search(self, seed: int, count: int, subjects: int, mean_of_best: int) -> None:
        probes = random_vectors(seed, count)
        answers = self.index.search(probes, subjects=subjects, mean_of_best=mean_of_best)
        assert len(answers) == count
        for probe, answer in zip(probes, answers, strict=True):
            expected = self.reference.similarities(probe, mean_of_best)
            found = [each.similarity for each in answer.candidates]
            assert found == pytest.approx(sorted(expected.values(), reverse=True)[:subjects], abs=CODED_ERROR)
            assert found == sorted(found, reverse=True)
            assert len({each.subject_id for each in answer.candidates}) == len(found)
            assert answer.templates_compared == len(self.reference.templates)
            for each in answer.candidates:
                assert each.similarity == pytest.approx(expected[each.subject_id], abs=CODED_ERROR)
                assert each.display_name == self.reference.names[each.subject_id]
                assert self.reference.templates[each.template_id][0] == each.subject_id

    @rule(owner=st.integers(0, 9), seed=st.integers(0, 2**32 - 1), mean_of_best=st.integers(1, 4))
    def similarity(self, owner: int, seed: int, mean_of_best: int) -> None:
        (probe,) = random_vectors(seed, 1)
        expected = self.reference.similarities(probe, mean_of_best).get(f"s{owner}")
        found = self.index.similarity(f"s{owner}", probe, mean_of_best=mean_of_best)
        assert found == (None if expected is None else pytest.approx(expected, abs=CODED_ERROR))

    @rule(owner=st.integers(0, 9), seed=st.integers(0, 2**32 - 1))
    def template_similarities(self, owner: int, seed: int) -> None:
        (probe,) = random_vectors(seed, 1)
        expected = {
            template_id: float(vector.astype(np.float64) @ probe)
            for template_id, (subject_id, vector) in self.reference.templates.items()
            if subject_id == f"s{owner}"
        }
        assert self.index.template_similarities(f"s{owner}", probe) == pytest.approx(expected, abs=CODED_ERROR)

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "index"):
            assert len(self.index) == len(self.reference.templates)


IndexMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestIndexMachine = IndexMachine.TestCase
