"""``facet evaluate identification``: who is in a picture, if anybody known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from facet import AsyncClient
from facet.cli.evaluate.shared import by_group
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import (
    AllowUnknownSubjects,
    Groups,
    Mistakes,
    ReportFolder,
    Require,
    Rotate,
    Seed,
)
from facet.cli.evaluate.shared.output import Row, shown, stacked
from facet.cli.evaluate.shared.run import Advance
from facet.cli.evaluate.shared.search_set import GalleryFolder, ProbesFolder, ProtocolFile, ProtocolImages, read_set
from facet.evaluation.groups.report import figure_names
from facet.evaluation.identification.report import FPIRS, IdentificationReport
from facet.evaluation.identification.run import IdentificationRun, run_identification
from facet.evaluation.identification.subgalleries import TARGET_FPIR
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.provenance import data_set, provenance
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.console import AsJson


@grouped_options
def identification(
    protocol: ProtocolFile = None,
    images: ProtocolImages = None,
    gallery: GalleryFolder = None,
    probes: ProbesFolder = None,
    max_templates: Annotated[
        int | None, typer.Option(min=1, help="Enrol at most this many pictures of a subject.", show_default=False)
    ] = None,
    groups: Groups = None,
    allow_unknown_subjects: AllowUnknownSubjects = False,
    *,
    target: running.Target,
    accept_low_quality: Annotated[
        bool,
        typer.Option(
            "--accept-low-quality/--refuse-low-quality",
            help="Enrol faces that are too small, dark, noisy, overexposed, blurred, covered, turned away, or "
            "a negative; or refuse them.",
        ),
    ] = True,
    accept_lookalike: Annotated[
        bool,
        typer.Option(
            "--accept-lookalike/--refuse-lookalike",
            help="Enrol faces that look like another subject, or unlike their own, or refuse them.",
        ),
    ] = True,
    seed: Seed = 0,
    rotate: Rotate = "0",
    mistakes: Mistakes = 10,
    report: ReportFolder = None,
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """Who is it, and is it anybody? Open-set identification in a temporary gallery.

    Everybody in the protocol is enrolled and searched for. A mated probe that is refused or not found counts as missed.

    [b]Examples[/b]

      facet evaluate identification --protocol lfw.csv --images lfw/ --report out/
      facet evaluate identification --gallery people/ --probes photos/
      facet evaluate identification --gallery a/ --probes b/ --groups ages.csv

    Exit code: 0 done, 1 something failed or a [b]--require[/b] is not met, 2 bad usage.
    """
    labelled = running.labels(lambda: read_set(protocol, images, gallery, probes))
    attributes = by_group.read(
        groups, {entry.subject for entry in (*labelled.gallery, *labelled.probes)}, allow_unknown_subjects
    )
    out = results.output(
        "identification", as_json, report, require, by_group=figure_names("identification", attributes)
    )
    pictures = {entry.image: entry.path for entry in (*labelled.gallery, *labelled.probes)}
    data = running.labels(lambda: data_set(protocol, pictures))
    labelled = labelled.at_most(max_templates)

    async def measure(client: AsyncClient, advance: Advance) -> IdentificationRun:
        return await run_identification(
            client,
            labelled,
            accept_low_quality=accept_low_quality,
            accept_lookalike=accept_lookalike,
            rotate=int(rotate),
            advance=advance,
        )

    done = running.measured(target, "Identifying", len(labelled.gallery) + len(labelled.probes), measure)
    flags = {
        "accept_low_quality": accept_low_quality,
        "accept_lookalike": accept_lookalike,
        "max_templates": max_templates,
        "rotate": int(rotate),
        **by_group.provenance_of(groups),
    }
    built = IdentificationReport(labelled, done.run, seed=seed)
    grouped = built.groups(attributes)
    results.finish(
        document(
            "identification",
            built.figures() | grouped.figures,
            stopped=done.run.stopped,
            curves=built.curves(),
            tables=built.tables(),
            mistakes=built.mistakes(mistakes),
            refused=built.refused(),
            items=built.items(),
            groups=grouped.sections,
            provenance=provenance(done.info, data=data, configuration=flags, seed=seed),
            times=done.times,
        ),
        out,
        pictures,
        _show,
        problems=results.left_behind(done.run.left_behind),
    )


def _show(report: Report) -> None:
    results.print_figures("Identification", _rows(report))
    for each in report["not_enrolled"]:
        console.out.print(f"not enrolled: {each['image']}: {each['reason']}")
    _print_sizes(report)
    _print_templates(report)
    by_group.show(report)
    if any(report["mistakes"].values()):
        _print_mistakes(report)


def _rows(report: Report) -> Iterator[Row]:
    mated, nonmated = report["mated"], report["nonmated"]
    yield "rank_1", shown(report["rank_1"]), f"of {mated} mated probes have the right subject as best candidate"
    for k in (5, 10):
        yield f"rank_{k}", shown(report[f"rank_{k}"]), f"have the right subject among the best {k}"
    for fpir in FPIRS:
        name, meaning = f"fnir@fpir={fpir}", f"mated probes missed if {fpir:.1%} of {nonmated} unknown people "
        yield name, shown(report[name]), report[name].get("note") or f"{meaning}match somebody"
        name = f"threshold@fpir={fpir}"
        yield name, shown(report[name], 3), "the similarity threshold with this FPIR"
    yield "deployed_threshold", shown(report["deployed_threshold"], 3), "the server's threshold, with which:"
    for name, meaning in (
        ("fpir", "of the unknown people match somebody"),
        ("fnir", "of the mated probes are missed"),
        ("precision", "of the matches name the right subject"),
        ("recall", "of the mated probes are identified"),
        ("f1", "harmonic mean of precision and recall"),
    ):
        yield f"  {name}", shown(report[name]), report[name].get("note") or meaning
    failed = report["failed_to_search"]
    yield "failed_to_detect", str(report["failed_to_detect"]), "probes in which no face was found; missed if mated"
    yield "failed_to_search", str(failed), "probes that could not be searched, including these"
    yield (
        "failed_to_enroll",
        str(report["failed_to_enroll"]),
        f"of {report['gallery']} pictures; {report['subjects_not_enrolled']} subjects have none and are missed",
    )
    yield "gallery", str(report["gallery"]), f"pictures of {report['subjects']} subjects"
    yield "mated", str(mated), "probes of subjects who are in the gallery"
    yield "nonmated", str(nonmated), "probes of people who are not"
    if also := report["probes_also_enrolled"]:
        yield "probes_also_enrolled", str(also), "probes that are also enrolled, which flatters the figures"
    yield "seconds", str(report["times"]["seconds"]), "in total"


def _print_sizes(report: Report) -> None:
    table = tables.table(
        *("subjects", "fpir", "if independent", "fnir", f"fnir@fpir={TARGET_FPIR}", "beyond"),
        title="Error by gallery size: random parts of this gallery, at the deployed threshold",
    )
    for row in report["tables"]["by_gallery_size"]:
        table.add_row(
            str(row["subjects"]),
            stacked(row["fpir"]),
            stacked(row["fpir_if_independent"]),
            stacked(row["fnir"]),
            stacked(row[f"fnir@fpir={TARGET_FPIR}"]),
            stacked(row["beyond"]),
        )
    console.out.print(table)


def _print_templates(report: Report) -> None:
    table = tables.table(
        *("templates", "subjects", "probes", "rank_1", "fnir", f"fnir@fpir={TARGET_FPIR}"),
        title="Error by templates per subject",
    )
    for row in report["tables"]["by_templates"]:
        figures = [stacked(row[name]) for name in ("rank_1", "fnir", f"fnir@fpir={TARGET_FPIR}")]
        table.add_row(row["templates"], str(row["subjects"]), str(row["probes"]), *figures)
    console.out.print(table)


def _print_mistakes(report: Report) -> None:
    table = tables.table(
        "mistake", "probe", "who it is", "best candidate", "similarity", "its picture", title="The worst mistakes"
    )
    for kind, name in (
        ("false_positives", "false positive"),
        ("wrong_subjects", "wrong subject"),
        ("misses", "miss"),
    ):
        for each in report["mistakes"][kind]:
            candidate = each["candidate"] or each["failure"] or "-"
            similarity = shown(each["similarity"], 3)
            picture, other = tables.Shortened(each["image"]), tables.Shortened(each["candidate_image"] or "-")
            table.add_row(name, picture, each["subject"], candidate, similarity, other)
    console.out.print(table)
