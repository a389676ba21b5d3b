"""``facet calibrate``: set a gallery's threshold for a target FPIR, from evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from facet import Client, FailedPrecondition
from facet.cli.shared import choices, probes
from facet.terminal import console
from facet.terminal.counts import counted
from facet.terminal.help import Command
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.pictures.files import Unsendable, most_bytes
from facet.terminal.rendering import as_dict, interval, percent
from facet.terminal.tables import listing, number, table
from facet.v1 import gallery_service_pb2 as pb
from gallery.calibration.thresholds import MAX_TARGET_FPIR
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

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command(cls=Command)
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, change nothing.")] = False,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    client_certificate: console.ClientCertificate = None,
    client_key: console.ClientKey = None,
    as_json: console.AsJson = False,
) -> None:
    """Set a gallery's threshold so that unknown people match at a chosen rate, and keep the evidence.

    The evidence is nonmated searches: pictures of unknown people, or of a labelled set. A picture of one of the
    gallery's own subjects may be among them; its search leaves that subject out. Without pictures, the gallery's people
    are searched for among each other and, with [b]--cohort[/b], in another gallery. More searches make the interval
    narrower. A target FPIR of 0.01 needs at least 100 searches, of 50 people. A picture without a face counts as a
    search without a match. An unreadable file does not count, and is reported.

    [b]Examples[/b]

      facet calibrate team --fpir 0.01 --strangers strangers/
      facet calibrate team --protocol lfw.csv --images lfw/ --dry-run
      facet calibrate team --fpir 0.003 --for-templates 5000
      facet calibrate team --cohort visitors

    Exit code: 0 success, 1 failure or unreadable pictures, 2 bad usage.
    """
    if not 0 < fpir <= MAX_TARGET_FPIR:
        raise typer.BadParameter(f"{fpir} must be above 0 and at most {MAX_TARGET_FPIR}", param_hint="--fpir")
    if sum(map(bool, (protocol, people, cohort))) > 1:
        raise typer.BadParameter("choose one of --protocol, --strangers and --cohort")
    if (protocol is None) != (images is None):
        raise typer.BadParameter("--protocol and --images go together")
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
        for_template_count=for_templates or None,
    )
    messages: probes.ProbeMessages | None = None
    with (
        console.connect(address, token, root_certificates, client_certificate, client_key) as client,
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
        response = _calibrate(client, gallery, fpir, messages, settings)
    for position in response.unreadable_probes:
        console.err.print(f"{found[position].path}: not a readable picture, not counted")
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
        except FailedPrecondition as error:
            if error.reason != "TOO_FEW_SEARCHES":
                raise
            console.fail(f"{error.reason}: {error.message}. {_more_searches(error.metadata)}")


def _more_searches(counts: Mapping[str, str]) -> str:
    """What to do if there are too few searches, from the error's metadata."""
    return (
        f"Use --strangers FOLDER with at least {counts['needed']} pictures of at least {counts['people_needed']} "
        "people who are not enrolled, or search for other people with --cohort GALLERY"
    )


def _report(
    response: pb.CalibrateGalleryResponse, failures: Mapping[str, int], *, suspects_count: bool, dry_run: bool
) -> None:
    chosen = response.gallery.calibration
    rows = listing(f"{response.gallery.gallery_id}: FPIR {percent(chosen.target_fpir)}")
    when = "would be set" if dry_run else "now"
    rows.add_row("threshold", f"{response.threshold_before:.4f} before, {chosen.threshold:.4f} {when}")
    rows.add_row("effect", interval(chosen, chosen.template_count))
    if chosen.for_template_count != chosen.template_count:
        rows.add_row("", interval(chosen, chosen.for_template_count))
    rows.add_row("tail model", chosen.model)
    searched = f"{chosen.search_count} of {counted(chosen.identity_count, 'person')}: {SOURCES[chosen.source]}"
    rows.add_row("searches", f"{searched} {chosen.data_set}".rstrip())
    rows.add_row("no face found", _counts(failures.keys() - UNREADABLE, failures))
    rows.add_row("not used", _counts(failures.keys() & UNREADABLE, failures))
    rows.add_row("suspects", str(response.suspect_count))
    console.out.print(rows)
    if response.suspects:
        _print_suspects(response)
    _explain(response, suspects_count=suspects_count, dry_run=dry_run)


def _print_suspects(response: pb.CalibrateGalleryResponse) -> None:
    rows = table("probe", "closest subject", number("similarity"), title="may be the same person")
    for suspect in response.suspects[:_MOST_SUSPECTS]:
        rows.add_row(suspect.subject_id, suspect.other_subject_id, f"{suspect.similarity:.3f}")
    console.out.print(rows)
    if response.suspect_count > _MOST_SUSPECTS:
        console.out.print(f"... and {response.suspect_count - _MOST_SUSPECTS} more")


def _explain(response: pb.CalibrateGalleryResponse, *, suspects_count: bool, dry_run: bool) -> None:
    chosen = response.gallery.calibration
    size = chosen.for_template_count
    about, low, high = (
        _per_thousand(value, chosen, size) for value in (chosen.fpir, chosen.fpir_low, chosen.fpir_high)
    )
    console.out.print(
        f"Of 1000 unknown people about {about} ({low} to {high}) match somebody at {counted(size, 'template')}."
    )
    against_itself = chosen.source != pb.CALIBRATION_SOURCE_PROBES
    deciding = sum(suspect.similarity >= chosen.threshold for suspect in response.suspects)
    if deciding and suspects_count and not against_itself:
        console.out.print(
            f"The searches of {counted(deciding, 'suspect')} reach the threshold and count. Look at their pictures: if "
            "they show somebody in the gallery, correct the labels, or use --without-suspects."
        )
    if against_itself and response.suspects:
        console.out.print("Suspects did not count. If two of them are one person, enrol them under one id.")
    if against_itself:
        console.out.print(
            "Templates resemble each other slightly more than new pictures do, so the threshold is on the safe side."
        )
    if dry_run:
        console.out.print("Nothing was changed: repeat the command without --dry-run.")
    else:
        console.out.print(
            f"Calibrate again above {counted(int(MAX_GROWTH * size), 'template')}, and after a change of the embedding "
            "model."
        )


def _counts(reasons: Iterable[str], failures: Mapping[str, int]) -> str:
    return ", ".join(f"{failures[reason]} {reason}" for reason in sorted(reasons)) or "0"


def _per_thousand(share: float, chosen: pb.Calibration, templates: int) -> str:
    people = 1000 * fpir_at_size(share, chosen.template_count, templates)
    return f"{people:.0f}" if people >= 10 else f"{people:.2g}"
