"""The row that a batch writes about a picture, the same as a line of JSON and in a Parquet file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from facet import FacetError
from facet.terminal.rendering import as_dict
from facet.v1.recognition_service_pb2 import IdentifyResponse

Row = dict[str, Any]

DECISIONS = ("match", "unknown", "refused")

_BOX = pa.struct([(corner, pa.float32()) for corner in ("x1", "y1", "x2", "y2")])
_POINT = pa.struct([("x", pa.float32()), ("y", pa.float32())])
_LANDMARKS = pa.struct([(name, _POINT) for name in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")])
_CANDIDATE = pa.struct(
    [
        ("subject_id", pa.string()),
        ("display_name", pa.string()),
        ("similarity", pa.float32()),
        ("template_id", pa.string()),
    ]
)
_TAKEN = pa.struct([("candidate", _CANDIDATE), ("face", pa.int32())])
_FACE = pa.struct(
    [
        ("decision", pa.string()),
        ("subject_id", pa.string()),
        ("display_name", pa.string()),
        ("similarity", pa.float32()),
        ("threshold", pa.float32()),
        ("margin", pa.float32()),
        ("false_positive_rate", pa.float32()),
        ("box", _BOX),
        ("turn", pa.int32()),
        ("score", pa.float32()),
        ("quality", pa.float32()),
        ("landmarks", _LANDMARKS),
        ("candidates", pa.list_(_CANDIDATE)),
        ("taken", pa.list_(_TAKEN)),
        ("answer_id", pa.string()),
        ("review_requested", pa.bool_()),
    ]
)
_QUERY = pa.struct(
    [
        ("gallery", pa.string()),
        ("face", pa.string()),
        ("top_k", pa.int32()),
        ("threshold", pa.float64()),
        ("distinct_subjects", pa.bool_()),
        ("thorough", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("query", _QUERY),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("faces", pa.list_(_FACE)),
        ("error", pa.struct([("reason", pa.string()), ("message", pa.string())])),
    ]
)
"""The schema of the Parquet files. A row with an error has no size (null) and no faces."""


def answered(name: str, query: Row, response: IdentifyResponse) -> Row:
    """Make the row of a picture that was answered.

    Args:
        name: the picture's path, see :func:`facet.terminal.visible.printable`.
        query: the settings of the batch, the same in every row of an output.
        response: the answer.
    """
    plain = as_dict(response)
    size, faces = plain["picture_size"], [_face(each) for each in plain["faces"]]
    return {
        "path": name,
        "query": query,
        "width": size["width"],
        "height": size["height"],
        "faces": faces,
        "error": None,
    }


def failed(name: str, query: Row, error: FacetError) -> Row:
    """Make the row of a picture that failed."""
    explained = {"reason": error.reason or error.code.name, "message": error.message}
    return {"path": name, "query": query, "width": None, "height": None, "faces": [], "error": explained}


def _face(plain: Row) -> Row:
    face, identification = plain["face"], plain["identification"]
    decision = identification["decision"].removeprefix("DECISION_").lower()
    candidates = identification["candidates"]
    best = candidates[0] if candidates else {}
    named = best if decision == "match" else {}
    return {
        "decision": decision,
        "subject_id": named.get("subject_id"),
        "display_name": named.get("display_name"),
        "similarity": best.get("similarity"),
        "threshold": identification["threshold"],
        "margin": identification.get("margin"),
        "false_positive_rate": identification.get("false_positive_rate"),
        "box": face["box"],
        "turn": face["turn"],
        "score": face["score"],
        "quality": face["quality"]["value"],
        "landmarks": face["landmarks"],
        "candidates": candidates,
        "taken": identification["taken"],
        "answer_id": identification["answer_id"] or None,
        "review_requested": identification["review_requested"],
    }


@dataclass(slots=True)
class BatchStatistics:
    """Counts over the rows of an output.

    Attributes:
        pictures: rows.
        decisions: faces by decision.
        errors: failed pictures by reason.
    """

    pictures: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        """Count a row."""
        self.pictures += 1
        self.decisions.update(face["decision"] for face in row["faces"])
        if row["error"]:
            self.errors[row["error"]["reason"]] += 1
