"""The rules of access: for each method, the scope that it needs, and where its requests name galleries.

A method without a rule is refused. Whoever adds a method adds its rule here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facet.server.access.identity import Scope

_GALLERY_ID = ("gallery_id",)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a caller needs for a method.

    Attributes:
        scope: the scope; ``None`` if every caller may call it.
        gallery_fields: paths of the fields with ids of galleries, in each of the method's requests. A caller that is
            limited to some galleries may not leave them empty: the server would choose the id, or read it elsewhere.
        optional_gallery_fields: the same for fields that may be empty, which then name no gallery.
        is_public: whether it needs no caller at all.
    """

    scope: Scope | None
    gallery_fields: tuple[str, ...] = ()
    optional_gallery_fields: tuple[str, ...] = ()
    is_public: bool = False

    def gallery_ids(self, request: Any) -> Iterator[str]:
        """The galleries that a request names; empty for one that it leaves to the server."""
        for field in self.gallery_fields:
            if (gallery_id := _value(request, field)) is not None:
                yield gallery_id
        for field in self.optional_gallery_fields:
            if gallery_id := _value(request, field):
                yield gallery_id


_ANY_CALLER = Rule(None)

RULES: Mapping[str, Mapping[str, Rule]] = {
    "facet.v1.RecognitionService": {
        "Detect": Rule("recognize"),
        "AnalyzeFaces": Rule("recognize"),
        "Verify": Rule("recognize", ("reference_subject.gallery_id",)),
        "Identify": Rule("recognize", _GALLERY_ID),
        "IdentifyBatch": Rule("recognize", ("identification.gallery_id",)),
        "IdentifyStream": Rule("recognize", ("settings.gallery_id",)),
        "ReportOutcome": Rule("recognize", _GALLERY_ID),
    },
    "facet.v1.GalleryService": {
        "CreateGallery": Rule("admin", _GALLERY_ID),
        "GetGallery": Rule("recognize", _GALLERY_ID),
        "ListGalleries": Rule("recognize"),
        "UpdateGallery": Rule("admin", ("gallery.gallery_id",)),
        "DeleteGallery": Rule("admin", _GALLERY_ID),
        "EnrollFace": Rule("enroll", _GALLERY_ID),
        "EnrollBatch": Rule("enroll", ("enrollment.gallery_id",)),
        "GetSubject": Rule("enroll", _GALLERY_ID),
        "ListSubjects": Rule("enroll", _GALLERY_ID),
        "UpdateSubject": Rule("enroll", ("subject.gallery_id",)),
        "DeleteSubject": Rule("admin", _GALLERY_ID),
        "ListTemplates": Rule("enroll", _GALLERY_ID),
        "DeleteTemplate": Rule("enroll", _GALLERY_ID),
        "MergeSubjects": Rule("admin", _GALLERY_ID),
        "MoveTemplate": Rule("admin", _GALLERY_ID),
        "UndoChange": Rule("admin", _GALLERY_ID),
        "ListChanges": Rule("admin", _GALLERY_ID),
        "SetDistinct": Rule("admin", _GALLERY_ID),
        "ListDistinct": Rule("admin", _GALLERY_ID),
        "SearchEmbedding": Rule("recognize", _GALLERY_ID),
        "ExportGallery": Rule("admin", _GALLERY_ID),
        "ExportSubject": Rule("admin", _GALLERY_ID),
        "ListErasures": Rule("audit", _GALLERY_ID),
        "ListObservations": Rule("admin", _GALLERY_ID),
        "AssessGallery": Rule("admin", _GALLERY_ID),
        "BeginReferencePeriod": Rule("admin", _GALLERY_ID),
        "ImportGallery": Rule("admin", ("target.gallery_id",)),
        "ListOutcomes": Rule("admin", _GALLERY_ID),
        "CalibrateGallery": Rule("admin", ("settings.gallery_id",), ("settings.cohort_gallery_id",)),
        "FindDuplicates": Rule("admin", _GALLERY_ID),
        "StartMigration": Rule("admin", _GALLERY_ID),
        "UpdateMigration": Rule("admin", _GALLERY_ID),
        "ListMigrationGaps": Rule("admin", _GALLERY_ID),
        "FillMigrationGap": Rule("admin", _GALLERY_ID),
        "SwitchMigration": Rule("admin", _GALLERY_ID),
        "RollBackMigration": Rule("admin", _GALLERY_ID),
        "FinishMigration": Rule("admin", _GALLERY_ID),
        "CancelMigration": Rule("admin", _GALLERY_ID),
        "GetShadowReport": Rule("admin", _GALLERY_ID),
    },
    "facet.v1.ServerService": {
        "GetServerInfo": _ANY_CALLER,
        "ListAuditEntries": Rule("audit", optional_gallery_fields=_GALLERY_ID),
    },
    "grpc.health.v1.Health": {
        "Check": Rule(None, is_public=True),
        "Watch": _ANY_CALLER,
    },
    "grpc.reflection.v1alpha.ServerReflection": {
        "ServerReflectionInfo": _ANY_CALLER,
    },
}
"""Rules by the full name of the service, and the name of the method."""

_BY_PATH = {f"/{service}/{method}": rule for service, rules in RULES.items() for method, rule in rules.items()}


def rule_of(path: str) -> Rule | None:
    """The rule of a method by its path, such as ``/facet.v1.GalleryService/GetGallery``."""
    return _BY_PATH.get(path)


def _value(message: Any, path: str) -> str | None:
    """The text in a field; ``None`` if a message on the way to it is not set."""
    parent, dot, rest = path.partition(".")
    if not dot:
        text: str = getattr(message, path)
        return text
    return _value(getattr(message, parent), rest) if message.HasField(parent) else None
