"""Labels of a clip: whose face is visible, when, and where."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from facet.evaluation.datasets.labels import MOST_PIXELS, LabelError, read_text

Region: TypeAlias = tuple[float, float, float, float]
"""xyxy pixels of the upright frame."""

_COLUMNS = ("start", "end", "subject")
_CORNERS = ("x1", "y1", "x2", "y2")
_FACES = {"": False, "visible": False, "hidden": True}
_COMMENT = "#"
_SLACK = 0.05
"""Seconds by which labels may extend beyond the last frame, for rounding."""


@dataclass(frozen=True, slots=True)
class Span:
    """One line of the labels: a person is in the picture.

    Attributes:
        start: seconds from the start of the clip.
        end: seconds from the start of the clip, exclusive.
        subject: the person; empty for a stranger.
        hidden: the face is not visible: a missing name is no error, and the right name is none either.
        presence: spans of one subject with the same word are one presence; an empty one makes the span its own.
        region: contains the centre of the face throughout; ``None`` for anywhere.
        line: line number in the file.
    """

    start: float
    end: float
    subject: str
    hidden: bool = False
    presence: str = ""
    region: Region | None = None
    line: int = 0

    def holds(self, time: float, tolerance: float = 0.0) -> bool:
        """Whether a time lies in the span, extended by the tolerance on both sides; seconds."""
        return self.start - tolerance <= time < self.end + tolerance


@dataclass(frozen=True, slots=True)
class Presence:
    """One visit of a subject, from appearing to leaving.

    Attributes:
        subject: the person.
        name: the word in the labels; may be empty.
        spans: by rising start. The presence starts with the first span whose face is visible.
    """

    subject: str
    name: str
    spans: tuple[Span, ...]

    @property
    def start(self) -> float:
        """When the face is first visible, seconds."""
        return next(span.start for span in self.spans if not span.hidden)

    @property
    def end(self) -> float:
        """When the subject leaves, seconds."""
        return max(span.end for span in self.spans)


def read_track_labels(path: Path) -> tuple[Span, ...]:
    """Read a CSV file with the columns start, end and subject; other columns are optional or ignored.

    ``start`` and ``end`` are seconds. ``subject`` is the person whose face is visible; empty for a stranger. ``face``
    is "visible" (or empty) or "hidden": the subject is in the picture, turned away or covered. ``presence`` is a word
    that groups lines of one subject. ``x1,y1,x2,y2`` is a rectangle in pixels that contains the centre of the face.
    Lines that start with # are comments.

    Raises:
        LabelError: a column is missing, a field is malformed, two lines of one subject overlap, or there are no lines;
            the message says where.
    """
    lines = ("" if line.startswith(_COMMENT) else line for line in io.StringIO(read_text(path), newline=""))
    rows = csv.reader(lines)
    header: list[str] = []
    spans: list[Span] = []
    try:
        for row in rows:
            if not any(row):
                continue
            if not header:
                header = [name.strip() for name in row]
                if missing := [name for name in _COLUMNS if name not in header]:
                    problem = f"has no column {', '.join(missing)}; start, end and subject are needed"
                    raise LabelError(path, rows.line_num, problem)
                continue
            if len(row) > len(header):
                raise LabelError(path, rows.line_num, f"has {len(row)} fields, the header {len(header)}")
            fields = {name: value.strip() for name, value in zip(header, row, strict=False)}
            spans.append(_span(path, rows.line_num, fields))
    except csv.Error as error:
        raise LabelError(path, rows.line_num, f"is not CSV: {error}") from error
    if not spans:
        raise LabelError(path, None, "has no line that says who is there")
    _need_one_place(path, spans)
    return tuple(spans)


def within_clip(path: Path, spans: Iterable[Span], end: float) -> None:
    """Check that no label extends beyond the end of the clip, in seconds.

    Raises:
        LabelError: one does; the labels belong to another clip.
    """
    for span in spans:
        if span.end > end + _SLACK:
            raise LabelError(path, span.line, f"ends at {span.end:g} s, and the clip at {end:.3f} s: another clip?")


def of_enrolled(path: Path, spans: Iterable[Span], known: Collection[str], enrolled: Collection[str]) -> list[Span]:
    """The labels from the gallery's point of view: subjects who are not enrolled become strangers.

    Args:
        path: the label file.
        spans: its lines.
        known: subjects with pictures.
        enrolled: the known subjects who are enrolled.

    Raises:
        LabelError: a subject is unknown, so its name may be misspelt.
    """
    found = []
    for span in spans:
        if span.subject and span.subject not in known:
            raise LabelError(path, span.line, f"the gallery has no folder {span.subject!r}; a stranger has no name")
        if not span.subject or span.subject in enrolled:
            found.append(span)
        elif not span.hidden:
            found.append(replace(span, subject="", presence=""))
    return found


def presences(spans: Iterable[Span]) -> tuple[Presence, ...]:
    """The presences of all subjects by rising start; a presence needs a span with a visible face."""
    tied: dict[tuple[str, str], list[Span]] = {}
    for span in spans:
        if span.subject:
            tied.setdefault((span.subject, span.presence or f"\0{span.start}"), []).append(span)
    found = (
        Presence(subject, each[0].presence, tuple(sorted(each, key=lambda span: span.start)))
        for (subject, _), each in tied.items()
        if not all(span.hidden for span in each)
    )
    return tuple(sorted(found, key=lambda presence: (presence.start, presence.subject)))


def _span(path: Path, line: int, fields: Mapping[str, str]) -> Span:
    start, end = (_number(path, line, name, fields.get(name, "")) for name in ("start", "end"))
    if not 0 <= start < end:
        raise LabelError(path, line, f"start is {start:g} and end {end:g}: expected 0 <= start < end")
    face = fields.get("face", "")
    if face not in _FACES:
        raise LabelError(path, line, f"face is {face!r}; it must be visible, hidden or empty")
    # The server normalises ids in the same way.
    subject = unicodedata.normalize("NFC", fields.get("subject", ""))
    if _FACES[face] and not subject:
        raise LabelError(path, line, "is of a stranger whose face is hidden: that says nothing, leave it out")
    return Span(start, end, subject, _FACES[face], fields.get("presence", ""), _region(path, line, fields), line)


def _region(path: Path, line: int, fields: Mapping[str, str]) -> Region | None:
    if not any(fields.get(name) for name in _CORNERS):
        return None
    x1, y1, x2, y2 = (_number(path, line, name, fields.get(name, "")) for name in _CORNERS)
    if not (x1 < x2 and y1 < y2):
        raise LabelError(path, line, f"x1,y1,x2,y2 is {x1:g},{y1:g},{x2:g},{y2:g}: expected x1 < x2 and y1 < y2")
    return x1, y1, x2, y2


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= MOST_PIXELS:
        raise LabelError(path, line, f"{name} is {text!r}, no number" if text else f"{name} is empty")
    return number


def _need_one_place(path: Path, spans: Sequence[Span]) -> None:
    """Check that the spans of one subject do not overlap."""
    last: dict[str, Span] = {}
    for span in sorted(spans, key=lambda each: each.start):
        before = last.get(span.subject)
        if span.subject and before and span.start < before.end:
            raise LabelError(path, span.line, f"{span.subject} is there already: overlaps with line {before.line}")
        last[span.subject] = span
