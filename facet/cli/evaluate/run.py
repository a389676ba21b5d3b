"""What the commands of evaluate.py share: the way to a server, and the document that each of them ends in."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from facet import AsyncClient, FacetError
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.report.document import Report, ending, uncounted
from facet.evaluation.report.gate import Requirement, requirement
from facet.evaluation.report.html import render
from facet.runtime.extras import install_command
from facet.terminal import console
from facet.terminal.local_server import interrupted_by_sigterm, local_server
from facet.v1.server_service_pb2 import GetServerInfoResponse

R = TypeVar("R")
Row = tuple[str, str, str]
"""A figure for eyes: its name, its value, what it says."""
Advance = Callable[[], None]

REPORT_JSON, REPORT_HTML = "report.json", "report.html"

ServerAddress = Annotated[
    str | None,
    typer.Option("--address", help="A running server, host:port. Without it: one of its own, with default settings."),
]
Images = Annotated[Path, typer.Option(help="The folder of the pictures.", show_default=False)]
Seed = Annotated[int, typer.Option(min=0, help="Of the resampling by which intervals are found.")]
Mistakes = Annotated[int, typer.Option(min=0, help="How many of the worst mistakes of each kind to list.")]
ReportFolder = Annotated[
    Path | None,
    typer.Option("--report", help="Write report.json and report.html, which needs nothing else, to this folder."),
]
Require = Annotated[
    list[str] | None,
    typer.Option(
        "--require", help="Fail unless a figure is so: 'fnir@fpir=0.01<=0.02'. May be given again.", show_default=False
    ),
]


@dataclass(frozen=True, slots=True)
class Target:
    """The server to be measured: at an address, or one of our own."""

    address: str | None
    token: str
    root_certificates: Path | None


@dataclass(frozen=True, slots=True)
class Output:
    """What becomes of the document.

    Attributes:
        as_json: print it.
        report: write it to this folder.
        requirements: what it must meet.
    """

    as_json: bool
    report: Path | None
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Measured(Generic[R]):
    """What a run gave.

    Attributes:
        run: the command's own.
        info: what the server says of itself.
        times: for the document.
    """

    run: R
    info: GetServerInfoResponse
    times: Report


def output(as_json: bool, report: Path | None, require: Iterable[str] | None) -> Output:
    """Check the flags; exits with a usage error where a requirement is none, or the folder cannot be made."""
    try:
        requirements = tuple(requirement(text) for text in require or ())
        if report:
            _need_plotting()
            report.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        console.fail(str(error), console.USAGE)
    except OSError as error:
        console.fail(f"cannot write to {report}: {error.strerror}", console.USAGE)
    return Output(as_json, report, requirements)


def labels(read: Callable[[], R]) -> R:
    """Read labels; exits with a message that names file and line where they cannot be used."""
    try:
        return read()
    except LabelError as error:
        console.fail(str(error))


def measured(
    target: Target, description: str, total: int, measure: Callable[[AsyncClient, Advance], Awaitable[R]]
) -> Measured[R]:
    """Measure through a server, under a progress bar.

    Args:
        target: the server.
        description: beside the bar.
        total: how many steps it has.
        measure: does it, calling its second argument once a step.
    """
    if target.root_certificates and not target.address:
        console.fail("--root-certificates is for a running server: name it with --address", console.USAGE)
    certificates = console.certificates(target.root_certificates)
    date, start = datetime.now(UTC), time.monotonic()

    async def connected(address: str, advance: Advance) -> tuple[R, GetServerInfoResponse]:
        async with AsyncClient(address, token=target.token or None, root_certificates=certificates) as client:
            info = await client.get_server_info()
            return await measure(client, advance), info

    with (
        interrupted_by_sigterm(),
        nullcontext(target.address) if target.address else local_server() as address,
        console.progress(description, total) as bar,
    ):
        try:
            run, info = asyncio.run(connected(address, lambda: bar.advance(bar.task_ids[0])))
        except FacetError as error:
            console.fail(console.explained(error, address))
    times = {"date": date.isoformat(timespec="seconds"), "seconds": round(time.monotonic() - start, 1)}
    return Measured(run, info, times)


def finish(
    document: Report,
    out: Output,
    pictures: Mapping[str, Path],
    show: Callable[[Report], None],
    *,
    problems: Iterable[str] = (),
) -> None:
    """Write, print and judge a document; exits with code 1 where something failed.

    Args:
        document: see :func:`facet.evaluation.report.document.document`.
        out: where to.
        pictures: the files of its pictures by their names, for those that the report shows.
        show: prints it for eyes.
        problems: what else failed, a line each.
    """
    if out.report:
        _write(document, out.report, pictures)
    if out.as_json:
        console.print_json(document)
    else:
        show(document)
    failed = [*problems, *_problems(document, out.requirements)]
    for problem in failed:
        console.err.print(Text(problem, "red"), soft_wrap=True)
    if failed:
        raise typer.Exit(console.FAILED)


def left_behind(gallery: str) -> Iterable[str]:
    """What there is to tell of the gallery that a run made, where it could not be deleted: it is left to the caller."""
    if gallery:
        yield f"the gallery {gallery} could not be deleted"


def print_figures(title: str, rows: Iterable[Row]) -> None:
    """A table of figures."""
    table = Table("figure", "value", "what it says", title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.out.print(table)


def shown(figure: Any, digits: int = 4) -> str:
    """A figure, share or similarity for eyes: its value and its interval; a dash where there is no value."""
    if isinstance(figure, Mapping):
        value, low, high = figure["value"], figure["low"], figure["high"]
        if value is None or low is None or high is None:
            return shown(value, digits)
        return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return "-" if figure is None else f"{figure:.{digits}f}"


def _need_plotting() -> None:
    """A report needs the extra; say so before anything is measured."""
    if missing := [name for name in ("jinja2", "matplotlib") if not find_spec(name)]:
        console.fail(f"--report needs {' and '.join(missing)}: {install_command('evaluation')}", console.USAGE)


def _problems(document: Report, requirements: Iterable[Requirement]) -> Iterable[str]:
    refused = document["refused"]
    for each in refused:
        yield f"refused: {each['image']}: {each['reason']}"
    if refused:
        yield f"{len(refused)} pictures were refused; {uncounted(document)}"
    if document["partial"]:
        yield ending(document)
    for each in requirements:
        if failure := each.failure(document):
            yield f"not met: {failure}"


def _write(document: Report, folder: Path, pictures: Mapping[str, Path]) -> None:
    lines = (
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
        for name, value in document.items()
    )
    try:
        (folder / REPORT_JSON).write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
        (folder / REPORT_HTML).write_text(render(document, pictures), "utf-8")
    except OSError as error:
        console.fail(f"cannot write to {folder}: {error.strerror}")
