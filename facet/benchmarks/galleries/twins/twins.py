"""``facet bench twins``: how often people who look alike are taken for each other, and what a margin changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import numpy as np
import typer

from facet.benchmarks.galleries.duplicates.planted_duplicates import Embedded, embed_all
from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.benchmarks.galleries.twins.made_twins import MIN_PICTURES, Confusion, confusion
from facet.evaluation.datasets.labels import LabelError
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import number, table
from gallery.corrections.told_apart import MIN_MARGIN

_COSINES = (0.0, 0.5, 0.6, 0.7, 0.8)
_TEMPLATES = (1, 3)


def twins(
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Least difference of two similarities. Default: that of the server.")
    ] = MIN_MARGIN,
    protocol: Protocol = None,
    images: Images = None,
    as_json: AsJson = False,
) -> None:
    """Measure how often the wrong one of two people who look alike is the match, with and without a margin.

    A set such as LFW has no twins. So people of the set are made as similar as twins: the embeddings of one person are
    shifted towards those of another until the means of both have the cosine of the first column. The row "none" has
    the most similar people of the set as they are.

    [b]wrong[/b] is the share of searches that the wrong one of the two wins, [b]wrong beyond[/b] that among those with
    at least the margin, and [b]kept[/b] the share that has the margin. The others are unknown if the two were told
    apart.

    [b]Examples[/b]

      facet bench twins
      facet bench twins --margin 0.05 --json
    """
    csv, folder = labelled_set(protocol, images)
    try:
        faces = embed_all(csv, folder)
    except (LabelError, ModelError, PictureError) as error:
        console.fail(str(error))
    found = measure(faces, margin)
    if as_json:
        console.print_json({"margin": margin, "confusions": [asdict(each) for each in found]})
    else:
        _print(found, margin)


def measure(faces: Embedded, margin: float) -> list[Confusion]:
    """Measure all rows on the people with at least :data:`MIN_PICTURES` faces."""
    subjects = np.array(faces.subject_ids)
    names, counts = np.unique(subjects, return_counts=True)
    people = [faces.embeddings[subjects == name] for name in names[counts >= MIN_PICTURES]]
    return [
        confusion(people, cosine=cosine, templates=templates, margin=margin, chance=np.random.default_rng(0))
        for cosine in _COSINES
        for templates in _TEMPLATES
    ]


def _print(found: Sequence[Confusion], margin: float) -> None:
    rows = table(
        *("shifted to", number("templates"), number("searches"), number("wrong"), number("wrong beyond")),
        number("kept"),
        title=f"margin {margin:g}",
    )
    for each in found:
        rows.add_row(
            f"{each.cosine:g}" if each.cosine else "none",
            f"{each.templates}",
            f"{each.searches:,}",
            f"{each.wrong:.2%}",
            f"{each.wrong_beyond:.2%}",
            f"{each.kept:.1%}",
        )
    console.out.print(rows)
