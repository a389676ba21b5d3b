"""Messages made of what a program has at hand: paths, bytes, arrays."""

from __future__ import annotations

import uuid
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.v1 import types_pb2 as pb
from facet.v1.gallery_service_pb2 import EnrollFaceRequest
from facet.v1.recognition_service_pb2 import IdentifyRequest, SubjectReference, VerifyRequest

PictureSource = bytes | str | PathLike[str] | NDArray[np.uint8] | pb.Picture

CENTRAL = pb.FaceChoice(rule=pb.FACE_RULE_CENTRAL)
"""The face that is large and near the middle."""
LARGEST = pb.FaceChoice(rule=pb.FACE_RULE_LARGEST)
"""The largest face."""


def picture(source: PictureSource) -> pb.Picture:
    """A picture as a message.

    Args:
        source: encoded bytes, the path of a file, a BGR array ``(h, w, 3)`` or grey array ``(h, w)`` of uint8, or
            a message as it is.

    Raises:
        OSError: the file cannot be read.
        ValueError: the array is of another shape or type.
    """
    if isinstance(source, pb.Picture):
        return source
    if isinstance(source, bytes):
        return pb.Picture(encoded=source)
    if isinstance(source, (str, PathLike)):
        return pb.Picture(encoded=Path(source).read_bytes())
    grey = source.ndim == 2
    if source.dtype != np.uint8 or not (grey or (source.ndim == 3 and source.shape[2] == 3)):
        raise ValueError(f"expected uint8 of shape (h, w, 3) or (h, w), got {source.dtype} of {source.shape}")
    return pb.Picture(
        raw=pb.RawPicture(
            height=source.shape[0],
            width=source.shape[1],
            pixel_format=pb.PIXEL_FORMAT_GREY if grey else pb.PIXEL_FORMAT_BGR,
            pixels=source.tobytes(),
        )
    )


def enroll_request(gallery_id: str, subject_id: str, source: PictureSource, **fields: Any) -> EnrollFaceRequest:
    """A request to enrol; ``fields`` are further ones of the message.

    Where the server is to choose the subject's id, the request gets an id of its own: sent twice, it enrols once.
    """
    if not subject_id:
        fields.setdefault("request_id", str(uuid.uuid4()))
    return EnrollFaceRequest(gallery_id=gallery_id, subject_id=subject_id, picture=picture(source), **fields)


def identify_request(gallery_id: str, source: PictureSource, **fields: Any) -> IdentifyRequest:
    """A request to identify; ``fields`` are further ones of the message."""
    return IdentifyRequest(gallery_id=gallery_id, picture=picture(source), **fields)


def verify_request(reference: PictureSource | tuple[str, str], probe: PictureSource, **fields: Any) -> VerifyRequest:
    """A request to verify; a reference ``(gallery_id, subject_id)`` is an enrolled subject."""
    if isinstance(reference, tuple):
        subject = SubjectReference(gallery_id=reference[0], subject_id=reference[1])
        return VerifyRequest(reference_subject=subject, probe_picture=picture(probe), **fields)
    return VerifyRequest(reference_picture=picture(reference), probe_picture=picture(probe), **fields)
