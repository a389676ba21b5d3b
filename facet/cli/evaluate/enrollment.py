"""``facet evaluate enrollment``: whether enrolment notices a wrong picture under a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from facet import AsyncClient
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import Mistakes, ReportFolder, Require, Seed
from facet.cli.evaluate.shared.output import Row, shown
from facet.cli.evaluate.shared.run import Advance
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import Entry
from facet.evaluation.datasets.protocol_folders import read_gallery
from facet.evaluation.enrollment.run import EnrollmentRun, run_enrollment
from facet.evaluation.enrollment.trials import NEEDED, TEMPLATES, figures
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.provenance import data_set, provenance
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.console import AsJson
from gallery.records.enrollments import MIN_SIMILARITY


@grouped_options
def enrollment(
    gallery: Annotated[Path, typer.Option(help="Folder with a folder per person.", show_default=False)],
    min_similarity: Annotated[
        float, typer.Option(min=-1, max=1, help="enrollment.min_subject_similarity to judge by.")
    ] = MIN_SIMILARITY,
    max_pictures: Annotated[int, typer.Option(min=NEEDED, help="Use only the first pictures of each person.")] = 12,
    *,
    target: running.Target,
    mistakes: Mistakes = 10,
    seed: Seed = 0,
    report: ReportFolder = None,
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """Does enrolment notice a wrong picture under a name? Also how many right ones look unlike the person's others.

    Every picture of a person with at least two is tried after 1, 2, 3 and 5 other ones, and so is a picture of somebody
    else. With one template a picture that looks unlike it is enrolled with a warning, with more it is refused.

    [b]Example[/b]

      facet evaluate enrollment --gallery people/

    Exit code: 0 done, 1 something failed or a [b]--require[/b] is not met, 2 bad usage.
    """
    out = results.output("enrollment", as_json, report, require)
    entries = running.labels(lambda: _entries(gallery, max_pictures))
    pictures = {entry.image: entry.path for entry in entries}
    data = running.labels(lambda: data_set(None, pictures))

    async def measure(client: AsyncClient, advance: Advance) -> EnrollmentRun:
        return await run_enrollment(client, entries, advance=advance)

    done = running.measured(target, "Embedding", len(entries), measure)
    run = done.run
    found, unlike = figures(run.entries, run.embeddings, minimum=min_similarity, seed=seed)
    counts = {"images": len(run.entries), "subjects": len({entry.subject for entry in run.entries})}
    worst = [
        {
            "image": run.entries[each.picture].image,
            "mate_image": run.entries[each.template].image,
            "similarity": each.similarity,
        }
        for each in unlike[:mistakes]
    ]
    built = document(
        "enrollment",
        {**found, "min_subject_similarity": min_similarity, **counts},
        stopped=run.stopped,
        mistakes={"misses": worst},
        refused=[{"image": image, "reason": reason} for image, reason in run.refused.items()],
        provenance=provenance(
            done.info,
            data=data,
            configuration={"min_similarity": min_similarity, "max_pictures": max_pictures, "face": "central"},
            seed=seed,
        ),
        times=done.times,
    )
    results.finish(built, out, pictures, _show)


def _entries(gallery: Path, max_pictures: int) -> tuple[Entry, ...]:
    """The pictures of everybody with at least two."""
    found = read_gallery(gallery)
    counts = Counter(entry.subject for entry in found)
    of_each = [list(own) for _, own in groupby(found, key=lambda entry: entry.subject)]
    kept = tuple(entry for own in of_each if counts[own[0].subject] >= NEEDED for entry in own[:max_pictures])
    if not kept:
        raise LabelError(gallery, None, "nobody has two pictures in it")
    return kept


def _show(report: Report) -> None:
    results.print_figures("Enrollment", _rows(report))


def _rows(report: Report) -> Iterator[Row]:
    for templates in TEMPLATES:
        then = "warned" if templates < NEEDED else "refused"
        for name, whose in (("right", "the person"), ("wrong", "somebody else")):
            figure = report[f"{name}_unlike_{templates}"]
            said = f"of {report[f'trials_{templates}']} pictures of {whose} are {then} after {templates}"
            yield f"{name}_unlike_{templates}", shown(figure), figure.get("note") or said
    yield "min_subject_similarity", shown(report["min_subject_similarity"], 2), "unlike below this similarity"
    yield "images", str(report["images"]), f"of {report['subjects']} people; intervals resample them"
