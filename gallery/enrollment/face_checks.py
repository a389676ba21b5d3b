"""What a face is compared with before it is enrolled: the faces of its picture, and the templates of its subject."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gallery.errors import LooksUnlikeSubject
from gallery.index.protocol import Index
from gallery.records.consents import Consent
from gallery.records.enrollments import Enrolled
from gallery.records.subjects import Subject
from gallery.records.templates import Box

SAME_FACE_IOU = 0.5
"""Two boxes in one picture are the same face if their IoU is at least this."""

_TEMPLATES_TO_REFUSE = 2
"""The fewest templates that can refuse a face. One alone may be a photo of the person as a child."""


def unlike_templates(
    index: Index, checked: Enrolled, embedding: NDArray[np.float32], *, min_similarity: float, accept_unlike: bool
) -> dict[str, float]:
    """Return the other templates of the subject that the face looks unlike, the least similar first.

    Args:
        index: the gallery's templates.
        checked: the subject, and the face's template.
        embedding: the face, shape ``(dimension,)``, unit length.
        min_similarity: a face looks unlike a template below this similarity, [-1, 1].
        accept_unlike: whether the face is enrolled all the same.

    Raises:
        LooksUnlikeSubject: a new template looks unlike all of them, and they are enough to refuse it.
    """
    subject, template = checked.subject, checked.template
    if subject.template_count == 1:
        return {}  # its own
    similarities = index.template_similarities(subject.subject_id, embedding)
    similarities.pop(template.template_id, None)
    unlike = {each: value for each, value in similarities.items() if value < min_similarity}
    is_refused = not (checked.already_enrolled or accept_unlike)
    if is_refused and len(unlike) == len(similarities) >= _TEMPLATES_TO_REFUSE:
        raise LooksUnlikeSubject(subject.gallery_id, subject.subject_id, similarities, min_similarity)
    return dict(sorted(unlike.items(), key=lambda each: each[1]))


def with_consent(subject: Subject, consent: Consent | None) -> Subject:
    """Return a stored subject with the consent of an enrolment, if that is another one and later."""
    known = subject.consent
    if consent is None:
        return subject
    if known is not None and ((known.basis, known.reference) == (consent.basis, consent.reference)):
        return subject
    return replace(subject, consent=consent) if known is None or known.time < consent.time else subject


def overlap(one: Box, other: Box) -> float:
    """Return the IoU of two boxes, [0, 1]; of equal boxes it is 1, also without an area."""
    if one == other:
        return 1.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (_area(one) + _area(other) - shared) if shared > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
