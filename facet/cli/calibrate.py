"""Set a gallery's threshold from evidence: so many unknown people may be taken for somebody, and no more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from facet import Client
from facet.cli.shared import choices, strangers
from facet.terminal import console
from facet.terminal.local_server import interrupted_by_sigterm
from facet.terminal.picture_files import Unsendable, most_bytes
from facet.terminal.rendering import as_dict, interval, percent
from facet.v1 import gallery_service_pb2 as pb
from gallery.calibration.thresholds import MOST_PASSED, OUTGROWN, at_size

SOURCES = {
    pb.CALIBRATION_SOURCE_PROBES: "pictures",
    pb.CALIBRATION_SOURCE_ITSELF: "the gallery against itself",
    pb.CALIBRATION_SOURCE_ITSELF_AND_COHORT: "the gallery against itself, and a cohort",
}
UNREADABLE = frozenset({"CANNOT_READ", "FILE_TOO_LARGE", "INVALID_PICTURE", "PICTURE_TOO_LARGE"})
"""Failures that say something of the files, not of the faces: no searches."""
_SHOWN = 20

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command()
def main(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    fpir: Annotated[float, typer.Option(help="The share of unknown people that may be taken for somebody.")] = 0.01,
    protocol: Annotated[
        Path | None,
        typer.Option(help="Pictures of a labelled set: a CSV with role, subject, image.", show_default=False),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="The folder of the CSV's images.", show_default=False)] = None,
    also_mated: Annotated[
        bool, typer.Option("--also-mated", help="Also the CSV's mated lines, their own subject left out.")
    ] = False,
    people: Annotated[
        Path | None,
        typer.Option("--strangers", help="Pictures of people: a folder with a folder a person.", show_default=False),
    ] = None,
    cohort: Annotated[str, typer.Option(help="Another gallery, of other people.", show_default=False)] = "",
    for_templates: Annotated[
        int, typer.Option(min=0, help="How many templates the gallery is to hold; 0: as many as now.")
    ] = 0,
    without_suspects: Annotated[
        bool,
        typer.Option(
            "--without-suspects", help="Leave out who comes closer than strangers do; see what is listed as such."
        ),
    ] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Go on without the files that cannot be read, or are too large.")
    ] = False,
    face: choices.Face = "central",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, change nothing.")] = False,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Set a gallery's threshold so that a share of unknown people is taken for somebody, and keep the evidence.

    The evidence are searches for people who are not there: pictures of strangers, or of a labelled set. A subject of
    the gallery may be among them, and is left out of its own search. Without pictures the gallery's people are searched
    for among each other. The more searches, the narrower the interval; an FPIR of 0.01 takes at least 100, of 50
    people. A picture without a face is a search that found nobody; a broken one is none, and is named.

    [b]Examples[/b]

      calibrate.py team --fpir 0.01 --strangers strangers/        strangers/NAME/picture.jpg
      calibrate.py team --protocol lfw.csv --images lfw/ --dry-run
      calibrate.py team --fpir 0.003 --for-templates 5000         against itself; the team is to grow
      calibrate.py team --cohort visitors                         against itself and another gallery

    Exit code: 0 done, 1 failed or some pictures were not readable, 2 bad usage.
    """
    if not 0 < fpir <= MOST_PASSED:
        raise typer.BadParameter(f"{fpir} is no share above 0 and up to {MOST_PASSED}", param_hint="--fpir")
    if sum(map(bool, (protocol, people, cohort))) > 1:
        raise typer.BadParameter("choose one of --protocol, --strangers and --cohort")
    if (protocol is None) != (images is None):
        raise typer.BadParameter("--protocol and --images go together")
    wanted = choices.parse(face)
    found: list[strangers.Stranger] = []
    if protocol is not None and images is not None:
        found = strangers.of_protocol(protocol, images, also_mated=also_mated)
    elif people is not None:
        found = strangers.of_folder(people)
    settings = pb.CalibrationSettings(
        cohort_gallery_id=cohort,
        data_set=(protocol or people or Path()).name,
        without_suspects=without_suspects,
        validate_only=dry_run,
        for_template_count=for_templates or None,
    )
    failures: Counter[str] = Counter()
    probes: strangers.Probes | None = None
    with console.connect(address, token, root_certificates) as client, interrupted_by_sigterm():
        before = client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery
        settings.etag = before.etag
        if found:
            most = most_bytes(client)
            found, failures = strangers.readable(found, most, skip_unreadable=skip_unreadable)
            probes = strangers.Probes(found, wanted, most)
        response = _calibrate(client, gallery, fpir, probes, settings)
    for number in response.unreadable_probes:
        console.err.print(f"{found[number].path}: no picture that can be read, not counted", soft_wrap=True)
    failures.update(response.failures)
    if as_json:
        console.print_json(as_dict(response) | {"failures": failures, "dry_run": dry_run})
    else:
        _report(response, failures, suspects_count=not without_suspects, dry_run=dry_run)
    raise typer.Exit(console.FAILED if UNREADABLE & failures.keys() else console.DONE)


def _calibrate(
    client: Client,
    gallery: str,
    fpir: float,
    probes: strangers.Probes | None,
    settings: pb.CalibrationSettings,
) -> pb.CalibrateGalleryResponse:
    fields = {field.name: value for field, value in settings.ListFields()}
    with console.progress("searching", len(probes or ())) as bar:

        def advance(sent: int) -> None:
            bar.update(bar.task_ids[0], completed=sent)

        try:
            return client.calibrate(gallery, fpir, probes, progress=advance, **fields)
        except Unsendable as error:
            console.fail(f"{error.reason}: {error.message}; nothing was changed")


def _report(
    response: pb.CalibrateGalleryResponse, failures: Mapping[str, int], *, suspects_count: bool, dry_run: bool
) -> None:
    chosen = response.gallery.calibration
    title = f"{response.gallery.gallery_id}: FPIR {percent(chosen.target_fpir)}"
    table = Table("", "", title=title, title_justify="left", show_header=False)
    table.add_row("threshold", f"{response.threshold_before:.4f} before, {chosen.threshold:.4f} {_now(dry_run)}")
    table.add_row("what it does", interval(chosen, chosen.template_count))
    if chosen.for_template_count != chosen.template_count:
        table.add_row("", interval(chosen, chosen.for_template_count))
    table.add_row("model of the tail", chosen.model)
    searched = f"{chosen.search_count} of {chosen.identity_count} people: {SOURCES[chosen.source]}"
    table.add_row("searches", f"{searched} {chosen.data_set}".rstrip())
    table.add_row("found nobody for want of a face", _said(failures.keys() - UNREADABLE, failures))
    table.add_row("could not be read, not counted", _said(failures.keys() & UNREADABLE, failures))
    table.add_row("suspects", str(response.suspect_count))
    console.out.print(table)
    if response.suspects:
        _print_suspects(response)
    _explain(response, suspects_count=suspects_count, dry_run=dry_run)


def _print_suspects(response: pb.CalibrateGalleryResponse) -> None:
    table = Table("searched for", "closest subject", "similarity", title="may be one person", title_justify="left")
    for suspect in response.suspects[:_SHOWN]:
        table.add_row(suspect.subject_id, suspect.other_subject_id, f"{suspect.similarity:.3f}")
    console.out.print(table)
    if response.suspect_count > _SHOWN:
        console.out.print(f"... and {response.suspect_count - _SHOWN} more")


def _explain(response: pb.CalibrateGalleryResponse, *, suspects_count: bool, dry_run: bool) -> None:
    chosen = response.gallery.calibration
    size = chosen.for_template_count
    about, low, high = (_of_thousand(value, chosen, size) for value in (chosen.fpir, chosen.fpir_low, chosen.fpir_high))
    console.out.print(
        f"of 1000 unknown people about {about} ({low} to {high}) are taken for somebody at {size} templates"
    )
    itself = chosen.source != pb.CALIBRATION_SOURCE_PROBES
    deciding = sum(suspect.similarity >= chosen.threshold for suspect in response.suspects)
    if deciding and suspects_count and not itself:
        console.out.print(
            f"searches of {deciding} suspects reach the threshold and count: look at their pictures; where they "
            "show somebody of the gallery, mend the labels, or say --without-suspects"
        )
    if itself and response.suspects:
        console.out.print("suspects did not count: where two are one person, enrol them under one id")
    if itself:
        console.out.print(
            "templates resemble each other a little more than pictures do: the threshold is on the safe side"
        )
    if dry_run:
        console.out.print("nothing was changed: say it again without --dry-run")
    else:
        console.out.print(f"calibrate again beyond {int(OUTGROWN * size)} templates, and after a change of the model")


def _said(reasons: Iterable[str], failures: Mapping[str, int]) -> str:
    return ", ".join(f"{failures[reason]} {reason}" for reason in sorted(reasons)) or "0"


def _of_thousand(share: float, chosen: pb.Calibration, templates: int) -> str:
    people = 1000 * at_size(share, chosen.template_count, templates)
    return f"{people:.0f}" if people >= 10 else f"{people:.2g}"


def _now(dry_run: bool) -> str:
    return "would be set" if dry_run else "now"
