"""``facet evaluate canary``: whether a running server is as good as it was."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from facet import AsyncClient, FacetError, InvalidArgument, NotFound, PermissionDenied
from facet.cli.evaluate.shared import output as results
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import Mistakes, ReportFolder, Seed
from facet.cli.evaluate.shared.output import stacked
from facet.cli.evaluate.shared.run import Advance
from facet.cli.evaluate.shared.search_set import (
    GalleryFolder,
    ProbesFolder,
    ProtocolFile,
    ProtocolImages,
    need_set,
    read_set,
)
from facet.cli.shared.durations import duration
from facet.evaluation.calls import reason_of
from facet.evaluation.canary import baseline as baselines
from facet.evaluation.canary import history
from facet.evaluation.canary.baseline import Pending, only_run
from facet.evaluation.canary.metrics import SUFFIX, write_metrics
from facet.evaluation.canary.result import (
    ALREADY_RUNNING,
    FILE_NOT_WRITTEN,
    NO_BASELINE,
    SET_UNUSABLE,
    WATCHED,
    CanaryFailed,
    CanaryResult,
    first,
    judged,
    need_complete,
)
from facet.evaluation.canary.schedule import seconds_until_next, told_if_longer
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.galleries import Deciding, gallery_id_of
from facet.evaluation.identification.report import IdentificationReport
from facet.evaluation.identification.run import IdentificationRun, run_identification
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.figure_names import no_such
from facet.evaluation.report.provenance import data_set, provenance
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection, explained
from facet.terminal.console import AsJson
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.tls import Tls

WORSE = 3
"""Exit code if a figure is worse than its baseline beyond chance."""

_DIGITS = 5
_FLAGS = {"accept_low_quality": True, "accept_lookalike": True, "max_templates": None, "rotate": 0}
"""Those of ``facet evaluate identification`` by default."""
_ON_PURPOSE = {
    "contract": "the model of the baseline was another one",
    "configuration.threshold": "the threshold of the baseline was another one",
    "configuration.mean_of_best": "the mean_of_best of the baseline was another one",
}
"""Changes in the provenance that usually somebody made."""


@dataclass(frozen=True, slots=True)
class _Canary:
    """What a run needs: the set, the server, the baseline, and where the result goes."""

    protocol: Path | None
    images: Path | None
    gallery: Path | None
    probes: Path | None
    address: str
    token: str
    tls: Tls
    baseline: Path
    save_baseline: bool
    threshold: float | None
    threshold_of: str
    watched: tuple[str, ...]
    history: Path
    metrics: Path | None
    name: str
    seed: int
    mistakes: int
    report: Path | None


@grouped_options
def canary(
    baseline: Annotated[
        Path, typer.Option(help="The report to compare with. Beside it lie its history and a lock.", show_default=False)
    ],
    save_baseline: Annotated[
        bool,
        typer.Option(
            "--save-baseline", help="If there is no baseline yet, this run becomes it. One is never replaced."
        ),
    ] = False,
    protocol: ProtocolFile = None,
    images: ProtocolImages = None,
    gallery: GalleryFolder = None,
    probes: ProbesFolder = None,
    *,
    connection: Connection,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=-1,
            max=1,
            help="Decide by this similarity. Default: the server's gallery.default_threshold.",
            show_default=False,
        ),
    ] = None,
    threshold_of: Annotated[
        str,
        typer.Option(
            metavar="GALLERY",
            help="Decide as this gallery does at each run, by its threshold and mean_of_best.",
            show_default=False,
        ),
    ] = "",
    figure: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A figure that decides; can be repeated. Default: {', '.join(WATCHED)}.", show_default=False
        ),
    ] = None,
    every: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Run again after each 30m, 1h, 1d, until Ctrl-C or SIGTERM.", show_default=False
        ),
    ] = "",
    metrics: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.prom",
            help="File for the textfile collector of Prometheus's node exporter, replaced by every run.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Label of the metrics. Default: the name of --baseline.", show_default=False)
    ] = "",
    history_file: Annotated[
        Path | None,
        typer.Option(
            "--history",
            metavar="FILE",
            help=f"JSON line for each of the last {history.MOST_RUNS} runs. Default: beside --baseline.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    mistakes: Mistakes = 10,
    report: ReportFolder = None,
    as_json: AsJson = False,
) -> None:
    """Is a running server as good as it was? Identifies a labelled set and compares with a baseline.

    The set is enrolled in a gallery of its own, canary-..., which is deleted at the end: other galleries are not
    touched. The figures are compared as [b]facet evaluate compare[/b] does, with the same people drawn for both.

    [b]Examples[/b]

      facet evaluate canary --gallery a --probes b --baseline c --save-baseline
      facet evaluate canary --gallery a --probes b --baseline c --every 1h
      facet evaluate canary --gallery a --probes b --baseline c --threshold-of vip

    Exit code: 0 as good, 1 the canary could not run, 2 bad usage, 3 a figure is worse beyond chance. With
    [b]--every[/b], the code of the last run that ended.
    """
    need_set(protocol, images, gallery, probes)
    if threshold is not None and threshold_of:
        console.fail("--threshold and --threshold-of exclude each other", console.USAGE)
    watched = tuple(dict.fromkeys(figure or WATCHED))
    for each in watched:
        if problem := no_such(each, "identification"):
            console.fail(f"--figure {each}: {problem}", console.USAGE)
    if metrics and metrics.suffix != SUFFIX:
        console.fail(
            f"--metrics {metrics}: the collector reads only files whose name ends with {SUFFIX}", console.USAGE
        )
    interval = duration(every, "--every").total_seconds() if every else 0.0
    if every and not interval:
        console.fail("--every: 0 is no time between runs", console.USAGE)
    for path in (baseline, metrics, history_file):
        if path and not path.absolute().parent.is_dir():
            console.fail(f"{path}: there is no folder {path.absolute().parent}", console.USAGE)
    if report:
        results.output("identification", as_json, report, None)
    asked = _Canary(
        *(protocol, images, gallery, probes, connection.address, connection.token),
        tls=connection.certificates(),
        baseline=baseline,
        save_baseline=save_baseline,
        threshold=threshold,
        threshold_of=threshold_of,
        watched=watched,
        history=history_file or baseline.with_name(f"{baseline.stem}.history.jsonl"),
        metrics=metrics,
        name=name or baseline.stem,
        seed=seed,
        mistakes=mistakes,
        report=report,
    )
    raise typer.Exit(_repeated(asked, interval, as_json) if every else _once(asked, as_json))


def _repeated(asked: _Canary, every: float, as_json: bool) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code of the last run that ended, and of a failure without one."""
    code, notices = console.FAILED, True
    begun = time.monotonic()
    with interrupted_by_sigterm():
        try:
            while True:
                start = time.monotonic()
                code = _once(asked, as_json, notices=notices)
                notices = notices and code == console.FAILED
                end = time.monotonic()
                if longer := told_if_longer(end - start, every):
                    console.err.print(longer)
                time.sleep(seconds_until_next(begun, every, end))
        except KeyboardInterrupt:
            return code


def _once(asked: _Canary, as_json: bool, *, notices: bool = True) -> int:
    """Run, and tell the result, for people with what the set would notice; the exit code."""
    date, start = datetime.now(UTC), time.monotonic()
    try:
        result = _compared(asked)
    except CanaryFailed as error:
        seconds = round(time.monotonic() - start, 1)
        result = CanaryResult("failed", date.isoformat(timespec="seconds"), seconds, error.reason, str(error))
    told = _recorded(asked, result)
    if as_json:
        console.print_json(result.as_json() | {"watched": list(asked.watched)})
    else:
        _show(result, asked, notices=notices)
    if result.outcome == "failed" or not told:
        return console.FAILED
    return WORSE if result.worse else console.DONE


def _compared(asked: _Canary) -> CanaryResult:
    """Run the set through the server, and compare it with the baseline.

    Raises:
        CanaryFailed: it could not run.
    """
    try:
        with only_run(asked.baseline) as pending:
            baseline = baselines.read_baseline(asked.baseline)
            if baseline is None and not asked.save_baseline:
                told = f"there is no baseline {asked.baseline}: --save-baseline makes this run the baseline"
                raise CanaryFailed(NO_BASELINE, told)
            report, pictures = _measured(asked, baseline, pending)
            need_complete(report, as_baseline=baseline is None)
            if baseline is not None:
                return judged(baseline, report, asked.watched)
            result = first(report, asked.watched)
            baselines.write_baseline(asked.baseline, report, pictures)
            return result
    except OSError as error:
        raise CanaryFailed(FILE_NOT_WRITTEN, f"cannot write {error.filename}: {error.strerror}") from error


def _measured(asked: _Canary, baseline: Report | None, pending: Pending) -> tuple[Report, dict[str, Path]]:
    """The report of a run, and the files of its pictures by name."""
    folders = {"": asked.images} if asked.images else {"gallery/": asked.gallery, "probes/": asked.probes}
    if baseline is not None:
        baselines.need_pictures(baseline, {name: folder for name, folder in folders.items() if folder})
    try:
        labelled = read_set(asked.protocol, asked.images, asked.gallery, asked.probes)
        pictures = {entry.image: entry.path for entry in (*labelled.gallery, *labelled.probes)}
        data = data_set(asked.protocol, pictures)
    except LabelError as error:
        raise CanaryFailed(SET_UNUSABLE, str(error)) from error
    if baseline is not None:
        baselines.need_same_set(baseline, data, pictures)

    async def measure(client: AsyncClient, advance: Advance) -> IdentificationRun:
        deciding = await _deciding(client, asked)
        for address, left_behind in pending.read():
            if await _is_deleted(client, left_behind, was_here=address == asked.address):
                pending.forget(left_behind)
        gallery_id = gallery_id_of("canary")
        pending.note(asked.address, gallery_id)
        run = await run_identification(
            client,
            labelled,
            accept_low_quality=True,
            accept_lookalike=True,
            gallery_id=gallery_id,
            deciding=deciding,
            advance=advance,
        )
        if not run.left_behind:
            pending.forget(gallery_id)
        return run

    steps = len(labelled.gallery) + len(labelled.probes)
    try:
        done = running.attempted(asked.address, asked.token, asked.tls, "Canary", steps, measure)
    except FacetError as error:
        raise _failed(error, asked) from error
    built = IdentificationReport(labelled, done.run, seed=asked.seed)
    configuration = _FLAGS | {"threshold": round(done.run.threshold, 6), "mean_of_best": done.run.mean_of_best}
    report = document(
        "identification",
        built.figures(),
        stopped=done.run.stopped,
        **_for_page(built, asked.mistakes) if asked.report else {},
        refused=built.refused(),
        items=built.items(),
        provenance=provenance(done.info, data=data, configuration=configuration, seed=asked.seed),
        times=done.times,
    )
    if asked.report:
        try:
            results.write(report, asked.report, pictures)
        except typer.Exit as error:
            raise CanaryFailed(FILE_NOT_WRITTEN, f"cannot write to {asked.report}") from error
    return report, pictures


async def _deciding(client: AsyncClient, asked: _Canary) -> Deciding:
    """How the canary's gallery is to decide.

    Raises:
        CanaryFailed: the gallery of ``--threshold-of`` does not exist, or the caller may not read it.
    """
    if not asked.threshold_of:
        return Deciding(asked.threshold)
    try:
        found = await client.get_gallery(asked.threshold_of)
    except (InvalidArgument, NotFound) as error:
        raise _failed(error, asked, "--threshold-of", "facet gallery list shows all") from error
    except PermissionDenied as error:
        raise _failed(error, asked, "--threshold-of", "--threshold NUMBER needs no right to a gallery") from error
    return Deciding(found.threshold, found.mean_of_best)


def _failed(error: FacetError, asked: _Canary, option: str = "", hint: str = "") -> CanaryFailed:
    """The failure of a call; with the option that asked for it, and what helps."""
    reason = reason_of(error)
    told = explained(error, asked.address, asked.token).removeprefix(f"{reason}: ")
    before, after = (f"{option}: ", f"; {hint}") if option else ("", "")
    return CanaryFailed(reason, f"{before}{told}{after}")


async def _is_deleted(client: AsyncClient, gallery_id: str, *, was_here: bool) -> bool:
    """Delete the gallery of a run that was killed. A server may have several addresses, so that each is asked.

    Args:
        client: the server.
        gallery_id: the gallery.
        was_here: the run had this server's address, so that a gallery it does not know is deleted.
    """
    try:
        await client.delete_gallery(gallery_id, force=True)
    except NotFound:
        return was_here
    except FacetError:
        return False
    return True


def _for_page(built: IdentificationReport, mistakes: int) -> dict[str, Any]:
    return {"curves": built.curves(), "tables": built.tables(), "mistakes": built.mistakes(mistakes)}


def _recorded(asked: _Canary, result: CanaryResult) -> bool:
    """Write the history and the metrics; whether that succeeded. Those of a run that goes on are left to it."""
    if result.reason == ALREADY_RUNNING:
        return True
    try:
        runs = history.append(asked.history, result, asked.watched)
        if asked.metrics:
            done = history.last_done(runs)
            write_metrics(asked.metrics, result, canary=asked.name, watched=asked.watched, last_done=done)
    except OSError as error:
        console.err.print(f"cannot write {error.filename}: {error.strerror}")
        return False
    return True


def _show(result: CanaryResult, asked: _Canary, *, notices: bool) -> None:
    if result.outcome == "failed":
        console.err.print(Text(f"the canary could not run: {result.reason}: {result.message}", "red"))
        return
    if result.outcome == "baseline":
        figures = ", ".join(f"{each['name']} {each['b']:.4f}" for each in result.figures)
        console.out.print(f"{asked.baseline} is the baseline now: {figures}")
        _show_notices(result)
        return
    table = tables.table(
        "figure", "baseline", "now", "difference", "verdict", title=f"Canary {asked.name}, {result.date}"
    )
    for each in result.figures:
        if each["name"] in asked.watched:
            colour = "red" if each["name"] in result.worse else ""
            difference = each["difference"]["value"] if each["verdict"] == "same" else each["difference"]
            cells = (stacked(value, _DIGITS) for value in (each["a"], each["b"], difference))
            table.add_row(each["name"], *cells, Text(each["verdict"], colour))
    console.out.print(table)
    for each in result.changed:
        console.out.print(f"changed: {each['name']}: {each['a']} -> {each['b']}")
    for each in result.changed:
        if told := _ON_PURPOSE.get(each["name"]):
            console.out.print(f"{told}: after a change on purpose, make another baseline")
    if result.worse:
        console.out.print(Text(f"worse than the baseline beyond chance: {', '.join(result.worse)}", "red"))
    else:
        console.out.print("as good as the baseline")
        if notices:
            _show_notices(result)


def _show_notices(result: CanaryResult) -> None:
    for each in result.notices:
        console.out.print(str(each))
