"""Many pictures through one stream: make the requests, and match answers to pictures."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Generic, TypeVar

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from facet.client.errors import FacetError, InvalidArgument, StatusCode, from_status, make_error
from facet.client.pictures import PictureSource, Turn, picture
from facet.client.requests import enroll_request
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.gallery_service_pb2 import Consent, EnrollBatchRequest, EnrollFaceRequest, EnrollFaceResponse
from facet.v1.types_pb2 import FaceChoice

K = TypeVar("K")
"""The caller's key of an item."""
T = TypeVar("T")
M = TypeVar("M", bound=Message)
R = TypeVar("R")

Answer = pb.IdentifyResponse | FacetError
"""The answer to a picture that was to be identified, or the error."""
EnrollmentAnswer = EnrollFaceResponse | FacetError
"""The answer to a picture that was to be enrolled, or the error."""


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A face to enrol, one of many.

    Attributes:
        subject_id: the subject; empty to let the server choose an id.
        picture: the picture.
        display_name: a name for people, used if the subject is new.
        face: which face of the picture is meant; ``None`` if it shows one.
        request_id: the caller's id; the same id again does not enrol twice.
        turn: which way up the picture is, see :func:`facet.picture`.
        consent: the person's consent, see :func:`facet.consent`; ``None`` for that of the batch.
        expire_time: when the face is to be erased, with a time zone; ``None`` for that of the batch.
    """

    subject_id: str
    picture: PictureSource
    display_name: str = ""
    face: FaceChoice | None = None
    request_id: str = ""
    turn: Turn | None = None
    consent: Consent | None = None
    expire_time: datetime | None = None


class Batch(Generic[K, T, M]):
    """The requests of a batch, in order. Each picture is read when the request is made.

    If a picture cannot be read or is too large, its request goes out empty, and the error becomes its answer when the
    server answers the request. Answers therefore keep pace with reading, even if a whole disk fails.

    Args:
        items: the caller's key of each item, and the item.
        request_type: the type of the requests, which have an ``item_id``.
        fill: completes the request of an item.
        max_bytes: the largest message that the server takes.
    """

    def __init__(
        self,
        items: Iterable[tuple[K, T]],
        request_type: type[M],
        fill: Callable[[M, T], None],
        max_bytes: int,
    ) -> None:
        self._items, self._request_type, self._fill, self._max_bytes = items, request_type, fill, max_bytes
        self._pending: dict[str, tuple[K, FacetError | None]] = {}

    def __iter__(self) -> Iterator[M]:
        for number, (key, item) in enumerate(self._items):
            item_id, failure = str(number), None
            request = self._request_type(item_id=item_id)
            try:
                self._fill(request, item)
                _check_size(request.ByteSize(), self._max_bytes)
            except (OSError, ValueError, InvalidArgument) as error:
                request, failure = self._request_type(item_id=item_id), _explained(error)
            self._pending[item_id] = key, failure
            yield request

    def take(self, item_id: str, status: Status, answer: R) -> tuple[K, R | FacetError]:
        """The key of the item that a response answers, and the answer or the error."""
        key, failure = self._pending.pop(item_id)
        if failure is not None:
            return key, failure
        return key, from_status(status) if status.code else answer

    def finish(self) -> None:
        """Check that every item was answered.

        Raises:
            DataLoss: the stream ended too early.
        """
        if self._pending:
            raise make_error(StatusCode.DATA_LOSS, "the stream ended before every item was answered")


def identify_batch(
    items: Iterable[tuple[K, PictureSource]], common: pb.IdentifyRequest, max_bytes: int
) -> Batch[K, PictureSource, pb.IdentifyBatchRequest]:
    """The requests of IdentifyBatch.

    Args:
        items: the caller's key of each picture, and the picture.
        common: the fields that all requests share.
        max_bytes: the largest message that the server takes.
    """

    def fill(request: pb.IdentifyBatchRequest, source: PictureSource) -> None:
        request.identification.picture.CopyFrom(picture(_read(source, max_bytes)))
        request.identification.MergeFrom(common)

    return Batch(items, pb.IdentifyBatchRequest, fill, max_bytes)


def enroll_batch(
    items: Iterable[tuple[K, Enrollment]], common: EnrollFaceRequest, max_bytes: int
) -> Batch[K, Enrollment, EnrollBatchRequest]:
    """The requests of EnrollBatch; the arguments are those of :func:`identify_batch`."""

    def fill(request: EnrollBatchRequest, item: Enrollment) -> None:
        enrollment = enroll_request(
            "",
            item.subject_id,
            picture(_read(item.picture, max_bytes), turn=item.turn),
            display_name=item.display_name,
            face=item.face,
            request_id=item.request_id,
            consent=item.consent,
            expire_time=item.expire_time,
        )
        request.enrollment.CopyFrom(common)
        if item.consent is not None:
            request.enrollment.ClearField("consent")
        if item.expire_time is not None:
            request.enrollment.ClearField("expire_time")
        request.enrollment.MergeFrom(enrollment)

    return Batch(items, EnrollBatchRequest, fill, max_bytes)


def _read(source: PictureSource, max_bytes: int) -> PictureSource:
    """The bytes of a file, unless it is too large; any other source as it is."""
    if not isinstance(source, (str, PathLike)):
        return source
    path = Path(source)
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a pipe may take forever, reading a device, too
        raise make_error(StatusCode.INVALID_ARGUMENT, "not a regular file", "CANNOT_READ")
    with path.open("rb") as file:
        _check_size(os.fstat(file.fileno()).st_size, max_bytes)
        return file.read(max_bytes + 1)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        message = f"{size} bytes, the server takes {max_bytes}"
        raise make_error(StatusCode.INVALID_ARGUMENT, message, "FILE_TOO_LARGE")


def _explained(error: OSError | ValueError | InvalidArgument) -> FacetError:
    if isinstance(error, InvalidArgument):
        return error
    if isinstance(error, OSError):
        return make_error(StatusCode.INVALID_ARGUMENT, error.strerror or str(error), "CANNOT_READ")
    return make_error(StatusCode.INVALID_ARGUMENT, str(error), "INVALID_PICTURE")
