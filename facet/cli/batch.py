"""Say who is in very many pictures: a row for each, in a file that the next run goes on with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from facet import FacetError
from facet.batch import sources as batch_sources
from facet.batch.output import Output, OutputError, open_output
from facet.batch.rows import DECISIONS, Row, Tally
from facet.batch.run import Batch, run
from facet.batch.sources import Remaining
from facet.cli.shared import choices
from facet.cli.shared.reasons import in_words
from facet.terminal import console
from facet.terminal.interruption import Interruption
from facet.v1.gallery_service_pb2 import GetGalleryRequest

app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)


@app.command()
def main(
    out: Annotated[
        Path, typer.Option(help="Where the rows go: a folder NAME.parquet, or a file NAME.jsonl.", show_default=False)
    ],
    pictures: Annotated[
        list[Path] | None, typer.Argument(help="Pictures, or folders of them.", show_default=False)
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="File of paths, one a line; - is standard input. Again for more.", metavar="FILE"),
    ] = None,
    gallery: Annotated[str, typer.Option(help="The gallery to search.")] = "default",
    top_k: Annotated[int, typer.Option(min=1, max=100, help="How many subjects to name per face.")] = 5,
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Decide by this similarity instead of the gallery's.")
    ] = None,
    face: choices.Face = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to try for where the server goes away in the middle.")
    ] = 300.0,
    address: console.Address = console.DEFAULT_ADDRESS,
    token: console.Token = "",
    root_certificates: console.RootCertificates = None,
    as_json: console.AsJson = False,
) -> None:
    """Say who is in very many pictures.

    Writes a row for each as it is answered: its faces, each with its decision, best candidates, box and landmarks; or
    the reason why it could not be answered, and goes on. However it ends, the same command goes on where it stopped:
    no picture is lost, none is in the output twice. A picture is known by its absolute path, and read when its turn has
    come. The server works on live requests first.

    [b]NAME.jsonl[/b] gets a line of JSON a picture. [b]NAME.parquet[/b] is a folder of Parquet files, which pyarrow,
    DuckDB, Polars, pandas and Spark read as one table.

    [b]Examples[/b]

      batch.py photos/ --gallery team --out found.parquet
      find /archive -name '*.jpg' | batch.py --list - --gallery team --out found.jsonl

    Exit code: 0 all were answered, 1 some were not or it was stopped, 2 bad usage.
    """
    query = {"gallery": gallery, "face": face, "top_k": top_k, "threshold": threshold}
    fields = {"face": choices.parse(face), "top_k": top_k, "threshold": threshold}
    left = batch_sources.find(pictures or (), lists or ())
    if not left:
        console.fail("there are no pictures: name some, folders of them, or a --list of paths", console.USAGE)
    told = Interruption()
    with console.connect(address, token, root_certificates) as client:
        client.galleries.GetGallery(GetGalleryRequest(gallery_id=gallery))
        with _opened(out) as output:
            total, tally = len(left), _read(output, query, out, left)
            before, ended, start = tally.pictures, "", time.monotonic()
            with (
                told.watched(),
                console.progress("identifying", total, done=total - len(left), unit="pictures") as bar,
            ):
                batch = Batch(gallery, fields, query, output, wait)
                try:
                    run(client, batch, Remaining(left.values()), tally, lambda: bar.advance(bar.task_ids[0]), told)
                except KeyboardInterrupt:
                    ended = "stopped"
                except FacetError as error:
                    ended = console.explained(error, address)
    now, seconds = tally.pictures - before, time.monotonic() - start
    if ended:
        console.err.print(f"{ended}; the same command goes on with the {len(left) - now} that are left", soft_wrap=True)
    summary = {
        "out": str(out),
        "pictures": tally.pictures,
        "answered": tally.pictures - tally.errors.total(),
        "failed": tally.errors.total(),
        "errors": dict(tally.errors.most_common()),
        "faces": tally.decisions.total(),
        "decisions": {each: tally.decisions[each] for each in DECISIONS},
        "left": len(left) - now,
        "pictures_now": now,
        "seconds": round(seconds, 1),
        "pictures_per_s": round(now / seconds, 1),
        "ended": ended,
    }
    if as_json:
        console.print_json(summary)
    else:
        _show(summary)
    raise typer.Exit(console.FAILED if ended or summary["failed"] else console.DONE)


@contextmanager
def _opened(path: Path) -> Iterator[Output]:
    """The output; exits with one line where it cannot be used or written."""
    try:
        with closing(open_output(path)) as output:
            yield output
    except OutputError as error:
        console.fail(str(error), console.USAGE)
    except OSError as error:
        console.fail(f"cannot write {path}: {error.strerror or error}")


def _read(output: Output, query: Row, path: Path, left: dict[str, str]) -> Tally:
    """Take what is in the output already from what is left; exits where that was asked for otherwise."""
    tally = Tally()
    for row in output.rows():
        if row["query"] != query:
            asked = ", ".join(f"{name} {value}" for name, value in row["query"].items() if value not in ("", None))
            console.fail(f"{path} was made with {asked}: name another --out, or ask the same", console.USAGE)
        tally.count(row)
        left.pop(row["path"], None)
    return tally


def _show(summary: dict[str, Any]) -> None:
    table = Table("", "", title=summary["out"], title_justify="left", show_header=False)
    table.add_row("pictures answered", str(summary["answered"]))
    for reason, count in summary["errors"].items():
        table.add_row(f"failed: {in_words(reason)}", str(count))
    if summary["left"]:
        table.add_row("left", str(summary["left"]))
    table.add_row("faces", str(summary["faces"]))
    for decision, count in summary["decisions"].items():
        table.add_row(f"  {decision}", str(count))
    table.add_row("this time", f"{summary['pictures_now']} pictures in {summary['seconds']} s")
    table.add_row("pictures/s", str(summary["pictures_per_s"]))
    console.out.print(table)
