"""Errors of the server itself. Each carries a kind and a stable reason; :mod:`facet.server.wire.errors` maps them.

ServerError
    Unauthenticated
    PermissionDenied
        ScopeMissing
        GalleryNotPermitted
    UnknownMethod
    UnreadableMessage
    MessageTooLarge
    MessageTooComplex
    RequestNotReceived
    TooManyCalls
    TooManyBytes
    InvalidField
    FileTooLarge
    AdmissionRefused
        QueueFull
        DeadlineTooShort
        CallerRateExceeded
    CallerConcurrencyExceeded
    TooManyTransfers
    CalibrationUnderWay
    OutOfResources
    RequestExpired
    TransferStalled
    AuditUnavailable
    NoAuditLog
    AnswerUnknown
    AnswerExpired
    ShuttingDown
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

Kind = Literal[
    "unauthenticated",
    "denied",
    "unimplemented",
    "invalid",
    "not_found",
    "exhausted",
    "precondition",
    "expired",
    "unavailable",
]

_RETRY_SECONDS = 1.0


class ServerError(Exception):
    """The server cannot serve a request.

    Attributes:
        kind: the category of failure, independent of any protocol.
        reason: stable identifier of the failure.
        message: the message of an error that is raised without one.
        request_field: the field of the request at fault, or ``None``.
        retry_seconds: delay after which a retry makes sense, or ``None``.
    """

    kind: ClassVar[Kind]
    reason: ClassVar[str]
    message: ClassVar[str] = ""
    request_field: str | None = None
    retry_seconds: float | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.message)

    @property
    def metadata(self) -> Mapping[str, str]:
        """Further facts for programs, by name."""
        return {}


class Unauthenticated(ServerError):
    """The call has no credentials, or none that are valid. The message does not say which, or why."""

    kind, reason = "unauthenticated", "UNAUTHENTICATED"
    message = "the call needs the metadata authorization: Bearer TOKEN"


class PermissionDenied(ServerError):
    """The caller may not do this. The message says nothing about what exists."""

    kind = "denied"


class ScopeMissing(PermissionDenied):
    """The caller lacks the scope that the method needs.

    Attributes:
        scope: that scope.
    """

    reason = "SCOPE_MISSING"

    def __init__(self, scope: str) -> None:
        super().__init__(f"the method needs the scope {scope}, which the caller does not have")
        self.scope = scope

    @property
    def metadata(self) -> Mapping[str, str]:
        """The scope that is missing."""
        return {"scope": self.scope}


class GalleryNotPermitted(PermissionDenied):
    """The caller may not use a gallery that the request names, whether it exists or not."""

    reason = "GALLERY_NOT_PERMITTED"
    message = "the caller may not use this gallery"


class UnknownMethod(ServerError):
    """The server has no such method, or no such service."""

    kind, reason = "unimplemented", "UNKNOWN_METHOD"
    message = "the server has no such method; it may be older than its client"


class UnreadableMessage(ServerError):
    """The bytes of a request do not parse as the method's message."""

    kind, reason = "invalid", "INVALID_MESSAGE"
    message = "the request is not the message that the method takes"


class MessageTooLarge(ServerError):
    """A request has more bytes than ``server.max_message_bytes``."""

    kind, reason = "exhausted", "MESSAGE_TOO_LARGE"
    message = "the request is larger than the limit, which GetServerInfo tells"


class MessageTooComplex(ServerError):
    """A request has more fields, or more messages nested in each other, than any valid request."""

    kind, reason = "invalid", "MESSAGE_TOO_COMPLEX"
    message = "the request has more fields or deeper nesting than any valid request"


class RequestNotReceived(ServerError):
    """A call was opened, but its request did not arrive."""

    kind, reason = "expired", "REQUEST_NOT_RECEIVED"
    message = "the request did not arrive in time"


class TooManyCalls(ServerError):
    """All places of open calls are taken, or another call has taken the place of this one."""

    kind, reason = "exhausted", "TOO_MANY_CALLS"
    message = "the maximum number of calls is open; try again a little later"
    retry_seconds = _RETRY_SECONDS


class TooManyBytes(ServerError):
    """The requests in progress already take the memory that the server has for them."""

    kind, reason = "exhausted", "TOO_MANY_BYTES"
    message = "the requests in progress take all memory reserved for them; try again a little later"
    retry_seconds = _RETRY_SECONDS


class InvalidField(ServerError):
    """A field of a request is missing or out of range.

    Attributes:
        request_field: its path in the request.
        problem: what is wrong with it.
    """

    kind, reason = "invalid", "INVALID_FIELD"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.request_field = field
        self.problem = problem


class FileTooLarge(ServerError):
    """An uploaded file exceeds the size limit."""

    kind, reason = "exhausted", "IMPORT_TOO_LARGE"
    request_field = "chunk"


class AdmissionRefused(ServerError):
    """There is no place for a request now.

    Attributes:
        retry_seconds: estimated delay after which there is a place.
    """

    def __init__(self, retry_seconds: float) -> None:
        super().__init__()
        self.retry_seconds = retry_seconds


class QueueFull(AdmissionRefused):
    """The maximum number of requests is already queued ahead."""

    kind, reason = "exhausted", "QUEUE_FULL"
    message = "the queue is full; try again a little later"


class DeadlineTooShort(AdmissionRefused):
    """The work queued ahead leaves too little time before the deadline."""

    kind, reason = "exhausted", "DEADLINE_TOO_SHORT"
    message = "the work queued ahead leaves too little time before the deadline; try again a little later"


class CallerRateExceeded(AdmissionRefused):
    """The caller makes more calls per second than it may."""

    kind, reason = "exhausted", "CALLER_RATE_EXCEEDED"
    message = "the caller makes more calls per second than it may; try again a little later"


class CallerConcurrencyExceeded(ServerError):
    """The caller has as many open calls as it may have."""

    kind, reason = "exhausted", "CALLER_CONCURRENCY_EXCEEDED"
    message = "the caller has as many open calls as it may have; try again when one of them has ended"
    retry_seconds = _RETRY_SECONDS


class TooManyTransfers(ServerError):
    """The maximum number of exports or imports is already running, or another one has taken the place of this one."""

    kind, reason = "exhausted", "TOO_MANY_TRANSFERS"
    message = (
        "the maximum number of exports or imports is already running, or another one has taken the place of this one; "
        "try again later"
    )
    retry_seconds = _RETRY_SECONDS


class CalibrationUnderWay(ServerError):
    """The gallery, or the maximum number of them, is already being calibrated, or another one has taken the place."""

    kind, reason = "exhausted", "CALIBRATION_UNDER_WAY"
    message = (
        "this gallery, or the maximum number of galleries, is already being calibrated, or another calibration has "
        "taken the place of this one; try again later"
    )
    retry_seconds = _RETRY_SECONDS


class DuplicateSearchUnderWay(ServerError):
    """The gallery, or the maximum number of them, is searched for duplicates, or another search has taken the place."""

    kind, reason = "exhausted", "DUPLICATE_SEARCH_UNDER_WAY"
    message = (
        "this gallery, or the maximum number of galleries, is already being searched for duplicates, or another search "
        "has taken the place of this one; try again later, with the resume token if there is one"
    )
    retry_seconds = _RETRY_SECONDS


class OutOfResources(ServerError):
    """The machine, or a limit of the process, has no memory, descriptors or threads for the request."""

    kind, reason = "exhausted", "OUT_OF_RESOURCES"
    message = "the server has no memory, descriptors or threads left for this request; try again later"
    retry_seconds = _RETRY_SECONDS


class RequestExpired(ServerError):
    """The deadline passed, or the caller went away."""

    kind, reason = "expired", "DEADLINE_EXCEEDED"
    message = "the deadline passed before the work was done"


class TransferStalled(ServerError):
    """The client of a stream neither reads nor sends, or too slowly, while the server waits for it."""

    kind, reason = "expired", "TRANSFER_STALLED"
    message = "too little has moved on the stream for too long"


class AuditUnavailable(ServerError):
    """A change is not made, because the audit log cannot be written."""

    kind, reason = "unavailable", "AUDIT_UNAVAILABLE"
    message = "nothing was changed, because the server cannot write its audit log now"
    retry_seconds = _RETRY_SECONDS


class NoAuditLog(ServerError):
    """The server keeps no audit log that could be read."""

    kind, reason = "precondition", "NO_AUDIT_LOG"
    message = "the server keeps no audit log: its operator sets audit.folder"


class AnswerUnknown(ServerError):
    """A text is not the id of an answer of this gallery. The message does not say why."""

    kind, reason = "not_found", "ANSWER_UNKNOWN"
    message = "no answer of this gallery has this id: name the gallery that was searched, and the whole answer_id"
    request_field = "answer_id"


class AnswerExpired(ServerError):
    """The answer is older than ``outcomes.days``."""

    kind, reason = "precondition", "ANSWER_EXPIRED"
    message = "the answer is too old to be reported: the server's setting outcomes.days says how long it can be"
    request_field = "answer_id"


class ShuttingDown(ServerError):
    """The server finishes the calls in progress and accepts no new ones."""

    kind, reason = "unavailable", "SHUTTING_DOWN"
    message = "the server is shutting down; try again a little later"
    retry_seconds = _RETRY_SECONDS
