"""What each method of the service is in the audit log. Whoever adds a method adds its action here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from facet.server.audit.protocol import OTHER_SUBJECT, Fact

Kind = Literal["change", "search", "nothing"]

_FIELD = re.compile(r"[a-z_.]{1,40}")
_MAX_FIELDS = 16


@dataclass(frozen=True, slots=True)
class Action:
    """What a method is in the log.

    Attributes:
        name: the action of its entries.
        kind: ``change`` has an entry before it is done, and one that tells how it ended; ``search`` is counted, also
            if it names no gallery; there is no entry of ``nothing``.
        gallery: the path of the gallery's id in a request; empty if it concerns none.
        subject: the path of the subject's id in a request, or empty.
        asked: names of facts, and the paths of their fields in a request.
        answered: the same of the last answer. ``gallery`` and ``subject`` stand for ids that the server has chosen.
        counted: the field of :class:`Fact` that calls are counted in, such as ``probes``.
        each: what is counted: ``call``, each ``request`` of a stream, or each ``answer`` of a stream.
        is_late: whether the change is made long after the call begins, so that its intent is written meanwhile; its
            service waits with :func:`facet.server.audit.call.before_change`.
        by_item: whether each request of a stream is a change of its own; see :func:`facet.server.audit.call.item`.
    """

    name: str
    kind: Kind = "change"
    gallery: str = "gallery_id"
    subject: str = ""
    asked: Mapping[str, str] = field(default_factory=dict)
    answered: Mapping[str, str] = field(default_factory=dict)
    counted: str = "calls"
    each: Literal["call", "request", "answer"] = "call"
    is_late: bool = False
    by_item: bool = False


NOTHING = Action("", "nothing")
_READ = Action("read_people", "search")
_ENROLLED = Action(
    "enrolled",
    subject="subject_id",
    asked={"validate_only": "validate_only"},
    answered={"subject": "subject.subject_id", "already_enrolled": "already_enrolled"},
    is_late=True,
)

ACTIONS: Mapping[str, Mapping[str, Action]] = {
    "facet.v1.RecognitionService": {
        "Detect": NOTHING,
        "AnalyzeFaces": NOTHING,
        "Verify": Action("verified", "search", "reference_subject.gallery_id", counted="probes"),
        "Identify": Action("searched", "search", counted="probes"),
        "IdentifyBatch": Action("searched", "search", "identification.gallery_id", counted="probes", each="request"),
        "IdentifyStream": Action("searched", "search", "settings.gallery_id", counted="probes", each="answer"),
        "ReportOutcome": Action("outcome_reported"),
    },
    "facet.v1.GalleryService": {
        "CreateGallery": Action("gallery_created", answered={"gallery": "gallery.gallery_id"}),
        "GetGallery": NOTHING,
        "ListGalleries": NOTHING,
        "UpdateGallery": Action(
            "gallery_changed",
            gallery="gallery.gallery_id",
            asked={"fields": "update_mask.paths", "validate_only": "validate_only"},
            answered={"subjects_expiring": "subjects_expiring", "templates_expiring": "templates_expiring"},
        ),
        "DeleteGallery": Action("gallery_forgotten", asked={"force": "force"}),
        "EnrollFace": _ENROLLED,
        "EnrollBatch": Action(
            "enrolled",
            gallery="enrollment.gallery_id",
            subject="enrollment.subject_id",
            asked={"validate_only": "enrollment.validate_only"},
            answered=_ENROLLED.answered,
            is_late=True,
            by_item=True,
        ),
        "GetSubject": _READ,
        "ListSubjects": _READ,
        "UpdateSubject": Action(
            "changed",
            gallery="subject.gallery_id",
            subject="subject.subject_id",
            asked={"fields": "update_mask.paths"},
        ),
        "DeleteSubject": Action("forgotten", subject="subject_id", answered={"templates": "templates_deleted"}),
        "ListTemplates": _READ,
        "DeleteTemplate": Action("template_forgotten", subject="subject_id"),
        "MergeSubjects": Action(
            "merged",
            subject="from_subject_id",
            asked={OTHER_SUBJECT: "into_subject_id"},
            answered={
                OTHER_SUBJECT: "change.into_subject_id",
                "change": "change.change_id",
                "templates": "subject.template_count",
            },
        ),
        "MoveTemplate": Action(
            "template_moved",
            subject="from_subject_id",
            asked={OTHER_SUBJECT: "into_subject_id"},
            answered={OTHER_SUBJECT: "change.into_subject_id", "change": "change.change_id"},
        ),
        "UndoChange": Action(
            "undone",
            asked={"validate_only": "validate_only"},
            answered={
                "subject": "change.from_subject_id",
                OTHER_SUBJECT: "change.into_subject_id",
                "change": "change.change_id",
            },
        ),
        "ListChanges": _READ,
        "SetDistinct": Action(
            "told_apart", subject="subject_id", asked={OTHER_SUBJECT: "other_subject_id", "remove": "remove"}
        ),
        "ListDistinct": _READ,
        "SearchEmbedding": Action("searched", "search", counted="probes"),
        "ExportGallery": Action("exported", answered={"templates": "templates"}),
        "ExportSubject": Action("access_report", subject="subject_id"),
        "ListErasures": Action("read_erasures", "search"),
        "ListObservations": NOTHING,
        "AssessGallery": NOTHING,
        "BeginReferencePeriod": Action("reference_begun", asked={"source": "source"}),
        "ImportGallery": Action(
            "imported",
            gallery="target.gallery_id",
            asked={"validate_only": "target.validate_only"},
            answered={
                "gallery": "gallery.gallery_id",
                "subjects": "gallery.subject_count",
                "templates": "gallery.template_count",
            },
        ),
        "ListOutcomes": Action("read_outcomes", "search"),
        "CalibrateGallery": Action(
            "calibrated", gallery="settings.gallery_id", asked={"validate_only": "settings.validate_only"}
        ),
        "FindDuplicates": Action(
            "duplicates_searched", asked={"include_crops": "include_crops"}, answered={"templates": "templates_done"}
        ),
        "StartMigration": Action(
            "migration_started",
            asked={"validate_only": "validate_only"},
            answered={"model": "migration.to_model.name", "contract": "migration.to_model.contract"},
        ),
        "UpdateMigration": Action("migration_changed", asked={"fields": "update_mask.paths"}),
        "ListMigrationGaps": _READ,
        "FillMigrationGap": Action("migration_gap_filled", is_late=True),
        "SwitchMigration": Action(
            "migration_switched",
            asked={"allow_missing": "allow_missing", "validate_only": "validate_only"},
            answered={"model": "migration.to_model.name", "contract": "migration.to_model.contract"},
        ),
        "RollBackMigration": Action(
            "migration_rolled_back",
            asked={"allow_missing": "allow_missing"},
            answered={"model": "migration.from_model.name", "contract": "migration.from_model.contract"},
        ),
        "FinishMigration": Action(
            "migration_finished",
            asked={
                "delete_missing": "delete_missing",
                "delete_crops": "delete_crops",
                "validate_only": "validate_only",
            },
            answered={"templates": "templates_deleted"},
        ),
        "CancelMigration": Action(
            "migration_cancelled",
            asked={"delete_missing": "delete_missing"},
            answered={"templates": "templates_deleted"},
        ),
        "GetShadowReport": Action("read_shadow_report", "search", asked={"include_crops": "include_crops"}),
    },
    "facet.v1.ServerService": {
        "GetServerInfo": NOTHING,
        "ListAuditEntries": Action("read_audit_log", "search", gallery=""),
    },
}
"""Actions by the full name of the service, and the name of the method."""

_BY_PATH = {
    f"/{service}/{method}": action for service, methods in ACTIONS.items() for method, action in methods.items()
}


def action_of(path: str) -> Action:
    """The action of a method by its path, such as ``/facet.v1.GalleryService/EnrollFace``."""
    return _BY_PATH.get(path, NOTHING)


def text_at(message: Any, path: str) -> str:
    """The text in a field of a message; empty if it has none."""
    found = _value(message, path) if path else ""
    return found if isinstance(found, str) else ""


def facts_of(message: Any, paths: Mapping[str, str]) -> dict[str, Fact]:
    """The facts in a message; those that are 0, false or empty are left out."""
    found = ((name, _value(message, path)) for name, path in paths.items())
    return {name: _fact(value) for name, value in found if value}


def _fact(value: Any) -> Fact:
    if isinstance(value, (bool, int, float, str)):
        return value
    # Names of fields, which a client may have filled with anything.
    return [each for each in value[:_MAX_FIELDS] if _FIELD.fullmatch(each)]


def _value(message: Any, path: str) -> Any:
    parent, dot, rest = path.partition(".")
    if not dot:
        return getattr(message, path)
    return _value(getattr(message, parent), rest) if message.HasField(parent) else None
