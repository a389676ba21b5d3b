"""``facet bench impostors``: how similar strangers are to the most similar person of galleries of several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from facet.benchmarks.streams import people as crowd
from facet.benchmarks.streams.degradations import Degradation, spoilt
from facet.benchmarks.streams.studio import open_studio
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.server.streaming.threshold import threshold_for
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import table
from gallery.records.thresholds import DEFAULT_THRESHOLD

_SIZES = (1, 10, 100, 1000)
_VALUES = (0.22, 0.25, 0.27, 0.3, 0.32, 0.34, 0.38)
_GALLERIES = 40
"""Galleries that are drawn for each size."""
_SAME_PERSON = 0.6
"""Two pictures under different names that are at least this similar show one person: their labels are wrong."""
_RATE = 1e-3


@dataclass(frozen=True, slots=True)
class Impostors:
    """The result for a size of the gallery.

    Attributes:
        subjects: people in a gallery.
        reaching: share of strangers whose best similarity reaches a value, by value.
        one_in_1000: the similarity that 1 in 1,000 strangers reaches.
        threshold: the threshold of a stream that sets none.
    """

    subjects: int
    reaching: dict[str, float]
    one_in_1000: float
    threshold: float


def impostors(
    people: Annotated[Path, typer.Argument(help="Folder with a folder of pictures per person.")],
    sizes: Annotated[
        list[int] | None, typer.Option("--size", min=1, help="People in a gallery. Can be repeated.")
    ] = None,
    most: Annotated[int, typer.Option("--people", min=3, help="Use at most this many people.")] = 100000,
    degrade: Annotated[Degradation, typer.Option(help="Spoil all pictures in this way.")] = Degradation.NONE,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of people.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure how similar strangers are to their most similar subject, next to the thresholds of streams.

    Takes one picture of each person, leaves out those that enrolment refuses, and compares each with galleries that are
    drawn from the others. A pair above 0.6 is left out: it is one person under two names.

    [b]Example[/b]

      facet bench impostors lfw/images --size 1 --size 100 --degrade dark

    Exit code: 0 done, 1 failed, 2 bad usage.
    """
    try:
        pictures = crowd.pictures_by_person(people, at_least=1)
        rng = np.random.default_rng(seed)
        drawn = [[*pictures][at] for at in rng.permutation(len(pictures))[:most]]
        _need_people(sizes, f"{people}: there are {len(drawn)} people", len(drawn))
        with open_studio() as studio, console.progress("Looking at people", len(drawn)) as bar:
            found = []
            for name in drawn:
                found.append(studio.template(spoilt(pictures[name][0], degrade, rng)))
                bar.advance(bar.task_ids[0])
    except (ModelError, LabelError, OSError) as error:
        console.fail(str(error))
    templates = [each for each in found if each is not None]
    if len(templates) < 3:
        console.fail(f"{people}: {len(templates)} of {len(found)} pictures can be enrolled, 3 are needed")
    _need_people(sizes, f"{people}: {len(templates)} people can be enrolled", len(templates))
    results = [measured(np.stack(templates), size, rng) for size in sizes or _SIZES if size < len(templates)]
    if as_json:
        console.print_json({"people": len(found), "enrolled": len(templates), "sizes": [*map(asdict, results)]})
    else:
        _print(results, len(found), len(templates))


def measured(templates: NDArray[np.float32], size: int, rng: np.random.Generator) -> Impostors:
    """Compare everybody with galleries of the others.

    Args:
        templates: of different people, ``(n, d)``, unit length.
        size: people in a gallery, below n.
        rng: draws the galleries.
    """
    similarities = templates @ templates.T
    np.fill_diagonal(similarities, -1)
    similarities[similarities > _SAME_PERSON] = -1
    best = np.concatenate(
        [similarities[:, rng.choice(len(templates), size, replace=False)].max(1) for _ in range(_GALLERIES)]
    )
    return Impostors(
        size,
        {f"{value:g}": round(float((best >= value).mean()), 5) for value in _VALUES},
        round(float(np.quantile(best, 1 - _RATE)), 3),
        round(threshold_for(size, DEFAULT_THRESHOLD), 3),
    )


def _need_people(sizes: Sequence[int] | None, found: str, count: int) -> None:
    if sizes and max(sizes) >= count:
        console.fail(f"{found}, --size {max(sizes)} needs {max(sizes) + 1}: one is the stranger", console.USAGE)


def _print(results: Sequence[Impostors], people: int, enrolled: int) -> None:
    shown = table(
        *("gallery", *(f"{value:g}" for value in _VALUES), "1 in 1,000", "threshold"),
        title=f"Strangers that reach a similarity, {enrolled} of {people} pictures",
    )
    for each in results:
        shares = [f"{share:.4f}" for share in each.reaching.values()]
        shown.add_row(str(each.subjects), *shares, f"{each.one_in_1000:.3f}", f"{each.threshold:.3f}")
    console.out.print(shown)
