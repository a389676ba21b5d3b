"""Errors about a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gallery.errors.base import GalleryError


class GalleryNotFound(GalleryError):
    """The gallery does not exist."""

    kind, reason = "not_found", "GALLERY_NOT_FOUND"

    def __init__(self, gallery_id: str) -> None:
        super().__init__(f"there is no gallery {gallery_id!r}")
        self.gallery_id = gallery_id


class GalleryExists(GalleryError):
    """The gallery's id is taken."""

    kind, reason = "exists", "GALLERY_EXISTS"

    def __init__(self, gallery_id: str) -> None:
        super().__init__(f"gallery {gallery_id!r} already exists")
        self.gallery_id = gallery_id


class GalleryNotEmpty(GalleryError):
    """The gallery still has subjects, and its deletion was not forced."""

    kind, reason = "precondition", "GALLERY_NOT_EMPTY"

    def __init__(self, gallery_id: str, subject_count: int) -> None:
        super().__init__(f"gallery {gallery_id!r} holds {subject_count} subjects; force deletes them too")
        self.gallery_id = gallery_id
        self.subject_count = subject_count


class ContractMismatch(GalleryError):
    """An embedding, or the server's model, has another embedding contract than the gallery.

    :class:`gallery.opened.mismatches.Mismatches` explains it with the names of the models, and says what helps.

    Attributes:
        expected: the contract of the gallery.
        found: that of the embedding, or of the server's first model.
        expected_model: what the model of the gallery is called; empty if that is not known.
        found_model: the same for the other one.
    """

    kind, reason = "precondition", "CONTRACT_MISMATCH"

    def __init__(
        self,
        gallery_id: str,
        expected: str,
        found: str,
        *,
        text: str = "",
        expected_model: str = "",
        found_model: str = "",
    ) -> None:
        super().__init__(text or f"gallery {gallery_id!r} has the contract {expected!r}, not {found!r}")
        self.gallery_id = gallery_id
        self.expected = expected
        self.found = found
        self.expected_model = expected_model
        self.found_model = found_model

    @property
    def metadata(self) -> Mapping[str, str]:
        """Both contracts, and the names of their models where they are known."""
        names = {"expected_model": self.expected_model, "found_model": self.found_model}
        return {"expected": self.expected, "found": self.found} | {key: name for key, name in names.items() if name}


class TooFewSearches(GalleryError):
    """There is not enough evidence to choose a threshold from.

    Attributes:
        gallery_id: the gallery.
        found: searches that compared a face with at least one subject.
        needed: searches that the target requires.
        people: distinct people searched for.
        people_needed: distinct people that the target requires.
    """

    kind, reason = "precondition", "TOO_FEW_SEARCHES"

    def __init__(self, gallery_id: str, found: int, needed: int, *, people: int, people_needed: int) -> None:
        super().__init__(
            f"{found} searches for {people} unknown people compared a face with somebody in gallery {gallery_id!r}; "
            f"this target takes at least {needed}, of at least {people_needed} people"
        )
        self.gallery_id = gallery_id
        self.found = found
        self.needed = needed
        self.people = people
        self.people_needed = people_needed

    @property
    def metadata(self) -> Mapping[str, str]:
        """The four counts."""
        counts = {
            "found": self.found,
            "needed": self.needed,
            "people": self.people,
            "people_needed": self.people_needed,
        }
        return {name: str(count) for name, count in counts.items()}


class CalibrationUnreliable(GalleryError):
    """The chosen threshold should not be set: it would do harm, or its evidence cannot be trusted.

    Attributes:
        gallery_id: the gallery.
        threshold: the threshold that was chosen, and not set.
        reasons: values of :class:`gallery.calibration.forecast.UnreliableReason`.
        figures: what the threshold would do, by name; see :meth:`gallery.calibration.forecast.Forecast.figures`.
    """

    kind, reason = "precondition", "CALIBRATION_UNRELIABLE"

    def __init__(self, gallery_id: str, threshold: float, reasons: Sequence[str], figures: Mapping[str, str]) -> None:
        people = figures.get("people_needed")
        enough = f"; about {people} people in the gallery would be enough" if people else ""
        super().__init__(
            f"the threshold {threshold:.4f} of gallery {gallery_id!r} is unreliable ({', '.join(reasons)}{enough}) and "
            "was not set: look at the suspects with a calibration that only validates, correct the gallery or the "
            "probes, or insist"
        )
        self.gallery_id = gallery_id
        self.threshold = threshold
        self.reasons = tuple(reasons)
        self.figures = dict(figures)

    @property
    def metadata(self) -> Mapping[str, str]:
        """The threshold, the reasons, and what the threshold would do."""
        reasons = " ".join(each.replace(" ", "_").upper() for each in self.reasons)
        return {"threshold": f"{self.threshold:.4f}", "reasons": reasons} | self.figures


class ExpiryNotStored(GalleryError):
    """The collections of Milvus were created by a version that knew neither consents nor expiries."""

    kind, reason = "precondition", "EXPIRY_NOT_STORED"

    def __init__(self) -> None:
        super().__init__(
            "the collections in Milvus were created by a version without consents and expiries: export the galleries, "
            "and import them into a server with another gallery.milvus_prefix"
        )


class ErasuresNotRecorded(GalleryError):
    """The store has no records of erasures."""

    kind, reason = "precondition", "ERASURES_NOT_RECORDED"

    def __init__(self) -> None:
        super().__init__(
            "galleries in Milvus or PostgreSQL have no records of erasures: only the SQLite store keeps them"
        )
