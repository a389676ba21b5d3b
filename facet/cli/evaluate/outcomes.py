"""``facet evaluate outcomes``: the precision and recall of production, from what clients said about answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from facet import AsyncClient
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import Mistakes, ReportFolder, Require, Seed
from facet.cli.evaluate.shared.output import Row, shown
from facet.cli.evaluate.shared.run import Advance
from facet.evaluation.outcomes.figures import RATES, TOO_FEW, by_model, by_source_and_month, figures, worst
from facet.evaluation.outcomes.run import OutcomesRun, fetch
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.glossary import meaning
from facet.evaluation.report.provenance import provenance
from facet.terminal import console, private_files, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.visible import one_line
from facet.v1.gallery_service_pb2 import Outcome


@grouped_options
def outcomes(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    *,
    connection: Connection,
    mistakes: Mistakes = 20,
    seed: Seed = 0,
    report: ReportFolder = None,
    require: Require = None,
    as_json: console.AsJson = False,
) -> None:
    """How often is the server right in production? From what clients said with ReportOutcome.

    Shows precision, recall, FPIR and FNIR of the model that searches the gallery, with 95 % intervals, by source and
    month; answers of other models are apart. What people report by themselves is biased: mostly they report mistakes.
    The figures named [i]reviewed_...[/i] are not. They come from the answers that the server marked at random
    ([b]outcomes.review_share[/b]), if somebody checked all of these.

    With [b]--report[/b], the page shows the worst mistakes with the enrolled faces, if [b]enrollment.keep_crops[/b] is
    on. The audit log then has an access report for each person on the page. Needs the scope admin.

    [b]Examples[/b]

      facet evaluate outcomes team
      facet evaluate outcomes team --require 'reviewed_precision>=0.99'

    Exit code: 0 done, 1 something failed or a [b]--require[/b] is not met, 2 bad usage.
    """
    out = results.output("outcomes", as_json, report, require)

    async def measure(client: AsyncClient, advance: Advance) -> OutcomesRun:
        found = await fetch(client, gallery, mistakes=mistakes, crops=report is not None)
        advance()
        return found

    done = running.measured(connection, "Reading outcomes", 1, measure)
    found, everything = done.run.outcomes, done.run.everything
    built = document(
        "outcomes",
        figures(found, seed=seed) | {"reported_of_other_models": len(everything) - len(found)},
        tables={
            "by_source_and_month": by_source_and_month(found, seed=seed),
            "by_model": by_model(everything, done.run.contract, seed=seed),
        },
        mistakes=worst(found, mistakes),
        provenance=provenance(
            done.info,
            data=_data(gallery, everything),
            configuration={"gallery": gallery, "mistakes": mistakes},
            seed=seed,
        ),
        times=done.times,
    )
    with TemporaryDirectory(prefix="facet-") as folder:  # only its owner can read it
        results.finish(built, out, _written(done.run.crops, Path(folder)), _show)


def _data(gallery: str, found: Sequence[Outcome]) -> Report:
    """Identify what was said by a digest."""
    digest = hashlib.sha256(b"".join(each.SerializeToString(deterministic=True) for each in found))
    return {"labels": f"answers of {gallery}", "sha256": digest.hexdigest(), "pictures": 0}


def _written(crops: dict[str, bytes], folder: Path) -> dict[str, Path]:
    """Write faces to files, and return them by their subjects."""
    files = {subject: folder / f"{number}.png" for number, subject in enumerate(crops)}
    for subject, file in files.items():
        private_files.write(file, crops[subject])
    return files


def _show(report: Report) -> None:
    results.print_figures("Outcomes", _rows(report))
    _print_table(report["tables"]["by_source_and_month"], "By month", "source", "month")
    _print_table(report["tables"]["by_model"], "By model that gave the answer", "model")
    for kind, found in report["mistakes"].items():
        table = tables.table(
            "candidate", "truth", tables.number("similarity"), "answered", title=kind.replace("_", " ")
        )
        for each in found:
            texts = one_line(each["candidate"]) or "-", one_line(each["truth"])
            table.add_row(*texts, shown(each["similarity"], 3), each["answered"])
        console.out.print(table)


def _print_table(rows: Sequence[Report], title: str, *names: str) -> None:
    if not rows:
        return
    table = tables.table(*names, tables.number("reported"), "precision", "recall", title=title)
    for row in rows:
        rates = (_cell(row[name]) for name in ("precision", "recall"))
        table.add_row(*(one_line(row[name]) or "-" for name in names), str(row["reported"]), *rates)
    console.out.print(table)


def _cell(figure: Report) -> str:
    return "too few reports" if figure.get("note") == TOO_FEW else shown(figure, 3)


def _rows(report: Report) -> Iterator[Row]:
    for prefix in ("", "reviewed_"):
        for rate in RATES:
            figure = report[prefix + rate]
            yield prefix + rate, shown(figure, 3), figure.get("note") or meaning(prefix + rate)
    matches = f"matches: {report['right_matches']} right, {report['wrong_matches']} wrong"
    unknowns = f"unknown people: {report['right_unknowns']} right, {report['wrong_unknowns']} wrong"
    yield "reported", str(report["reported"]), f"{matches}; {unknowns}"
    yield "reported_of_review", str(report["reported_of_review"]), "of these were marked for review at random"
    if other := report["reported_of_other_models"]:
        yield "reported_of_other_models", str(other), meaning("reported_of_other_models")
    untold = report["wrong_matches_without_truth"]
    if untold:
        yield "wrong_matches_without_truth", str(untold), meaning("wrong_matches_without_truth")
