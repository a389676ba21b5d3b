"""``facet bench calibration``: thresholds chosen on some people, measured on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from facet.benchmarks.galleries.calibration.contamination import contaminated_galleries, summary
from facet.benchmarks.galleries.calibration.experiments import Grown, HeldOut, Known, draw_known, grow, hold_out
from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.benchmarks.galleries.templates import EMBEDDING, embed, embed_people
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import number, table

_GROWN_PARTS = 30


def calibration(
    protocol: Protocol = None,
    images: Images = None,
    contaminate: Annotated[
        bool, typer.Option("--contaminate", help="Test galleries whose people are enrolled twice instead; see below.")
    ] = False,
    galleries: Annotated[
        int, typer.Option(min=1, help="Number of galleries of each size that --contaminate draws.")
    ] = 20,
    embedding: Annotated[str, typer.Option(help="Embedding model: the name of a packaged one, or a path.")] = EMBEDDING,
    splits: Annotated[int, typer.Option(min=1, help="Number of random splits into halves.")] = 100,
    draws: Annotated[
        int, typer.Option(min=0, help="Number of sets of each size to draw from a known distribution.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Test whether calibrated thresholds keep their target FPIR on people that the calibration has not seen.

    Takes a few minutes on LFW: about two to embed its faces. Three experiments:

      1. The nonmated probes are split into random halves. One half chooses a
         threshold, the other one measures its FPIR. The threshold is chosen
         in each way that [b]facet calibrate[/b] has: from probes, with and without
         suspects; from the gallery against itself; from the gallery and a
         cohort (half of its people search among the other half).
      2. Random parts of the gallery, a fifth and a half, are calibrated for
         the size of the whole, which then measures the FPIR. This shows how
         well growth is predicted.
      3. Sets are drawn from a distribution with a known FPIR, the best of
         1871 normal similarities.

    Columns: "target in", the share of splits in which the target lies in the 95 % interval of the measured FPIR;
    "measured in", the share in which the measured FPIR lies in the interval that the calibration reported; "FNIR", the
    share of mated probes that the threshold misses in the whole gallery.

    With --contaminate, galleries of random people are calibrated against themselves, clean and with 5, 10 and 20 % of
    them enrolled twice, with a person (up to 76 pictures), or half of its pictures, under another's id, and with
    ten people under one id. Everybody who is not in the gallery measures the FPIR. The calibration should refuse, or
    keep the FPIR within a factor of 2 of the target, and lose no more than 2 points of FNIR compared with
    the clean gallery. "within": so many of the thresholds that were not refused have a 95 % interval of the FPIR that
    reaches the range from half to twice the target; "measured": so many have a measured FPIR in it.

    [b]Examples[/b]

      facet bench calibration --splits 200
      facet bench calibration --protocol faces.csv --images faces/ --json
      facet bench calibration --contaminate --json
      facet bench calibration --contaminate --embedding other.onnx
    """
    csv, folder = labelled_set(protocol, images)
    configure_for_models()
    if contaminate:
        _contaminate(csv, folder, embedding, galleries, as_json=as_json)
        return
    try:
        faces = embed(csv, folder, embedding)
    except (LabelError, ModelError, PictureError, OSError) as error:
        console.fail(str(error))
    held_out = hold_out(faces, splits)
    grown = grow(faces, _GROWN_PARTS)
    known = list(draw_known(draws))
    templates, searches = len(faces.templates), len(faces.nonmated)
    if as_json:
        console.print_json(
            {
                "templates": templates,
                "searches": searches,
                "held_out": [asdict(each) for each in held_out],
                "grown": [asdict(each) for each in grown],
                "known": [asdict(each) for each in known],
            }
        )
        return
    _print_held_out(held_out, f"{templates} templates, {searches} nonmated searches, {splits} random splits")
    _print_grown(grown)
    _print_known(known)


def _contaminate(protocol: Path, images: Path, embedding: str, galleries: int, *, as_json: bool) -> None:
    try:
        people = embed_people(protocol, images, embedding)
    except (LabelError, ModelError, PictureError, OSError) as error:
        console.fail(str(error))
    found = list(contaminated_galleries(people, galleries))
    if not found:
        console.fail("the set has too few people for the smallest gallery; it takes 150")
    figures = summary(found)
    if as_json:
        console.print_json({**asdict(figures), "contaminated": [asdict(each) for each in found]})
        return
    columns = ("target\nFPIR", "refused", "within", "measured", "silent\nlosses", "largest\nloss", "threshold", "FPIR")
    shown = table(
        "people",
        "contamination",
        *map(number, (*columns, "share", "estimated")),
        title=f"Galleries calibrated against themselves, {galleries} of each kind",
    )
    for each in found:
        shown.add_row(
            f"{each.people}, {each.templates} each" if each.templates > 1 else f"{each.people}",
            each.kind,
            f"{each.target:.3f}",
            *(f"{count}" for count in (each.refused, each.within, each.measured_within, each.silent_losses)),
            *(_or_dash(value) for value in (each.largest_loss, each.threshold, each.fpir)),
            *(f"{share:.3f}" for share in (each.contaminated, each.estimated)),
        )
    console.out.print(shown)
    console.out.print(
        f"of {figures.draws} calibrations {figures.refused} were refused ({figures.clean_refused} of "
        f"{figures.clean_draws} clean ones); {figures.within_factor_2:.1%} of the others are within a factor of 2 of "
        f"the target ({figures.measured_within_factor_2:.1%} as measured), with {figures.silent_losses} silent losses"
    )


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _print_held_out(held_out: Sequence[HeldOut], title: str) -> None:
    figures = ("target\nFPIR", "threshold", "measured\nFPIR", "target\nin", "measured\nin", "FNIR")
    shown = table("chosen from", *map(number, figures), title=title)
    for each in held_out:
        shown.add_row(
            *(each.method, f"{each.target:.3f}", f"{each.threshold:.4f}", f"{each.measured:.4f}"),
            *(f"{each.target_in_measured / each.splits:.2f}", f"{each.measured_in_promised / each.splits:.2f}"),
            f"{each.missed:.4f}",
        )
    console.out.print(shown)
    console.out.print()


def _print_grown(grown: Sequence[Grown]) -> None:
    shown = table(
        *map(number, ("templates", "target FPIR", "measured FPIR")),
        title="Parts of the gallery, calibrated for the whole",
    )
    for each in grown:
        shown.add_row(str(each.templates), f"{each.target:.3f}", f"{each.measured:.4f}")
    console.out.print(shown)
    console.out.print()


def _print_known(known: Sequence[Known]) -> None:
    figures = (
        "searches",
        "target\nFPIR",
        "true FPIR,\nmedian",
        "true FPIR,\nquartiles",
        "true FPIR in\nreported interval",
    )
    shown = table(*map(number, figures), title="A known distribution")
    for each in known:
        shown.add_row(
            *(str(each.searches), f"{each.target:.3f}", f"{each.median:.4f}"),
            *(f"{each.quarter:.4f} to {each.three_quarters:.4f}", f"{each.truth_in_promised / each.sets:.2f}"),
        )
    console.out.print(shown)
