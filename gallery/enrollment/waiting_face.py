"""A face on its way into a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gallery.enrollment.lookalikes import LookalikeSearch
from gallery.errors import GalleryError, StorageError
from gallery.records.enrollments import Enrolled, Enrollment
from gallery.stores.base import EnrollmentQuestion


@dataclass(slots=True, eq=False)
class WaitingFace:
    """A face that waits to be enrolled, and what has been found out about it.

    Attributes:
        subject_id: its subject; empty for a new one.
        enrollment: the face.
        validate_only: whether to store nothing.
        embeddings: its embeddings, unit length, by contract, the one that searches first.
        lookalikes: the search for those it looks like; ``None`` if that does not matter.
        unlike: the templates of its subject that it looks unlike.
        answer: what its caller gets; ``None`` if it is not known yet.
    """

    subject_id: str
    enrollment: Enrollment
    validate_only: bool
    embeddings: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    lookalikes: LookalikeSearch | None = None
    unlike: Mapping[str, float] = field(default_factory=dict)
    answer: Enrolled | Exception | None = None

    @property
    def question(self) -> EnrollmentQuestion:
        """What the store is asked about it."""
        return EnrollmentQuestion(self.subject_id, self.enrollment.picture_sha256, self.enrollment.request_id)

    @property
    def contract(self) -> str:
        """The contract that searches."""
        return next(iter(self.embeddings))

    @property
    def embedding(self) -> NDArray[np.float32]:
        """The embedding under this contract, shape ``(dimension,)``."""
        return self.embeddings[self.contract]

    def depends_on(self, other: WaitingFace, *, is_new: bool) -> bool:
        """Tell whether the outcome may be another one once another face is enrolled.

        Args:
            other: the other face.
            is_new: whether the other one's subject has no template yet.
        """
        if list(self.embeddings) != list(other.embeddings):  # what searches the gallery has just changed
            return True
        if other.validate_only:
            return False
        own, its = self.enrollment, other.enrollment
        return (
            self.subject_id == other.subject_id != ""
            or own.request_id == its.request_id != ""
            or (self.lookalikes is not None and self.lookalikes.may_notice(other.embedding, is_new=is_new))
        )

    @contextmanager
    def refused_here(self) -> Iterator[None]:
        """Let an error be the answer, unless the store has failed: that concerns others, too."""
        try:
            yield
        except StorageError:
            raise
        except GalleryError as error:
            # Without its traceback, which leads to the other faces: such circles would keep embeddings in memory.
            self.answer = error.with_traceback(None)
