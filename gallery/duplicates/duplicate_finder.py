"""Searches for all templates of a gallery among its other subjects."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gallery.duplicates import resume_token
from gallery.duplicates.evidence import Evidence, pages_of, subjects_of
from gallery.duplicates.findings import Finding, FindingKind
from gallery.duplicates.found_faces import stored_face
from gallery.duplicates.resume_token import ResumeToken
from gallery.duplicates.similarity_model import SimilarityModel, fit
from gallery.duplicates.subject_comparison import SubjectTemplates, compared_subjects, unlike_templates
from gallery.errors import GalleryNotFound
from gallery.opened.open_gallery import OpenGallery
from gallery.opened.registry import GalleryRegistry
from gallery.records.templates import EmbeddedTemplates, StoredFace
from gallery.search_pool import SearchPool
from gallery.stores.base import Store

LEAST_CHANCE = 0.05
"""The least chance that can be asked for."""
MAX_FINDINGS = 10_000

_PAGE = 512
_PROBES_AT_ONCE = 64
_OTHERS = 3
"""How many other subjects a template is compared with."""
_RANKS = 5
"""How many other subjects show how similar strangers are: more than the further ids of most people."""
_CROWD = 8
"""The rank of the other subject that shows whether a template is one of a group of people who resemble each other."""
_MOST_APART = 64
"""The most subjects beyond those that were told apart from a template's own and are skipped."""
_UNLIKE_CHANCE = 0.2
"""The chance from which it is searched for whom a wrong template shows."""


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """A step of a search for duplicates.

    Attributes:
        templates_done: how many templates were searched for, in this search and in those that it resumed.
        templates: in the gallery when this search began.
        findings: what was found in this step.
        resume_token: goes on after this step; empty while the model of the gallery is estimated.
    """

    templates_done: int
    templates: int
    findings: tuple[Finding, ...] = ()
    resume_token: str = ""


class DuplicateFinder:
    """Finds subjects that are one person, and templates of somebody else. Nothing is changed, and no lock is held.

    Args:
        store: where galleries are stored.
        registry: the open galleries.
        pool: the threads of its searches.
    """

    def __init__(self, store: Store, registry: GalleryRegistry, pool: SearchPool) -> None:
        self._store = store
        self._registry = registry
        self._pool = pool

    def find(
        self,
        gallery_id: str,
        *,
        least_chance: float,
        limit: int,
        token: str = "",
        check: Callable[[], None] = lambda: None,
        templates_per_page: int = _PAGE,
    ) -> Iterator[SearchProgress]:
        """Search for all templates of a gallery, in the order of subjects.

        Each step has what it found, except for what is not among the ``limit`` most probable so far. So the most
        probable of all steps are the most probable of the gallery. The same search in parts, each with the token of the
        part before, finds the same.

        What is enrolled, moved or deleted in the meantime may be found as it was or as it is. A subject with more than
        ``templates_per_page`` templates is compared part by part.

        Args:
            gallery_id: the gallery.
            least_chance: leave out what is less probable, :data:`LEAST_CHANCE` to 1.
            limit: how many findings are wanted, 1 to :data:`MAX_FINDINGS`.
            token: of a step of an earlier search, which goes on; empty to begin.
            check: called now and then; an exception from it ends the search.
            templates_per_page: how many templates are read from the store at once.

        Raises:
            GalleryNotFound: the gallery does not exist, or was deleted in the meantime.
            ContractMismatch: it has another contract than the server.
            InvalidResumeToken: the token is not one of this gallery.
            StorageError: the store cannot be read.
        """
        opened = self._registry.find(gallery_id)
        contract = opened.settings.contract
        opened.index_for(contract)
        gallery = self._store.gallery(gallery_id)
        state = resume_token.decoded(token, gallery) if token else None

        def check_open() -> None:
            check()
            self._registry.find(gallery_id)  # drops what has expired
            if not self._registry.is_open(opened):
                raise GalleryNotFound(gallery_id)

        def read(after: tuple[str, str]) -> EmbeddedTemplates:
            check_open()
            return self._store.embedded_by_subject(gallery_id, after=after, limit=templates_per_page, contract=contract)

        templates = gallery.template_count
        if state is None:
            evidence = Evidence(templates)
            for subjects, _ in pages_of(read, ("", ""), limit=templates_per_page):
                for subject in subjects:
                    evidence.add(subject)
                yield SearchProgress(0, templates)
            search = _Search(self._store, opened, contract, self._pool, check_open)
            model = _fitted(evidence, search)
            state = ResumeToken(resume_token.identity_of(gallery), ("", ""), 0, model)
        search = _Search(self._store, opened, contract, self._pool, check_open)
        best = _MostProbable(limit)
        for subjects, after in pages_of(read, state.after, limit=templates_per_page):
            findings = search.findings(subjects, state.model, least_chance=least_chance)
            state = replace(state, after=after, done=state.done + sum(map(len, subjects)))
            yield SearchProgress(state.done, templates, best.added(findings), state.encoded())

    def face(self, gallery_id: str, subject_id: str, template_id: str) -> StoredFace | None:
        """Return a face of a finding; see :func:`gallery.duplicates.found_faces.stored_face`."""
        return stored_face(self._store, gallery_id, subject_id, template_id)

    def note_copy(self, gallery_id: str) -> None:
        """Record that faces of findings leave the server: erasures do not reach them."""
        if self._store.erasures is not None:
            self._store.erasures.note_copy("duplicates", gallery_id)


class _Search:
    """The searches of one gallery.

    Args:
        store: where the gallery is stored.
        opened: the gallery.
        contract: the embedding contract by which it is searched.
        pool: the threads of its searches.
        check: called before each search.
    """

    def __init__(
        self, store: Store, opened: OpenGallery, contract: str, pool: SearchPool, check: Callable[[], None]
    ) -> None:
        self._store = store
        self._opened = opened
        self._contract = contract
        self._index = opened.index_for(contract)
        self._pool = pool
        self._check = check

    def findings(
        self, subjects: Sequence[SubjectTemplates], model: SimilarityModel, *, least_chance: float
    ) -> list[Finding]:
        """Find what is wrong with some subjects."""
        of_page = {each.subject_id: each for each in subjects}
        unlike = [
            finding
            for subject in subjects
            for finding in unlike_templates(model, subject, least_chance=min(least_chance, _UNLIKE_CHANCE))
        ]
        pairs = self._pairs(_probes(subjects), at_least=model.similarity_at(LEAST_CHANCE))
        suspected = {(each.subject_id, each.template_id) for each in unlike if each.chance >= _UNLIKE_CHANCE}
        pairs |= self._pairs(_probes(subjects, suspected), at_least=model.similarity_at(LEAST_CHANCE, is_wrong=True))
        found: list[Finding] = []
        others: dict[str, SubjectTemplates | None] = dict(of_page)
        for subject_id, other_id in sorted(pairs):
            if other_id not in others:
                self._check()
                others[other_id] = self._subject(other_id)
            if (other := others[other_id]) is not None:
                found += self._compared(model, of_page[subject_id], other, least_chance=least_chance)
        explained = {
            (each.subject_id, template_id)
            for each in found
            if each.kind is FindingKind.OTHER_SUBJECT
            for template_id in _explained(each, others)
        }
        found += [
            each
            for each in unlike
            if each.chance >= least_chance and (each.subject_id, each.template_id) not in explained
        ]
        return found

    def best_others(
        self, probes: Sequence[tuple[str, NDArray[np.float32]]]
    ) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return the similarities of probes to the most similar other subjects, and a number for each probe's subject.

        Probes with fewer others than most are left out. The shapes are ``(n, k)`` and ``(n,)``.
        """
        found = [
            (subject_id, [similarity for _, similarity in candidates[:_RANKS]])
            for subject_id, candidates in self._others(probes, at_least=-1.0, wanted=_RANKS)
        ]
        ranks = int(np.median([len(best) for _, best in found])) if found else 0
        full = [(subject_id, best[:ranks]) for subject_id, best in found if len(best) >= ranks > 0]
        numbers = {subject_id: number for number, subject_id in enumerate(dict(full))}
        best_others = np.array([best for _, best in full], np.float64).reshape(len(full), ranks)
        return best_others, np.array([numbers[subject_id] for subject_id, _ in full], np.intp)

    def _compared(
        self, model: SimilarityModel, one: SubjectTemplates, other: SubjectTemplates, *, least_chance: float
    ) -> list[Finding]:
        """Compare two subjects; if they seem to be one, among the people whom they resemble."""
        found = list(compared_subjects(model, one, other, least_chance=least_chance))
        if not found:
            return []
        templates = {found[0].template_id, found[0].other_template_id}
        nearest = [
            (subject.subject_id, embedding)
            for subject in (one, other)
            for template_id, embedding in zip(subject.template_ids, subject.embeddings, strict=True)
            if template_id in templates
        ]
        crowded = model
        for _, candidates in self._others(nearest, at_least=-1.0, wanted=_CROWD):
            if len(candidates) >= _CROWD:
                crowded = crowded.among(candidates[_CROWD - 1][1], _CROWD)
        return found if crowded is model else list(compared_subjects(crowded, one, other, least_chance=least_chance))

    def _pairs(self, probes: Sequence[tuple[str, NDArray[np.float32]]], *, at_least: float) -> set[tuple[str, str]]:
        """Return the subjects of probes, each with another subject that is similar enough."""
        return {
            (subject_id, other_id)
            for subject_id, candidates in self._others(probes, at_least=at_least, wanted=_OTHERS)
            for other_id, similarity in candidates
            if similarity >= at_least
        }

    def _others(
        self, probes: Sequence[tuple[str, NDArray[np.float32]]], *, at_least: float, wanted: int
    ) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """Yield the subject of each probe with the best other subjects, without those that were told apart from it."""
        for start in range(0, len(probes), _PROBES_AT_ONCE):
            self._check()
            some = probes[start : start + _PROBES_AT_ONCE]
            apart = [self._opened.distinct.others(subject_id) for subject_id, _ in some]
            found = self._index.search(
                np.stack([embedding for _, embedding in some]),
                subjects=1 + wanted + min(max(map(len, apart)), _MOST_APART),
                mean_of_best=1,
                at_least=at_least,
                pool=self._pool,
            )
            for (subject_id, _), others, result in zip(some, apart, found, strict=True):
                candidates = ((each.subject_id, each.similarity) for each in result.candidates)
                yield subject_id, [each for each in candidates if each[0] != subject_id and each[0] not in others]

    def _subject(self, subject_id: str) -> SubjectTemplates | None:
        page = self._store.embedded_by_subject(
            self._opened.gallery_id, after=(subject_id, ""), limit=_PAGE, contract=self._contract
        )
        return next((each for each in subjects_of(page) if each.subject_id == subject_id), None)


class _MostProbable:
    """Passes on findings that are among the most probable so far.

    Args:
        limit: how many that are.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._worst_first: list[_Reversed] = []
        self._keys: set[tuple[str, ...]] = set()

    def added(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Add findings; returns those that are new and among the most probable."""
        added: dict[tuple[str, ...], Finding] = {}
        for finding in findings:
            if finding.key in self._keys:
                continue
            if len(self._worst_first) == self._limit:
                worst = self._worst_first[0].finding
                if finding.order >= worst.order:
                    continue
                heapq.heappop(self._worst_first)
                self._keys.discard(worst.key)
                added.pop(worst.key, None)
            heapq.heappush(self._worst_first, _Reversed(finding))
            self._keys.add(finding.key)
            added[finding.key] = finding
        return tuple(added.values())


@dataclass(frozen=True, slots=True)
class _Reversed:
    finding: Finding

    def __lt__(self, other: _Reversed) -> bool:
        return self.finding.order > other.finding.order


def _fitted(evidence: Evidence, search: _Search) -> SimilarityModel:
    return fit(
        *search.best_others(evidence.probes),
        np.array(evidence.mates, np.float64),
        np.array(evidence.own_bests, np.float64),
        evidence.strangers(),
        templates=evidence.templates,
    )


def _probes(
    subjects: Iterable[SubjectTemplates], only: set[tuple[str, str]] | None = None
) -> list[tuple[str, NDArray[np.float32]]]:
    return [
        (subject.subject_id, embedding)
        for subject in subjects
        for template_id, embedding in zip(subject.template_ids, subject.embeddings, strict=True)
        if only is None or (subject.subject_id, template_id) in only
    ]


def _explained(finding: Finding, subjects: Mapping[str, SubjectTemplates | None]) -> Sequence[str]:
    """Return the templates of a subject that a finding explains: if most are of another subject, the rest is right."""
    subject = subjects[finding.subject_id]
    if subject is None or 2 * len(finding.template_ids) <= len(subject):
        return finding.template_ids
    return subject.template_ids
