"""Every error class with the status that a client receives, also compared with the reasons that the protos promise."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status

from facet.runtime import pictures
from facet.runtime.inference.session import InferenceFailed
from facet.server import errors as server
from facet.server.wire.errors import DOMAIN, ROOTS, field_at_fault, internal, outcome_of, to_status, trailing_metadata
from gallery import errors as gallery
from recognizer import errors as recognizer

Detail = TypeVar("Detail", bound=Message)

PROTOS = Path(__file__).resolve().parents[4] / "proto" / "facet" / "v1"
REASON = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b|\bUNAUTHENTICATED\b|\bINTERNAL\b")

TABLE: tuple[tuple[Exception, str, str], ...] = (
    (pictures.InvalidPicture("broken"), "INVALID_ARGUMENT", "INVALID_PICTURE"),
    (pictures.PictureTooLarge("huge"), "INVALID_ARGUMENT", "PICTURE_TOO_LARGE"),
    (pictures.PictureTooSlow(), "INVALID_ARGUMENT", "PICTURE_TOO_SLOW"),
    (recognizer.FaceNotFound("none"), "FAILED_PRECONDITION", "FACE_NOT_FOUND"),
    (recognizer.SeveralFaces(2), "FAILED_PRECONDITION", "SEVERAL_FACES"),
    (recognizer.FaceTooSmall("small"), "FAILED_PRECONDITION", "FACE_TOO_SMALL"),
    (recognizer.FaceTooBlurred("blurred"), "FAILED_PRECONDITION", "FACE_TOO_BLURRED"),
    (recognizer.FaceTooTurned("turned"), "FAILED_PRECONDITION", "FACE_TOO_TURNED"),
    (recognizer.FaceTooNoisy("noisy"), "FAILED_PRECONDITION", "FACE_TOO_NOISY"),
    (recognizer.FaceTooDark("dark"), "FAILED_PRECONDITION", "FACE_TOO_DARK"),
    (recognizer.FaceOverexposed("white"), "FAILED_PRECONDITION", "FACE_OVEREXPOSED"),
    (recognizer.FaceNegative("negative"), "FAILED_PRECONDITION", "FACE_NEGATIVE"),
    (recognizer.FaceOccluded("covered"), "FAILED_PRECONDITION", "FACE_OCCLUDED"),
    (recognizer.NoObjectDetector("none"), "FAILED_PRECONDITION", "NO_OBJECT_DETECTOR"),
    (gallery.GalleryNotFound("g"), "NOT_FOUND", "GALLERY_NOT_FOUND"),
    (gallery.GalleryExists("g"), "ALREADY_EXISTS", "GALLERY_EXISTS"),
    (gallery.GalleryNotEmpty("g", 1), "FAILED_PRECONDITION", "GALLERY_NOT_EMPTY"),
    (gallery.SubjectNotFound("g", "s"), "NOT_FOUND", "SUBJECT_NOT_FOUND"),
    (gallery.SubjectMerged("g", "s", change_id="c", into_id="t"), "NOT_FOUND", "SUBJECT_NOT_FOUND"),
    (gallery.SubjectWithoutTemplates("g", "s"), "FAILED_PRECONDITION", "SUBJECT_WITHOUT_TEMPLATES"),
    (gallery.TemplateNotFound("g", "s", "t"), "NOT_FOUND", "TEMPLATE_NOT_FOUND"),
    (gallery.TooManyTemplates("g", "s", 3), "FAILED_PRECONDITION", "TOO_MANY_TEMPLATES"),
    (gallery.LooksLikeAnotherSubject("g", "s", 0.5, 0.4), "FAILED_PRECONDITION", "LOOKS_LIKE_ANOTHER_SUBJECT"),
    (gallery.LooksUnlikeSubject("g", "s", {"t": 0.1}, 0.2), "FAILED_PRECONDITION", "LOOKS_UNLIKE_SUBJECT"),
    (gallery.ConsentRequired("g", "s"), "FAILED_PRECONDITION", "CONSENT_REQUIRED"),
    (gallery.SubjectsWithoutConsent("g", 2), "FAILED_PRECONDITION", "SUBJECTS_WITHOUT_CONSENT"),
    (gallery.ExportOutdated("g"), "ABORTED", "EXPORT_OUTDATED"),
    (gallery.ExpiryNotStored(), "FAILED_PRECONDITION", "EXPIRY_NOT_STORED"),
    (gallery.ContractMismatch("g", "a", "b"), "FAILED_PRECONDITION", "CONTRACT_MISMATCH"),
    (gallery.InvalidEmbedding("zero"), "INVALID_ARGUMENT", "INVALID_FIELD"),
    (gallery.RequestIdReused("g", "r"), "ALREADY_EXISTS", "REQUEST_ID_REUSED"),
    (gallery.EtagMismatch("g", "s", expected="a", found="b"), "ABORTED", "ETAG_MISMATCH"),
    (gallery.InvalidPageToken(), "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN"),
    (gallery.InvalidResumeToken(), "INVALID_ARGUMENT", "INVALID_RESUME_TOKEN"),
    (gallery.InvalidRevision(), "INVALID_ARGUMENT", "INVALID_REVISION"),
    (gallery.RevisionNotFound("g"), "FAILED_PRECONDITION", "REVISION_NOT_FOUND"),
    (gallery.InvalidImport("wrong", line=7, field="quality"), "INVALID_ARGUMENT", "INVALID_IMPORT"),
    (gallery.ModelNotLoaded("g", "new", ["old"]), "FAILED_PRECONDITION", "MODEL_NOT_LOADED"),
    (gallery.MigrationUnderWay("g", "new", "c"), "FAILED_PRECONDITION", "MIGRATION_UNDER_WAY"),
    (gallery.AlreadyMigrated("g", "new"), "FAILED_PRECONDITION", "ALREADY_MIGRATED"),
    (gallery.NoMigration("g"), "FAILED_PRECONDITION", "NO_MIGRATION"),
    (gallery.AlreadySwitched("g", "new"), "FAILED_PRECONDITION", "ALREADY_SWITCHED"),
    (gallery.NotSwitched("g", "old"), "FAILED_PRECONDITION", "NOT_SWITCHED"),
    (gallery.MigrationEnding("g", "old"), "FAILED_PRECONDITION", "MIGRATION_ENDING"),
    (gallery.MigrationIncomplete("g", "new", 3), "FAILED_PRECONDITION", "MIGRATION_INCOMPLETE"),
    (gallery.ThresholdNotChosen("g", "new", 0.34), "FAILED_PRECONDITION", "THRESHOLD_NOT_CHOSEN"),
    (gallery.TooFewSearches("g", 1, 2, people=3, people_needed=4), "FAILED_PRECONDITION", "TOO_FEW_SEARCHES"),
    (
        gallery.CalibrationUnreliable("g", 0.8, ["contaminated"], {}),
        "FAILED_PRECONDITION",
        "CALIBRATION_UNRELIABLE",
    ),
    (gallery.ErasuresNotRecorded(), "FAILED_PRECONDITION", "ERASURES_NOT_RECORDED"),
    (gallery.SameSubject("g", "s"), "INVALID_ARGUMENT", "SAME_SUBJECT"),
    (gallery.TooManyDistinctPairs("g", 9), "FAILED_PRECONDITION", "TOO_MANY_DISTINCT_PAIRS"),
    (gallery.DistinctSubjects("g", "s", "other"), "FAILED_PRECONDITION", "DISTINCT_SUBJECTS"),
    (gallery.ChangeNotFound("g", "c"), "NOT_FOUND", "CHANGE_NOT_FOUND"),
    (gallery.ChangeUndone("g", "c"), "FAILED_PRECONDITION", "CHANGE_UNDONE"),
    (gallery.UndoExpired("g", "c", datetime(2026, 1, 1, tzinfo=UTC)), "FAILED_PRECONDITION", "UNDO_EXPIRED"),
    (gallery.UndoConflict("g", "c", "the subject is gone"), "FAILED_PRECONDITION", "UNDO_CONFLICT"),
    (gallery.StorageFull("/srv/facet.sqlite3"), "RESOURCE_EXHAUSTED", "STORAGE_FULL"),
    (gallery.NoRoomToMigrate("new-model", 1000), "RESOURCE_EXHAUSTED", "STORAGE_FULL"),
    (gallery.StorageUnavailable("/srv/facet.sqlite3"), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (gallery.StorageAway("PostgreSQL db:5432/facet"), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (gallery.ChangeUnderWay(), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (gallery.DatabaseReplaced("/srv/facet.sqlite3", "it is gone"), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (gallery.KeysUnusable("the key file is missing"), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (gallery.DatabaseDamaged("/srv/facet.sqlite3", "a text is not UTF-8"), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (gallery.StorageBusy("/srv/facet.sqlite3"), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (gallery.WorkUnderWay("another server works on it"), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (gallery.SchemaTooNew("/srv/facet.sqlite3", 9, 8), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
    (server.Unauthenticated(), "UNAUTHENTICATED", "UNAUTHENTICATED"),
    (server.ScopeMissing("admin"), "PERMISSION_DENIED", "SCOPE_MISSING"),
    (server.GalleryNotPermitted(), "PERMISSION_DENIED", "GALLERY_NOT_PERMITTED"),
    (server.UnknownMethod(), "UNIMPLEMENTED", "UNKNOWN_METHOD"),
    (server.UnreadableMessage(), "INVALID_ARGUMENT", "INVALID_MESSAGE"),
    (server.MessageTooLarge(), "RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE"),
    (server.MessageTooComplex(), "INVALID_ARGUMENT", "MESSAGE_TOO_COMPLEX"),
    (server.RequestNotReceived(), "DEADLINE_EXCEEDED", "REQUEST_NOT_RECEIVED"),
    (server.TooManyCalls(), "RESOURCE_EXHAUSTED", "TOO_MANY_CALLS"),
    (server.TooManyBytes(), "RESOURCE_EXHAUSTED", "TOO_MANY_BYTES"),
    (server.InvalidField("top_k", "must be 1 to 100"), "INVALID_ARGUMENT", "INVALID_FIELD"),
    (server.FileTooLarge("large"), "RESOURCE_EXHAUSTED", "IMPORT_TOO_LARGE"),
    (server.QueueFull(0.25), "RESOURCE_EXHAUSTED", "QUEUE_FULL"),
    (server.DeadlineTooShort(0.25), "RESOURCE_EXHAUSTED", "DEADLINE_TOO_SHORT"),
    (server.CallerRateExceeded(0.25), "RESOURCE_EXHAUSTED", "CALLER_RATE_EXCEEDED"),
    (server.CallerConcurrencyExceeded(), "RESOURCE_EXHAUSTED", "CALLER_CONCURRENCY_EXCEEDED"),
    (server.TooManyTransfers(), "RESOURCE_EXHAUSTED", "TOO_MANY_TRANSFERS"),
    (server.CalibrationUnderWay(), "RESOURCE_EXHAUSTED", "CALIBRATION_UNDER_WAY"),
    (server.DuplicateSearchUnderWay(), "RESOURCE_EXHAUSTED", "DUPLICATE_SEARCH_UNDER_WAY"),
    (server.OutOfResources(), "RESOURCE_EXHAUSTED", "OUT_OF_RESOURCES"),
    (server.RequestExpired(), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
    (server.TransferStalled(), "DEADLINE_EXCEEDED", "TRANSFER_STALLED"),
    (server.AuditUnavailable(), "UNAVAILABLE", "AUDIT_UNAVAILABLE"),
    (server.NoAuditLog(), "FAILED_PRECONDITION", "NO_AUDIT_LOG"),
    (server.AnswerUnknown(), "NOT_FOUND", "ANSWER_UNKNOWN"),
    (server.AnswerExpired(), "FAILED_PRECONDITION", "ANSWER_EXPIRED"),
    (server.ShuttingDown(), "UNAVAILABLE", "SHUTTING_DOWN"),
)
ABSTRACT = {
    *ROOTS,
    recognizer.Unfit,
    gallery.StorageError,
    gallery.MigrationError,
    server.AdmissionRefused,
    server.PermissionDenied,
}
"""Base classes that are never raised."""


def subclasses(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for each in root.__subclasses__():
        yield from subclasses(each)


def status_of(error: Exception) -> Status:
    status = to_status(error)
    assert status is not None
    return status


def unpacked(error: Exception, detail: Detail) -> Detail:
    """The only detail beside ErrorInfo, which must have this type."""
    _, packed = status_of(error).details
    assert packed.Unpack(detail)
    return detail


def info(status: Status) -> ErrorInfo:
    found = ErrorInfo()
    assert status.details[0].Unpack(found)
    assert found.domain == DOMAIN
    return found


@pytest.mark.parametrize(
    "error", [MemoryError(), InferenceFailed("no thread"), OSError(errno.EMFILE, "too many open files")]
)
def test_a_lack_of_memory_is_no_bug_of_the_server(error: Exception) -> None:
    assert outcome_of(error) == ("RESOURCE_EXHAUSTED", "OUT_OF_RESOURCES")
    assert unpacked(error, RetryInfo()).retry_delay.seconds > 0


def test_the_table_lists_every_error_class() -> None:
    known = {each for root in ROOTS for each in subclasses(root)} - ABSTRACT
    assert {type(error) for error, _, _ in TABLE} == known


@pytest.mark.parametrize(("error", "code", "reason"), TABLE, ids=lambda value: type(value).__name__)
def test_an_error_has_its_code_and_reason(error: Exception, code: str, reason: str) -> None:
    status = status_of(error)
    assert Code.Name(status.code) == code
    assert info(status).reason == reason
    assert status.message
    assert outcome_of(error) == (code, reason)


def test_reasons_are_those_of_the_protos() -> None:
    documented: set[str] = set()
    for path in PROTOS.glob("*_service.proto"):
        lines = (line.strip() for line in path.read_text("utf-8").splitlines())
        comments = " ".join(line.removeprefix("//").strip() for line in lines if line.startswith("//"))
        for inside in re.findall(r"\(([^()]*)\)", comments):
            if REASON.match(inside):
                documented |= set(REASON.findall(inside))
    assert {reason for _, _, reason in TABLE} | {"INTERNAL"} == documented


@pytest.mark.parametrize(
    ("error", "field", "description"),
    [
        (server.InvalidField("top_k", "must be 1 to 100"), "top_k", "must be 1 to 100"),
        (gallery.RequestIdReused("g", "r"), "request_id", "request id 'r' was used"),
        (gallery.InvalidPageToken(), "page_token", "not one of this list"),
        (gallery.InvalidImport("wrong", line=7, field="quality"), "chunk", "line 7, quality: wrong"),
        (server.FileTooLarge("large"), "chunk", "large"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_bad_field_is_named(error: Exception, field: str, description: str) -> None:
    (violation,) = unpacked(error, BadRequest()).field_violations
    assert violation.field == field
    assert description in violation.description


@pytest.mark.parametrize(
    "error",
    [
        pictures.InvalidPicture("x"),
        recognizer.FaceNotFound("x"),
        recognizer.FaceTooSmall("x"),
        gallery.InvalidEmbedding("x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_caller_names_the_field_of_a_picture_or_face(error: Exception) -> None:
    with pytest.raises(type(error)), field_at_fault("outer"), field_at_fault("probe_picture"):
        raise error
    bad = unpacked(error, BadRequest())
    assert bad.field_violations[0].field == "probe_picture"


def test_an_error_that_is_about_no_field_keeps_its_details() -> None:
    error = gallery.GalleryNotFound("g")
    with pytest.raises(gallery.GalleryNotFound), field_at_fault("picture"):
        raise error
    unpacked(error, ResourceInfo())


@pytest.mark.parametrize(
    ("error", "kind", "name"),
    [
        (gallery.GalleryNotFound("g"), "facet.v1.Gallery", "galleries/g"),
        (gallery.SubjectNotFound("g", "s"), "facet.v1.Subject", "galleries/g/subjects/s"),
        (gallery.TemplateNotFound("g", "s", "t"), "facet.v1.Template", "galleries/g/subjects/s/templates/t"),
        (gallery.EtagMismatch("g", "", expected="a", found="b"), "facet.v1.Gallery", "galleries/g"),
    ],
)
def test_the_innermost_resource_is_named(error: Exception, kind: str, name: str) -> None:
    found = unpacked(error, ResourceInfo())
    assert (found.resource_type, found.resource_name) == (kind, name)


@pytest.mark.parametrize(
    ("error", "milliseconds"),
    [
        (server.QueueFull(0.25), 250),
        (server.DeadlineTooShort(1.5), 1500),
        (server.TooManyTransfers(), 1000),
        (server.CalibrationUnderWay(), 1000),
        (server.ShuttingDown(), 1000),
    ],
)
def test_a_refusal_that_passes_says_when_to_retry(error: Exception, milliseconds: int) -> None:
    found = unpacked(error, RetryInfo())
    assert found.retry_delay.ToMilliseconds() == milliseconds


@pytest.mark.parametrize(
    ("error", "metadata"),
    [
        (recognizer.SeveralFaces(2), {"faces": "2"}),
        (gallery.TooManyTemplates("g", "s", 3), {"limit": "3"}),
        (
            gallery.LooksLikeAnotherSubject("g", "s", 0.5, 0.4),
            {"subject_id": "s", "similarity": "0.5000", "threshold": "0.4000"},
        ),
        (
            gallery.LooksUnlikeSubject("g", "s", {"t": 0.1, "u": 0.15}, 0.2),
            {
                "subject_id": "s",
                "similarity": "0.1500",
                "threshold": "0.2000",
                "templates": "2",
                "similarities": "u=0.1500 t=0.1000",
            },
        ),
        (gallery.ContractMismatch("g", "a", "b"), {"expected": "a", "found": "b"}),
        (
            gallery.ContractMismatch("g", "a", "b", text="other", expected_model="old", found_model="new"),
            {"expected": "a", "found": "b", "expected_model": "old", "found_model": "new"},
        ),
        (gallery.InvalidImport("wrong"), {}),
        (gallery.InvalidImport("wrong", line=7, field="quality"), {"line": "7", "field": "quality"}),
        (
            gallery.TooFewSearches("g", 1, 2, people=3, people_needed=4),
            {"found": "1", "needed": "2", "people": "3", "people_needed": "4"},
        ),
        (
            gallery.CalibrationUnreliable("g", 0.8, ["own pictures missed", "contaminated"], {"fnir": "0.9"}),
            {"threshold": "0.8000", "reasons": "OWN_PICTURES_MISSED CONTAMINATED", "fnir": "0.9"},
        ),
    ],
)
def test_metadata_holds_the_evidence(error: Exception, metadata: Mapping[str, str]) -> None:
    assert dict(info(status_of(error)).metadata) == metadata


def test_an_unexpected_error_reveals_only_where_to_look() -> None:
    secret = ValueError("a secret")
    assert to_status(secret) is None
    assert outcome_of(secret) == ("INTERNAL", "INTERNAL")
    status = internal("id-7")
    assert info(status).reason == "INTERNAL"
    assert dict(info(status).metadata) == {"request_id": "id-7"}
    assert "id-7" in status.message


@pytest.mark.parametrize("error", [error for error, _, _ in TABLE if isinstance(error, gallery.StorageError)])
def test_no_path_of_the_server_reaches_a_client(error: Exception) -> None:
    assert "/srv" not in str(status_of(error))


def test_grpc_is_told_when_to_retry_as_the_client_is() -> None:
    status = to_status(server.QueueFull(0.25))
    assert status is not None
    metadata = dict(trailing_metadata(status))
    assert metadata["grpc-retry-pushback-ms"] == "250"
    details = metadata["grpc-status-details-bin"]
    assert isinstance(details, bytes)
    assert Status.FromString(details) == status


def test_grpc_is_told_nothing_about_retries_of_what_would_fail_again() -> None:
    assert [key for key, _ in trailing_metadata(internal("id"))] == ["grpc-status-details-bin"]
