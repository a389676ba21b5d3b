"""What an index does: it finds the templates of a gallery that resemble a probe, and ranks their subjects."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gallery.records.expired import Expired
from gallery.records.identifications import Candidate
from gallery.records.templates import EmbeddedTemplates
from gallery.search_pool import SearchPool


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best subjects for one probe.

    Attributes:
        candidates: by falling similarity, ties by subject id.
        templates_compared: the number of templates in the index.
    """

    candidates: tuple[Candidate, ...]
    templates_compared: int


class Index(Protocol):
    """The templates of a gallery, as searches see them.

    Any number of threads may search, and no search waits for another. Only one thread changes the index at a time, and
    every search that begins after a change sees it. A store may keep the index itself; such an index already contains
    a change when its method is called.
    """

    def __len__(self) -> int:
        """Return the number of templates."""

    def search(
        self,
        probes: NDArray[np.float32],
        *,
        subjects: int,
        mean_of_best: int,
        at_least: float = -1.0,
        thorough: bool = False,
        pool: SearchPool | None = None,
    ) -> tuple[SearchResult, ...]:
        """Rank the best subjects for every probe.

        Args:
            probes: shape ``(n, dimension)``, unit length.
            subjects: the number of subjects to rank, at least 1.
            mean_of_best: see :class:`gallery.records.galleries.Gallery`.
            at_least: subjects with a lower similarity may be left out, [-1, 1].
            thorough: find the runners-up as reliably as the best subject.
            pool: the threads of the search, if it is made in this process; ``None`` for those that all searches share.
        """

    def similarity(self, subject_id: str, probe: NDArray[np.float32], *, mean_of_best: int) -> float | None:
        """Compare a probe, shape ``(dimension,)``, with a subject; ``None`` if it has no template."""

    def template_similarities(self, subject_id: str, probe: NDArray[np.float32]) -> dict[str, float]:
        """Compare a probe, shape ``(dimension,)``, with every template of a subject; by template id, [-1, 1]."""

    def reserve(self, templates: int = 1) -> None:
        """Allocate memory, so that adding this many templates cannot fail for lack of it.

        Raises:
            MemoryError: there is not enough; the index is unchanged.
        """

    def add(self, templates: EmbeddedTemplates) -> None:
        """Add templates. A display name is used if the template is the first of its subject."""

    def rename(self, subject_id: str, display_name: str) -> None:
        """Rename a subject; does nothing if it has no template."""

    def remove_template(self, subject_id: str, template_id: str) -> None:
        """Remove a template of a subject; it must exist."""

    def remove_subject(self, subject_id: str) -> None:
        """Remove a subject and its templates; does nothing if it has none."""

    def remove(self, expired: Expired) -> None:
        """Remove subjects and templates that have expired; those that are not in the index are left out."""

    def replace_subjects(self, subject_ids: Collection[str], templates: EmbeddedTemplates) -> None:
        """Have subjects exactly these templates, and the names that come with them.

        Args:
            subject_ids: the subjects; those without a template here lose all of theirs.
            templates: all templates of these subjects.
        """

    def clear(self) -> None:
        """Remove everything."""
