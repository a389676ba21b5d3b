"""``facet models compare``: which of two recognition models is better, and whether that is more than chance."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from facet.cli.evaluate.shared.options import Seed
from facet.cli.evaluate.shared.search_set import GalleryFolder, ProbesFolder, read_set
from facet.cli.models.compare import models as running
from facet.cli.models.compare.output import plain, show
from facet.cli.models.compare.page import page
from facet.evaluation.comparison.answers import outcomes, similarities
from facet.evaluation.comparison.differences import Compared, compare_identification, compare_verification
from facet.evaluation.comparison.labelled_set import LabelledSet, labelled_set
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.runtime.process import configure_for_models
from facet.terminal import console, private_files
from facet.terminal.counts import agreeing, counted
from facet.terminal.interruption import interrupted_by_sigterm
from facet.terminal.visible import visible

_NO_FACE = "FACE_NOT_FOUND"
_NO_SET = (
    "name the labelled set: --images with one folder per person, or --images with --pairs or --protocol, or --gallery "
    "with --probes"
)

Recogniser = typer.Argument(
    help="A recogniser as models.embedding takes it: a packaged model (w600k_mbf), a file in --folder, or a path.",
    show_default=False,
)


def compare(
    a: Annotated[str, Recogniser],
    b: Annotated[str, Recogniser],
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the pictures. Without --pairs and --protocol, it has one folder per person.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Pairs in --images: CSV with the columns image_a, image_b, same, or LFW's pairs.txt.",
            show_default=False,
        ),
    ] = None,
    protocol: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the columns role (gallery, mated, nonmated), subject, image, in --images.",
            show_default=False,
        ),
    ] = None,
    gallery: GalleryFolder = None,
    probes: ProbesFolder = None,
    folder: Annotated[
        Path, typer.Option(help="Folder of fetched, added and exported models; the server's models.folder.")
    ] = Path("models"),
    faces: Annotated[
        str, typer.Option(help="The model that finds the faces for both, as models.faces takes it.")
    ] = "scrfd_500m_bnkps",
    fpir: Annotated[
        Literal["0.1", "0.01", "0.003"],
        typer.Option(help="FNIR is compared at this share of unknown people who are taken for somebody."),
    ] = "0.01",
    far: Annotated[
        Literal["1e-2", "1e-3", "1e-4", "1e-5", "1e-6"],
        typer.Option(help="TAR is compared at this share of pairs of two people that are accepted."),
    ] = "1e-3",
    seed: Seed = 0,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page with the pictures that only one of both gets right.",
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    as_json: console.AsJson = False,
) -> None:
    """Say which of two recognition models is better on your pictures, and whether that is more than chance.

    Every face is found and aligned once, as the server does, and embedded with both models. Both then identify and
    verify the same people, each model at its own threshold for the same rate of false answers. A difference is beyond
    chance if its 95 % interval, from a thousand resamples of people, does not contain 0, and the exact test gives a
    probability of at most 0.05. No server is needed, and nothing is stored.

    The set is labelled as for [b]facet evaluate[/b]. What it does not have is made of its people: with one folder per
    person, two thirds of those with several pictures are enrolled with the first one, and all others are strangers;
    pairs are drawn at random. Take pictures like those of your cameras, of a hundred people or more.

    [b]Examples[/b]

      facet models compare w600k_mbf ours --images people/
      facet models compare w600k_mbf m.onnx --images lfw/ --pairs pairs.txt
      facet models compare w600k_mbf ours --gallery a/ --probes b/ --json

    Exit code: 0 compared, 1 a model or a picture cannot be used, 2 bad usage.
    """
    if report and (report.suffix != ".html" or not report.parent.is_dir()):
        raise typer.BadParameter(f"{report} is no .html file in a folder that exists", param_hint="--report")
    configure_for_models()
    date, started = datetime.now(UTC), time.monotonic()
    labelled = _read(images, pairs, protocol, gallery, probes, seed)
    roles = labelled.roles
    try:
        with console.err.status("Loading the models ..."):
            pipeline, *recognizers = running.load(a, b, folder=folder, detector=faces)
            notes = [note for each in recognizers for note in running.notes(each)]
    except ModelError as error:
        console.fail(" ".join(str(error).split()))
    first, second = recognizers
    with interrupted_by_sigterm(), console.progress("Embedding", len(roles), unit="pictures") as bar:
        embedded = running.embed(
            pipeline, first.embedder, second.embedder, roles, advance=lambda: bar.advance(bar.task_ids[0])
        )
    if not embedded.sample:
        console.fail(f"none of {counted(len(roles), 'picture')} shows a face: there is nothing to compare")
    with console.err.status("Timing ..."):
        costs = running.costs(recognizers, embedded.sample)
    with console.err.status("Resampling people ..."):
        compared = _compare(labelled, embedded, fpir=float(fpir), far=float(far), seed=seed)
    names = labelled.names
    refused = [
        {"image": names[path], "reason": reason} for path, reason in embedded.failures.items() if reason != _NO_FACE
    ]
    found = plain(
        labelled,
        compared,
        costs=costs,
        notes=notes,
        detector=faces,
        without_face=len(embedded.failures) - len(refused),
        refused=refused,
        seed=seed,
        times={"date": date.isoformat(timespec="seconds"), "seconds": round(time.monotonic() - started, 1)},
    )
    if report:
        _write(report, page(found, labelled.protocol, {name: path for path, name in names.items()}))
    if as_json:
        console.print_json(found)
    else:
        show(found)
    _fail_if_refused(refused)


def _read(
    images: Path | None, pairs: Path | None, protocol: Path | None, gallery: Path | None, probes: Path | None, seed: int
) -> LabelledSet:
    if pairs and not images:
        console.fail("--pairs needs --images, the folder of its pictures", console.USAGE)
    if images and (gallery or probes) and not pairs:
        console.fail("--gallery and --probes are two folders of their own: leave out --images", console.USAGE)
    if not (images or gallery or probes or protocol):
        console.fail(_NO_SET, console.USAGE)
    try:
        search = None
        if protocol or gallery or probes:
            search = read_set(protocol, images if protocol else None, gallery, probes)
        return labelled_set(search, pairs, images or gallery or Path(), seed=seed)
    except LabelError as error:
        console.fail(str(error))


def _compare(labelled: LabelledSet, faces: running.Faces, *, fpir: float, far: float, seed: int) -> list[Compared]:
    compared = []
    if labelled.protocol:
        answers = [outcomes(labelled.protocol, each) for each in (faces.a, faces.b)]
        compared += compare_identification(*answers, fpir=fpir, seed=seed)
    if labelled.pairs:
        both = [similarities(labelled.pairs, each) for each in (faces.a, faces.b)]
        compared += compare_verification(labelled.pairs, *both, far=far, seed=seed)
    return compared


def _write(path: Path, text: str) -> None:
    """Write the page, which only this user can read."""
    try:
        private_files.write(path, text)
    except OSError as error:
        console.fail(f"cannot write {path}: {error.strerror}")


def _fail_if_refused(refused: list[dict[str, str]]) -> None:
    """Exit with code 1 if pictures could not be read."""
    for each in refused:
        console.err.print(Text(visible(f"refused: {each['image']}: {each['reason']}"), "red"))
    if refused:
        count = len(refused)
        console.fail(f"{counted(count, 'picture')} {agreeing(count, 'was')} refused; the figures count them as missed")
