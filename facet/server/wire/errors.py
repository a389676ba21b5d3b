"""The only place that turns errors of the rooms below into gRPC statuses with google.rpc details."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from facet.runtime.pictures import InvalidPicture, PictureError, PictureTooLarge
from facet.server.scheduling.workers import DeadlineTooShort, QueueFull, RequestExpired
from facet.server.services.transfer import TooManyTransfers
from facet.server.services.upload_file import FileTooLarge
from facet.server.wire.validate import InvalidField
from gallery import errors as gallery
from recognizer.choice import FaceNotFound, SeveralFaces
from recognizer.fitness import Unfit
from recognizer.pipeline import NoObjectDetector

DOMAIN = "facet.v1"
RETRY_SECONDS = 1


class Unauthenticated(Exception):
    """The call has no token, or another one than the server's."""


class ShuttingDown(Exception):
    """The server finishes what it has begun, and begins nothing more."""


class TransferStalled(Exception):
    """The client of a stream takes nothing, or sends nothing, while it is waited for."""


class CalibrationUnderWay(Exception):
    """The gallery is being calibrated already, or as many galleries as may be."""


class UnreadableMessage(Exception):
    """The bytes of a request are not the message that the method takes."""


class Blamed(Exception):
    """An error of a room below, and the field of the request that led to it; the error is the cause.

    Attributes:
        field: the path in the request.
    """

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


@contextmanager
def blaming(field: str) -> Iterator[None]:
    """Say which field of the request is to blame for a picture or a face that is not as it must be."""
    try:
        yield
    except (PictureError, FaceNotFound, SeveralFaces, Unfit, gallery.InvalidEmbedding) as error:
        raise Blamed(field) from error


@dataclass(frozen=True, slots=True)
class _Failure:
    code: grpc.StatusCode
    reason: str
    message: str
    details: tuple[Message, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def status(self) -> Status:
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=dict(self.metadata))
        status = Status(code=self.code.value[0], message=self.message)
        for detail in (info, *self.details):
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        return status


def to_status(error: BaseException) -> Status | None:
    """The status that a client gets to see for an error; ``None`` for one that nobody foresaw."""
    failure = _failure_of(error)
    return failure.status() if failure else None


def reason_of(error: BaseException) -> str:
    """The stable reason that a client gets to see for an error; INTERNAL for one that nobody foresaw."""
    failure = _failure_of(error)
    return failure.reason if failure else "INTERNAL"


def outcome_of(error: BaseException) -> tuple[str, str]:
    """The name of the status code, and the reason, that a client gets to see for an error."""
    failure = _failure_of(error)
    return (failure.code.name, failure.reason) if failure else (grpc.StatusCode.INTERNAL.name, "INTERNAL")


def internal(request_id: str) -> Status:
    """The status of an error that nobody foresaw: says where to look, and nothing else."""
    message = f"internal error; the server's log has the details under the request id {request_id}"
    return _Failure(grpc.StatusCode.INTERNAL, "INTERNAL", message, metadata={"request_id": request_id}).status()


def _failure_of(error: BaseException) -> _Failure | None:
    to_blame = ""
    if isinstance(error, Blamed) and error.__cause__ is not None:
        to_blame, error = error.field, error.__cause__
    return _of_request(error, to_blame) or _of_gallery(error, to_blame) or _of_server(error)


def _of_request(error: BaseException, to_blame: str) -> _Failure | None:
    """Fields, pictures and faces that are not as they must be."""
    invalid, unmet = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
    match error:
        case InvalidField(field=name, reason=reason):
            return _Failure(invalid, "INVALID_FIELD", str(error), _bad_request(name, reason))
        case PictureTooLarge():
            return _Failure(invalid, "PICTURE_TOO_LARGE", str(error), _bad_request(to_blame, str(error)))
        case InvalidPicture():
            return _Failure(invalid, "INVALID_PICTURE", str(error), _bad_request(to_blame, str(error)))
        case FaceNotFound():
            return _Failure(unmet, "FACE_NOT_FOUND", str(error), _bad_request(to_blame, str(error)))
        case SeveralFaces(count=count):
            details = _bad_request(to_blame, str(error))
            return _Failure(unmet, "SEVERAL_FACES", str(error), details, {"faces": str(count)})
        case Unfit(reason=reason):
            return _Failure(unmet, reason, str(error), _bad_request(to_blame, str(error)))
    return None


def _of_gallery(error: BaseException, to_blame: str) -> _Failure | None:
    """What a gallery has not, will not, or cannot."""
    not_found, exists = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS
    unmet = grpc.StatusCode.FAILED_PRECONDITION
    message = str(error)
    match error:
        case gallery.GalleryNotFound():
            return _Failure(not_found, "GALLERY_NOT_FOUND", message, _resource(error))
        case gallery.SubjectNotFound():
            return _Failure(not_found, "SUBJECT_NOT_FOUND", message, _resource(error))
        case gallery.TemplateNotFound():
            return _Failure(not_found, "TEMPLATE_NOT_FOUND", message, _resource(error))
        case gallery.GalleryExists():
            return _Failure(exists, "GALLERY_EXISTS", message, _resource(error))
        case gallery.RequestIdReused():
            return _Failure(exists, "REQUEST_ID_REUSED", message, _bad_request("request_id", message))
        case gallery.GalleryNotEmpty():
            return _Failure(unmet, "GALLERY_NOT_EMPTY", f"{message}; force deletes them too", _resource(error))
        case gallery.SubjectWithoutTemplates():
            return _Failure(unmet, "SUBJECT_WITHOUT_TEMPLATES", message, _resource(error))
        case gallery.TooManyTemplates(limit=limit):
            return _Failure(unmet, "TOO_MANY_TEMPLATES", message, _resource(error), {"limit": str(limit)})
        case gallery.LooksLikeAnotherSubject(subject_id=other, similarity=similarity, threshold=threshold):
            evidence = {
                "subject_id": other,
                "similarity": f"{similarity:.4f}",
                "threshold": f"{threshold:.4f}",
            }
            return _Failure(unmet, "LOOKS_LIKE_ANOTHER_SUBJECT", message, _resource(error), evidence)
        case gallery.ContractMismatch(expected=expected, found=found):
            contracts = {"expected": expected, "found": found}
            return _Failure(unmet, "CONTRACT_MISMATCH", message, _resource(error), contracts)
        case gallery.EtagMismatch():
            return _Failure(grpc.StatusCode.ABORTED, "ETAG_MISMATCH", message, _resource(error))
        case gallery.InvalidEmbedding():
            details = _bad_request(to_blame, message)
            return _Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", message, details)
        case gallery.InvalidPageToken():
            details = _bad_request("page_token", message)
            return _Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN", message, details)
        case gallery.InvalidImport(line=line, field=name):
            where = {"line": str(line)} if line else {}
            where |= {"field": name} if name else {}
            details = _bad_request("chunk", message)
            return _Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_IMPORT", message, details, where)
        case gallery.TooFewSearches(found=found, needed=needed, people=people, people_needed=people_needed):
            counts = {"found": found, "needed": needed, "people": people, "people_needed": people_needed}
            metadata = {name: str(count) for name, count in counts.items()}
            return _Failure(unmet, "TOO_FEW_SEARCHES", message, _resource(error), metadata)
        case gallery.StorageFull():
            return _Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_FULL", "there is no room for the database")
        case gallery.StorageError():
            return _Failure(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE", "the database cannot be used now")
    return None


def _of_server(error: BaseException) -> _Failure | None:
    """What the server has no room, no time or no part for, or does not understand."""
    match error:
        case QueueFull(retry_seconds=seconds):
            message = "as many requests wait as may; try again a little later"
            return _Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", message, _retry(seconds))
        case DeadlineTooShort(retry_seconds=seconds):
            message = "what waits ahead would not be done in time for the deadline; try again a little later"
            return _Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "DEADLINE_TOO_SHORT", message, _retry(seconds))
        case ShuttingDown():
            message = "the server is going down; try again a little later"
            return _Failure(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", message, _retry())
        case UnreadableMessage():
            message = "the request is not the message that the method takes"
            return _Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MESSAGE", message)
        case RequestExpired():
            message = "the deadline passed before the work was done"
            return _Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message)
        case TooManyTransfers():
            message = "as many exports or imports as may are under way; try again later"
            return _Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_TRANSFERS", message, _retry())
        case CalibrationUnderWay():
            message = "the gallery is being calibrated already, or as many galleries as may be; try again later"
            return _Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "CALIBRATION_UNDER_WAY", message, _retry())
        case FileTooLarge():
            details = _bad_request("chunk", str(error))
            return _Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "IMPORT_TOO_LARGE", str(error), details)
        case TransferStalled():
            message = "nothing has moved on the stream for too long"
            return _Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "TRANSFER_STALLED", message)
        case NoObjectDetector():
            return _Failure(grpc.StatusCode.FAILED_PRECONDITION, "NO_OBJECT_DETECTOR", str(error))
        case Unauthenticated():
            message = "the call needs the metadata authorization: Bearer TOKEN"
            return _Failure(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", message)
    return None


def _bad_request(path: str, description: str) -> tuple[Message, ...]:
    violation = error_details_pb2.BadRequest.FieldViolation(field=path, description=description)
    return (error_details_pb2.BadRequest(field_violations=[violation]),)


def _retry(seconds: float = RETRY_SECONDS) -> tuple[Message, ...]:
    delay = Duration()
    delay.FromMilliseconds(round(seconds * 1e3))
    return (error_details_pb2.RetryInfo(retry_delay=delay),)


def _resource(error: gallery.GalleryError) -> tuple[Message, ...]:
    """The innermost thing that the error is about."""
    ids = [(kind, value) for kind in ("gallery", "subject", "template") if (value := getattr(error, f"{kind}_id", ""))]
    kind = ids[-1][0]
    name = "/".join(part for kind, value in ids for part in ({"gallery": "galleries"}.get(kind, kind + "s"), value))
    return (
        error_details_pb2.ResourceInfo(
            resource_type=f"{DOMAIN}.{kind.capitalize()}", resource_name=name, description=str(error)
        ),
    )
