"""Galleries on their way between two embedding models against a slow, obvious model, under any sequence of changes."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray

from gallery.errors import (
    AlreadySwitched,
    ContractMismatch,
    GalleryError,
    MigrationEnding,
    MigrationIncomplete,
    MigrationUnderWay,
    NotSwitched,
    SameSubject,
    SubjectNotFound,
    TooManyTemplates,
)
from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.identifications import Decision
from gallery.records.migrations import ModelVersion
from gallery.records.subjects import SubjectChange
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.stores.sqlite.verify import verify

FIRST, SECOND = ModelVersion("one", "first", "1" * 64, 3), ModelVersion("two", "second", "2" * 64, 4)
MODELS = {each.contract: each for each in (FIRST, SECOND)}
DEFAULT = 0.5
MAX_TEMPLATES = 3
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BEFORE_ALL = ("", "")

Vector = NDArray[np.float32]


def unit_vectors(dimension: int) -> st.SearchStrategy[Vector]:
    """Unit vectors of few directions, so that ties are frequent."""
    return (
        st.tuples(*[st.integers(-1, 1)] * dimension)
        .filter(any)
        .map(lambda values: np.array(values, np.float32) / np.float32(np.linalg.norm(values)))
    )


subject_ids = st.sampled_from(["a", "b", "c", "d"])
faces = st.fixed_dictionaries({contract: unit_vectors(model.dimension) for contract, model in MODELS.items()})
thresholds = st.sampled_from([0.25, 0.5, 0.75])
PROBES = {contract: np.eye(model.dimension, dtype=np.float32)[:2] for contract, model in MODELS.items()}


@dataclass
class ModelTemplate:
    """A template: what both models make of its face, those whose embedding is there, and when it expires."""

    subject_id: str
    face: dict[str, Vector]
    embedded: set[str]
    has_crop: bool
    expire_time: datetime | None = None


@dataclass
class ModelGallery:
    """A gallery: its people with the times at which they expire, their templates, and its migration."""

    subjects: dict[str, datetime | None] = field(default_factory=dict)
    templates: dict[str, ModelTemplate] = field(default_factory=dict)
    contract: str = FIRST.contract
    source: str = ""
    is_ending: bool = False
    drops_crops: bool = False
    thresholds: dict[str, float] = field(default_factory=lambda: {FIRST.contract: DEFAULT})

    @property
    def other(self) -> str:
        """The contract that does not search."""
        return SECOND.contract if self.contract == FIRST.contract else FIRST.contract

    @property
    def is_switched(self) -> bool:
        return bool(self.source) and self.contract != self.source

    @property
    def contracts(self) -> list[str]:
        """The contracts that can be searched, the one that searches first."""
        return [self.contract, self.other] if self.source and not self.is_ending else [self.contract]

    def of(self, subject_id: str) -> list[str]:
        return [key for key, each in self.templates.items() if each.subject_id == subject_id]

    def missing(self, contract: str) -> list[tuple[str, str]]:
        """Subject and template of those without an embedding, in order."""
        return sorted((each.subject_id, key) for key, each in self.templates.items() if contract not in each.embedded)

    def gaps(self) -> list[tuple[str, str, str]]:
        """The gaps of a migration that does not end: subject, template and contract, in order."""
        if not self.source or self.is_ending:
            return []
        return sorted((*key, contract) for contract in self.contracts for key in self.missing(contract))

    def remove_templates(self, gone: list[str]) -> None:
        for key in gone:
            del self.templates[key]

    def expire(self, moment: datetime) -> bool:
        """Remove what has expired; whether there was anything."""
        people = [key for key, expiry in self.subjects.items() if expiry is not None and expiry <= moment]
        gone = [
            key
            for key, each in self.templates.items()
            if each.subject_id in people or (each.expire_time is not None and each.expire_time <= moment)
        ]
        self.remove_templates(gone)
        for key in people:
            del self.subjects[key]
        return bool(people or gone)

    def candidates(self, contract: str, probe: Vector) -> list[tuple[float, str, str]]:
        """Each subject's best template, the best subject first: negative similarity, subject, template."""
        best: dict[str, tuple[float, str, str]] = {}
        for key, each in self.templates.items():
            if contract in each.embedded:
                similarity = float(np.float32(each.face[contract].astype(np.float64) @ probe.astype(np.float64)))
                found = (-similarity, each.subject_id, key)
                best[each.subject_id] = min(found, best.get(each.subject_id, found), key=lambda one: (one[0], one[2]))
        return sorted(best.values())


def expected(refusal: type[GalleryError] | None) -> AbstractContextManager[object]:
    """Expect a refusal, or none."""
    return nullcontext() if refusal is None else pytest.raises(refusal)


class MigrationMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "facet.db"
        self.now = START
        self.model = ModelGallery()
        self.enrolled = 0
        self.is_unerased = False
        self.undoable: tuple[str, ModelGallery] | None = None
        self.open()
        self.galleries.create_gallery("g", display_name="", threshold=DEFAULT)

    @initialize(
        people=st.lists(st.tuples(subject_ids, faces, st.booleans()), min_size=2, max_size=5),
        most=st.integers(0, 5),
        steps=st.integers(0, 4),
    )
    def begin(self, people: list[tuple[str, dict[str, Vector], bool]], most: int, steps: int) -> None:
        """Begin at any place of a migration."""
        for each in people:
            self.enroll(*each)
        if steps > 0:
            self.start()
        if steps > 1 and most:
            self.embed_some(most)
        if steps > 2:
            self.switch(allow_missing=True)
        if steps > 3:
            self.end(finishes=True, delete_missing=True, delete_crops=most > 2)

    def open(self) -> None:
        store = SqliteStore(self.path, clock=lambda: self.now)
        store.database.connection.execute("PRAGMA synchronous = OFF")  # nothing is about a loss of power
        self.galleries = Galleries(
            store,
            contract=FIRST.contract,
            dimension=FIRST.dimension,
            max_templates_per_subject=MAX_TEMPLATES,
            default_threshold=DEFAULT,
            undo_for=1000 * DAY,
            clock=lambda: self.now,
            further={SECOND.contract: SECOND.dimension},
        )
        self.migrations = self.galleries.migrations
        self.migrations.models = (FIRST, SECOND)

    def teardown(self) -> None:
        self.galleries.close()
        assert verify(self.path).problems == ()
        self.folder.cleanup()

    # People and their templates.

    @rule(subject_id=subject_ids, face=faces, has_crop=st.booleans())
    def enroll(self, subject_id: str, face: dict[str, Vector], has_crop: bool) -> None:
        self.enrolled += 1
        model, contracts = self.model, self.galleries.enrollment_contracts("g")
        assert list(contracts) == model.contracts
        enrollment = Enrollment(
            face[contracts[0]],
            contracts[0],
            f"{self.enrolled:064x}",
            (0, 0, 1, 1),
            1.0,
            accept_lookalike=True,
            crop=b"crop" if has_crop else None,
            further={contract: face[contract] for contract in contracts[1:]},
        )
        if len(model.of(subject_id)) >= MAX_TEMPLATES:
            with pytest.raises(TooManyTemplates):
                self.galleries.enroll("g", subject_id, enrollment)
            return
        key = self.galleries.enroll("g", subject_id, enrollment).template.template_id
        model.templates[key] = ModelTemplate(subject_id, face, set(contracts), has_crop)
        model.subjects.setdefault(subject_id, None)
        self.undoable = None

    @rule(subject_id=subject_ids)
    def delete_subject(self, subject_id: str) -> None:
        if subject_id not in self.model.subjects:
            with pytest.raises(SubjectNotFound):
                self.galleries.delete_subject("g", subject_id)
            return
        gone = self.model.of(subject_id)
        assert self.galleries.delete_subject("g", subject_id) == len(gone)
        self.model.remove_templates(gone)
        del self.model.subjects[subject_id]
        self.undoable = None

    @precondition(lambda self: self.model.templates)
    @rule(data=st.data())
    def delete_template(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.templates)))
        self.galleries.delete_template("g", self.model.templates[key].subject_id, key)
        self.model.remove_templates([key])
        self.undoable = None

    @rule(one=subject_ids, other=subject_ids)
    def merge(self, one: str, other: str) -> None:
        model = self.model
        if one == other:
            with pytest.raises(SameSubject):
                self.galleries.corrections.merge("g", one, other)
        elif not model.subjects.keys() >= {one, other}:
            with pytest.raises(SubjectNotFound):
                self.galleries.corrections.merge("g", one, other)
        elif len(model.of(one)) + len(model.of(other)) > MAX_TEMPLATES:
            with pytest.raises(TooManyTemplates):
                self.galleries.corrections.merge("g", one, other)
        else:
            before = deepcopy(model)
            self.undoable = self.galleries.corrections.merge("g", one, other).change.change_id, before
            for key in model.of(one):
                model.templates[key].subject_id = other
            times = [each for each in (model.subjects.pop(one), model.subjects[other]) if each is not None]
            model.subjects[other] = min(times, default=None)

    @precondition(lambda self: self.model.templates)
    @rule(data=st.data(), other=subject_ids)
    def move(self, data: st.DataObject, other: str) -> None:
        model = self.model
        key = data.draw(st.sampled_from(sorted(model.templates)))
        template = model.templates[key]
        if other not in model.subjects or other == template.subject_id or len(model.of(other)) >= MAX_TEMPLATES:
            with pytest.raises((SameSubject, SubjectNotFound, TooManyTemplates)):
                self.galleries.corrections.move("g", key, from_id=template.subject_id, into_id=other)
            return
        before = deepcopy(model)
        moved = self.galleries.corrections.move("g", key, from_id=template.subject_id, into_id=other)
        self.undoable = moved.change.change_id, before
        with_source, with_other = model.subjects[template.subject_id], model.subjects[other]
        if with_source is not None and (with_other is None or with_other > with_source):
            template.expire_time = min(template.expire_time or with_source, with_source)
        template.subject_id = other

    @precondition(lambda self: self.undoable)
    @rule()
    def undo(self) -> None:
        assert self.undoable is not None
        change_id, before = self.undoable
        self.galleries.corrections.undo("g", change_id)
        for key, template in before.templates.items():
            self.model.templates[key].subject_id = template.subject_id
            self.model.templates[key].expire_time = template.expire_time
        self.model.subjects = before.subjects
        self.undoable = None

    @rule(subject_id=subject_ids, days=st.integers(1, 3))
    def let_expire(self, subject_id: str, days: int) -> None:
        if subject_id in self.model.subjects:
            moment = self.now + days * DAY
            self.galleries.update_subject(
                "g", subject_id, SubjectChange(frozenset({"expire_time"}), expire_time=moment)
            )
            self.model.subjects[subject_id] = moment
            self.undoable = None

    @rule()
    def pass_a_day(self) -> None:
        self.now += DAY
        if self.model.expire(self.now):
            self.is_unerased = True
            self.undoable = None

    @precondition(lambda self: self.is_unerased)
    @rule()
    def erase(self) -> None:
        self.galleries.retention.erase()
        self.is_unerased = False

    # The migration.

    @precondition(lambda self: not self.model.source)
    @rule()
    def start(self) -> None:
        model, target = self.model, MODELS[self.model.other]
        plan = self.migrations.start("g", target.name)
        crops = sum(each.has_crop for each in model.templates.values())
        assert (plan.with_crop, plan.without_crop) == (crops, len(model.templates) - crops)
        model.source, model.thresholds[model.other] = model.contract, DEFAULT
        with pytest.raises(MigrationUnderWay):
            self.migrations.start("g", target.name)

    @precondition(lambda self: self.model.gaps())
    @rule(most=st.integers(1, 5))
    def embed_some(self, most: int) -> None:
        gaps = self.migrations.gaps.list("g", after=BEFORE_ALL, limit=most)
        assert [(*gap.face.key, gap.contract) for gap in gaps] == self.model.gaps()[:most]
        for gap in gaps:
            template = self.model.templates[gap.face.key[1]]
            assert (gap.face.crop is not None) == template.has_crop
            wanted = [gap.face, gap.face] if most == 1 else [gap.face]  # nothing is doubled
            embeddings = np.stack([template.face[gap.contract]] * len(wanted))
            assert self.migrations.add_embeddings("g", gap.contract, wanted, embeddings) == (gap.face.key[1],)
            template.embedded.add(gap.contract)

    @precondition(lambda self: self.model.source)
    @rule(threshold=thresholds)
    def update(self, threshold: float) -> None:
        refusal = self.refusal()
        with expected(refusal):
            self.migrations.update("g", threshold=threshold)
        if refusal is None:
            self.model.thresholds[self.model.other] = threshold

    @precondition(lambda self: self.model.source)
    @rule(allow_missing=st.booleans())
    def switch(self, allow_missing: bool) -> None:
        model = self.model
        refusal = self.refusal(AlreadySwitched if model.is_switched else None, keeps=allow_missing or model.other)
        with expected(refusal):
            self.migrations.switch("g", allow_missing=allow_missing, allow_default_threshold=True)
        if refusal is None:
            model.contract = model.other

    @precondition(lambda self: self.model.source)
    @rule(allow_missing=st.booleans())
    def roll_back(self, allow_missing: bool) -> None:
        model = self.model
        refusal = self.refusal(None if model.is_switched else NotSwitched, keeps=allow_missing or model.other)
        with expected(refusal):
            self.migrations.roll_back("g", allow_missing=allow_missing)
        if refusal is None:
            model.contract = model.other

    @precondition(lambda self: self.model.source)
    @rule(finishes=st.booleans(), delete_missing=st.booleans(), delete_crops=st.booleans())
    def end(self, finishes: bool, delete_missing: bool, delete_crops: bool) -> None:
        model, migrations = self.model, self.migrations
        wrong = None if finishes == model.is_switched else NotSwitched if finishes else AlreadySwitched
        refusal = self.refusal(wrong, keeps=delete_missing or model.contract)
        with expected(refusal):
            if finishes:
                _, deleted = migrations.finish("g", delete_missing=delete_missing, delete_crops=delete_crops)
            else:
                _, deleted = migrations.cancel("g", delete_missing=delete_missing)
            assert deleted == len(model.missing(model.contract))
        if refusal is None:
            model.is_ending, model.drops_crops = True, finishes and delete_crops

    @precondition(lambda self: self.model.is_ending)
    @rule(limit=st.integers(1, 4))
    def drop(self, limit: int) -> None:
        model = self.model
        has_ended = self.migrations.drop("g", limit=limit)
        missing = [key for _, key in model.missing(model.contract)]
        if missing:
            assert not has_ended
            model.remove_templates(missing)
            self.undoable = None
        if has_ended:
            for each in model.templates.values():
                each.embedded = {model.contract}
                each.has_crop &= not model.drops_crops
            model.source, model.is_ending, model.drops_crops = "", False, False

    @rule()
    def reopen(self) -> None:
        self.galleries.close()
        self.open()

    def refusal(
        self, by_state: type[GalleryError] | None = None, *, keeps: str | bool = True
    ) -> type[GalleryError] | None:
        """Return what a step of the migration must be refused with.

        Args:
            by_state: what is refused because the other model searches.
            keeps: the contract that no template may miss; ``True`` if they may.
        """
        model = self.model
        if model.is_ending:
            return MigrationEnding
        is_incomplete = isinstance(keeps, str) and model.missing(keeps)
        return by_state or (MigrationIncomplete if is_incomplete else None)

    # What must hold.

    @invariant()
    def searches_find_what_has_an_embedding(self) -> None:
        model = self.model
        for contract, probes in PROBES.items():
            if contract not in model.contracts:
                with pytest.raises(ContractMismatch):
                    self.galleries.search("g", probes, top_k=9, contract=contract)
                continue
            answers = self.galleries.search("g", probes, top_k=9, contract=contract)
            for probe, answer in zip(probes, answers, strict=True):
                expected = model.candidates(contract, probe)
                found = [(each.subject_id, each.template_id) for each in answer.candidates]
                assert found == [each[1:] for each in expected]
                assert [-each.similarity for each in answer.candidates] == pytest.approx(
                    [each[0] for each in expected], abs=1e-6
                )
                assert answer.threshold == model.thresholds[contract]
                is_match = bool(expected) and -expected[0][0] >= answer.threshold
                assert (answer.decision is Decision.MATCH) == is_match
                assert answer.templates_compared == sum(contract in each.embedded for each in model.templates.values())

    @invariant()
    def counts_and_lists_agree(self) -> None:
        model, gallery = self.model, self.galleries.get_gallery("g")
        assert gallery.contract == model.contract
        assert (gallery.migration is not None) == bool(model.source)
        listed = self.galleries.list_subjects("g", page_size=100).items
        assert {each.subject_id: each.template_count for each in listed} == {
            subject_id: len(model.of(subject_id)) for subject_id in model.subjects
        }
        if model.source:
            gaps = model.gaps()
            with_crop = sum(model.templates[key].has_crop for _, key, _ in gaps)
            assert self.migrations.gaps.count("g") == (with_crop, len(gaps) - with_crop)
        if not self.is_unerased:
            assert gallery.template_count == len(model.templates)
            assert gallery.subject_count == len(model.subjects)
            assert self.migrations.gaps.total(gallery) == len(model.gaps())


MigrationMachine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMigrationMachine = MigrationMachine.TestCase
