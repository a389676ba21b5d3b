"""The figures of a shadow report, as rows of texts for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from facet.cli.people.options import utc
from facet.terminal.counts import counted
from facet.terminal.rendering import percent
from facet.terminal.visible import one_line
from facet.v1 import migrations_pb2 as pb
from facet.v1 import recognition_service_pb2 as recognition_pb

_BIN, _FIRST = 0.05, -1.0
"""The width of a bin of similarities, and where the first one begins."""
_BAR = 14
"""Cells of the longest bar."""

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Models:
    """How the two models of a report are called, and the least similarity of a match of each.

    Attributes:
        searching: the model that answered.
        other: the one that was compared with it.
        thresholds: of the two.
    """

    searching: str
    other: str
    thresholds: tuple[float, float]


def summary(report: pb.GetShadowReportResponse) -> list[Row]:
    """Return what was compared, and how often both decided the same."""
    rows: list[Row] = [("compared", counted(report.faces, "face"))]
    if report.dropped:
        rows.append(("dropped", f"{counted(report.dropped, 'identification')}: the server was busy, or they failed"))
    if report.not_embedded:
        without = f"{counted(report.not_embedded, 'face')} of people whom the other model does not have yet"
        rows.append(("not compared", without))
    if not report.faces:
        return rows
    rows.append(("since", f"{utc(report.since)} UTC"))
    interval = f"{percent(report.agreement_low)} to {percent(report.agreement_high)}"
    rows.append(("same decision", f"{percent(report.agreement)} of faces (95 % interval {interval})"))
    return [*rows, ("interval", f"over {counted(report.independent_faces, 'independent face')}")]


def decisions(report: pb.GetShadowReportResponse) -> list[Row]:
    """Return the table of decisions: a row for each decision of the model that answered."""
    both = f"{report.same_subject} the same, {report.different_subjects} another one"
    return [("somebody", both, str(report.only_serving)), ("nobody", str(report.only_shadow), str(report.both_unknown))]


def decision_columns(models: Models) -> Row:
    """Return the headings of the table of decisions."""
    return (f"{models.searching} says", f"{models.other} says somebody", f"{models.other} says nobody")


def similarities(report: pb.GetShadowReportResponse, thresholds: tuple[float, float]) -> list[Row]:
    """Return the thresholds, percentiles of the similarities, and what a face costs, a row for each."""
    serving, shadow = report.serving_similarity, report.shadow_similarity
    found: list[Row] = [("threshold", *(f"{each:.3f}" for each in thresholds))]
    found += [
        (name, f"{getattr(serving, field):.3f}", f"{getattr(shadow, field):.3f}")
        for name, field in (("mean", "mean"), ("5th percentile", "p5"), ("median", "p50"), ("95th percentile", "p95"))
    ]
    costs = report.serving_cost, report.shadow_cost
    found.append(("median ms to embed a face", *(f"{each.embed_ms:.1f}" for each in costs)))
    found.append(("median ms to search for it", *(f"{each.search_ms:.1f}" for each in costs)))
    return found


def histogram(report: pb.GetShadowReportResponse) -> list[Row]:
    """Return a row for each bin of similarities between the lowest and the highest, with a bar for each model."""
    columns = [report.serving_similarity.counts, report.shadow_similarity.counts]
    used = [place for counts in columns for place, count in enumerate(counts) if count]
    if not used:
        return []
    most = max(max(counts, default=0) for counts in columns)
    rows = []
    for place in range(min(used), max(used) + 1):
        low = _FIRST + place * _BIN
        bars = (_bar(counts[place] if place < len(counts) else 0, most) for counts in columns)
        rows.append((f"{low:.2f} to {low + _BIN:.2f}", *bars))
    return rows


def disagreements(found: Sequence[pb.ShadowDisagreement]) -> Iterator[Row]:
    """Yield a row for each disagreement: when, and what each model said."""
    for each in found:
        yield f"{utc(each.time)}", said(each.serving), said(each.shadow)


def said(found: recognition_pb.Identification) -> str:
    """Describe a decision: the subject with the similarity, or that it is nobody, and who came closest."""
    if not found.candidates:
        return "nobody"
    best = found.candidates[0]
    name = f"{one_line(best.display_name or best.subject_id)} {best.similarity:.3f}"
    return name if found.decision == recognition_pb.DECISION_MATCH else f"nobody ({name})"


def _bar(count: int, most: int) -> str:
    """Draw a count; one that is not 0 has a bar."""
    length = -(-_BAR * count // most)
    return f"{'█' * length} {count}" if count else ""
