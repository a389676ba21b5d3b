"""What a search for duplicates finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class FindingKind(Enum):
    """What is probably wrong."""

    SAME_PERSON = "same_person"
    """Two subjects are one person."""
    OTHER_SUBJECT = "other_subject"
    """Templates of a subject show another subject."""
    UNLIKE_SUBJECT = "unlike_subject"
    """Templates of a subject show somebody else, whom the gallery may not know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is probably wrong in a gallery.

    Attributes:
        kind: what it is.
        chance: the probability that it is so, [0, 1]; see :class:`gallery.duplicates.similarity_model.SimilarityModel`.
        similarity: of the two templates below, a cosine in [-1, 1].
        subject_id: the subject; of ``SAME_PERSON``, the first of the two in code point order.
        template_id: its template that is most similar to the other one; of ``UNLIKE_SUBJECT``, the one that is
            probably wrong.
        other_subject_id: the other subject; of ``UNLIKE_SUBJECT``, the same one.
        other_template_id: the other template; of ``UNLIKE_SUBJECT``, the most similar one that is probably right.
        template_ids: of ``SAME_PERSON``, the templates of the subject that resemble the other one; otherwise those
            that are probably wrong. At most :data:`gallery.duplicates.subject_comparison.MOST_TEMPLATES`.
        own_similarity: of ``OTHER_SUBJECT``, the highest similarity of ``template_ids`` to the other templates of
            their own subject; ``None`` if there are no others.
    """

    kind: FindingKind
    chance: float
    similarity: float
    subject_id: str
    template_id: str
    other_subject_id: str
    other_template_id: str
    template_ids: tuple[str, ...]
    own_similarity: float | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What the finding is about: the same thing that is found twice has the same key."""
        template_id = "" if self.kind is FindingKind.SAME_PERSON else self.template_id
        other_id = "" if self.kind is FindingKind.UNLIKE_SUBJECT else self.other_subject_id
        return self.kind.value, self.subject_id, template_id, other_id

    @property
    def order(self) -> tuple[float, float, tuple[str, str, str, str]]:
        """The sort key: the most probable first, then the most similar."""
        return -self.chance, -self.similarity, self.key
