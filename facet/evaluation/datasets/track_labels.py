"""Labels of a clip: whose face is to be seen, from when to when, and where."""

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
"""Seconds that labels may go on after the last frame, for rounding."""


@dataclass(frozen=True, slots=True)
class Span:
    """A line of the labels: somebody is in the picture.

    Attributes:
        start: seconds from the clip's start.
        end: the same; the first moment that is no longer part of it.
        subject: who it is; empty for a stranger.
        hidden: the face is not to be seen, so that nobody is asked to name it, though it is not wrong.
        presence: spans of one subject with the same word here are one presence; where it is empty the span is one of
            its own.
        region: where the middle of the face is, all the while; ``None`` for anywhere.
        line: of the file.
    """

    start: float
    end: float
    subject: str
    hidden: bool = False
    presence: str = ""
    region: Region | None = None
    line: int = 0

    def holds(self, time: float, tolerance: float = 0.0) -> bool:
        """Whether a moment is part of it, or no further from it than the tolerance, in seconds."""
        return self.start - tolerance <= time < self.end + tolerance


@dataclass(frozen=True, slots=True)
class Presence:
    """Somebody comes, is to be named, and goes.

    Attributes:
        subject: who.
        name: what the labels call it; may be empty.
        spans: by rising start; the first one in which the face is visible is when the subject is there to be named.
    """

    subject: str
    name: str
    spans: tuple[Span, ...]

    @property
    def start(self) -> float:
        """Since when the face is visible, seconds."""
        return next(span.start for span in self.spans if not span.hidden)

    @property
    def end(self) -> float:
        """When the subject is gone, seconds."""
        return max(span.end for span in self.spans)


def read_track_labels(path: Path) -> tuple[Span, ...]:
    """Read labels: a CSV file with the columns start, end, subject, others being optional or ignored.

    ``start`` and ``end`` are seconds. ``subject`` is whose face is visible; empty for a stranger's. ``face`` is
    "visible" (or empty) or "hidden": the subject is in the picture, turned away or covered. ``presence`` is a word that
    ties lines of one subject together. ``x1,y1,x2,y2`` are pixels that the middle of the face lies within. Lines that
    begin with # are comments.

    Raises:
        LabelError: a column is missing, a field is not what it should be, two lines of one subject overlap, or there
            are none: the message says where.
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
    """Make sure that no label is of a moment after the clip's end, in seconds.

    Raises:
        LabelError: one is; they are of another clip.
    """
    for span in spans:
        if span.end > end + _SLACK:
            raise LabelError(path, span.line, f"ends at {span.end:g} s, and the clip at {end:.3f} s: another clip?")


def of_enrolled(path: Path, spans: Iterable[Span], known: Collection[str], enrolled: Collection[str]) -> list[Span]:
    """The labels as they are for a gallery: who is not enrolled is a stranger.

    Args:
        path: the file of the labels.
        spans: its lines.
        known: subjects that there are pictures of.
        enrolled: those of them who are to be enrolled.

    Raises:
        LabelError: a subject is not known, so that its name may be misspelt.
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
    """The presences of all subjects by their starts; hidden spans alone are none."""
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
    # The server compares ids after this normalisation, and answers them so.
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
    """Nobody is in two places at a time."""
    last: dict[str, Span] = {}
    for span in sorted(spans, key=lambda each: each.start):
        before = last.get(span.subject)
        if span.subject and before and span.start < before.end:
            raise LabelError(path, span.line, f"{span.subject} is there already: overlaps with line {before.line}")
        last[span.subject] = span
