"""What a threshold will do, and why it cannot be relied on: a table and sentences for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from google.protobuf.json_format import ParseDict
from rich.table import Table

from facet.terminal.counts import counted
from facet.terminal.rendering import percent
from facet.terminal.tables import number, table, whole
from facet.v1 import gallery_service_pb2 as pb
from gallery.records.calibrations import fpir_at_size

_PREFIX = "UNRELIABLE_REASON_"
_WIDE = 2.0
"""How many times the target the upper end of the FPIR may be without a word."""
_KNOWN_SEARCHES = 10
"""The upper end of the 95 % interval of a share is below twice the share once it was seen this often."""


def from_metadata(metadata: Mapping[str, str]) -> pb.CalibrationForecast:
    """Read the forecast of a refused calibration from the metadata of the error."""
    names = [_PREFIX + name for name in metadata["reasons"].split()]
    known = [name for name in names if name in pb.UnreliableReason.keys()]  # noqa: SIM118 - it is no mapping
    return ParseDict({**metadata, "unreliable_reasons": known}, pb.CalibrationForecast(), ignore_unknown_fields=True)


def forecast_table(forecast: pb.CalibrationForecast, chosen: pb.Calibration | None, *, against_itself: bool) -> Table:
    """Make a table of the expected shares with their intervals.

    Args:
        forecast: the forecast.
        chosen: the calibration, which may be for a larger gallery; ``None`` if it was refused.
        against_itself: whether the gallery was the evidence.
    """
    rows = table("what the threshold will do", number("expected"), whole("95 % interval"))
    rows.add_row(
        "unknown people who match somebody (FPIR)", *_cells(forecast.fpir, forecast.fpir_low, forecast.fpir_high)
    )
    if chosen is not None and chosen.for_template_count != chosen.template_count:
        shares = (
            fpir_at_size(share, chosen.template_count, chosen.for_template_count)
            for share in (forecast.fpir, forecast.fpir_low, forecast.fpir_high)
        )
        rows.add_row(f"the same at {counted(chosen.for_template_count, 'template')}", *_cells(*shares))
    missed = "pictures of enrolled people missed (FNIR)"
    if forecast.HasField("fnir"):
        rows.add_row(missed, *_cells(forecast.fnir, forecast.fnir_low, forecast.fnir_high))
    else:
        rows.add_row(missed, "not known", "")
    whose = "people who seem to be enrolled twice or with wrong pictures"
    if not against_itself:
        whose = "people searched for who seem to be enrolled"
    affected = (forecast.contamination, forecast.contamination_low, forecast.contamination_high)
    rows.add_row(whose, *_cells(*(round(share, 4) for share in affected)))
    return rows


def sentences(forecast: pb.CalibrationForecast) -> Iterator[str]:
    """Yield what the forecast means for enrolled people, and what it was measured with."""
    if not forecast.HasField("fnir"):
        yield (
            "How many pictures of enrolled people match nobody is not known: enrol two or more pictures of some people."
        )
        return
    about, low, high = map(per_thousand, (forecast.fnir, forecast.fnir_low, forecast.fnir_high))
    yield f"Of 1000 pictures of enrolled people about {about} ({low} to {high}) match nobody."
    yield f"Compared with the others of the same person, {_own_missed(forecast)}{_left_out(forecast)}."


def reasons(forecast: pb.CalibrationForecast, threshold: float, *, against_itself: bool) -> Iterator[str]:
    """Yield a sentence for each reason why a threshold cannot be relied on.

    Args:
        forecast: the forecast.
        threshold: the threshold.
        against_itself: whether the gallery was the evidence.
    """
    for reason in forecast.unreliable_reasons:
        if reason == pb.UNRELIABLE_REASON_OWN_PICTURES_MISSED:
            yield f"It misses too many enrolled people: {_own_missed(forecast)}."
        elif reason == pb.UNRELIABLE_REASON_THRESHOLD_OUT_OF_RANGE:
            yield (
                f"Different people hardly ever reach a similarity of {threshold:.4f}, however many there are: the "
                "searches that decided it are not those of strangers."
            )
        elif reason == pb.UNRELIABLE_REASON_CONTAMINATED and against_itself:
            share = percent(forecast.contamination)
            yield (
                f"About {share} of the people seem to be enrolled under two ids or with wrong pictures. "
                "Relatives, and groups of people who look alike, may be among them."
            )
        elif reason == pb.UNRELIABLE_REASON_CONTAMINATED:
            share = percent(forecast.contamination)
            yield f"About {share} of the people searched for seem to be enrolled under another id."
        else:
            yield _uncertain(forecast)


def wide_interval(chosen: pb.Calibration) -> str:
    """Say how many strangers would narrow the interval of the FPIR; empty if it is narrow, or more would not help."""
    enough = math.ceil(_KNOWN_SEARCHES / chosen.target_fpir)
    if chosen.fpir_high <= _WIDE * chosen.target_fpir or chosen.identity_count >= enough:
        return ""
    return (
        f"The evidence is little: the FPIR may be up to {percent(chosen.fpir_high)}. Pictures of about {enough} "
        "strangers would narrow that to about twice the target."
    )


def per_thousand(share: float) -> str:
    """How many of a thousand a share is, with two digits below ten."""
    count = 1000 * share
    return f"{count:.0f}" if count >= 10 else f"{count:.2g}"


def _uncertain(forecast: pb.CalibrationForecast) -> str:
    """Say that the FPIR is not known well enough, and how many people would do, if only these are missing."""
    if not forecast.people_needed or pb.UNRELIABLE_REASON_CONTAMINATED in forecast.unreliable_reasons:
        return "The evidence is too little or too mixed: the FPIR may be far above the target."
    return (
        f"The evidence is too little: the FPIR may be up to {percent(forecast.fpir_high)}. "
        f"About {forecast.people_needed} people in the gallery would do."
    )


def _own_missed(forecast: pb.CalibrationForecast) -> str:
    compared = counted(forecast.own_search_count, "enrolled picture")
    said = f"{forecast.own_missed_count} of {compared} would be missed"
    if not forecast.own_missed_count:
        return said
    return f"{said} ({counted(forecast.own_missed_subject_count, 'person')})"


def _left_out(forecast: pb.CalibrationForecast) -> str:
    """Say why pictures are missed although the FNIR is 0."""
    if not forecast.own_missed_count or forecast.fnir:
        return ""
    seems, counts = ("it seems", "does") if forecast.own_missed_count == 1 else ("they seem", "do")
    return f"; {seems} to show somebody else and {counts} not count in the FNIR"


def _cells(value: float, low: float, high: float) -> tuple[str, str]:
    return percent(value), f"{percent(low)} to {percent(high)}"
