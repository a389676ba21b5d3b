"""``facet evaluate latency``: how long an answer takes."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from facet import AsyncClient
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.embedding_model import contract_of
from facet.cli.evaluate.shared.options import Images, ReportFolder, Require
from facet.cli.evaluate.shared.output import Row, shown
from facet.cli.evaluate.shared.run import Advance
from facet.evaluation.datasets.labels import LabelError, need_folder
from facet.evaluation.latency.report import PERCENTILES, curves, latency_report, stages_table
from facet.evaluation.latency.run import LatencyRun, run_latency
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.provenance import data_set, provenance
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.console import AsJson
from facet.terminal.pictures.files import find_pictures

_DIGITS = 1


class Called(StrEnum):
    """The method to call."""

    IDENTIFY = "identify"
    ANALYZE = "analyze"


@grouped_options
def latency(
    images: Images,
    *,
    target: running.Target,
    rounds: Annotated[int, typer.Option(min=1, help="Number of times each picture is sent.")] = 3,
    clients: Annotated[int, typer.Option(min=1, max=64, help="Number of calls at the same time.")] = 1,
    method: Annotated[Called, typer.Option(help="Call Identify, or AnalyzeFaces with embeddings.")] = Called.IDENTIFY,
    gallery: Annotated[
        str | None, typer.Option(help="The gallery to search. Default: an empty one.", show_default=False)
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="With analyze: the embedding model, by its name as facet status shows it. Default: the first.",
            show_default=False,
        ),
    ] = "",
    report: ReportFolder = None,
    require: Require = None,
    as_json: AsJson = False,
) -> None:
    """How long does an answer take? Percentiles of calls, and of the stages that the server reports.

    The first call of each client is not counted. Times are those that a client sees: they include the wire, and waiting
    while the server is busy.

    [b]Example[/b]

      facet evaluate latency --images photos/ --clients 4 --require 'p95_ms<=200'

    Exit code: 0 done, 1 something failed or a [b]--require[/b] is not met, 2 bad usage.
    """
    out = results.output("latency", as_json, report, require)
    if gallery and (method is Called.ANALYZE or not target.address):
        console.fail("--gallery is for identify, and needs a running server: --address", console.USAGE)
    if model and method is Called.IDENTIFY:
        console.fail("--model is for analyze: a gallery is searched with its own model", console.USAGE)
    pictures = running.labels(lambda: _pictures(images))
    data = running.labels(lambda: data_set(None, pictures))

    async def measure(client: AsyncClient, advance: Advance) -> LatencyRun:
        return await run_latency(
            client,
            pictures,
            method=method.value,
            contract=contract_of(await client.get_server_info(), model) if model else "",
            gallery=gallery,
            rounds=rounds,
            clients=clients,
            advance=advance,
        )

    done = running.measured(target, "Timing calls", rounds * len(pictures), measure)
    run = done.run
    flags = {"method": method.value, "gallery": gallery or "", "model": model, "rounds": rounds, "clients": clients}
    built = document(
        "latency",
        latency_report(run.calls, run.seconds),
        stopped=run.stopped,
        curves=curves(run.calls),
        tables={"stages": stages_table(run.calls)},
        refused=[{"image": image, "reason": reason} for image, reason in run.refused.items()],
        provenance=provenance(done.info, data=data, configuration=flags),
        times=done.times,
    )
    results.finish(built, out, pictures, _show, problems=results.left_behind(run.left_behind))


def _pictures(images: Path) -> dict[str, Path]:
    """The pictures of a folder by their paths in it."""
    need_folder(images)
    found = {path.relative_to(images).as_posix(): path for path in find_pictures([images])}
    if not found:
        raise LabelError(images, None, "there are no pictures in it")
    return found


def _show(report: Report) -> None:
    results.print_figures("Latency", _rows(report))
    table = tables.table("stage", *(f"p{percent}" for percent in PERCENTILES), "mean", title="Stages, milliseconds")
    for row in report["tables"]["stages"]:
        columns = [*(f"p{percent}_ms" for percent in PERCENTILES), "mean_ms"]
        table.add_row(row["stage"], *(shown(row[name], _DIGITS) for name in columns))
    console.out.print(table)


def _rows(report: Report) -> Iterator[Row]:
    for percent in PERCENTILES:
        figure = report[f"p{percent}_ms"]
        meaning = f"milliseconds; {percent} % of the calls take no longer"
        yield f"p{percent}_ms", shown(figure, _DIGITS), figure.get("note") or meaning
    yield "mean_ms", shown(report["mean_ms"], _DIGITS), report["mean_ms"].get("note") or "milliseconds on average"
    yield "calls_per_second", shown(report["calls_per_second"], _DIGITS), "of all clients together"
    settings = report["provenance"]["configuration"]
    yield "calls", str(report["calls"]), f"{settings['method']}, {settings['clients']} at a time"
    yield "images", str(report["images"]), "different pictures"
