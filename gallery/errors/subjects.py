"""Errors about a subject or a template."""

from __future__ import annotations

from collections.abc import Mapping

from gallery.errors.base import GalleryError

_MOST_SIMILARITIES = 10
"""The most similarities that an error lists for programs."""


class SubjectNotFound(GalleryError):
    """The gallery has no such subject."""

    kind, reason = "not_found", "SUBJECT_NOT_FOUND"

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(f"gallery {gallery_id!r} has no subject {subject_id!r}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class SubjectMerged(SubjectNotFound):
    """The gallery has no such subject because it was merged into another one, and that can still be undone.

    Attributes:
        gallery_id: the gallery.
        subject_id: the subject that was merged.
        change_id: the change that can be undone.
        into_id: the subject that has its templates now.
    """

    def __init__(self, gallery_id: str, subject_id: str, *, change_id: str, into_id: str) -> None:
        super().__init__(gallery_id, subject_id)
        self.change_id = change_id
        self.into_id = into_id

    def __str__(self) -> str:
        """Say what happened to it, and what to do."""
        return (
            f"{super().__str__()}: the change {self.change_id!r} merged it into {self.into_id!r}, and undoing that "
            f"brings it back. Undo the change and delete {self.subject_id!r} then, or delete {self.into_id!r}"
        )

    @property
    def metadata(self) -> Mapping[str, str]:
        """The change, and the subject that has the templates now."""
        return {"change_id": self.change_id, "merged_into": self.into_id}


class SubjectWithoutTemplates(GalleryError):
    """The subject has no template to compare with."""

    kind, reason = "precondition", "SUBJECT_WITHOUT_TEMPLATES"

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} has no template")
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class TemplateNotFound(GalleryError):
    """The subject has no such template."""

    kind, reason = "not_found", "TEMPLATE_NOT_FOUND"

    def __init__(self, gallery_id: str, subject_id: str, template_id: str) -> None:
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} has no template {template_id!r}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.template_id = template_id


class TooManyTemplates(GalleryError):
    """The subject already has the maximum number of templates, or would have more.

    Attributes:
        gallery_id: the gallery.
        subject_id: the subject.
        limit: the maximum.
    """

    kind, reason = "precondition", "TOO_MANY_TEMPLATES"

    def __init__(self, gallery_id: str, subject_id: str, limit: int, *, wanted: int | None = None) -> None:
        problem = f"has {limit} templates, the most allowed"
        if wanted is not None:
            problem = f"would have {wanted} templates, and {limit} are allowed: delete some first"
        super().__init__(f"subject {subject_id!r} of gallery {gallery_id!r} {problem}")
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.limit = limit

    @property
    def metadata(self) -> Mapping[str, str]:
        """The limit."""
        return {"limit": str(self.limit)}


class LooksLikeAnotherSubject(GalleryError):
    """The face to enrol would be identified as another subject of the gallery.

    Attributes:
        gallery_id: the gallery.
        subject_id: the other subject, the one most similar to the face.
        similarity: cosine to that subject's best template, [-1, 1].
        threshold: the gallery's threshold, which the similarity reaches.
    """

    kind, reason = "precondition", "LOOKS_LIKE_ANOTHER_SUBJECT"

    def __init__(self, gallery_id: str, subject_id: str, similarity: float, threshold: float) -> None:
        super().__init__(
            f"the face looks like subject {subject_id!r} of gallery {gallery_id!r}: "
            f"similarity {similarity:.4f}, threshold {threshold:.4f}"
        )
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.similarity = similarity
        self.threshold = threshold

    @property
    def metadata(self) -> Mapping[str, str]:
        """The other subject, the similarity and the threshold."""
        return {
            "subject_id": self.subject_id,
            "similarity": f"{self.similarity:.4f}",
            "threshold": f"{self.threshold:.4f}",
        }


class LooksUnlikeSubject(GalleryError):
    """The face to enrol looks unlike every template of its own subject.

    Attributes:
        gallery_id: the gallery.
        subject_id: the subject.
        template_id: the most similar template.
        similarities: cosines to the subject's templates, [-1, 1], by template id, the most similar first.
        threshold: the lowest similarity that does not count as unlike.
    """

    kind, reason = "precondition", "LOOKS_UNLIKE_SUBJECT"

    def __init__(self, gallery_id: str, subject_id: str, similarities: Mapping[str, float], threshold: float) -> None:
        self.similarities = dict(sorted(similarities.items(), key=lambda each: -each[1]))
        self.template_id, best = next(iter(self.similarities.items()))
        super().__init__(
            f"the face looks unlike all {len(similarities)} templates of subject {subject_id!r} of gallery "
            f"{gallery_id!r}: similarity at most {best:.4f} (template {self.template_id}), at least {threshold:.4f} is "
            "expected; check that the picture shows this person, delete the templates if they show another one, or "
            "insist with accept_unlike"
        )
        self.gallery_id = gallery_id
        self.subject_id = subject_id
        self.threshold = threshold

    @property
    def metadata(self) -> Mapping[str, str]:
        """The subject, its best similarity, the threshold, and the similarities to its best templates."""
        few = list(self.similarities.items())[:_MOST_SIMILARITIES]
        return {
            "subject_id": self.subject_id,
            "similarity": f"{self.similarities[self.template_id]:.4f}",
            "threshold": f"{self.threshold:.4f}",
            "templates": str(len(self.similarities)),
            "similarities": " ".join(f"{template_id}={similarity:.4f}" for template_id, similarity in few),
        }


class ConsentRequired(GalleryError):
    """The gallery requires a recorded consent of every subject, and the subject would have none."""

    kind, reason = "precondition", "CONSENT_REQUIRED"

    def __init__(self, gallery_id: str, subject_id: str) -> None:
        super().__init__(
            f"gallery {gallery_id!r} requires a consent, and subject {subject_id!r} has none: send it with the "
            "enrolment, or record it before; to withdraw one, delete the subject"
        )
        self.gallery_id = gallery_id
        self.subject_id = subject_id


class SubjectsWithoutConsent(GalleryError):
    """A gallery cannot require consents while it has subjects without one."""

    kind, reason = "precondition", "SUBJECTS_WITHOUT_CONSENT"

    def __init__(self, gallery_id: str, count: int) -> None:
        super().__init__(
            f"{count} subjects of gallery {gallery_id!r} have no consent: record their consents, or delete them, "
            "before the gallery requires one of everybody"
        )
        self.gallery_id = gallery_id
        self.count = count

    @property
    def metadata(self) -> Mapping[str, str]:
        """The number of subjects."""
        return {"count": str(self.count)}
