"""Maps the errors of every room to gRPC statuses with google.rpc details."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from facet.runtime.inference.session import InferenceFailed
from facet.runtime.pictures import PictureError
from facet.server.errors import InvalidField, OutOfResources, ServerError
from gallery.errors import GalleryError
from recognizer.errors import RecognizerError

DOMAIN = "facet.v1"

ROOTS = (PictureError, RecognizerError, GalleryError, ServerError)
"""The root of each room's tree of errors."""
ExpectedError: TypeAlias = PictureError | RecognizerError | GalleryError | ServerError

_CODES: Mapping[str, grpc.StatusCode] = {
    "conflict": grpc.StatusCode.ABORTED,
    "denied": grpc.StatusCode.PERMISSION_DENIED,
    "exhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "exists": grpc.StatusCode.ALREADY_EXISTS,
    "expired": grpc.StatusCode.DEADLINE_EXCEEDED,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "precondition": grpc.StatusCode.FAILED_PRECONDITION,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "unimplemented": grpc.StatusCode.UNIMPLEMENTED,
}
_INTERNAL = "INTERNAL"
_LACKS = frozenset({errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN})
"""Of memory, descriptors, and processes or threads."""
_STATUS_KEY, _PUSHBACK_KEY = "grpc-status-details-bin", "grpc-retry-pushback-ms"


@contextmanager
def field_at_fault(field: str) -> Iterator[None]:
    """Name the request field for errors raised inside that concern one field but do not know its name."""
    try:
        yield
    except ROOTS as error:
        if error.request_field == "":
            error.request_field = field
        raise


def to_status(error: BaseException) -> Status | None:
    """The status that a client receives for an error; ``None`` for an unexpected one, see :func:`internal`."""
    error = _known(error)
    if not isinstance(error, ROOTS):
        return None
    message = error.public_message if isinstance(error, GalleryError) else str(error)
    info = ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    return _status(_CODES[error.kind], message, info, *_details(error, message))


def internal(request_id: str) -> Status:
    """The status of an unexpected error: it names the log entry, and nothing else about the server."""
    message = f"internal error; see the request id {request_id} in the server's log"
    info = ErrorInfo(reason=_INTERNAL, domain=DOMAIN, metadata={"request_id": request_id})
    return _status(grpc.StatusCode.INTERNAL, message, info)


def trailing_metadata(status: Status) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata that carries a status: its details, and the RetryInfo again in the form that gRPC itself reads.

    gRPC repeats a call whose code its service config calls retryable, after the time that the server asks for
    (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
    """
    metadata: list[tuple[str, str | bytes]] = [(_STATUS_KEY, status.SerializeToString())]
    for detail in status.details:
        retry = RetryInfo()
        if detail.Unpack(retry):
            metadata.append((_PUSHBACK_KEY, str(retry.retry_delay.ToMilliseconds())))
    return tuple(metadata)


def outcome_of(error: BaseException) -> tuple[str, str]:
    """The name of the status code and the reason that a client receives for an error."""
    error = _known(error)
    if not isinstance(error, ROOTS):
        return grpc.StatusCode.INTERNAL.name, _INTERNAL
    return _CODES[error.kind].name, error.reason


def _known(error: BaseException) -> BaseException:
    """Any part of the server may run out of memory or descriptors, so this is told here and not by each."""
    is_lack = isinstance(error, (MemoryError, InferenceFailed)) or (
        isinstance(error, OSError) and error.errno in _LACKS
    )
    return OutOfResources() if is_lack else error


def _status(code: grpc.StatusCode, message: str, *details: Message) -> Status:
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _details(error: ExpectedError, message: str) -> Iterator[Message]:
    if error.request_field is not None:
        description = error.problem if isinstance(error, InvalidField) else message
        violation = BadRequest.FieldViolation(field=error.request_field, description=description)
        yield BadRequest(field_violations=[violation])
    elif isinstance(error, GalleryError) and error.gallery_id:
        yield _resource(error, message)
    elif isinstance(error, (GalleryError, ServerError)) and error.retry_seconds is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_seconds * 1e3))
        yield RetryInfo(retry_delay=delay)


def _resource(error: GalleryError, message: str) -> ResourceInfo:
    """The innermost resource that the error names."""
    path = [("Gallery", "galleries", error.gallery_id)]
    path += [("Subject", "subjects", error.subject_id)] if error.subject_id else []
    path += [("Template", "templates", error.template_id)] if error.template_id else []
    return ResourceInfo(
        resource_type=f"{DOMAIN}.{path[-1][0]}",
        resource_name="/".join(f"{collection}/{resource_id}" for _, collection, resource_id in path),
        description=message,
    )
