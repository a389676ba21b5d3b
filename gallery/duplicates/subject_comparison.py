"""Compares the templates of a subject with each other, and with those of another subject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gallery.duplicates.findings import Finding, FindingKind
from gallery.duplicates.similarity_model import SimilarityModel

_SEVERAL = 2
"""Templates that may be the only right ones of a subject, although most of its templates are of another."""
MOST_TEMPLATES = 100
"""The most templates that a finding names."""


@dataclass(frozen=True, slots=True)
class SubjectTemplates:
    """The templates of a subject, or some of very many.

    Attributes:
        subject_id: the subject.
        template_ids: in code point order.
        embeddings: shape ``(n, dimension)``, unit length, at least one.
    """

    subject_id: str
    template_ids: Sequence[str]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.template_ids)

    def ids(self, rows: NDArray[np.intp]) -> tuple[str, ...]:
        """Return the ids of some templates, at most :data:`MOST_TEMPLATES`."""
        return tuple(self.template_ids[row] for row in rows[:MOST_TEMPLATES].tolist())


def unlike_templates(model: SimilarityModel, subject: SubjectTemplates, *, least_chance: float) -> list[Finding]:
    """Find templates that do not show the same person as most templates of their subject.

    Templates that are linked by a similarity of one person form a group, and the largest group is taken to be right.
    Of two groups of one size, the one with the first template is. Each other group is one finding.

    Args:
        model: of the gallery.
        subject: the subject.
        least_chance: leave out what is less probable.
    """
    if len(subject) < 2:
        return []
    similarities = _products(subject, subject)
    groups = _groups(similarities >= model.link_similarity)
    sizes = np.bincount(groups)
    findings = []
    for group in np.flatnonzero(np.arange(sizes.size) != sizes.argmax()).tolist():
        is_member = groups == group
        inside, outside = np.flatnonzero(is_member), np.flatnonzero(~is_member)
        between = similarities[np.ix_(inside, outside)]
        row, column = np.unravel_index(int(between.argmax()), between.shape)
        similarity = float(between[row, column])
        chance = model.chance_wrong(similarity, between.size)
        if chance >= least_chance:
            findings.append(
                Finding(
                    kind=FindingKind.UNLIKE_SUBJECT,
                    chance=chance,
                    similarity=similarity,
                    subject_id=subject.subject_id,
                    template_id=subject.template_ids[int(inside[row])],
                    other_subject_id=subject.subject_id,
                    other_template_id=subject.template_ids[int(outside[column])],
                    template_ids=subject.ids(inside),
                )
            )
    return findings


def compared_subjects(
    model: SimilarityModel, one: SubjectTemplates, other: SubjectTemplates, *, least_chance: float
) -> Iterator[Finding]:
    """Compare two subjects, of which a template resembles one of the other's.

    If the templates that resemble the other subject are linked to the rest of their own, or all but one of them do, the
    two may be one person. Otherwise these templates may be wrong, even if they are most of their subject's: merging the
    two would mix two people.

    Args:
        model: of the gallery.
        one: a subject.
        other: another one.
        least_chance: leave out what is less probable.
    """
    if one.subject_id > other.subject_id:
        one, other = other, one
    between = _products(one, other)
    row, column = np.unravel_index(int(between.argmax()), between.shape)
    similarity = float(between[row, column])
    resembles = between >= min(similarity, model.link_similarity)
    alike = np.flatnonzero(resembles.any(axis=1)), np.flatnonzero(resembles.any(axis=0))
    links = _link(one, alike[0], other), _link(other, alike[1], one)
    one_person, (one_wrong, other_wrong) = model.chances_of_pair(
        similarity, max(len(one), len(other)), links=(links[0], links[1])
    )
    first, second = one.template_ids[int(row)], other.template_ids[int(column)]
    if one_person >= least_chance:
        yield Finding(
            kind=FindingKind.SAME_PERSON,
            chance=one_person,
            similarity=similarity,
            subject_id=one.subject_id,
            template_id=first,
            other_subject_id=other.subject_id,
            other_template_id=second,
            template_ids=one.ids(alike[0]),
        )
    for chance, own, template_id, rows, link, target, target_id in (
        (one_wrong, one, first, alike[0], links[0], other, second),
        (other_wrong, other, second, alike[1], links[1], one, first),
    ):
        if chance >= least_chance and link is not None:
            yield Finding(
                kind=FindingKind.OTHER_SUBJECT,
                chance=chance,
                similarity=similarity,
                subject_id=own.subject_id,
                template_id=template_id,
                other_subject_id=target.subject_id,
                other_template_id=target_id,
                template_ids=own.ids(rows),
                own_similarity=link[0],
            )


def _link(subject: SubjectTemplates, rows: NDArray[np.intp], other: SubjectTemplates) -> tuple[float, int] | None:
    """Return the highest similarity of some templates to the rest of their subject, and of how many it is.

    ``None`` if there is no rest, or if it is the smaller part and proves nothing: it is one template, or the other
    subject has only one. Then the rest is wrong if the two are not linked.
    """
    rest = len(subject) - rows.size
    if not rest or (rest < rows.size and min(rest, len(other)) < _SEVERAL):
        return None
    is_alike = np.zeros(len(subject), np.bool_)
    is_alike[rows] = True
    between = subject.embeddings[is_alike] @ subject.embeddings[~is_alike].T
    return float(np.clip(between.max(), -1, 1)), between.size


def _products(one: SubjectTemplates, other: SubjectTemplates) -> NDArray[np.float32]:
    products: NDArray[np.float32] = np.clip(one.embeddings @ other.embeddings.T, -1, 1)
    return products


def _groups(linked: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number the connected components of a symmetric relation, in the order of their first member."""
    groups = np.full(len(linked), -1, np.intp)
    for number, first in enumerate(_unreached(groups)):
        reached = np.zeros(len(linked), np.bool_)
        frontier = np.array([first])
        while frontier.size:
            reached[frontier] = True
            frontier = np.flatnonzero(linked[frontier].any(axis=0) & ~reached)
        groups[reached] = number
    return groups


def _unreached(groups: NDArray[np.intp]) -> Iterator[int]:
    """Yield the first row without a group until there is none."""
    while (rows := np.flatnonzero(groups == -1)).size:
        yield int(rows[0])
