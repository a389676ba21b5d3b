"""``facet evaluate quality``: whether quality predicts errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from facet import AsyncClient
from facet.cli.evaluate.shared import run as running
from facet.cli.evaluate.shared.options import Images
from facet.cli.evaluate.shared.run import Advance
from facet.cli.shared.reasons import in_words
from facet.evaluation.datasets.pairs import read_pairs
from facet.evaluation.quality.degradations import DEGRADATIONS
from facet.evaluation.quality.figures import quality_figures
from facet.evaluation.quality.run import DegradedProbe, run_quality
from facet.terminal import console, tables
from facet.terminal.command_line.option_groups import grouped_options
from facet.terminal.console import AsJson


@grouped_options
def quality(
    pairs: Annotated[Path, typer.Option(help="Pairs, as for verification; only mated ones count.", show_default=False)],
    images: Images,
    *,
    target: running.Target,
    count: Annotated[int, typer.Option(min=1, help="Number of mated pairs, evenly spread over the file.")] = 200,
    degradation: Annotated[
        list[str] | None,
        typer.Option(help="Only this one, for example none or 'blur 4'. Can be repeated.", show_default="all"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Does quality predict errors? The probes of mated pairs are made dark, noisy, blurred, and so on.

    The faces of the lowest quality are discarded first; the better the quality, the fewer false non-matches remain. The
    same is shown for measures that could replace it, and why enrolment would refuse the faces.

    [b]Example[/b]

      facet evaluate quality --pairs pairs.csv --images lfw/

    Exit code: 0 done, 1 something failed, 2 bad usage.
    """
    for name in degradation or ():
        if name not in DEGRADATIONS:
            console.fail(f"unknown degradation {name!r}; there are {', '.join(DEGRADATIONS)}", console.USAGE)
    labelled = running.labels(lambda: read_pairs(pairs, images))
    mated = np.flatnonzero(labelled.same)
    chosen = mated[np.arange(min(count, len(mated))) * len(mated) // min(count, len(mated))]
    files = [(images / labelled.images[labelled.a[i]], images / labelled.images[labelled.b[i]]) for i in chosen]

    async def measure(client: AsyncClient, advance: Advance) -> list[DegradedProbe]:
        return await run_quality(client, files, degradation or [*DEGRADATIONS], advance=advance)

    done = running.measured(target, "Comparing", len(files), measure)
    if not done.run:
        console.fail("no pair has a reference with a face")
    figures = quality_figures(done.run, done.info.verification_threshold)
    if as_json:
        console.print_json(figures)
    else:
        _show(figures)


def _show(figures: dict[str, Any]) -> None:
    shares = [f"{each['discarded']:.0%}" for each in figures["error_versus_discard"][1:]]
    curve = tables.table("by", *map(tables.number, shares), title="Share of false non-matches left after discarding")
    for name, each in {"quality": figures["error_versus_discard"], **figures["candidates"]}.items():
        curve.add_row(name, *map(_left, each[1:]))
    curve.add_row("FNMR by quality", *(_shown(each["fnmr"]) for each in figures["error_versus_discard"][1:]))
    console.out.print(curve)
    kinds = tables.table("degradation", *map(tables.number, ("FNMR", "median quality", "without face")), "refused")
    for each in figures["degradations"]:
        numbers = (_shown(each["fnmr"]), _shown(each["median_quality"]), str(each["without_face"]))
        found = max(1, each["probes"] - each["without_face"])
        reasons = ", ".join(f"{count / found:.0%} {in_words(reason)}" for reason, count in each["refused"].items())
        kinds.add_row(each["degradation"], *numbers, reasons)
    console.out.print(kinds)


def _left(point: dict[str, Any]) -> str:
    if point["false_non_matches_left"] is None or point.get("low") is None:
        return _shown(point["false_non_matches_left"])
    return f"{point['false_non_matches_left']:.2f} ({point['low']:.2f}-{point['high']:.2f})"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
