"""How well a server finds and recognises faces, measured on labelled pictures."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from evaluation.detection_run import AnalyzedPicture, run_detection
from evaluation.identification_run import IdentificationRun, run_identification
from evaluation.labels import LabelError
from evaluation.protocol import read_protocol
from evaluation.report import BANDS, FPIRS, Report, detection_report, identification_report
from evaluation.report import mistakes as worst_mistakes
from evaluation.wider import read_wider
from facet import AsyncClient, FacetError
from facet.v1.server_service_pb2 import GetServerInfoRequest
from scripts import console
from scripts.console import AsJson, RootCertificates, Token
from scripts.local_server import interrupted_by_sigterm, local_server

R = TypeVar("R")
Row = tuple[str, str, str]

app = typer.Typer(add_completion=False, rich_markup_mode="rich", no_args_is_help=True)

ServerAddress = Annotated[
    str | None,
    typer.Option("--address", help="A running server, host:port. Without it: one of its own, with default settings."),
]
Images = Annotated[
    Path, typer.Option(help="The folder of the pictures.", exists=True, file_okay=False, show_default=False)
]


@app.callback()
def main() -> None:
    r"""Measure how well a server finds and recognises faces. How each figure is defined: docs/evaluation.md.

    Pictures go the way that they go in use: over gRPC to a running server ([b]--address[/b]) or to one that is
    started for the purpose. With [b]--json[/b] every command prints one JSON object.

    Exit code: 0 done, 1 failed, or pictures were refused (the figures count them as missed), 2 bad usage.
    """


@app.command("identification")
def identification_command(
    protocol: Annotated[
        Path,
        typer.Option(
            help=r"CSV with the columns role (gallery, mated, nonmated), subject, image.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    images: Images,
    address: ServerAddress = None,
    token: Token = "",
    root_certificates: RootCertificates = None,
    accept_low_quality: Annotated[
        bool,
        typer.Option(
            "--accept-low-quality/--refuse-low-quality",
            help="Enrol also faces that are too small, too blurred or too turned.",
        ),
    ] = True,
    accept_lookalike: Annotated[
        bool,
        typer.Option(
            "--accept-lookalike/--refuse-lookalike", help="Enrol also faces that look like another subject's."
        ),
    ] = True,
    mistakes: Annotated[int, typer.Option(min=0, help="How many of the worst mistakes of each kind to list.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Who is it, and is it anybody? Open-set identification in a gallery that is deleted afterwards.

    Everybody of the protocol is enrolled and looked for; whoever is refused or not found counts as missed.
    """
    labelled = _labels(lambda: read_protocol(protocol, images))
    start = time.monotonic()
    with console.progress("Identifying", len(labelled.gallery) + len(labelled.probes)) as bar:

        async def measure(client: AsyncClient) -> tuple[IdentificationRun, Report]:
            server = await _server(client)
            run = await run_identification(
                client,
                labelled,
                accept_low_quality=accept_low_quality,
                accept_lookalike=accept_lookalike,
                advance=lambda: bar.advance(bar.task_ids[0]),
            )
            return run, server

        run, server = _through(address, token, root_certificates, measure)
    report = identification_report(labelled, run) | {"seconds": round(time.monotonic() - start, 1), "server": server}
    if mistakes:
        report["mistakes"] = worst_mistakes(run, mistakes)
    if as_json:
        console.print_json(report)
    else:
        _print_figures("Identification", _identification_rows(report))
        _print_mistakes(report)
    _finish(report)


@app.command("detection")
def detection_command(
    labels: Annotated[
        Path,
        typer.Option(
            help="Labels in the text format of WIDER FACE: path, count, then a line per face.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    images: Images,
    address: ServerAddress = None,
    token: Token = "",
    root_certificates: RootCertificates = None,
    iou: Annotated[float, typer.Option(min=0.05, max=1, help="The least overlap (IoU) of a match.")] = 0.4,
    as_json: AsJson = False,
) -> None:
    """Are the faces found? Precision, and recall by the height of the face, at the scores the server answers.

    Pictures that the labels list and the folder does not have are left out, and their number is told.
    """
    listed = _labels(lambda: read_wider(labels))
    there = [each for each in listed if (images / each.image).is_file()]
    if not there:
        console.fail(f"{labels} lists {len(listed)} pictures, and none of them is in {images}", console.USAGE)
    start = time.monotonic()
    with console.progress("Finding faces", len(there)) as bar:

        async def measure(client: AsyncClient) -> tuple[list[AnalyzedPicture], Report]:
            server = await _server(client)
            return await run_detection(
                client, there, images, iou=iou, advance=lambda: bar.advance(bar.task_ids[0])
            ), server

        analyzed, server = _through(address, token, root_certificates, measure)
    report = detection_report(analyzed) | {
        "images_missing": len(listed) - len(there),
        "iou": iou,
        "seconds": round(time.monotonic() - start, 1),
        "server": server,
    }
    if as_json:
        console.print_json(report)
    else:
        _print_figures("Detection of faces", _detection_rows(report))
    _finish(report)


def _identification_rows(report: Report) -> Iterator[Row]:
    mated, nonmated = report["mated"], report["nonmated"]
    yield "rank_1", _share(report["rank_1"]), f"of {mated} mated probes whose best candidate is the right subject"
    for fpir in FPIRS:
        reached = nonmated * fpir >= 1
        meaning = f"mated probes missed, where {fpir:.0%} of {nonmated} unknown people may be taken for somebody"
        yield (
            f"fnir@fpir={fpir}",
            _share(report[f"fnir@fpir={fpir}"]),
            meaning if reached else f"{meaning}; too few to tell: none may be",
        )
        yield f"threshold@fpir={fpir}", _similarity(report[f"threshold@fpir={fpir}"]), "the similarity that does it"
    yield "deployed_threshold", _similarity(report["deployed_threshold"]), "the similarity by which the server decides:"
    yield "  fpir", _share(report["fpir"]), "of the unknown people are taken for somebody"
    yield "  fnir", _share(report["fnir"]), "of the mated probes are not found to be who they are"
    yield "  precision", _share(report["precision"]), "of the matches name the right subject"
    yield "  recall", _share(report["recall"]), "of the mated probes are found to be who they are"
    yield "failed_to_detect", str(report["failed_to_detect"]), "probes without a face found; counted as missed if mated"
    yield (
        "failed_to_enroll",
        str(report["failed_to_enroll"]),
        f"of {report['gallery']} pictures; their probes are missed",
    )
    yield "gallery", str(report["gallery"]), f"pictures of {report['subjects']} subjects"
    yield "mated", str(mated), "probes of subjects who are in the gallery"
    yield "nonmated", str(nonmated), "probes of people who are not"
    yield "seconds", str(report["seconds"]), "for all of it"


def _detection_rows(report: Report) -> Iterator[Row]:
    for name, heights in zip(BANDS, ("20 to 40", "40 to 80", "80 and more"), strict=True):
        faces = report[name.replace("recall", "faces")]
        yield name, _share(report[name]), f"of {faces} labelled faces {heights} pixels high were found"
    yield "recall", _share(report["recall"]), f"of all {report['faces']} of them"
    yield "precision", _share(report["precision"]), "of the answered faces are labelled ones"
    yield "true_positives", str(report["true_positives"]), "answered faces that match a labelled one"
    yield "false_positives", str(report["false_positives"]), "that match none, or one that was matched already"
    yield "ignored", str(report["ignored"]), "on faces flagged invalid or lower than 20 pixels: counted neither way"
    yield "false_positives_per_image", f"{report['false_positives_per_image']:.3f}", ""
    yield "images", str(report["images"]), f"matched at an IoU of {report['iou']:g}"
    yield "images_missing", str(report["images_missing"]), "listed by the labels, but not in the folder"
    yield "seconds", str(report["seconds"]), "for all of it"


def _labels(read: Callable[[], R]) -> R:
    try:
        return read()
    except LabelError as error:
        console.fail(str(error), console.USAGE)


def _through(
    address: str | None,
    token: str,
    root_certificates: Path | None,
    measure: Callable[[AsyncClient], Awaitable[R]],
) -> R:
    """Measure through the server at an address, or through one of our own."""
    if root_certificates and not address:
        console.fail("--root-certificates is for a running server: name it with --address", console.USAGE)
    certificates = console.certificates(root_certificates)

    async def connected(target: str) -> R:
        async with AsyncClient(target, token=token or None, root_certificates=certificates) as client:
            return await measure(client)

    with interrupted_by_sigterm(), nullcontext(address) if address else local_server() as target:
        try:
            return asyncio.run(connected(target))
        except FacetError as error:
            console.fail(console.explained(error, target))
        except OSError as error:
            console.fail(f"cannot read {error.filename}: {error.strerror}")


async def _server(client: AsyncClient) -> Report:
    """What the figures are figures of."""
    info = await client.server.GetServerInfo(GetServerInfoRequest())
    return {
        "version": info.version,
        "contract": info.contract,
        "models": {model.role: model.sha256 for model in info.models},
    }


def _finish(report: Report) -> None:
    """Say which pictures were refused; where there are such, something failed."""
    refused = report["refused"]
    for each in refused:
        console.err.print(f"refused: {each['image']}: {each['reason']}", soft_wrap=True)
    if refused:
        console.fail(f"{len(refused)} pictures were refused; the figures count them as missed")


def _print_figures(title: str, rows: Iterator[Row]) -> None:
    table = Table("figure", "value", "what it says", title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.out.print(table)


def _print_mistakes(report: Report) -> None:
    for each in report["not_enrolled"]:
        console.out.print(f"not enrolled: {each['image']}: {each['reason']}", soft_wrap=True)
    if "mistakes" not in report:
        return
    table = Table("mistake", "probe", "who it is", "best candidate", "similarity", title="The worst mistakes")
    for kind, name in (("false_positives", "false positive"), ("misses", "miss")):
        for each in report["mistakes"][kind]:
            candidate = each["candidate"] or each["failure"] or "-"
            table.add_row(name, each["image"], each["subject"], candidate, _similarity(each["similarity"]))
    console.out.print(table)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _similarity(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(app())
