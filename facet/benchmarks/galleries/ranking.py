"""``facet bench ranking``: whether a learned ranking would beat the plain similarity."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np
import typer
from numpy.typing import NDArray

from facet.benchmarks.galleries.templates import SEED, EmbeddedFace, embedded
from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import read_protocol
from facet.evaluation.identification.figures import OperatingPoint
from facet.evaluation.intervals import CONFIDENCE, Identities, Weights
from facet.runtime.extras import install_command
from facet.runtime.models import ModelError
from facet.runtime.pictures import PictureError
from facet.runtime.process import configure_for_models
from facet.terminal import console, tables
from facet.terminal.console import AsJson
from recognizer.models import load_models
from recognizer.pipeline import FacePipeline
from recognizer.settings import ModelSettings

FPIR = 0.01
LEAST_NONMATED = round(2 / FPIR)
"""Non-mated probes that a set must have: in either half one may be taken for somebody."""
LEAST_SUBJECTS = 20
"""Enrolled people, and mated probes, that it must have for models to learn from."""
PLAIN = "similarity"
_LFW = Path(__file__).resolve().parents[4] / "shared" / "data" / "lfw"

Scorer: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From features, shape ``(n, 5)``, to scores ``(n,)``, the higher the surer."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The best candidate of every probe, in a gallery of some of the subjects.

    Attributes:
        features: shape ``(n, 5)``: similarity, margin to the runner-up, quality of the probe, mean quality of the
            candidate's templates, how many those are.
        right: whether the candidate is the mate, ``(n,)``.
        mated: whether the mate is in the gallery, ``(n,)``.
        subjects: who the probes are.
    """

    features: NDArray[np.float64]
    right: NDArray[np.bool_]
    mated: NDArray[np.bool_]
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a way of scoring does on people it was not trained on; means over all splits.

    Attributes:
        scorer: its name.
        fnir: at FPIR 0.01.
        difference: fnir less that of the plain similarity; below 0 is better.
        low: the lower end of the 95 % interval of the difference, people being drawn again.
        high: its upper end.
        splits_better: in how many splits fnir was lower than the plain similarity's.
        splits_worse: in how many it was higher.
    """

    scorer: str
    fnir: float
    difference: float
    low: float
    high: float
    splits_better: int
    splits_worse: int

    @property
    def earns_its_place(self) -> bool:
        """Whether it is better beyond the interval."""
        return self.high < 0


@dataclass(frozen=True, slots=True)
class Set:
    """The embedded faces of a set.

    Attributes:
        gallery: the faces that are enrolled.
        probes: the faces that are looked for.
        similarity: of every probe with every template, shape ``(probes, templates)``.
    """

    gallery: Sequence[EmbeddedFace]
    probes: Sequence[EmbeddedFace]
    similarity: NDArray[np.float32]


def ranking(
    protocol: Annotated[Path, typer.Option(help="Labelled set for open-set identification.", show_default="LFW")] = _LFW
    / "identification.csv",
    images: Annotated[Path, typer.Option(help="Folder of its pictures.", show_default="LFW")] = _LFW / "images",
    splits: Annotated[int, typer.Option(min=1, help="Number of random splits into halves.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Would a learned ranking beat the plain similarity? Compares FNIR at FPIR 0.01 in one run.

    The people are split into random halves, several times. Each half has its own gallery, and is used once for training
    and once for testing, so that nobody is in both. Models see the best candidate of a search: its similarity, the
    margin to the runner-up, the quality of probe and templates, and the number of templates. The interval is a paired
    bootstrap over people. A set needs 200 nonmated probes, and 20 people with both templates and mated probes.
    """
    if importlib.util.find_spec("sklearn") is None:
        console.fail(f"the models need scikit-learn: {install_command('benchmarks')}")
    try:
        faces = _embed(protocol, images)
        if too_small := smallness(faces):
            console.fail(f"{protocol}: {too_small}")
        measured = compare(faces, splits)
    except LabelError as error:
        console.fail(str(error), console.USAGE)
    except (ModelError, PictureError, OSError) as error:
        console.fail(str(error))
    if as_json:
        console.print_json({"fpir": FPIR, "splits": splits, "rankings": [asdict(each) for each in measured]})
    else:
        _print(measured, splits)


def smallness(faces: Set) -> str:
    """Why a set is too small to be halved, learned from and judged by; empty where it is not."""
    enrolled = {face.entry.subject for face in faces.gallery}
    mated = {face.entry.subject for face in faces.probes} & enrolled
    nonmated = sum(face.entry.subject not in enrolled for face in faces.probes)
    if nonmated < LEAST_NONMATED or len(mated) < LEAST_SUBJECTS:
        there = (
            f"{nonmated} non-mated probes and {len(mated)} enrolled people with mated ones, in which a face is found"
        )
        return f"has {there}; at least {LEAST_NONMATED} and {LEAST_SUBJECTS} are needed"
    return ""


def compare(faces: Set, splits: int) -> list[Ranking]:
    """Train and judge every scorer on every split, both halves in turn."""
    subjects = sorted({face.entry.subject for face in (*faces.gallery, *faces.probes)})
    rng = np.random.default_rng(SEED)
    rounds = Identities(subjects, seed=SEED)
    names = [PLAIN, *_TRAINED]
    fnirs: dict[str, list[float]] = {name: [] for name in names}
    resampled: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    with console.progress("Training and judging", 2 * splits) as bar:
        for _ in range(splits):
            half = set(rng.permutation(subjects)[: len(subjects) // 2].tolist())
            halves = (half, set(subjects) - half)
            for train, judge in (halves, halves[::-1]):
                learned, judged = _searched(faces, train, without_mates=True), _searched(faces, judge)
                weights = list(rounds.weights(judged.subjects))
                for name in names:
                    score = _TRAINED[name](learned) if name in _TRAINED else _plain
                    places = _places(score(judged.features), judged.features[:, 0])
                    point = OperatingPoint(FPIR, judged.mated, places[None], judged.right[None])
                    fnirs[name].append(_value(point.fnir, np.ones(len(judged.mated), np.int64)))
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


def _searched(faces: Set, people: set[str], *, without_mates: bool = False) -> Searched:
    """Search a gallery of these people with their probes; on request once more, the mates taken out of the gallery.

    A mated probe whose mate is taken out is a non-mated one more: few enough false positives there are to learn from.
    """
    columns = [place for place, face in enumerate(faces.gallery) if face.entry.subject in people]
    rows = [place for place, face in enumerate(faces.probes) if face.entry.subject in people]
    enrolled = sorted({faces.gallery[place].entry.subject for place in columns})
    owner = np.array([enrolled.index(faces.gallery[place].entry.subject) for place in columns])
    similarity = np.full((len(rows), len(enrolled)), -np.inf)
    for column, subject in zip(columns, owner, strict=True):
        np.maximum(similarity[:, subject], faces.similarity[rows, column], out=similarity[:, subject])
    quality = np.array([faces.gallery[place].quality for place in columns])
    templates = np.bincount(owner)
    mean_quality = np.bincount(owner, quality) / templates

    probes = [faces.probes[row] for row in rows]
    places = {subject: place for place, subject in enumerate(enrolled)}
    mate = np.array([places.get(face.entry.subject, -1) for face in probes])
    parts = [_best(similarity, mate)]
    if without_mates:
        known = np.flatnonzero(mate >= 0)
        similarity[known, mate[known]] = -np.inf
        parts.append(_best(similarity, np.full(len(probes), -1)))
    subjects = tuple(face.entry.subject for face in probes)
    probe_quality = np.array([face.quality for face in probes])
    features = [
        np.column_stack([top, margin, probe_quality, mean_quality[best], templates[best]])
        for best, top, margin, _ in parts
    ]
    return Searched(
        features=np.concatenate(features),
        right=np.concatenate([right for *_, right in parts]),
        mated=np.concatenate([mate >= 0, *[np.zeros(len(probes), np.bool_)] * (len(parts) - 1)]),
        subjects=subjects * len(parts),
    )


def _best(
    similarity: NDArray[np.float64], mate: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """The best subject of every probe, its similarity, the margin to the next, and whether it is the mate."""
    best = similarity.argmax(axis=1)
    second, top = np.partition(similarity, -2, axis=1)[:, -2:].T
    return best, top, top - second, best == mate


def _places(scores: NDArray[np.float64], similarity: NDArray[np.float64]) -> NDArray[np.float32]:
    """The places of probes among each other in [0, 1]: thresholds look at nothing else.

    What a scorer ties, as the steps of isotonic regression and of trees do, the similarity parts.
    """
    _, places = np.unique(np.column_stack([scores, similarity]), axis=0, return_inverse=True)
    return (places.reshape(-1) / len(scores)).astype(np.float32)


def _plain(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return features[:, 0]


def _logistic(learned: Searched) -> Scorer:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(learned.features, learned.right)
    return lambda features: np.asarray(model.decision_function(features))


def _isotonic(learned: Searched) -> Scorer:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip").fit(learned.features[:, 0], learned.right)
    return lambda features: np.asarray(model.predict(features[:, 0]))


def _boosted(learned: Searched) -> Scorer:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        max_iter=100, max_depth=3, learning_rate=0.05, monotonic_cst=[1, 1, 0, 0, 0], random_state=SEED
    )
    with threadpool_limits(1):  # so little data is learned from faster than threads are woken
        model.fit(learned.features, learned.right)
    return lambda features: np.asarray(model.decision_function(features))


_TRAINED: dict[str, Callable[[Searched], Scorer]] = {
    "logistic regression": _logistic,
    "isotonic regression of the similarity": _isotonic,
    "gradient boosting": _boosted,
}


def _value(fnir: Callable[[Weights], float | None], weights: Weights) -> float:
    value = fnir(weights)
    return np.nan if value is None else value


def _embed(protocol: Path, images: Path) -> Set:
    configure_for_models()
    entries = read_protocol(protocol, images)
    pipeline = FacePipeline(load_models(ModelSettings(objects=None)))
    gallery = list(embedded(pipeline, entries.gallery, as_template=True))
    probes = list(embedded(pipeline, entries.probes, as_template=False))
    return similarities(gallery, probes)


def similarities(gallery: Sequence[EmbeddedFace], probes: Sequence[EmbeddedFace]) -> Set:
    """Compare every probe with every template."""
    if not gallery or not probes:
        return Set(gallery, probes, np.empty((len(probes), len(gallery)), np.float32))
    templates = np.stack([face.embedding for face in gallery])
    return Set(gallery, probes, np.stack([face.embedding for face in probes]) @ templates.T)


def _print(measured: list[Ranking], splits: int) -> None:
    table = tables.table(
        *("score by", "FNIR", "difference", "95 % interval", "better / worse", "earns its place"),
        title=f"FNIR at FPIR {FPIR} on people not trained on: means of {splits} splits, both halves in turn",
    )
    for each in measured:
        if each.scorer == PLAIN:
            table.add_row(each.scorer, f"{each.fnir:.4f}", "-", "-", "-", "-")
            continue
        table.add_row(
            each.scorer,
            f"{each.fnir:.4f}",
            f"{each.difference:+.4f}",
            f"{each.low:+.4f} to {each.high:+.4f}",
            f"{each.splits_better} / {each.splits_worse}",
            "yes" if each.earns_its_place else "no",
        )
    console.out.print(table)
