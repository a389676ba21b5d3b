"""Changes as JSON, as the stores keep them."""

from __future__ import annotations

import json
from typing import Any

from gallery.records.changes import Before, Change, ChangeKind, MovedTemplate
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.subjects import Subject
from gallery.times import from_microseconds, to_microseconds


class InvalidChange(Exception):
    """A change is not as it was written."""


def to_text(change: Change, before: Before | None) -> str:
    """Convert a change, and what it takes to undo it; ``None`` once it was undone."""
    values: dict[str, Any] = {
        "kind": change.kind.value,
        "from": change.from_subject_id,
        "into": change.into_subject_id,
        "templates": change.template_ids,
        "time": to_microseconds(change.create_time),
        "caller": change.caller,
    }
    if before is not None:
        values["before"] = {
            "moved": [
                (each.template_id, each.new_id, each.expire_time and to_microseconds(each.expire_time))
                for each in before.moved
            ],
            "merged": before.merged and _subject_values(before.merged),
            "into": before.into and _subject_values(before.into),
            "after": before.after and _subject_values(before.after),
            "etags": before.etags,
            "pairs": before.pairs,
            "added_pairs": before.added_pairs,
            "holders": before.holders,
        }
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def from_text(text: str, gallery_id: str, change_id: str, undo_until: Any) -> tuple[Change, Before | None]:
    """Convert a text of :func:`to_text`; what a store keeps beside it comes from there.

    Raises:
        InvalidChange: it is none.
    """
    try:
        values = json.loads(text)
        before = values.get("before")
        change = Change(
            change_id,
            gallery_id,
            ChangeKind(values["kind"]),
            values["from"],
            values["into"],
            tuple(values["templates"]),
            from_microseconds(values["time"]),
            undo_until,
            is_undone=before is None,
            caller=values.get("caller", ""),
        )
        return change, None if before is None else _before(before, gallery_id)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InvalidChange(f"the change {change_id} is not as it was written") from error


def _before(values: dict[str, Any], gallery_id: str) -> Before:
    return Before(
        moved=tuple(
            MovedTemplate(template_id, new_id, None if expires is None else from_microseconds(expires))
            for template_id, new_id, expires in values["moved"]
        ),
        merged=_subject(values["merged"], gallery_id),
        into=_subject(values["into"], gallery_id),
        after=_subject(values["after"], gallery_id),
        etags=tuple(values["etags"]),
        pairs=tuple((one, other) for one, other in values["pairs"]),
        added_pairs=tuple((one, other) for one, other in values["added_pairs"]),
        holders={change_id: tuple(holders) for change_id, holders in values["holders"].items()},
    )


def _subject_values(subject: Subject) -> dict[str, Any]:
    consent = subject.consent
    return {
        "id": subject.subject_id,
        "name": subject.display_name,
        "created": to_microseconds(subject.create_time),
        "updated": to_microseconds(subject.update_time),
        "etag": subject.etag,
        "consent": consent and (consent.basis.value, consent.reference, to_microseconds(consent.time)),
        "expires": subject.expire_time and to_microseconds(subject.expire_time),
    }


def _subject(values: dict[str, Any] | None, gallery_id: str) -> Subject | None:
    if values is None:
        return None
    consent = None
    if values["consent"] is not None:
        basis, reference, time = values["consent"]
        consent = Consent(ConsentBasis(basis), reference, from_microseconds(time))
    expires = values["expires"]
    return Subject(
        gallery_id,
        values["id"],
        values["name"],
        0,
        from_microseconds(values["created"]),
        from_microseconds(values["updated"]),
        values["etag"],
        consent=consent,
        expire_time=None if expires is None else from_microseconds(expires),
    )
