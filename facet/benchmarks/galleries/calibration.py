"""``facet bench calibration``: thresholds chosen on some people, measured on others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, TypeAlias

import numpy as np
import typer
from numpy.typing import NDArray

from facet.benchmarks.galleries.templates import SEED, Faces, embed
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.intervals import wilson
from facet.runtime.cores import usable_cores
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.terminal import console, tables
from gallery.calibration.nonmated_searches import search_nonmated
from gallery.calibration.thresholds import NonmatedScores, ThresholdChoice, choose_threshold, searches_needed
from gallery.index.memory_index import MemoryIndex
from gallery.records.templates import EmbeddedTemplates
from gallery.search_pool import SearchPool

Vectors: TypeAlias = NDArray[np.float32]

TARGETS = (0.1, 0.03, 0.01, 0.003)

_SHARES, _PARTS, _GROWN_TARGETS = (0.2, 0.5), 30, (0.1, 0.01)
"""Parts of the gallery that are to grow: how large, how many of each size, and calibrated for what."""

_COMPARED, _SPREAD = 1871, 0.07
"""Of the known distribution: the best of so many normal similarities of this standard deviation."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Thresholds that were chosen on one half, and the FPIR that the other half measures.

    Attributes:
        method: what they were chosen from.
        target: the FPIR that was asked for.
        splits: how many random halves; fewer than were wanted where one had too few searches.
        threshold: the median of those chosen.
        measured: the mean of the measured FPIR.
        target_in_measured: in how many the target is in Wilson's 95 % interval of the measured FPIR.
        measured_in_promised: in how many the measured FPIR is in the interval that the calibration gave.
        missed: the share of the mated probes that do not find their subject in the whole gallery at the median
            threshold (FNIR).
    """

    method: str
    target: float
    splits: int
    threshold: float
    measured: float
    target_in_measured: int
    measured_in_promised: int
    missed: float


@dataclass(frozen=True, slots=True)
class Grown:
    """Thresholds that were chosen in a part of the gallery for the size of the whole, and the FPIR of the whole.

    Attributes:
        templates: of each part, drawn at random.
        target: the FPIR that was asked for, of the whole.
        parts: how many.
        measured: the mean FPIR of the whole, suspects left out.
    """

    templates: int
    target: float
    parts: int
    measured: float


@dataclass(frozen=True, slots=True)
class Known:
    """Thresholds that were chosen from sets of a known distribution, and their true FPIR.

    Attributes:
        searches: of each set.
        target: the FPIR that was asked for.
        sets: how many; none where the target takes more searches.
        median: of the true FPIR.
        quarter: a quarter of the sets are below this.
        three_quarters: a quarter of them are above.
        truth_in_promised: in how many the true FPIR is in the interval that the calibration gave.
    """

    searches: int
    target: float
    sets: int
    median: float
    quarter: float
    three_quarters: float
    truth_in_promised: int


def calibration(
    protocol: Annotated[
        Path, typer.Option(help="Labelled set: a CSV with role, subject, image.", exists=True, dir_okay=False)
    ],
    images: Annotated[Path, typer.Option(help="Folder of its images.", exists=True, file_okay=False)],
    splits: Annotated[int, typer.Option(min=1, help="Number of random splits into halves.")] = 100,
    draws: Annotated[
        int, typer.Option(min=0, help="Number of sets of each size to draw from a known distribution.")
    ] = 100,
    as_json: console.AsJson = False,
) -> None:
    """Whether a threshold keeps what its calibration promises, on people that it has not seen.

    First, the people of the nonmated probes are split into random halves, many times. One half chooses a threshold in
    each way that [b]facet calibrate[/b] has: from probes, with and without suspects; from the gallery against itself;
    and from the gallery with a cohort, for which half of its people are searched for among the other half. The other
    half measures how many unknown people reach the threshold. "Missed" are mated probes that the threshold does not
    identify in the whole gallery.

    Second, a fifth and a half of the gallery are calibrated for the size of the whole, which measures how well growth
    is predicted.

    Third, sets are drawn from a distribution with a known FPIR, the best of 1871 normal similarities. They measure the
    error of the threshold, and how often the true FPIR lies in the interval.
    """
    configure_for_models()
    try:
        faces = embed(protocol, images)
    except (LabelError, ModelError, PictureError, OSError) as error:
        console.fail(str(error))
    measured = measure(faces, splits)
    grown = growth(faces)
    known = [_known(searches, target, draws) for searches in (200, 1000, 5000) for target in (0.1, 0.01, 0.003)]
    known = [each for each in known if each.sets]
    if as_json:
        counts = {"templates": len(faces.templates), "searches": len(faces.nonmated)}
        drawn = [asdict(each) for each in known]
        foreseen = [asdict(each) for each in grown]
        console.print_json(
            counts | {"held_out": [asdict(each) for each in measured], "grown": foreseen, "known": drawn}
        )
        return
    title = f"{len(faces.templates)} templates, {len(faces.nonmated)} searches for unknown people, {splits} halves"
    table = tables.table("chosen from", "target", "threshold", "measured", title=title)
    for heading in ("target in the measured interval", "measured in the promised interval", "missed"):
        table.add_column(heading, justify="right")
    for each in measured:
        shares = (each.target_in_measured / each.splits, each.measured_in_promised / each.splits)
        figures = (f"{each.target:.3f}", f"{each.threshold:.4f}", f"{each.measured:.4f}")
        table.add_row(each.method, *figures, *(f"{share:.2f}" for share in shares), f"{each.missed:.4f}")
    console.out.print(table)
    _print_grown(grown)
    _print_known(known)


def _print_grown(grown: list[Grown]) -> None:
    table = tables.table("templates", "target", "measured in the whole", title="parts, calibrated for the whole")
    for each in grown:
        table.add_row(str(each.templates), f"{each.target:.3f}", f"{each.measured:.4f}")
    console.out.print(table)


def _print_known(known: list[Known]) -> None:
    table = tables.table("searches", "target", title="a known distribution")
    for heading in ("FPIR, median", "of half the sets", "truth in the interval"):
        table.add_column(heading, justify="right")
    for each in known:
        middle = f"{each.quarter:.4f} to {each.three_quarters:.4f}"
        held = f"{each.truth_in_promised / each.sets:.2f}"
        table.add_row(str(each.searches), f"{each.target:.3f}", f"{each.median:.4f}", middle, held)
    console.out.print(table)


def measure(faces: Faces, splits: int) -> list[HeldOut]:
    """All methods at all targets; see :func:`calibration`."""
    templates = faces.templates
    names = [f"subject {number}" for number in range(len(templates))]
    strangers = [f"stranger {number}" for number in range(len(faces.nonmated))]
    index = _index(templates, names)
    of_probes = _searches(index, faces.nonmated, strangers, is_cross_subject=False)
    of_strangers = _without(of_probes)
    of_itself = _searches(index, templates, names, is_cross_subject=True)
    half, cohort = _parts(len(templates))
    smaller = _index(templates[half], [names[row] for row in half])
    of_probes_there = _searches(smaller, faces.nonmated, strangers, is_cross_subject=False)
    of_itself_there = _searches(smaller, templates[half], [names[row] for row in half], is_cross_subject=True)
    of_cohort = _searches(smaller, templates[cohort], [names[row] for row in cohort], is_cross_subject=True)
    methods: list[tuple[str, NonmatedScores, Callable[[NDArray[np.intp]], NonmatedScores], bool]] = [
        ("probes", of_probes, lambda rows: _take(of_probes, rows), False),
        ("probes, without suspects", of_strangers, lambda rows: _take(of_strangers, rows), True),
        ("itself", of_probes, lambda _: of_itself, True),
        ("itself and a cohort", of_probes_there, lambda _: _joined(of_itself_there, of_cohort), True),
    ]
    similarities = faces.mated @ templates.T
    own = similarities[np.arange(len(faces.mates)), faces.mates]
    own = np.where(own >= similarities.max(axis=1), own, -np.inf)
    return [
        _held_out(method, target, whole, chosen_from, without, splits, own)
        for method, whole, chosen_from, without in methods
        for target in TARGETS
    ]


def growth(faces: Faces) -> list[Grown]:
    """Parts of the gallery that are calibrated for the size of the whole; see :func:`calibration`."""
    templates, rng = faces.templates, np.random.default_rng(SEED)
    names = [f"subject {number}" for number in range(len(templates))]
    strangers = [f"stranger {number}" for number in range(len(faces.nonmated))]
    whole = _without(_searches(_index(templates, names), faces.nonmated, strangers, is_cross_subject=False))
    found = []
    for share in _SHARES:
        size = round(share * len(templates))
        measured: dict[float, list[float]] = {target: [] for target in _GROWN_TARGETS}
        for _ in range(_PARTS):
            rows = np.sort(rng.permutation(len(templates))[:size])
            part = _index(templates[rows], [names[row] for row in rows])
            searches = _searches(part, faces.nonmated, strangers, is_cross_subject=False)
            for target, reached in measured.items():
                if len(searches.best) < searches_needed(target, size, len(templates)):
                    continue
                chosen = choose_threshold(
                    searches, target_fpir=target, for_templates=len(templates), without_suspects=True
                )
                reached.append(float((whole.best >= chosen.threshold).mean()))
        found += [
            Grown(size, target, len(reached), round(float(np.mean(reached)), 5))
            for target, reached in measured.items()
            if reached
        ]
    return found


def _held_out(
    method: str,
    target: float,
    whole: NonmatedScores,
    chosen_from: Callable[[NDArray[np.intp]], NonmatedScores],
    without_suspects: bool,
    splits: int,
    own: NDArray[np.float32],
) -> HeldOut:
    rng = np.random.default_rng(SEED)
    outcomes: list[tuple[ThresholdChoice, float, tuple[float, float]]] = []
    for _ in range(splits):
        order = rng.permutation(len(whole.best))
        one, other = np.sort(order[::2]), order[1::2]
        searches = chosen_from(one)
        if len(searches.best) < searches_needed(target, searches.templates, searches.templates):
            continue
        chosen = choose_threshold(
            searches, target_fpir=target, for_templates=searches.templates, without_suspects=without_suspects
        )
        reached = int((whole.best[other] >= chosen.threshold).sum())
        outcomes.append((chosen, reached / len(other), wilson(reached, len(other))))
    threshold = float(np.median([chosen.threshold for chosen, _, _ in outcomes]))
    return HeldOut(
        method,
        target,
        len(outcomes),
        threshold=round(threshold, 4),
        measured=round(float(np.mean([share for _, share, _ in outcomes])), 5),
        target_in_measured=sum(low <= target <= high for _, _, (low, high) in outcomes),
        measured_in_promised=sum(chosen.fpir_low <= share <= chosen.fpir_high for chosen, share, _ in outcomes),
        missed=round(float((own < threshold).mean()), 4),
    )


def _known(searches: int, target: float, draws: int) -> Known:
    if searches < searches_needed(target, _COMPARED, _COMPARED):
        draws = 0
    rng = np.random.default_rng(SEED)
    names = [str(number) for number in range(searches)]
    normal = NormalDist(0, _SPREAD)
    truths: list[float] = []
    held = 0
    for _ in range(draws):
        best = [normal.inv_cdf(share) for share in rng.random(searches) ** (1 / _COMPARED)]
        drawn = NonmatedScores(np.array(best, np.float32), names, names, _COMPARED, is_cross_subject=False)
        chosen = choose_threshold(drawn, target_fpir=target, for_templates=_COMPARED, without_suspects=False)
        truths.append(1 - normal.cdf(chosen.threshold) ** _COMPARED)
        held += chosen.fpir_low <= truths[-1] <= chosen.fpir_high
    quarter, median, more = np.quantile(truths, [0.25, 0.5, 0.75]).round(5).tolist() if truths else (0.0, 0.0, 0.0)
    return Known(searches, target, draws, median, quarter, more, held)


def _parts(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    order = np.random.default_rng(SEED).permutation(count)
    return np.sort(order[::2]), np.sort(order[1::2])


def _index(templates: Vectors, names: Sequence[str]) -> MemoryIndex:
    index = MemoryIndex(templates.shape[1], SearchPool(usable_cores()))
    index.add(EmbeddedTemplates(names, names, [f"{number}" for number in range(len(names))], templates))
    return index


def _searches(index: MemoryIndex, probes: Vectors, names: Sequence[str], *, is_cross_subject: bool) -> NonmatedScores:
    found = search_nonmated(index, probes, names, mean_of_best=1)
    best = np.array([each.similarity for each in found], np.float32)
    return NonmatedScores(best, names, [each.other_id for each in found], len(index), is_cross_subject)


def _take(searches: NonmatedScores, rows: NDArray[np.intp]) -> NonmatedScores:
    subjects = [searches.subject_ids[row] for row in rows]
    return NonmatedScores(
        searches.best[rows], subjects, [searches.other_ids[row] for row in rows], searches.templates, False
    )


def _joined(one: NonmatedScores, other: NonmatedScores) -> NonmatedScores:
    best = np.concatenate([one.best, other.best])
    return NonmatedScores(
        best, [*one.subject_ids, *other.subject_ids], [*one.other_ids, *other.other_ids], one.templates, True
    )


def _without(searches: NonmatedScores) -> NonmatedScores:
    """Without the searches that are suspects among all of them: what is measured then is of strangers, too."""
    everything = choose_threshold(searches, target_fpir=0.1, for_templates=searches.templates, without_suspects=True)
    suspects = {each.subject_id for each in everything.suspects}
    rows = [row for row, subject in enumerate(searches.subject_ids) if subject not in suspects]
    return _take(searches, np.array(rows, np.intp))
