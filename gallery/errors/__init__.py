"""Errors of the gallery. Each carries a kind, a stable reason, and the ids of what it is about.

GalleryError
    GalleryNotFound
    GalleryExists
    GalleryNotEmpty
    SubjectNotFound
    SubjectWithoutTemplates
    TemplateNotFound
    TooManyTemplates
    LooksLikeAnotherSubject
    LooksUnlikeSubject
    ConsentRequired
    SubjectsWithoutConsent
    SameSubject
    DistinctSubjects
    TooManyDistinctPairs
    ChangeNotFound
    UndoExpired
    UndoConflict
    ExpiryNotStored
    ExportOutdated
    ContractMismatch
    InvalidEmbedding
    RequestIdReused
    EtagMismatch
    InvalidPageToken
    InvalidImport
    TooFewSearches
    CalibrationUnreliable
    ErasuresNotRecorded
    StorageError
        StorageFull
        StorageUnavailable
            DatabaseDamaged
            DatabaseReplaced
            KeysUnusable
        StorageBusy
        SchemaTooNew
"""

from __future__ import annotations

from gallery.errors.base import GalleryError, Kind
from gallery.errors.corrections import (
    ChangeNotFound,
    DistinctSubjects,
    SameSubject,
    TooManyDistinctPairs,
    UndoConflict,
    UndoExpired,
)
from gallery.errors.galleries import (
    CalibrationUnreliable,
    ContractMismatch,
    ErasuresNotRecorded,
    ExpiryNotStored,
    GalleryExists,
    GalleryNotEmpty,
    GalleryNotFound,
    TooFewSearches,
)
from gallery.errors.requests import (
    EtagMismatch,
    ExportOutdated,
    InvalidEmbedding,
    InvalidImport,
    InvalidPageToken,
    InvalidResumeToken,
    RequestIdReused,
)
from gallery.errors.storage import (
    DatabaseDamaged,
    DatabaseReplaced,
    KeysUnusable,
    SchemaTooNew,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from gallery.errors.subjects import (
    ConsentRequired,
    LooksLikeAnotherSubject,
    LooksUnlikeSubject,
    SubjectNotFound,
    SubjectsWithoutConsent,
    SubjectWithoutTemplates,
    TemplateNotFound,
    TooManyTemplates,
)

__all__ = [
    "CalibrationUnreliable",
    "ChangeNotFound",
    "ConsentRequired",
    "ContractMismatch",
    "DatabaseDamaged",
    "DatabaseReplaced",
    "DistinctSubjects",
    "ErasuresNotRecorded",
    "EtagMismatch",
    "ExpiryNotStored",
    "ExportOutdated",
    "GalleryError",
    "GalleryExists",
    "GalleryNotEmpty",
    "GalleryNotFound",
    "InvalidEmbedding",
    "InvalidImport",
    "InvalidPageToken",
    "InvalidResumeToken",
    "KeysUnusable",
    "Kind",
    "LooksLikeAnotherSubject",
    "LooksUnlikeSubject",
    "RequestIdReused",
    "SameSubject",
    "SchemaTooNew",
    "StorageBusy",
    "StorageError",
    "StorageFull",
    "StorageUnavailable",
    "SubjectNotFound",
    "SubjectWithoutTemplates",
    "SubjectsWithoutConsent",
    "TemplateNotFound",
    "TooFewSearches",
    "TooManyDistinctPairs",
    "TooManyTemplates",
    "UndoConflict",
    "UndoExpired",
]
