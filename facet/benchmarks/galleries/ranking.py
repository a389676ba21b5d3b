"""``facet bench ranking``: whether a learned ranking would beat the plain similarity."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from facet.benchmarks.galleries.options import Images, Protocol, labelled_set
from facet.benchmarks.galleries.scorers import TRAINERS, Candidates, plain
from facet.benchmarks.galleries.templates import SEED, EmbeddedFace, embedded
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import read_protocol
from facet.evaluation.identification.figures import OperatingPoint
from facet.evaluation.intervals import CONFIDENCE, Identities, Weights
from facet.runtime.extras import install_command
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import number, table
from recognizer.models.loading import load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings

FPIR = 0.01
MIN_NONMATED = round(2 / FPIR)
"""Nonmated probes that a set must have, so that the FPIR allows one false positive in each half."""
MIN_SUBJECTS = 20
"""Enrolled people with mated probes that a set must have to train on."""
PLAIN = "similarity"


@dataclass(frozen=True, slots=True)
class Ranking:
    """Accuracy of a scorer on people it was not trained on, means over all splits.

    Attributes:
        scorer: its name.
        fnir: at FPIR 0.01.
        difference: ``fnir`` minus that of the plain similarity; negative is better.
        low: lower end of the difference's 95 % interval, a paired bootstrap over people.
        high: upper end.
        splits_better: number of halves with a lower FNIR than the plain similarity.
        splits_worse: number of halves with a higher FNIR.
    """

    scorer: str
    fnir: float
    difference: float
    low: float
    high: float
    splits_better: int
    splits_worse: int

    @property
    def is_better(self) -> bool:
        """Whether the whole interval of the difference is below 0."""
        return self.high < 0


@dataclass(frozen=True, slots=True)
class EmbeddedSet:
    """The embedded faces of a labelled set.

    Attributes:
        gallery: enrolled faces.
        probes: faces to search for.
        similarity: of every probe with every template, shape ``(probes, templates)``.
    """

    gallery: Sequence[EmbeddedFace]
    probes: Sequence[EmbeddedFace]
    similarity: NDArray[np.float32]

    @classmethod
    def of(cls, gallery: Sequence[EmbeddedFace], probes: Sequence[EmbeddedFace]) -> EmbeddedSet:
        """Compare every probe with every template."""
        if not gallery or not probes:
            return cls(gallery, probes, np.empty((len(probes), len(gallery)), np.float32))
        templates = np.stack([face.embedding for face in gallery])
        return cls(gallery, probes, np.stack([face.embedding for face in probes]) @ templates.T)


def ranking(
    protocol: Protocol = None,
    images: Images = None,
    splits: Annotated[int, typer.Option(min=1, help="Number of random splits into halves.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Test whether a learned ranking beats the plain similarity, by FNIR at FPIR 0.01.

    The people of a labelled set are split into random halves. Each half has its own gallery and is used once for
    training and once for testing, so nobody is in both. Models see the best candidate of a search: its similarity, its
    margin to the runner-up, the quality of the probe and of the templates, and the number of templates. A set needs 200
    nonmated probes, and 20 people with both templates and mated probes. Takes a few minutes on LFW: about two to embed
    its faces.

    Columns: "difference", the FNIR minus that of the plain similarity, with the 95 % interval of a paired bootstrap
    over people; "better / worse", the number of halves in which the FNIR is lower or higher; "beats it", whether the
    whole interval is below 0.

    [b]Examples[/b]

      facet bench ranking
      facet bench ranking --protocol faces.csv --images faces/ --splits 50 --json
    """
    if importlib.util.find_spec("sklearn") is None:
        console.fail(f"the models need scikit-learn: {install_command('benchmarks')}")
    csv, folder = labelled_set(protocol, images)
    try:
        faces = _embed(csv, folder)
        if missing := shortage(faces):
            console.fail(f"{csv}: {missing}")
        measured = compare(faces, splits)
    except LabelError as error:
        console.fail(str(error), console.USAGE)
    except (ModelError, PictureError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json({"fpir": FPIR, "splits": splits, "rankings": [asdict(each) for each in measured]})
    else:
        _print(measured, splits)


def shortage(faces: EmbeddedSet) -> str:
    """Why a set is too small to be split into halves for training and testing; empty if it is large enough."""
    enrolled = {face.entry.subject for face in faces.gallery}
    mated = {face.entry.subject for face in faces.probes} & enrolled
    nonmated = sum(face.entry.subject not in enrolled for face in faces.probes)
    if nonmated >= MIN_NONMATED and len(mated) >= MIN_SUBJECTS:
        return ""
    return (
        f"too few pictures with a face: {nonmated} nonmated probes and {len(mated)} enrolled people with mated probes; "
        f"at least {MIN_NONMATED} and {MIN_SUBJECTS} are needed"
    )


def compare(faces: EmbeddedSet, splits: int) -> list[Ranking]:
    """Train and test every scorer on every split, with either half for training."""
    subjects = sorted({face.entry.subject for face in (*faces.gallery, *faces.probes)})
    rng = np.random.default_rng(SEED)
    bootstrap = Identities(subjects, seed=SEED)
    names = [PLAIN, *TRAINERS]
    fnirs: dict[str, list[float]] = {name: [] for name in names}
    resampled: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    with console.progress("Training and testing", 2 * splits) as bar:
        for _ in range(splits):
            half = set(rng.permutation(subjects)[: len(subjects) // 2].tolist())
            halves = (half, set(subjects) - half)
            for train, test in (halves, halves[::-1]):
                training, tested = _candidates(faces, train, also_without_mates=True), _candidates(faces, test)
                weights = list(bootstrap.weights(tested.subjects))
                for name in names:
                    scorer = TRAINERS[name](training) if name in TRAINERS else plain
                    ranks = _ranks(scorer(tested.features), tested.features[:, 0])
                    point = OperatingPoint(FPIR, tested.mated, ranks[None], tested.right[None])
                    fnirs[name].append(_value(point.fnir, np.ones(len(tested.mated), np.int64)))
                    resampled[name].append(np.array([_value(point.fnir, each) for each in weights]))
                bar.advance(bar.task_ids[0])
    return [_ranking(name, fnirs, resampled) for name in names]


def _ranking(name: str, fnirs: dict[str, list[float]], resampled: dict[str, list[NDArray[np.float64]]]) -> Ranking:
    differences = np.array(fnirs[name]) - np.array(fnirs[PLAIN])
    rounds = np.nanmean(resampled[name], axis=0) - np.nanmean(resampled[PLAIN], axis=0)
    low, high = np.nanpercentile(rounds, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return Ranking(
        scorer=name,
        fnir=float(np.nanmean(fnirs[name])),
        difference=float(np.nanmean(differences)),
        low=float(low),
        high=float(high),
        splits_better=int((differences < 0).sum()),
        splits_worse=int((differences > 0).sum()),
    )


def _candidates(faces: EmbeddedSet, people: set[str], *, also_without_mates: bool = False) -> Candidates:
    """Search a gallery of these people with their probes.

    Args:
        faces: the set.
        people: subjects to use.
        also_without_mates: search once more without the mates of the probes. This turns mated probes into nonmated
            ones, because there are few false positives to train on otherwise.
    """
    columns = [at for at, face in enumerate(faces.gallery) if face.entry.subject in people]
    rows = [at for at, face in enumerate(faces.probes) if face.entry.subject in people]
    enrolled = sorted({faces.gallery[at].entry.subject for at in columns})
    owner = np.array([enrolled.index(faces.gallery[at].entry.subject) for at in columns])
    similarity = np.full((len(rows), len(enrolled)), -np.inf)
    for column, subject in zip(columns, owner, strict=True):
        np.maximum(similarity[:, subject], faces.similarity[rows, column], out=similarity[:, subject])
    templates = np.bincount(owner)
    mean_quality = np.bincount(owner, np.array([faces.gallery[at].quality for at in columns])) / templates

    probes = [faces.probes[row] for row in rows]
    column_of = {subject: at for at, subject in enumerate(enrolled)}
    mate = np.array([column_of.get(face.entry.subject, -1) for face in probes])
    searches = [_best(similarity, mate)]
    if also_without_mates:
        mated = np.flatnonzero(mate >= 0)
        similarity[mated, mate[mated]] = -np.inf
        searches.append(_best(similarity, np.full(len(probes), -1)))
    probe_quality = np.array([face.quality for face in probes])
    features = [
        np.column_stack([top, margin, probe_quality, mean_quality[best], templates[best]])
        for best, top, margin, _ in searches
    ]
    return Candidates(
        features=np.concatenate(features),
        right=np.concatenate([right for *_, right in searches]),
        mated=np.concatenate([mate >= 0, *[np.zeros(len(probes), np.bool_)] * (len(searches) - 1)]),
        subjects=tuple(face.entry.subject for face in probes) * len(searches),
    )


def _best(
    similarity: NDArray[np.float64], mate: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The best subject of every probe, its similarity, its margin to the runner-up, and whether it is the mate."""
    best = similarity.argmax(axis=1)
    second, top = np.partition(similarity, -2, axis=1)[:, -2:].T
    return best, top, top - second, best == mate


def _ranks(scores: NDArray[np.float64], similarity: NDArray[np.float64]) -> NDArray[np.float32]:
    """Ranks of the scores, scaled to [0, 1): thresholds depend on nothing else.

    The similarity breaks ties, such as those from the steps of isotonic regression and of trees.
    """
    _, ranks = np.unique(np.column_stack([scores, similarity]), axis=0, return_inverse=True)
    return (ranks.reshape(-1) / len(scores)).astype(np.float32)


def _value(fnir: Callable[[Weights], float | None], weights: Weights) -> float:
    value = fnir(weights)
    return np.nan if value is None else value


def _embed(protocol: Path, images: Path) -> EmbeddedSet:
    configure_for_models()
    entries = read_protocol(protocol, images)
    pipeline = FacePipeline(load_models(ModelSettings(objects=None)))
    gallery = list(embedded(pipeline, entries.gallery, as_template=True))
    return EmbeddedSet.of(gallery, list(embedded(pipeline, entries.probes, as_template=False)))


def _print(measured: Sequence[Ranking], splits: int) -> None:
    shown = table(
        *("score by", number("FNIR"), number("difference"), number("95 % interval")),
        *(number("better /\nworse"), "beats it"),
        title=f"FNIR at FPIR {FPIR} on people not trained on: means of {splits} splits, 2 halves each",
    )
    for each in measured:
        if each.scorer == PLAIN:
            shown.add_row(each.scorer, f"{each.fnir:.4f}", "-", "-", "-", "-")
            continue
        shown.add_row(
            *(each.scorer, f"{each.fnir:.4f}", f"{each.difference:+.4f}"),
            *(f"{each.low:+.4f} to {each.high:+.4f}", f"{each.splits_better} / {each.splits_worse}"),
            "yes" if each.is_better else "no",
        )
    console.out.print(shown)
