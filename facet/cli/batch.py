"""``facet batch``: identify everybody in many pictures, with a row per picture that the next run continues."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from facet import Client, FacetError
from facet.batch import sources
from facet.batch.output import SUFFIXES, Output, OutputError, open_output
from facet.batch.rows import DECISIONS, BatchStatistics, Row
from facet.batch.run import BatchJob, run
from facet.batch.sources import PendingPictures
from facet.cli.shared import choices
from facet.cli.shared.reasons import in_words
from facet.terminal import console
from facet.terminal.command_line.help import Command
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.connection import Connection, explained
from facet.terminal.counts import counted
from facet.terminal.interruption import Interruption
from facet.terminal.pictures.files import tell
from facet.terminal.pictures.folders import LeftOut
from facet.terminal.tables import listing

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        why: one line if it was stopped or failed; empty if every picture has a row.
        seconds: how long it ran.
    """

    why: str
    seconds: float


@app.command(cls=Command)
@grouped_options
def main(
    out: Annotated[
        Path,
        typer.Option(help="Where to write the rows: a folder NAME.parquet, or a file NAME.jsonl.", show_default=False),
    ],
    pictures: Annotated[
        list[Path] | None, typer.Argument(help="Pictures, or folders of them.", show_default=False)
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="File with a path per line; - is standard input. May be repeated.", metavar="FILE"),
    ] = None,
    gallery: Annotated[str, typer.Option(help="The gallery to search.")] = "default",
    top_k: choices.TopK = 5,
    threshold: choices.Threshold = None,
    face: choices.Face = "",
    distinct_subjects: choices.DistinctSubjects = False,
    thorough: choices.Thorough = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to keep trying if the server goes away.")] = 300.0,
    *,
    connection: Connection,
    as_json: console.AsJson = False,
) -> None:
    """Say who is in very many pictures.

    Writes a row for each picture as soon as it is answered: its faces with decision, best candidates, box and
    landmarks, or the reason why it failed. If the run is stopped, or anything goes wrong, repeat the same command: it
    continues with the pictures that have no row. No picture is lost, and none has two rows. A picture is identified by
    its absolute path, and read only when it is sent. The server prefers live requests.

    [b]NAME.jsonl[/b] is a file with a line of JSON per picture. [b]NAME.parquet[/b] is a folder of Parquet files that
    pyarrow, DuckDB, Polars, pandas and Spark read as one table. The [i]answer_id[/i] of a face is for [b]facet
    outcome[/b], which says whether the answer was right.

    [b]Examples[/b]

      facet batch photos/ --gallery team --out found.parquet
      find archive/ -name '*.jpg' | facet batch --list - --out found.jsonl

    Exit code: 0 every picture was answered, 1 some failed or the run was stopped, 2 bad usage.
    """
    query = {
        "gallery": gallery,
        "face": face,
        "top_k": top_k,
        "threshold": threshold,
        "distinct_subjects": distinct_subjects,
        "thorough": thorough,
    }
    choice = choices.parse(face)
    if out.suffix.lower() not in SUFFIXES:
        raise typer.BadParameter(f"{str(out)!r} ends neither in .parquet nor in .jsonl", param_hint="--out")
    left_out: list[LeftOut] = []
    pending = _find(pictures or [], lists or [], left_out)
    statistics = BatchStatistics()
    with connection.open() as client:
        client.get_gallery(gallery)
        with _opened(out) as output:
            total = len(pending)
            _read_back(output, query, out, pending, statistics)
            before = statistics.pictures
            with console.progress("identifying", total, done=total - len(pending), unit="pictures") as bar:

                def count(row: Row) -> None:
                    statistics.add(row)
                    bar.advance(bar.task_ids[0])

                search = choices.search(thorough=thorough)
                job = BatchJob(gallery, choice, top_k, threshold, distinct_subjects, search, query, output, wait)
                ended = _run(client, job, PendingPictures(pending.values()), count, connection)
    now = statistics.pictures - before
    left = len(pending) - now
    if ended.why:
        console.err.print(f"{ended.why}; repeat the command to continue with the {counted(left, 'picture')} left")
    summary = _summary(out, statistics, now=now, left=left, ended=ended)
    if as_json:
        console.print_json(
            summary | {"left_out": [{"path": str(each.path), "reason": each.reason} for each in left_out]}
        )
    else:
        _show(summary)
    raise typer.Exit(console.FAILED if ended.why or summary["failed"] else console.DONE)


def _find(pictures: list[Path], lists: list[Path], left_out: list[LeftOut]) -> dict[str, str]:
    """Find all pictures: paths by their names in the rows; exits with a usage error if a source cannot be read."""

    def leave_out(path: str, reason: str) -> None:
        left_out.append(LeftOut(Path(path), reason))

    try:
        found = sources.find(pictures, lists, leave_out)
    except OSError as error:
        console.fail(f"cannot read {error.filename}: {error.strerror}", console.USAGE)
    tell(left_out)
    if not found:
        console.fail("there are no pictures: name pictures, folders of them, or a --list of paths", console.USAGE)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Output]:
    """Open the output; exits with one line if it cannot be used or written."""
    try:
        with closing(open_output(path)) as output:
            yield output
    except OutputError as error:
        console.fail(str(error), console.USAGE)
    except OSError as error:
        console.fail(f"cannot write {path}: {error.strerror or error}")


def _read_back(output: Output, query: Row, path: Path, pending: dict[str, str], statistics: BatchStatistics) -> None:
    """Count the rows of earlier runs and remove their pictures from ``pending``; exits if their query was another."""
    for row in output.rows():
        if row["query"] != query:
            given = {
                name: value for name, value in row["query"].items() if value not in ("", None) and value is not False
            }
            made_with = ", ".join(f"{name} {value}" for name, value in given.items())
            console.fail(f"{path} was made with {made_with}: use the same options, or another --out", console.USAGE)
        statistics.add(row)
        pending.pop(row["path"], None)


def _run(
    client: Client, job: BatchJob, pending: PendingPictures, on_row: Callable[[Row], None], connection: Connection
) -> Ended:
    def on_retry(error: FacetError) -> None:
        console.err.print(f"{error.message or error.code.name}: trying again")

    start, why = time.monotonic(), ""
    interruption = Interruption()
    with interruption.watched():
        try:
            run(client, job, pending, interruption, on_row=on_row, on_retry=on_retry)
        except KeyboardInterrupt:
            why = "stopped"
        except FacetError as error:
            why = explained(error, connection.address, connection.token)
    return Ended(why, time.monotonic() - start)


def _summary(out: Path, statistics: BatchStatistics, *, now: int, left: int, ended: Ended) -> dict[str, Any]:
    failed = statistics.errors.total()
    return {
        "out": str(out),
        "pictures": statistics.pictures,
        "answered": statistics.pictures - failed,
        "failed": failed,
        "errors": dict(statistics.errors.most_common()),
        "faces": statistics.decisions.total(),
        "decisions": {each: statistics.decisions[each] for each in DECISIONS},
        "left": left,
        "pictures_now": now,
        "seconds": round(ended.seconds, 1),
        "pictures_per_s": round(now / ended.seconds, 1),
        "ended": ended.why,
    }


def _show(summary: dict[str, Any]) -> None:
    rows = listing()
    rows.add_row("pictures answered", str(summary["answered"]))
    for reason, count in summary["errors"].items():
        rows.add_row(f"failed: {in_words(reason)}", str(count))
    if summary["left"]:
        rows.add_row("left", str(summary["left"]))
    rows.add_row("faces", str(summary["faces"]))
    for decision, count in summary["decisions"].items():
        rows.add_row(f"  {decision}", str(count))
    rows.add_row("this run", f"{counted(summary['pictures_now'], 'picture')} in {summary['seconds']} s")
    rows.add_row("pictures/s", str(summary["pictures_per_s"]))
    console.out.print(summary["out"])
    console.out.print(rows)
