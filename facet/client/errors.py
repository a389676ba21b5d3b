"""The exceptions that calls raise.

FacetError
    InvalidArgument
    NotFound
    AlreadyExists
    FailedPrecondition
    Aborted
    ResourceExhausted
    DeadlineExceeded
    Cancelled
    PermissionDenied
    Unauthenticated
    Unavailable
    DataLoss
    InternalError
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from facet.client.failures import hint_of

StatusCode = grpc.StatusCode
"""The status codes of gRPC, for programs that need nothing else of it."""

_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class FacetError(Exception):
    """A call failed.

    Attributes:
        code: the gRPC status.
        reason: the stable reason of google.rpc.ErrorInfo, as the proto lists them; empty if there is none.
        message: one sentence for people.
        fields: the fields of the request that were wrong, and what is wrong with each.
        metadata: of google.rpc.ErrorInfo, such as the other subject for LOOKS_LIKE_ANOTHER_SUBJECT.
        retry_after: seconds to wait before another attempt; ``None`` if the server did not say.
        hint: why there is no connection to the server, and what to do, if the client can tell; else empty.
    """

    def __init__(self, code: grpc.StatusCode, status: Status) -> None:
        self.hint = hint_of(status.message) if code is grpc.StatusCode.UNAVAILABLE and not status.details else ""
        super().__init__(f"{code.name}: {self.hint or status.message}")
        self.code = code
        self.message: str = status.message
        self.reason = ""
        self.fields: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.retry_after: float | None = None
        self._read(status)

    def _read(self, status: Status) -> None:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad):
                self.fields = {violation.field: violation.description for violation in bad.field_violations}
            elif detail.Unpack(retry):
                self.retry_after = retry.retry_delay.ToMilliseconds() / 1e3


class InvalidArgument(FacetError):
    """A field or a picture is not valid."""


class NotFound(FacetError):
    """The gallery, subject or template does not exist."""


class AlreadyExists(FacetError):
    """The gallery exists, or the request id was used for something else."""


class FailedPrecondition(FacetError):
    """The face or the gallery does not suit the call."""


class Aborted(FacetError):
    """Somebody else changed it: read it again."""


class ResourceExhausted(FacetError):
    """The server is busy (``retry_after`` says when to come back), its disk is full, or the message is too large."""


class DeadlineExceeded(FacetError):
    """The call took too long, or its request did not arrive in time (REQUEST_NOT_RECEIVED)."""


class Cancelled(FacetError):
    """The call was cancelled."""


class PermissionDenied(FacetError):
    """The caller lacks the scope of the method, or may not use the gallery."""


class Unauthenticated(FacetError):
    """The server does not accept the credentials, or not any more."""


class Unavailable(FacetError):
    """The server cannot be reached, or is shutting down."""


class DataLoss(FacetError):
    """What arrived is not what was sent."""


class InternalError(FacetError):
    """The server failed; its log says more."""


_CLASSES: dict[grpc.StatusCode, type[FacetError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DATA_LOSS: DataLoss,
    grpc.StatusCode.INTERNAL: InternalError,
}


def from_status(status: Status) -> FacetError:
    """The exception for a status that is not OK, such as that of an item of a batch."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _CLASSES.get(code, FacetError)(code, status)


def make_error(code: grpc.StatusCode, message: str, reason: str = "") -> FacetError:
    """An error that the client itself found, in the form of one from the server."""
    status = Status(code=code.value[0], message=message)
    if reason:
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason))
    return from_status(status)


def from_rpc_error(error: grpc.RpcError) -> FacetError:
    """The exception for an error of gRPC."""
    status = Status(code=error.code().value[0], message=error.details() or "")
    metadata: Iterable[tuple[str, Any]] = cast("Any", error.trailing_metadata()) or ()
    for key, value in metadata:
        if key == _DETAILS_KEY:
            try:
                status = Status.FromString(value)
            except DecodeError:
                break
    return from_status(status)
