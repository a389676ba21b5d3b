"""``facet evaluate verification``: whether two pictures show one person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from facet import AsyncClient
from facet.cli.evaluate.shared import by_group
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import (
    AllowUnknownSubjects,
    Groups,
    Images,
    Mistakes,
    ReportFolder,
    Require,
    Rotate,
    Seed,
)
from facet.cli.evaluate.shared.output import Row, shown
from facet.cli.evaluate.shared.run import Advance
from facet.evaluation.datasets.pairs import read_pairs
from facet.evaluation.groups.report import figure_names
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.provenance import data_set, provenance
from facet.evaluation.verification.figures import FARS, far_name
from facet.evaluation.verification.report import VerificationReport
from facet.evaluation.verification.run import TOLERANCE, VerificationRun, run_verification, step_count
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.console import AsJson


@grouped_options
def verification(
    pairs: Annotated[
        Path,
        typer.Option(
            help="CSV with the columns image_a, image_b, same (1 or 0), and optionally fold, subject_a, subject_b; or "
            "LFW's pairs.txt.",
            show_default=False,
        ),
    ],
    images: Images,
    rotate: Rotate = "0",
    groups: Groups = None,
    allow_unknown_subjects: AllowUnknownSubjects = False,
    *,
    target: running.Target,
    mistakes: Mistakes = 10,
    seed: Seed = 0,
    report: ReportFolder = None,
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """Do two pictures show one person? Accuracy, ROC and DET over labelled pairs, compared as Verify does.

    The face of a picture is its central one. A pair counts as rejected if one of its pictures shows no face.

    [b]Examples[/b]

      facet evaluate verification --pairs pairs.txt --images lfw/ --report out/
      facet evaluate verification --pairs p.txt --images lfw/ --groups ages.csv

    Exit code: 0 done, 1 something failed or a [b]--require[/b] is not met, 2 bad usage.
    """
    labelled = running.labels(lambda: read_pairs(pairs, images))
    attributes = by_group.read(groups, labelled.subjects, allow_unknown_subjects)
    out = results.output("verification", as_json, report, require, by_group=figure_names("verification", attributes))
    pictures = {name: images / name for name in labelled.images}
    data = running.labels(lambda: data_set(pairs, pictures))

    async def measure(client: AsyncClient, advance: Advance) -> VerificationRun:
        return await run_verification(client, labelled, images, rotate=int(rotate), advance=advance)

    done = running.measured(target, "Comparing", step_count(labelled), measure)
    run = done.run
    threshold = np.float32(done.info.verification_threshold)
    parts = VerificationReport(labelled, run, threshold=threshold, seed=seed)
    grouped = parts.groups(attributes)
    flags = {"face": "central", "rotate": int(rotate), **by_group.provenance_of(groups)}
    built = document(
        "verification",
        parts.figures() | grouped.figures,
        stopped=run.stopped,
        curves=parts.curves(),
        tables=parts.tables(),
        mistakes=parts.mistakes(mistakes),
        refused=parts.refused(),
        items=parts.items(),
        groups=grouped.sections,
        provenance=provenance(done.info, data=data, configuration=flags, seed=seed),
        times=done.times,
    )
    results.finish(built, out, pictures, _show, problems=_differing(run))


def _differing(run: VerificationRun) -> Iterator[str]:
    if run.max_difference > TOLERANCE:
        yield (
            f"Verify's similarities differ by up to {run.max_difference:.2g} from those of the embeddings: "
            "these figures are not those of Verify"
        )


def _show(report: Report) -> None:
    results.print_figures("Verification", _rows(report))
    by_group.show(report)
    if not any(report["mistakes"].values()):
        return
    table = tables.table("mistake", "picture", "other picture", "similarity", title="The worst mistakes")
    for kind, name in (("false_matches", "false match"), ("misses", "miss")):
        for each in report["mistakes"][kind]:
            pictures = (tables.Shortened(each[image]) for image in ("image_a", "image_b"))
            table.add_row(name, *pictures, each["failure"] or shown(each["similarity"], 3))
    console.out.print(table)


def _rows(report: Report) -> Iterator[Row]:
    folds = len(report["tables"]["folds"])
    yield (
        "accuracy",
        shown(report["accuracy"]),
        f"right decisions; the threshold of each of {folds} folds is chosen on the others",
    )
    yield "accuracy_std", shown(report["accuracy_std"]), "standard deviation over the folds"
    yield "auc", shown(report["auc"], 5), "chance that a pair of one person scores higher than a pair of two"
    yield "eer", shown(report["eer"]), f"FAR and FRR are equal at the threshold {shown(report['eer_threshold'], 3)}"
    for rate in FARS:
        figure = report[f"tar@{far_name(rate)}"]
        at = shown(report.get(f"threshold@{far_name(rate)}"), 3)
        meaning = f"pairs of one person accepted if {100 * rate:g} % of the others are: threshold {at}"
        yield f"tar@{far_name(rate)}", shown(figure), figure.get("note") or meaning
    yield "deployed_threshold", shown(report["deployed_threshold"], 3), "the threshold of Verify, with which:"
    yield "  far", shown(report["far"]), f"of {report['impostors']} pairs of two people are accepted"
    yield "  frr", shown(report["frr"]), f"of {report['genuine']} pairs of one person are rejected"
    yield "  deployed_accuracy", shown(report["deployed_accuracy"]), "of all decisions are right"
    yield "  precision", shown(report["precision"]), "of the accepted pairs are of one person"
    yield "  recall", shown(report["recall"]), "of the pairs of one person are accepted"
    yield "  f1", shown(report["f1"]), "harmonic mean of precision and recall"
    yield "failed_to_detect", str(report["failed_to_detect"]), f"of {report['images']} pictures show no face"
    yield "pairs_without_face", str(report["pairs_without_face"]), "counted as rejected"
    if refused := report["pairs_refused"]:
        yield "pairs_refused", str(refused), "counted as rejected: a picture was refused"
    yield "subjects", str(report["subjects"]), f"by {report['identified_by']}; intervals resample them"
    yield (
        "verify_max_difference",
        f"{report['verify_max_difference']:g}",
        f"between similarities here and {report['verify_checked']} of Verify",
    )
    yield "seconds", str(report["times"]["seconds"]), "in total"
