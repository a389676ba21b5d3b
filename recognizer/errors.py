"""Errors of face recognition. Each carries a kind and a stable reason.

RecognizerError
    FaceNotFound
    SeveralFaces
    Unfit
        FaceTooSmall
        FaceTooBlurred
        FaceTooTurned
        FaceTooNoisy
        FaceTooDark
        FaceOverexposed
        FaceNegative
        FaceOccluded
    NoObjectDetector
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

Kind = Literal["precondition"]


class RecognizerError(Exception):
    """The faces of a picture cannot be used as requested.

    Attributes:
        kind: the category of failure, independent of any protocol.
        reason: stable identifier of the failure.
        request_field: the field of the request at fault; empty if only the caller knows its name, ``None`` if the error
            is not about one field.
    """

    kind: ClassVar[Kind] = "precondition"
    reason: ClassVar[str]
    request_field: str | None = ""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Further facts for programs, by name."""
        return {}


class FaceNotFound(RecognizerError):
    """The picture has no such face."""

    reason = "FACE_NOT_FOUND"


class SeveralFaces(RecognizerError):
    """The picture shows several faces, and the request does not choose one."""

    reason = "SEVERAL_FACES"

    def __init__(self, count: int) -> None:
        super().__init__(f"the picture shows {count} faces; choose the central one, the largest, or one by its box")
        self.count = count

    @property
    def metadata(self) -> Mapping[str, str]:
        """The number of faces."""
        return {"faces": str(self.count)}


class Unfit(RecognizerError):
    """The quality of a face is below a limit."""


class FaceTooSmall(Unfit):
    """The face has too few pixels."""

    reason = "FACE_TOO_SMALL"


class FaceTooBlurred(Unfit):
    """The face is not sharp enough."""

    reason = "FACE_TOO_BLURRED"


class FaceTooTurned(Unfit):
    """The face is turned too far from the camera."""

    reason = "FACE_TOO_TURNED"


class FaceTooNoisy(Unfit):
    """Noise, or the dots of a print, hide the face."""

    reason = "FACE_TOO_NOISY"


class FaceTooDark(Unfit):
    """The face is nearly black."""

    reason = "FACE_TOO_DARK"


class FaceOverexposed(Unfit):
    """Much of the face is white."""

    reason = "FACE_OVEREXPOSED"


class FaceNegative(Unfit):
    """Light and dark of the face are exchanged."""

    reason = "FACE_NEGATIVE"


class FaceOccluded(Unfit):
    """Something covers an eye or the mouth."""

    reason = "FACE_OCCLUDED"


class NoObjectDetector(RecognizerError):
    """The pipeline has no object detector."""

    reason = "NO_OBJECT_DETECTOR"
    request_field = None


class ContractNotLoaded(LookupError):
    """No loaded recognition model makes embeddings of a contract: whoever asks for one has to know the contracts.

    Attributes:
        contract: the contract that was asked for.
    """

    def __init__(self, contract: str) -> None:
        super().__init__(f"no loaded model makes embeddings of the contract {contract!r}")
        self.contract = contract
