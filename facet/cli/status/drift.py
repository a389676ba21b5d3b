"""How the errors and the drift of galleries are asked for and shown; see ``facet status --drift``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from facet import Client, InvalidArgument
from facet.cli.shared.terms import moment
from facet.terminal import console
from facet.terminal.counts import counted
from facet.terminal.rendering import percent
from facet.terminal.tables import number, table, whole
from facet.terminal.visible import one_line, visible
from facet.v1 import observations_pb2 as pb

ALL = "all"
"""Stands for all cameras and callers; sources have other names."""
_SEPARATOR = ".."
_NO_ESTIMATE = {
    "not calibrated": "no estimate: facet calibrate sets the threshold with evidence",
    "other similarities": "no estimate: the gallery changed since its calibration, facet calibrate it again",
}
_OTHER = "other"
_TOO_LITTLE = "too little reference"
_TOO_FEW = "too few faces"
_UNCLEAR = "unclear"
_UNCLEAR_MEANS = (
    "unclear: the counts do not tell the share, because enrolled people whose faces look like strangers' cannot be "
    "seen in them. facet evaluate canary and facet outcome measure it."
)
_NAME_CELLS: Final = 18
"""Cells in which the name of a source fits into one line, on a terminal of 80 columns."""
_SHARES: Final = ("unknown_share", "fpir", "fnir")
_TERMS = "FPIR: share of unknown people who match somebody. FNIR: share of enrolled people who match nobody."

Assessments = Mapping[str, pb.AssessGalleryResponse]
"""Answers by gallery."""
Span = tuple[datetime, datetime]


def read_span(text: str, where: str) -> Span | None:
    """Read a period, such as ``2026-11-01..2026-11-08``; ``None`` for an empty text."""
    if not text:
        return None
    begin, separator, end = text.partition(_SEPARATOR)
    if not separator:
        console.fail(f"{where}: {text!r} is no period: write FROM..TO, such as 2026-11-01..2026-11-08", console.USAGE)
    span = moment(begin, where), moment(end, where)
    if span[0] >= span[1]:
        console.fail(f"{where}: {text} ends before it begins", console.USAGE)
    return span


def assess(client: Client, gallery_ids: Sequence[str], reference: Span | None) -> Assessments:
    """Ask for the errors and the drift of galleries; of all that the caller may use if none is named.

    Raises:
        FacetError: the server refuses.
    """
    wanted = gallery_ids or [gallery.gallery_id for gallery in client.iter_galleries(page_size=1000)]
    since, until = reference or (None, None)
    return {
        each: client.assess_gallery(each, reference_since=since, reference_until=until, timeout=600) for each in wanted
    }


def accept(client: Client, gallery_id: str, source: str, start: datetime | None) -> str:
    """Begin a new reference period for a camera or caller, or for :data:`ALL`; say so in one line.

    Raises:
        FacetError: the server refuses.
    """
    try:
        begun = client.begin_reference_period(gallery_id, "" if source == ALL else source, start_time=start)
    except InvalidArgument as error:
        if "source" not in error.fields:
            raise
        console.fail(
            f"--accept {source}: {gallery_id} has no faces of such a camera or caller; "
            f"facet status --drift --gallery {gallery_id} lists them"
        )
    whose = "all cameras and callers" if source == ALL else source
    return f"new reference period of {whose} from {begun:%Y-%m-%d %H:%M} UTC"


def is_compared(source: pb.SourceAssessment) -> bool:
    """Whether the faces of a camera or caller are compared with a reference period."""
    return source.drift.alarm or not source.drift.not_compared


def compares_nothing(found: Assessments) -> bool:
    """Whether no camera or caller is compared, so that there can be no alarm."""
    return not any(is_compared(source) for answer in found.values() for source in answer.sources)


def has_alarm(found: Assessments) -> bool:
    """Whether the faces of a camera or caller have changed."""
    return any(source.drift.alarm for answer in found.values() for source in answer.sources)


def as_plain(found: Assessments) -> dict[str, Any]:
    """Convert the answers to JSON values."""
    return {
        "alarm": has_alarm(found),
        "compared_sources": sum(is_compared(source) for answer in found.values() for source in answer.sources),
        "galleries": [
            {
                "gallery_id": gallery_id,
                "threshold": round(answer.threshold, 4),
                "since": _iso(answer.since),
                "until": _iso(answer.until),
                "sources": [_plain_source(source) for source in answer.sources],
            }
            for gallery_id, answer in found.items()
        ],
    }


def rendered(found: Assessments, reference: Span | None = None) -> RenderableType:
    """Render the answers for a terminal.

    Args:
        found: the answers.
        reference: the reference period that the caller named, if any.
    """
    seen = {gallery_id: answer for gallery_id, answer in found.items() if answer.sources}
    if not seen:
        return Text("no faces were counted in the last day: monitoring.record must be on, and faces identified")
    tables = []
    notes: list[str] = []
    for gallery_id, answer in seen.items():
        names = [one_line(source.source) for source in answer.sources]
        whose = Column("camera or caller", overflow="fold", min_width=min(max(map(cell_len, names)), _NAME_CELLS))
        shares = map(whole, ("unknown", "FPIR", "FNIR"))
        rows = table(whose, number("faces"), *shares, "drift", title=one_line(gallery_id))
        tables.append(rows)
        for name, source in zip(names, answer.sources, strict=True):
            rows.add_row(
                name,
                str(source.faces),
                _share(source, "unknown_share"),
                _share(source, "fpir"),
                _share(source, "fnir"),
                _drift(source.drift),
            )
            notes += _notes(gallery_id, source, reference)
    if any(_is_unclear(source) for answer in seen.values() for source in answer.sources):
        notes.append(_UNCLEAR_MEANS)
    notes.append(_TERMS)
    return Group(*tables, *(Text(visible(note)) for note in dict.fromkeys(notes)))


def _notes(gallery_id: str, source: pb.SourceAssessment, reference: Span | None) -> list[str]:
    notes = []
    if source.no_estimate in _NO_ESTIMATE:
        notes.append(f"{gallery_id}: {_NO_ESTIMATE[source.no_estimate]}")
    if source.source == _OTHER:
        notes.append(f"{gallery_id}: other holds the cameras and callers beyond the first 40 of an hour")
    if source.undecoded:
        notes.append(
            f"{gallery_id}: {source.source} sent {counted(source.undecoded, 'picture')} that could not be decoded"
        )
    drift = source.drift
    if drift.not_compared == _TOO_LITTLE and reference:
        notes.append(
            f"{gallery_id}: {source.source} is not compared: --reference {reference[0]:%Y-%m-%dT%H:%M}.."
            f"{reference[1]:%Y-%m-%dT%H:%M} has {counted(drift.reference_faces, 'face')} of it, and a reference period "
            "needs 1500, in hours that are still kept: name another"
        )
    elif drift.not_compared == _TOO_LITTLE:
        notes.append(
            f"{gallery_id}: {source.source} is not compared yet. A reference period needs 7 days and 2000 faces, and "
            f"it has {drift.reference_faces}: wait, or name another with --reference FROM..TO (1500 faces, in hours "
            "that are still kept)"
        )
    if drift.not_compared == _TOO_FEW:
        notes.append(f"{gallery_id}: {source.source} is not compared yet: it takes 100 recent faces")
    if too_varied := [each.quantity.replace("_", " ") for each in drift.shifts if each.limit >= 1]:
        notes.append(
            f"{gallery_id}: {source.source} is not compared in {', '.join(too_varied)}: that varies too much in its "
            "reference period"
        )
    if drift.alarm:
        since = drift.alarm_since.ToDatetime(UTC)
        moved = [each for each in drift.shifts if each.moved]
        notes.append(f"{gallery_id}: {source.source} differs since {since:%Y-%m-%d %H:%M} UTC:")
        notes += [f"  {_words(each)}" for each in moved]
    return notes


def _is_unclear(source: pb.SourceAssessment) -> bool:
    return any(share.inconclusive for share in (source.unknown_share, source.fpir, source.fnir))


def _words(shift: pb.QuantityShift) -> str:
    way = "rose" if shift.rise > 0 else "fell"
    return f"{shift.quantity.replace('_', ' ')} {way}: {shift.distance:.2f} apart, {shift.limit:.2f} are usual"


def _share(source: pb.SourceAssessment, field: str) -> str:
    if not source.HasField(field):  # type: ignore[arg-type]  # one of three fields
        return "-"
    share: pb.ShareInterval = getattr(source, field)
    value = _UNCLEAR if share.inconclusive else percent(share.value)
    return f"{value}\n{_bare(share.low)} to {percent(share.high)}"


def _bare(share: float) -> str:
    return percent(share).removesuffix(" %")


def _drift(drift: pb.DriftAssessment) -> Text:
    if drift.not_compared:
        return Text(drift.not_compared)
    if not drift.alarm:
        return Text("none", "green")
    return Text(", ".join(each.quantity.replace("_", " ") for each in drift.shifts if each.moved), "bold red")


def _plain_source(source: pb.SourceAssessment) -> dict[str, Any]:
    drift = source.drift
    shares = {name: _plain_share(getattr(source, name)) if source.HasField(name) else None for name in _SHARES}
    return {
        "source": source.source,
        "faces": source.faces,
        "matches": source.matches,
        "refused": source.refused,
        "undecoded": source.undecoded,
        **shares,
        "no_estimate": source.no_estimate,
        "drift": {
            "alarm": drift.alarm,
            "alarm_since": _iso(drift.alarm_since) if drift.HasField("alarm_since") else None,
            "faces": drift.faces,
            "reference_faces": drift.reference_faces,
            "reference_since": _iso(drift.reference_since) if drift.HasField("reference_since") else None,
            "reference_until": _iso(drift.reference_until) if drift.HasField("reference_until") else None,
            "probability": drift.probability,
            "not_compared": drift.not_compared,
            "shifts": [
                {
                    "quantity": each.quantity,
                    "distance": round(each.distance, 4),
                    "limit": round(each.limit, 4),
                    "rise": round(each.rise, 4),
                    "probability": each.probability,
                    "moved": each.moved,
                }
                for each in drift.shifts
            ],
        },
    }


def _plain_share(share: pb.ShareInterval) -> dict[str, float | bool]:
    return {"value": share.value, "low": share.low, "high": share.high, "inconclusive": share.inconclusive}


def _iso(time: Timestamp) -> str:
    return time.ToDatetime(UTC).isoformat()
