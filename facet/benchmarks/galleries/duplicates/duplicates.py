"""``facet bench duplicates``: how many duplicates are found, how many findings are right, and how fast."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from facet.benchmarks.galleries.duplicates.duplicate_speed import DuplicateSpeed, measure_speed
from facet.benchmarks.galleries.duplicates.planted_duplicates import Embedded, Found, embed_all, search, with_planted
from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import listing
from gallery.errors import GalleryError


def duplicates(
    templates: Annotated[
        int, typer.Option(min=20_000, max=10_000_000, help="Templates of the large gallery.")
    ] = 200_000,
    searched: Annotated[int, typer.Option(min=1000, help="How many of them are searched for.")] = 20_000,
    planted: Annotated[int, typer.Option(min=1, help="Subjects of the set that are enrolled twice.")] = 200,
    draws: Annotated[int, typer.Option(min=1, max=20, help="How often they are drawn.")] = 3,
    least_chance: Annotated[float, typer.Option(min=0.05, max=1, help="The chance from which a pair counts.")] = 0.5,
    protocol: Protocol = None,
    images: Images = None,
    as_json: AsJson = False,
) -> None:
    """Plant duplicates in a labelled set, and count how many are found; then measure the speed in a large gallery.

    All pictures of the set are enrolled. Of some subjects with several pictures, up to half of the pictures are
    enrolled under a second id. [b]recall[/b] is the share of these pairs that are found. A set has duplicates and wrong
    labels of its own: the pairs that are found before anything is planted are listed, and count neither as right nor as
    wrong for [b]precision[/b]. For [b]precision_of_all[/b] they count as wrong.

    [b]minutes_per_million[/b] is for a gallery of a million templates. If the gallery is smaller, the time of a search
    is scaled in proportion to the templates, which is more than it grows.

    [b]Examples[/b]

      facet bench duplicates
      facet bench duplicates --templates 1000000 --json

    Exit code: 0 done, 1 failed, 2 bad usage.
    """
    csv, folder = labelled_set(protocol, images)
    try:
        faces = embed_all(csv, folder)
        with tempfile.TemporaryDirectory(prefix="facet-bench-") as temporary:
            accuracy = _measure_accuracy(faces, Path(temporary), planted, draws, least_chance)
            configure_for_models()
            speed = measure_speed(faces, templates, searched, Path(temporary) / "large.sqlite3")
    except (LabelError, ModelError, PictureError, GalleryError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json(accuracy | asdict(speed))
    else:
        _print(accuracy, speed)


def _measure_accuracy(faces: Embedded, folder: Path, planted: int, draws: int, least_chance: float) -> dict[str, Any]:
    own = {each.pair: each for each in search(faces, folder / "own.sqlite3", least_chance=least_chance)}
    found_planted = wanted = wrong = beforehand = 0
    for draw in range(draws):
        doubled, pairs = with_planted(faces, planted, np.random.default_rng(draw))
        found = search(doubled, folder / f"draw-{draw}.sqlite3", least_chance=least_chance)
        right = {each.pair for each in found} & pairs
        # Half of a pair of the set may be under a second id now.
        others = {_original(each) for each in found if each.pair not in pairs}
        found_planted, wanted = found_planted + len(right), wanted + len(pairs)
        wrong += len(others - own.keys())
        beforehand += len(others & own.keys())
    return {
        "pictures": len(faces.subject_ids),
        "subjects": len(set(faces.subject_ids)),
        "draws": draws,
        "planted": wanted,
        "found": found_planted,
        "recall": round(found_planted / wanted, 4),
        "precision": round(found_planted / max(1, found_planted + wrong), 4),
        "precision_of_all": round(found_planted / max(1, found_planted + wrong + beforehand), 4),
        "of_the_set": [asdict(each) for each in sorted(own.values(), key=lambda each: -each.chance)],
    }


def _original(found: Found) -> tuple[str, str]:
    one, other = sorted(each.removesuffix(Embedded.SECOND) for each in found.pair)
    return one, other


def _print(accuracy: dict[str, Any], speed: DuplicateSpeed) -> None:
    rows = listing(f"{accuracy['pictures']:,} pictures of {accuracy['subjects']:,} subjects, {accuracy['draws']} draws")
    rows.add_row(
        "planted pairs found", f"{accuracy['found']} of {accuracy['planted']}, recall {accuracy['recall']:.3f}"
    )
    rows.add_row("precision", f"{accuracy['precision']:.3f}, without the pairs of the set itself")
    rows.add_row("", f"{accuracy['precision_of_all']:.3f} if all of those are wrong")
    rows.add_row("pairs of the set itself", f"{len(accuracy['of_the_set'])}")
    for each in accuracy["of_the_set"]:
        rows.add_row("", f"{' and '.join(each['pair'])}, chance {each['chance']:.3f}")
    console.out.print(rows)
    rows = listing(f"{speed.templates:,} templates, of which {speed.searched:,} are searched for")
    rows.add_row("estimating the model", f"{speed.model_s:.1f} s")
    rows.add_row("templates per second", f"{speed.per_s:,.0f}")
    rows.add_row("planted duplicates found", f"{speed.planted_found} of {speed.planted}")
    rows.add_row(
        "a million templates",
        f"{speed.minutes_per_million:.1f} minutes, {speed.cpu_minutes_per_million:.1f} of one core at work",
    )
    rows.add_row("memory above the gallery's", f"{speed.memory_mb:.0f} MiB")
    rows.add_row("a search alone, p50 / p99", f"{speed.alone_p50_ms:.2f} / {speed.alone_p99_ms:.2f} ms")
    rows.add_row("beside it", f"{speed.beside_p50_ms:.2f} / {speed.beside_p99_ms:.2f} ms")
    console.out.print(rows)
