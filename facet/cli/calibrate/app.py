"""``facet calibrate``: set a gallery's threshold for a target FPIR, from evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from facet import Client, FailedPrecondition
from facet.cli.calibrate import forecasts
from facet.cli.calibrate.report import UNREADABLE, Request, print_answer, print_refusal
from facet.cli.calibrate.suspects import write_page
from facet.cli.shared import choices, probes
from facet.terminal import console
from facet.terminal.connection import Connection
from facet.terminal.help import Command
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.option_groups import grouped_options
from facet.terminal.pictures.files import Unsendable, most_bytes
from facet.terminal.rendering import as_dict
from facet.v1 import gallery_service_pb2 as pb
from gallery.calibration.thresholds import MAX_TARGET_FPIR

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(cls=Command)
@grouped_options
def main(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    fpir: Annotated[
        float, typer.Option(help="Target FPIR: the share of unknown people that may match somebody.")
    ] = 0.01,
    protocol: Annotated[
        Path | None,
        typer.Option(help="Pictures of a labelled set: a CSV with role, subject, image.", show_default=False),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="The folder of the CSV's images.", show_default=False)] = None,
    also_mated: Annotated[
        bool, typer.Option("--also-mated", help="Include the CSV's mated lines; a search leaves out its own subject.")
    ] = False,
    people: Annotated[
        Path | None,
        typer.Option(
            "--strangers",
            help="Pictures of unknown people: a folder with NAME/picture.jpg or NAME.jpg.",
            show_default=False,
        ),
    ] = None,
    cohort: Annotated[str, typer.Option(help="Another gallery, of other people.", show_default=False)] = "",
    for_templates: Annotated[
        int, typer.Option(min=0, help="Calibrate for a gallery of this many templates; 0: as many as now.")
    ] = 0,
    without_suspects: Annotated[
        bool,
        typer.Option(
            "--without-suspects",
            help="Leave out suspects: probes so similar to a subject that they may show the same person. They are "
            "listed either way.",
        ),
    ] = False,
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Continue without files that cannot be read, are too large, or do not say whom they show.",
        ),
    ] = False,
    face: choices.Face = "central",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure and say what the threshold will do; change nothing.")
    ] = False,
    insist: Annotated[
        bool, typer.Option("--insist", help="Set the threshold although it would be unreliable.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(help="Write a page (HTML) that shows the faces of the suspects side by side.", show_default=False),
    ] = None,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Set a gallery's threshold so that unknown people match at a chosen rate, and keep the evidence.

    The evidence is nonmated searches: pictures of unknown people, or of a labelled set. A picture of one of the
    gallery's own subjects may be among them; its search leaves that subject out. Without pictures, the gallery's people
    are searched for among each other and, with [b]--cohort[/b], in another gallery. More searches make the interval
    narrower. A target FPIR of 0.01 needs at least 100 pictures, of 50 people, or about 250 people in the gallery where
    it is calibrated without pictures. A picture without a face counts as a search without a match. An unreadable file
    does not count, and is reported.

    The command says what the threshold will do: how many unknown people match (FPIR), how many pictures of enrolled
    people match nobody (FNIR, measured with the gallery's own pictures), and how many people seem to be enrolled twice
    or with wrong pictures. A threshold that is unreliable is not set, unless you [b]--insist[/b].

    [b]Examples[/b]

      facet calibrate team --fpir 0.01 --strangers strangers/
      facet calibrate team --protocol lfw.csv --images lfw/ --dry-run
      facet calibrate team --fpir 0.003 --for-templates 5000
      facet calibrate team --cohort visitors
      facet calibrate team --dry-run --page suspects.html

    Exit code: 0 success, 1 failure, an unreliable threshold or unreadable pictures, 2 bad usage.
    """
    if not 0 < fpir <= MAX_TARGET_FPIR:
        raise typer.BadParameter(f"{fpir} must be above 0 and at most {MAX_TARGET_FPIR}", param_hint="--fpir")
    if sum(map(bool, (protocol, people, cohort))) > 1:
        raise typer.BadParameter("choose one of --protocol, --strangers and --cohort")
    if (protocol is None) != (images is None):
        raise typer.BadParameter("--protocol and --images go together")
    if page is not None and not page.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {page.parent}", param_hint="--page")
    choice = choices.parse(face)
    found: list[probes.Probe] = []
    failures: Counter[str] = Counter()
    if protocol is not None and images is not None:
        found = probes.in_protocol(protocol, images, also_mated=also_mated)
    elif people is not None:
        found, failures = probes.in_folder(people, skip_unclear=skip_unreadable)
    settings = pb.CalibrationSettings(
        cohort_gallery_id=cohort,
        data_set=(protocol or people or Path()).name,
        without_suspects=without_suspects,
        validate_only=dry_run,
        insist=insist,
        for_template_count=for_templates or None,
    )
    request = Request(
        gallery,
        fpir,
        against_itself=not (protocol or people),
        suspects_count=not without_suspects,
        dry_run=dry_run,
        insists=insist,
        address=connection.address,
        page=page,
    )
    messages: probes.ProbeMessages | None = None
    with (
        connection.open() as client,
        interrupted_by_sigterm(),
        console.telling_when_stopped(lambda: "the threshold is as it was, unless the server had just finished"),
    ):
        before = client.get_gallery(gallery)
        settings.etag = before.etag
        if found:
            most = most_bytes(client)
            found, unreadable = probes.readable(found, most, skip_unreadable=skip_unreadable)
            failures += unreadable
            messages = probes.ProbeMessages(found, choice, most)
        try:
            response = _calibrate(client, gallery, fpir, messages, settings)
        except FailedPrecondition as error:
            _report_refusal(error, before, request, as_json=as_json)
            if page is not None:
                settings.validate_only = True  # the error has no suspects, the answer to a dry run has
                shown = _calibrate(client, gallery, fpir, messages, settings)
                if _write_page(page, client, request, shown, found):
                    console.err.print(f"the faces of suspects side by side: {page}")
            raise typer.Exit(console.FAILED) from None
        written = page is None or _write_page(page, client, request, response, found)
    for position in response.unreadable_probes:
        console.err.print(f"{found[position].path}: not a readable picture, not counted")
    failures.update(response.failures)
    if as_json:
        console.print_json(as_dict(response) | {"failures": failures, "dry_run": dry_run})
    else:
        print_answer(response, failures, request)
    raise typer.Exit(console.FAILED if UNREADABLE & failures.keys() or not written else console.DONE)


def _calibrate(
    client: Client,
    gallery: str,
    fpir: float,
    messages: probes.ProbeMessages | None,
    settings: pb.CalibrationSettings,
) -> pb.CalibrateGalleryResponse:
    fields = {field.name: value for field, value in settings.ListFields()}
    with console.progress("searching", len(messages or ())) as bar:

        def advance(sent: int) -> None:
            bar.update(bar.task_ids[0], completed=sent)

        try:
            return client.calibrate(gallery, fpir, messages, progress=advance, **fields)
        except Unsendable as error:
            console.fail(f"{error.reason}: {error.message}; nothing was changed")


def _write_page(
    page: Path, client: Client, request: Request, response: pb.CalibrateGalleryResponse, found: list[probes.Probe]
) -> bool:
    """Write the page of suspects; the threshold is decided by now, so a failure is only reported."""
    try:
        write_page(page, client, request, response, found)
    except OSError as error:
        console.err.print(f"cannot write {page}: {error.strerror}")
        return False
    return True


def _report_refusal(error: FailedPrecondition, before: pb.Gallery, request: Request, *, as_json: bool) -> None:
    """Say why the threshold is unreliable, and what to do; exits if there is none."""
    if error.reason == "TOO_FEW_SEARCHES":
        console.fail(f"{error.reason}: {error.message}. {_more_searches(error.metadata)}")
    if error.reason != "CALIBRATION_UNRELIABLE":
        raise error
    if as_json:
        forecast = as_dict(forecasts.from_metadata(error.metadata))
        refused = {"reason": error.reason, "threshold": float(error.metadata["threshold"]), "forecast": forecast}
        console.print_json({"refused": refused, "dry_run": False})
        console.err.print(f"{error.reason}: {error.message}")
    else:
        print_refusal(error, before, request)


def _more_searches(counts: Mapping[str, str]) -> str:
    """What to do if there are too few searches, from the error's metadata."""
    return (
        f"Use --strangers FOLDER with at least {counts['needed']} pictures of at least {counts['people_needed']} "
        "people who are not enrolled, or search for other people with --cohort GALLERY"
    )
