"""What an index of a gallery must do: it retrieves templates, and ranks their subjects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gallery.records.records import Candidate, EmbeddedTemplates


@dataclass(frozen=True, slots=True)
class Ranked:
    """The best subjects for one probe.

    Attributes:
        candidates: by falling similarity, ties by subject id.
        templates_compared: how many templates there were.
    """

    candidates: tuple[Candidate, ...]
    templates_compared: int


class Index(Protocol):
    """The templates of a gallery, as searches see them.

    Any number of threads may search, and none waits for another. Changes come from one thread at a time, and every
    search that begins after one sees it. An index that a store keeps by itself has seen a change already when it is
    told of it.
    """

    def __len__(self) -> int:
        """How many templates there are."""

    def search(
        self,
        probes: NDArray[np.float32],
        *,
        subjects: int,
        mean_of_best: int,
        at_least: float = -1.0,
        thorough: bool = False,
    ) -> tuple[Ranked, ...]:
        """Rank the best subjects for every probe.

        Args:
            probes: shape ``(n, dimension)``, of unit length.
            subjects: how many to rank, at least 1.
            mean_of_best: see :class:`gallery.records.records.Gallery`.
            at_least: subjects of a lower similarity are not wanted, and may be missing.
            thorough: the runners-up matter as much as the best subject.
        """

    def similarity(self, subject_id: str, probe: NDArray[np.float32], *, mean_of_best: int) -> float | None:
        """Similarity of a probe, shape ``(dimension,)``, and a subject; ``None`` without any template."""

    def reserve(self, templates: int = 1) -> None:
        """Make room, so that adding so many cannot fail for want of memory.

        Raises:
            MemoryError: there is none; the index is as it was.
        """

    def add(self, templates: EmbeddedTemplates) -> None:
        """Add templates. A name is taken where the template is its subject's first here."""

    def rename(self, subject_id: str, display_name: str) -> None:
        """Give a subject another name; nothing happens where it has no templates."""

    def remove_template(self, subject_id: str, template_id: str) -> None:
        """Remove a template that is here, of the subject that it is of."""

    def remove_subject(self, subject_id: str) -> None:
        """Remove a subject and its templates; nothing happens where it has none."""

    def clear(self) -> None:
        """Forget everything."""
