"""What a correction is about to do, written before it begins, so that it can be finished if it is interrupted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gallery.errors import StorageUnavailable
from gallery.records.changes import MovedTemplate, Rearrangement, StoredChange
from gallery.records.subjects import Subject
from gallery.stores.milvus.connection import Row
from gallery.stores.milvus.rows import id_of, subject_of, subject_row
from gallery.stores.milvus.schema import Collections
from gallery.times import from_microseconds, to_microseconds

BEGINNING = "unfinished\n"
"""How the text of a change begins whose correction, or undoing, is not finished. A line of JSON follows, and then the
text that the change gets in the end."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A correction, or an undoing, that has begun.

    Attributes:
        wanted: what it changes.
        began: when it began, microseconds since 1970.
        from_created: when the subject was created that loses templates; it tells that subject from a later one with
            its id.
        etag: the etag that ``wanted.updated`` replaces; empty if it replaces none.
    """

    wanted: Rearrangement
    began: int
    from_created: int
    etag: str


def to_text(intent: Intent, key: int, collections: Collections) -> str:
    """Convert an intent of the gallery with a key to the text of its change."""
    wanted = intent.wanted
    fields = collections.fields("subjects")

    def row(subject: Subject | None) -> Row | None:
        return None if subject is None else subject_row(subject, key, fields)

    values = {
        "began": intent.began,
        "from_created": intent.from_created,
        "etag": intent.etag,
        "from": wanted.from_subject_id,
        "into": wanted.into_subject_id,
        "moved": [
            (each.template_id, each.new_id, each.expire_time and to_microseconds(each.expire_time))
            for each in wanted.moved
        ],
        "created": row(wanted.created),
        "updated": row(wanted.updated),
        "is_removed": wanted.is_removed,
        "added_pairs": wanted.added_pairs,
        "removed_pairs": wanted.removed_pairs,
        "holders": wanted.holders,
        "own_holders": wanted.change.holders,
    }
    return f"{BEGINNING}{json.dumps(values, ensure_ascii=False, separators=(',', ':'))}\n{wanted.change.text}"


def from_row(row: Row, gallery_id: str) -> Intent:
    """Convert the row of a change that is not finished.

    Raises:
        StorageUnavailable: it is not as it was written.
    """
    try:
        text = str(row["text"]).removeprefix(BEGINNING).partition("\n")
        values: dict[str, Any] = json.loads(text[0])
        until = from_microseconds(row["until"])
        wanted = Rearrangement(
            values["from"],
            values["into"],
            tuple(
                MovedTemplate(template_id, new_id, None if expires is None else from_microseconds(expires))
                for template_id, new_id, expires in values["moved"]
            ),
            StoredChange(id_of(row), row["request"], tuple(values["own_holders"]), until, text[2]),
            created=values["created"] and subject_of(values["created"], gallery_id, templates=0),
            updated=values["updated"] and subject_of(values["updated"], gallery_id, templates=0),
            is_removed=values["is_removed"],
            added_pairs=[(one, other) for one, other in values["added_pairs"]],
            removed_pairs=[(one, other) for one, other in values["removed_pairs"]],
            holders={change_id: tuple(holders) for change_id, holders in values["holders"].items()},
        )
        return Intent(wanted, values["began"], values["from_created"], values["etag"])
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise StorageUnavailable("Milvus: a change is not as it was written") from error


def is_unfinished(row: Row) -> bool:
    """Tell whether the correction of the row of a change is not finished."""
    return str(row["text"]).startswith(BEGINNING)


def intent_of(row: Row) -> str:
    """Return what precedes the final text of a change; empty once its correction is finished."""
    # JSON has no line breaks inside.
    return "".join(str(row["text"]).rpartition("\n")[:2])


def final_text(row: Row) -> str:
    """Return the text that a change has once its correction is finished."""
    return str(row["text"]).rpartition("\n")[2]
