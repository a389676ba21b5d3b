"""Requests that a program may make before it sends them, and the rules that choose a face."""

from __future__ import annotations

import uuid
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from facet.client.pictures import PictureSource, picture
from facet.client.terms import timestamp
from facet.v1 import types_pb2 as pb
from facet.v1.gallery_service_pb2 import Consent, EnrollFaceRequest
from facet.v1.recognition_service_pb2 import (
    VERDICT_RIGHT,
    VERDICT_WRONG,
    IdentifyRequest,
    ReportOutcomeRequest,
    SubjectReference,
    VerifyRequest,
)

CENTRAL = pb.FaceChoice(rule=pb.FACE_RULE_CENTRAL)
"""The face that is large and near the middle."""
LARGEST = pb.FaceChoice(rule=pb.FACE_RULE_LARGEST)
"""The largest face."""
FAST = pb.SEARCH_FAST
"""Look for faces in the whole picture at one size."""
THOROUGH = pb.SEARCH_THOROUGH
"""Also search a large picture in tiles: it takes longer, and finds small faces."""


def enroll_request(
    gallery_id: str,
    subject_id: str,
    source: PictureSource,
    *,
    display_name: str = "",
    face: pb.FaceChoice | None = None,
    request_id: str = "",
    accept_low_quality: bool = False,
    accept_lookalike: bool = False,
    accept_unlike: bool = False,
    validate_only: bool = False,
    search: pb.Search.ValueType = pb.SEARCH_UNSPECIFIED,
    consent: Consent | None = None,
    expire_time: datetime | None = None,
) -> EnrollFaceRequest:
    """A request to enrol, see :meth:`facet.Client.enroll`.

    If the server is to choose the subject's id, the request gets an id of its own: sent twice, it enrols once.
    """
    return EnrollFaceRequest(
        gallery_id=gallery_id,
        subject_id=subject_id,
        picture=picture(source),
        display_name=display_name,
        face=face,
        request_id=request_id or ("" if subject_id else str(uuid.uuid4())),
        accept_low_quality=accept_low_quality,
        accept_lookalike=accept_lookalike,
        accept_unlike=accept_unlike,
        validate_only=validate_only,
        search=search,
        consent=consent,
        expire_time=timestamp(expire_time),
    )


def identify_request(
    gallery_id: str,
    source: PictureSource,
    *,
    face: pb.FaceChoice | None = None,
    top_k: int | None = None,
    threshold: float | None = None,
    include_objects: bool = False,
    distinct_subjects: bool = False,
    search: pb.Search.ValueType = pb.SEARCH_UNSPECIFIED,
    min_revision: str = "",
) -> IdentifyRequest:
    """A request to identify, see :meth:`facet.Client.identify`."""
    return IdentifyRequest(
        gallery_id=gallery_id,
        picture=picture(source),
        face=face,
        top_k=top_k,
        threshold=threshold,
        include_objects=include_objects,
        distinct_subjects=distinct_subjects,
        search=search,
        min_revision=min_revision,
    )


def verify_request(
    reference: PictureSource | tuple[str, str],
    probe: PictureSource,
    *,
    reference_face: pb.FaceChoice | None = None,
    probe_face: pb.FaceChoice | None = None,
    threshold: float | None = None,
    search: pb.Search.ValueType = pb.SEARCH_UNSPECIFIED,
) -> VerifyRequest:
    """A request to verify, see :meth:`facet.Client.verify`."""
    request = VerifyRequest(
        probe_picture=picture(probe),
        reference_face=reference_face,
        probe_face=probe_face,
        threshold=threshold,
        search=search,
    )
    if isinstance(reference, tuple):
        gallery_id, subject_id = reference
        request.reference_subject.CopyFrom(SubjectReference(gallery_id=gallery_id, subject_id=subject_id))
    else:
        request.reference_picture.CopyFrom(picture(reference))
    return request


def timestamp_of(moment: datetime) -> Timestamp:
    """Convert a time with a time zone to the form of the wire."""
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def outcome_request(
    gallery_id: str, answer_id: str, is_right: bool, true_subject_id: str, *, true_nobody: bool
) -> ReportOutcomeRequest:
    """Make a ReportOutcomeRequest.

    Raises:
        ValueError: the person is both a subject and nobody.
    """
    if true_subject_id and true_nobody:
        raise ValueError("true_subject_id and true_nobody exclude each other")
    request = ReportOutcomeRequest(
        gallery_id=gallery_id, answer_id=answer_id, verdict=VERDICT_RIGHT if is_right else VERDICT_WRONG
    )
    if true_subject_id:
        request.true_subject_id = true_subject_id
    elif true_nobody:
        request.true_nobody = True
    return request
