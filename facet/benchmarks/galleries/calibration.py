"""``facet bench calibration``: thresholds chosen on some people, measured on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from facet.benchmarks.galleries.calibration_experiments import Grown, HeldOut, Known, draw_known, grow, hold_out
from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.benchmarks.galleries.templates import embed
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

    [b]Examples[/b]

      facet bench calibration --splits 200
      facet bench calibration --protocol faces.csv --images faces/ --json
    """
    csv, folder = labelled_set(protocol, images)
    configure_for_models()
    try:
        faces = embed(csv, folder)
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
