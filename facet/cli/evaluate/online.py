"""``facet evaluate online``: the errors of a gallery in use, without labels, and what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from facet import AsyncClient
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import ReportFolder, Require
from facet.cli.evaluate.shared.output import Row, shown, stacked
from facet.cli.evaluate.shared.run import Advance
from facet.evaluation.online.run import INCONCLUSIVE, RATES, OnlineRun, by_day, by_source, fetch, figures
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.glossary import meaning
from facet.evaluation.report.provenance import provenance
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection
from facet.terminal.visible import one_line


@grouped_options
def online(
    gallery: Annotated[str, typer.Argument(help="The gallery.", show_default=False)],
    days: Annotated[int, typer.Option(min=1, max=90, help="How many whole UTC days to look back, before today.")] = 7,
    *,
    connection: Connection,
    report: ReportFolder = None,
    require: Require = None,
    as_json: console.AsJson = False,
) -> None:
    """How often is a gallery in use wrong, and did anything change? Without labels, from what the server counts.

    Shows for each camera and caller the share of people who are not enrolled, FPIR and FNIR with 95 % intervals, and
    which quantity differs from the reference period. The gallery must be calibrated. Needs the scope admin.

    With [b]--report[/b], the page has plots by day and histograms beside those of the reference period. Until a camera
    or caller is compared, [i]changed_sources[/i] has no value, and a [b]--require[/b] of it is not met.

    [b]Examples[/b]

      facet evaluate online team
      facet evaluate online team --days 30 --require 'changed_sources<=0'

    Exit code: 0 done, 1 something failed or a [b]--require[/b] is not met, 2 bad usage.
    """
    out = results.output("online", as_json, report, require)
    moment = datetime.now(UTC)

    async def measure(client: AsyncClient, advance: Advance) -> OnlineRun:
        return await fetch(client, gallery, now=moment, days=days, advance=advance)

    done = running.measured(connection, "Estimating", days + 2, measure)
    of_days = by_day(done.run)
    digest = hashlib.sha256(done.run.whole.SerializeToString(deterministic=True)).hexdigest()
    built = document(
        "online",
        figures(done.run),
        curves={"online": {"days": of_days, "histograms": done.run.histograms}},
        tables={"by_source": by_source(done.run), "by_day": of_days},
        provenance=provenance(
            done.info,
            data={"labels": f"counts of {gallery}", "sha256": digest, "pictures": 0},
            configuration={"gallery": gallery, "days": days},
        ),
        times=done.times,
    )
    results.finish(built, out, {}, _show)


def _show(report: Report) -> None:
    results.print_figures("Online", _rows(report))
    columns = (tables.number("faces"), "unknown", "FPIR", "FNIR", "changed")
    table = tables.table("source", *columns, title="By source")
    for row in report["tables"]["by_source"]:
        changed = row["moved"] if row["changed"] else row["not_compared"] or "no"
        table.add_row(
            one_line(row["source"]), str(row["faces"]), *(_stacked(row[name]) for name in RATES), one_line(changed)
        )
    console.out.print(table)


def _stacked(figure: dict[str, Any]) -> str:
    return "unclear" if figure.get("note") == INCONCLUSIVE else stacked(figure, 3)


def _rows(report: Report) -> Iterator[Row]:
    whose = one_line(report["source"])
    for name in RATES:
        said = meaning(name) + (f" ({whose})" if whose else "")
        yield name, shown(report[name], 3), report[name].get("note") or said
    changed = report["changed_sources"]
    if isinstance(changed, Mapping):
        yield "changed_sources", shown(changed), changed["note"]
    else:
        yield "changed_sources", str(changed), f"of {report['compared_sources']} that are compared"
    yield "compared_sources", str(report["compared_sources"]), f"of {report['sources']} cameras and callers"
    counts = f"{report['matches']} matches; {report['refused_faces']} more were refused or left undecided"
    yield "faces", str(report["faces"]), counts
    yield "deployed_threshold", shown(report["deployed_threshold"]), meaning("deployed_threshold")
