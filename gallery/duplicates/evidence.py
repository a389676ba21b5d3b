"""The evidence for the similarity model of a gallery: a sample of its templates."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gallery.duplicates.subject_comparison import SubjectTemplates
from gallery.records.templates import EmbeddedTemplates

_PROBES = 4096
"""How many templates of a large gallery are searched for."""
_SUBJECTS = 4096
"""How many subjects of a large gallery are compared with themselves."""
_OF_EACH = 8
"""How many templates of each are compared."""
_STRANGERS = 1024
"""How many templates are compared with each other."""


@dataclass(slots=True)
class Evidence:
    """A sample of a gallery. Digests of ids select it, so that it is the same whenever the gallery is the same.

    Args:
        templates: in the gallery.

    Attributes:
        probes: templates to search for.
        mates: the similarity of two templates of a subject, one for each subject.
        own_bests: the similarity of templates to the most similar one of their subject.
    """

    templates: int
    probes: list[tuple[str, NDArray[np.float32]]] = field(default_factory=list)
    mates: list[float] = field(default_factory=list)
    own_bests: list[float] = field(default_factory=list)

    def add(self, subject: SubjectTemplates) -> None:
        """Add a subject, if it is in the sample."""
        for template_id, embedding in zip(subject.template_ids, subject.embeddings, strict=True):
            if _draw(template_id) * self.templates < _PROBES:
                self.probes.append((subject.subject_id, embedding.copy()))
        if len(subject) > 1 and _draw(subject.subject_id) * self.templates < _SUBJECTS:
            some = subject.embeddings[:_OF_EACH]
            similarities = (some @ some.T).astype(np.float64)
            self.mates.append(float(similarities[0, -1]))
            np.fill_diagonal(similarities, -1.0)
            self.own_bests += similarities.max(axis=1).tolist()

    def strangers(self) -> NDArray[np.float64]:
        """Return the similarities of templates of different subjects, shape ``(p,)``."""
        by_subject = list(dict(self.probes[:_STRANGERS]).values())
        if not by_subject:
            return np.empty(0)
        embeddings = np.stack(by_subject)
        similarities: NDArray[np.float64] = (embeddings @ embeddings.T)[np.triu_indices(len(embeddings), 1)].astype(
            np.float64
        )
        return similarities


def subjects_of(page: EmbeddedTemplates) -> Iterator[SubjectTemplates]:
    """Split a page of templates, in the order of subjects, into subjects."""
    start = 0
    for row in range(1, len(page) + 1):
        if row == len(page) or page.subject_ids[row] != page.subject_ids[start]:
            rows = slice(start, row)
            yield SubjectTemplates(page.subject_ids[start], page.template_ids[rows], page.embeddings[rows])
            start = row


def pages_of(
    read: Callable[[tuple[str, str]], EmbeddedTemplates], after: tuple[str, str], *, limit: int
) -> Iterator[tuple[Sequence[SubjectTemplates], tuple[str, str]]]:
    """Yield the subjects of a gallery page by page, and the place after each page.

    A subject is on one page with all its templates, unless it has more than a page: then its parts are taken for
    themselves.

    Args:
        read: reads a page of templates after a subject id and a template id, in this order.
        after: where to begin.
        limit: of a page.
    """
    while len(page := read(after)):
        subjects = list(subjects_of(page))
        if len(page) >= limit and len(subjects) > 1:
            subjects.pop()
        after = subjects[-1].subject_id, subjects[-1].template_ids[-1]
        yield subjects, after


def _draw(identifier: str) -> float:
    """Return a number in [0, 1) that is always the same for an id."""
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=6).digest()) / 2**48
