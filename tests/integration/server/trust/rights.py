"""What each method needs, written down a second time: a new method has no place here until somebody decides."""

from __future__ import annotations

from collections.abc import Mapping

OPEN = frozenset({"/grpc.health.v1.Health/Check"})
"""Nobody needs to say who they are."""

NOT_SERVED = frozenset({"/grpc.health.v1.Health/List"})
"""The health library describes it, and does not implement it."""

_RECOGNITION, _GALLERY = "/facet.v1.RecognitionService/", "/facet.v1.GalleryService/"

ANY = ""
"""The scope of methods that every caller may call."""

SCOPES: Mapping[str, str] = {
    "/grpc.health.v1.Health/Watch": ANY,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ANY,
    "/facet.v1.ServerService/GetServerInfo": ANY,
    "/facet.v1.ServerService/ListAuditEntries": "audit",
    _RECOGNITION + "Detect": "recognize",
    _RECOGNITION + "AnalyzeFaces": "recognize",
    _RECOGNITION + "Verify": "recognize",
    _RECOGNITION + "Identify": "recognize",
    _RECOGNITION + "IdentifyBatch": "recognize",
    _RECOGNITION + "IdentifyStream": "recognize",
    _RECOGNITION + "ReportOutcome": "recognize",
    _GALLERY + "GetGallery": "recognize",
    _GALLERY + "ListGalleries": "recognize",
    _GALLERY + "SearchEmbedding": "recognize",
    _GALLERY + "EnrollFace": "enroll",
    _GALLERY + "EnrollBatch": "enroll",
    _GALLERY + "GetSubject": "enroll",
    _GALLERY + "ListSubjects": "enroll",
    _GALLERY + "UpdateSubject": "enroll",
    _GALLERY + "ListTemplates": "enroll",
    _GALLERY + "DeleteTemplate": "enroll",
    _GALLERY + "CreateGallery": "admin",
    _GALLERY + "UpdateGallery": "admin",
    _GALLERY + "DeleteGallery": "admin",
    _GALLERY + "DeleteSubject": "admin",
    _GALLERY + "MergeSubjects": "admin",
    _GALLERY + "MoveTemplate": "admin",
    _GALLERY + "UndoChange": "admin",
    _GALLERY + "ListChanges": "admin",
    _GALLERY + "SetDistinct": "admin",
    _GALLERY + "ListDistinct": "admin",
    _GALLERY + "ExportGallery": "admin",
    _GALLERY + "ExportSubject": "admin",
    _GALLERY + "ListErasures": "audit",
    _GALLERY + "ListObservations": "admin",
    _GALLERY + "AssessGallery": "admin",
    _GALLERY + "BeginReferencePeriod": "admin",
    _GALLERY + "ImportGallery": "admin",
    _GALLERY + "ListOutcomes": "admin",
    _GALLERY + "CalibrateGallery": "admin",
    _GALLERY + "FindDuplicates": "admin",
    _GALLERY + "StartMigration": "admin",
    _GALLERY + "UpdateMigration": "admin",
    _GALLERY + "ListMigrationGaps": "admin",
    _GALLERY + "FillMigrationGap": "admin",
    _GALLERY + "SwitchMigration": "admin",
    _GALLERY + "RollBackMigration": "admin",
    _GALLERY + "FinishMigration": "admin",
    _GALLERY + "CancelMigration": "admin",
    _GALLERY + "GetShadowReport": "admin",
}
"""The scope that a method needs, by its full name."""

HOLDERS: Mapping[str, frozenset[str]] = {
    ANY: frozenset({"recognize", "enroll", "admin", "audit"}),
    "recognize": frozenset({"recognize", "admin"}),
    "enroll": frozenset({"enroll", "admin"}),
    "admin": frozenset({"admin"}),
    "audit": frozenset({"audit"}),
}
"""The scopes of which one alone opens what needs this scope."""
