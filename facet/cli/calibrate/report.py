"""What ``facet calibrate`` prints: the threshold and what it will do, or why it was not set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from rich.console import Console

from facet import FailedPrecondition
from facet.cli.calibrate import forecasts
from facet.terminal import console
from facet.terminal.command_line.program import spelled
from facet.terminal.connection import usual_address
from facet.terminal.counts import agreeing, counted
from facet.terminal.rendering import percent
from facet.terminal.tables import listing, number, table
from facet.v1 import gallery_service_pb2 as pb
from gallery.calibration.nonmated_searches import MAX_PROBES
from gallery.calibration.thresholds import MIN_PEOPLE
from gallery.records.calibrations import MAX_GROWTH, fpir_at_size

SOURCES = {
    pb.CALIBRATION_SOURCE_PROBES: "pictures",
    pb.CALIBRATION_SOURCE_ITSELF: "the gallery against itself",
    pb.CALIBRATION_SOURCE_ITSELF_AND_COHORT: "the gallery against itself and a cohort",
}
UNREADABLE = frozenset(
    {
        "CANNOT_READ",
        "FILE_TOO_LARGE",
        "INVALID_PICTURE",
        "PICTURE_TOO_LARGE",
        "PICTURE_TOO_SLOW",
        "NO_NAME",
        "AMBIGUOUS_NAME",
    }
)
"""Failures of the files, not of the faces: they do not count as searches."""
_MOST_SUSPECTS = 20
"""Suspects shown in the table."""
_WORTH_A_WORD = 0.01
"""The share of people who seem to be enrolled twice from which the report says who else may be among them."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, as far as the report depends on it.

    Attributes:
        gallery: the gallery.
        fpir: the target.
        against_itself: whether the gallery was the evidence.
        suspects_count: whether suspects among pictures count.
        dry_run: whether nothing should change.
        insists: whether an unreliable threshold should be set.
        address: the server.
        page: the page of suspects, if there is to be one.
        command: how the command is typed.
        model: the model whose threshold is chosen, if the gallery migrates; else empty.
    """

    gallery: str
    fpir: float
    against_itself: bool
    suspects_count: bool
    dry_run: bool
    insists: bool
    address: str
    page: Path | None
    command: str = "facet calibrate"
    model: str = ""


def print_answer(response: pb.CalibrateGalleryResponse, failures: Mapping[str, int], request: Request) -> None:
    """Print the threshold with its evidence and its forecast."""
    chosen = response.calibration
    rows = listing(f"{_whose(request)}: FPIR {percent(chosen.target_fpir)}")
    when = "would be set" if request.dry_run else "now"
    rows.add_row("threshold", f"{response.threshold_before:.4f} before, {chosen.threshold:.4f} {when}")
    rows.add_row("evidence", f"{SOURCES[chosen.source]} {chosen.data_set}".rstrip())
    rows.add_row(
        "searches", f"for {counted(chosen.search_count, 'picture')} of {counted(chosen.identity_count, 'person')}"
    )
    if not request.against_itself:
        rows.add_row("no face found", _counts(failures.keys() - UNREADABLE, failures))
        rows.add_row("not used", _counts(failures.keys() & UNREADABLE, failures))
    rows.add_row("suspects", _suspects(response, request))
    console.out.print(rows)
    console.out.print(forecasts.forecast_table(response.forecast, chosen, against_itself=request.against_itself))
    if response.suspects:
        _print_suspects(response, request.page)
    _explain(response, request)


def print_refusal(error: FailedPrecondition, threshold_before: float, request: Request) -> None:
    """Print on standard error what the threshold would do, why it was not set, and what helps."""
    forecast, threshold = forecasts.from_metadata(error.metadata), float(error.metadata["threshold"])
    console.err.print(forecasts.forecast_table(forecast, None, against_itself=request.against_itself))
    console.err.print(
        f"{error.reason}: the threshold of {_whose(request)} stays {threshold_before:.4f}. From this evidence it "
        f"would be {threshold:.4f}, which is unreliable:"
    )
    _print_unreliable(forecast, threshold, request, console.err)


def _print_suspects(response: pb.CalibrateGalleryResponse, page: Path | None) -> None:
    rows = table("probe", "closest subject", number("similarity"), number("chance"), title="may be the same person")
    for suspect in response.suspects[:_MOST_SUSPECTS]:
        cells = f"{suspect.similarity:.3f}", f"{suspect.chance:.3f}"
        rows.add_row(suspect.subject_id, suspect.other_subject_id, *cells)
    console.out.print(rows)
    if response.suspect_count > _MOST_SUSPECTS:
        console.out.print(f"... and {response.suspect_count - _MOST_SUSPECTS} more")
    if page is None:
        console.out.print("--page suspects.html shows their faces side by side")
    else:
        console.out.print(f"their faces side by side: {page}")


def _explain(response: pb.CalibrateGalleryResponse, request: Request) -> None:
    chosen = response.calibration
    size = chosen.for_template_count
    about, low, high = (
        forecasts.per_thousand(fpir_at_size(value, chosen.template_count, size))
        for value in (chosen.fpir, chosen.fpir_low, chosen.fpir_high)
    )
    console.out.print(
        f"Of 1000 unknown people about {about} ({low} to {high}) match somebody at {counted(size, 'template')}."
    )
    for sentence in forecasts.sentences(response.forecast):
        console.out.print(sentence)
    deciding = sum(suspect.similarity >= chosen.threshold for suspect in response.suspects)
    if deciding and request.suspects_count and not request.against_itself:
        reach, count = ("reaches", "counts") if deciding == 1 else ("reach", "count")
        console.out.print(
            f"The {agreeing(deciding, 'search')} of {counted(deciding, 'suspect')} {reach} the threshold and {count}. "
            "Look at their pictures: if they show somebody in the gallery, correct the labels, or use "
            "--without-suspects."
        )
    if not request.against_itself and (sentence := forecasts.wide_interval(chosen)):
        console.out.print(sentence)
    is_unreliable = bool(response.forecast.unreliable_reasons)
    if request.against_itself and not is_unreliable and response.forecast.contamination >= _WORTH_A_WORD:
        console.out.print(
            "Relatives, and groups of people who look alike, may be among those who seem to be enrolled twice."
        )
    if request.against_itself and response.suspects:
        console.out.print(
            "Suspects were left out. See who is one person and merge them, or tell them apart; then calibrate again. "
            "People who were told apart count as different people, so the threshold may rise:"
        )
        console.out.print(f"  {_duplicates_command(request)}")
    if is_unreliable:
        console.out.print("This threshold is unreliable:")
        _print_unreliable(response.forecast, chosen.threshold, request, console.out)
    if request.dry_run and is_unreliable and not request.insists:
        console.out.print("Nothing was changed. Without --dry-run this threshold is refused.")
    elif request.dry_run:
        console.out.print("Nothing was changed: repeat the command without --dry-run.")
    else:
        console.out.print(
            f"Calibrate again above {counted(int(MAX_GROWTH * size), 'template')}, and after a change of the embedding "
            "model."
        )


def _print_unreliable(forecast: pb.CalibrationForecast, threshold: float, request: Request, shown_on: Console) -> None:
    """Print why a threshold is unreliable, and commands that help; they work as they stand."""
    for sentence in forecasts.reasons(forecast, threshold, against_itself=request.against_itself):
        shown_on.print(f"- {sentence}")
    shown_on.print("What helps:")
    for command, what in _steps(request):
        shown_on.print(f"  {command}   # {what}")


def _steps(request: Request) -> Iterator[tuple[str, str]]:
    """Yield commands and options that help with an unreliable threshold, and what each does."""
    if request.against_itself:
        yield _duplicates_command(request), "finds people enrolled twice, and wrong pictures"
        strangers = f"{request.command} {quote(request.gallery)} --fpir {request.fpir:g} --strangers FOLDER"
        people = f"calibrates with pictures of at least {MIN_PEOPLE} people who are not enrolled"
        yield spelled(f"{strangers}{_where(request)}"), people
    if request.page is None:
        yield "the same with --dry-run --page suspects.html", "shows who may be one person, and changes nothing"
    if not request.against_itself and request.suspects_count:
        yield "the same with --without-suspects", "leaves out people who seem to be enrolled"
    if not request.insists:
        yield "the same with --insist", "sets this threshold anyway"


def _duplicates_command(request: Request) -> str:
    return spelled(f"facet gallery duplicates {quote(request.gallery)} --page duplicates.html{_where(request)}")


def _whose(request: Request) -> str:
    """Whose threshold it is: the gallery's, or that of one of its two models."""
    return f"{request.gallery}, {request.model}" if request.model else request.gallery


def _where(request: Request) -> str:
    """The option that names the server; empty for the one that commands ask anyway."""
    return "" if request.address == usual_address() else f" --address {quote(request.address)}"


def _suspects(response: pb.CalibrateGalleryResponse, request: Request) -> str:
    """How many suspects there are, and what they mean for the searches."""
    if not response.suspect_count:
        return "0"
    said = f"{counted(response.suspect_count, 'pair')} of people who may be one person"
    if request.suspects_count and not request.against_itself:
        return f"{said}; they count"
    total = response.gallery.template_count
    left_out = total - response.calibration.search_count
    is_all_searched = response.calibration.source == pb.CALIBRATION_SOURCE_ITSELF and total <= MAX_PROBES
    if not is_all_searched or left_out <= 0:
        return f"{said}; the pictures that show them are left out"
    which = f"{left_out} of the gallery's {counted(total, 'picture')}"
    return f"{said}; {which} show them and {agreeing(left_out, 'is')} left out"


def _counts(reasons: Iterable[str], failures: Mapping[str, int]) -> str:
    return ", ".join(f"{failures[reason]} {reason}" for reason in sorted(reasons)) or "0"
