"""The figures of verification by the names that they are known by, and what plots and comparisons are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation import intervals
from facet.evaluation.datasets.pairs import Pairs
from facet.evaluation.intervals import Figure, Identities, Weights
from facet.evaluation.report.document import Report
from facet.evaluation.verification import figures as verification
from facet.evaluation.verification.figures import FARS, Curve, Folds, Values, at_far, decided
from facet.evaluation.verification.run import FACE_NOT_FOUND, VerificationRun

RULE_OF_30 = 30
"""An error rate told from fewer errors than these is off by more than 30 % at 90 % confidence (Doddington 1998)."""

_AT_MOST = 100_000_000
"""Weights that a bootstrap draws: beyond, it takes fewer rounds, but no fewer than 200."""
_BINS = np.linspace(-1, 1, 101)


class Scored:
    """Pairs with their similarities, and all that is told of them.

    Args:
        same: whether each pair is of one person, shape ``(n,)``.
        similarity: cosine of each, float32.
        accepted: whether the deployed threshold takes it to be of one person.
        folds: which fold each belongs to.
    """

    def __init__(
        self,
        same: NDArray[np.bool_],
        similarity: NDArray[np.float32],
        accepted: NDArray[np.bool_],
        folds: NDArray[np.intp],
    ) -> None:
        self._same = same
        self._accepted = accepted
        self.curve = Curve(similarity, same)
        self.folds = Folds(similarity, same, folds)

    def values(self, weights: Weights) -> Values:
        """All figures by name, of weighted pairs."""
        points = self.curve.points(weights)
        no_curve: Values = {"auc": None, "eer": None, **{f"tar@{at_far(rate)}": None for rate in FARS}}
        accuracies = self.folds.accuracies(weights)[0] if points else ()
        return {
            "accuracy": float(np.mean(accuracies)) if len(accuracies) else None,
            **(points.values() if points else no_curve),
            **decided(self._accepted, self._same, weights),
        }


def rounds_of(pairs: int) -> int:
    """How often so many pairs are drawn again."""
    return int(np.clip(_AT_MOST // max(pairs, 1), 200, intervals.ROUNDS))


def verification_report(pairs: Pairs, run: VerificationRun, *, threshold: np.float32, seed: int) -> Report:
    """The figures of verification, over the pairs that were reached.

    Args:
        pairs: the labelled set.
        run: what the service answered.
        threshold: by which the service decides.
        seed: of the bootstrap over identities.
    """
    scored, same, _, a, b = _judged(pairs, run, threshold)
    subjects = np.array(pairs.subjects)
    people = Identities(pairs.subjects, seed=seed, rounds=rounds_of(len(same)))
    told = intervals.bootstrapped_together(
        scored.values, len(same), people.weights(subjects[a].tolist(), subjects[b].tolist())
    )
    in_genuine = len(np.unique(subjects[a[same]]))
    in_impostors = len(np.unique(subjects[np.append(a[~same], b[~same])]))
    points = scored.curve.points(np.ones(len(same), np.int64))
    accuracies, thresholds = scored.folds.accuracies(np.ones(len(same), np.int64))
    told = {name: _bounded(name, figure, in_genuine, in_impostors) for name, figure in told.items()}
    impostors = int((~same).sum())
    for rate in FARS:
        name = f"tar@{at_far(rate)}"
        told[name] = _noted(told[name], rate, impostors)
    at = {
        f"threshold@{at_far(rate)}": _threshold(points.at_far(rate)[1])
        for rate in FARS
        if points and verification.measurable(rate, impostors)
    }
    finite = thresholds[np.isfinite(thresholds)]
    return {
        "accuracy": told.pop("accuracy"),
        "accuracy_std": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
        "accuracy_threshold": float(finite.mean()) if len(finite) else None,
        "auc": told.pop("auc"),
        "eer": told.pop("eer"),
        "eer_threshold": _threshold(points.eer()[1]) if points else None,
        **{name: told.pop(name) for name in [f"tar@{at_far(rate)}" for rate in FARS]},
        **at,
        "deployed_threshold": threshold,
        **told,
        "pairs": len(same),
        "genuine": int(same.sum()),
        "impostors": impostors,
        "images": len(pairs.images),
        "subjects": len(people),
        "identified_by": pairs.identified_by,
        "failed_to_detect": sum(reason == FACE_NOT_FOUND for reason in run.failures.values()),
        **_incomparable(pairs, run),
        "verify_checked": run.checked,
        "verify_max_difference": float(f"{run.difference:.2g}"),
    }


def curves(pairs: Pairs, run: VerificationRun) -> Report:
    """ROC, DET and the histograms of similarities."""
    scored, same, similarity, *_ = _judged(pairs, run, np.float32(0))
    histograms = {
        name: {"edges": [round(float(edge), 2) for edge in _BINS], "counts": np.histogram(similarity[kind], _BINS)[0]}
        for name, kind in (("scores_genuine", same), ("scores_impostor", ~same))
    }
    points = scored.curve.points(np.ones(len(same), np.int64))
    if points is None:
        return histograms
    corners = verification.thinned(points)
    far, tar = corners["far"], corners["tar"]
    return {"roc": {"x": far, "y": tar}, "det": {"x": far, "y": 1 - tar}, **histograms}


def folds_table(pairs: Pairs, run: VerificationRun) -> list[Report]:
    """Each fold's accuracy at the threshold chosen on all others."""
    scored, same, *_ = _judged(pairs, run, np.float32(0))
    accuracies, thresholds = scored.folds.accuracies(np.ones(len(same), np.int64))
    return [
        {"fold": number, "accuracy": accuracy, "threshold": _threshold(threshold)}
        for number, (accuracy, threshold) in enumerate(zip(accuracies, thresholds, strict=True), 1)
    ]


def mistakes(pairs: Pairs, run: VerificationRun, *, threshold: np.float32, count: int) -> dict[str, list[Report]]:
    """The worst ``count`` false matches, the most similar first, and misses: those without a face, the least similar.

    Every wrong decision at the deployed threshold is a mistake.
    """
    accepted = run.similarity >= threshold
    wrong = np.flatnonzero(run.judged & accepted & ~pairs.same)
    missed = np.flatnonzero(run.judged & ~accepted & pairs.same)
    wrong = wrong[np.argsort(-run.similarity[wrong], kind="stable")][:count]
    missed = missed[np.argsort(run.similarity[missed], kind="stable")][:count]
    return {
        "false_matches": [_told(pairs, run, pair) for pair in wrong.tolist()],
        "misses": [_told(pairs, run, pair) for pair in missed.tolist()],
    }


def items(pairs: Pairs, run: VerificationRun) -> Report:
    """What ``compare`` needs, in columns: pictures with their subjects, and the pairs that were reached."""
    reached = run.judged
    return {
        "images": pairs.images,
        "subjects": pairs.subjects,
        "a": pairs.a[reached],
        "b": pairs.b[reached],
        "same": pairs.same[reached].astype(int),
        "fold": pairs.folds[reached],
        "similarity": run.similarity[reached],
    }


def scored_items(columns: Mapping[str, Any], threshold: float) -> Scored:
    """The pairs of a document again, from its items."""
    similarity = np.array(columns["similarity"], np.float32)
    same = np.array(columns["same"], np.bool_)
    return Scored(same, similarity, similarity >= np.float32(threshold), np.array(columns["fold"], np.intp))


def refused(run: VerificationRun) -> list[dict[str, str]]:
    """The pictures that failed for another reason than that they show no face."""
    return [{"image": image, "reason": reason} for image, reason in run.failures.items() if reason != FACE_NOT_FOUND]


def _judged(
    pairs: Pairs, run: VerificationRun, threshold: np.float32
) -> tuple[Scored, NDArray[np.bool_], NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
    """The pairs that were reached: scored, then same, similarity, a and b of each."""
    same, similarity = pairs.same[run.judged], run.similarity[run.judged]
    scored = Scored(same, similarity, similarity >= threshold, pairs.folds[run.judged])
    return scored, same, similarity, pairs.a[run.judged], pairs.b[run.judged]


def _incomparable(pairs: Pairs, run: VerificationRun) -> dict[str, int]:
    """Pairs that count as rejected: for want of a face, or because a picture was refused."""
    without = {image for image, reason in run.failures.items() if reason == FACE_NOT_FOUND}
    rejected = np.flatnonzero(run.judged & (run.similarity == verification.NO_FACE))
    shown = [(pairs.images[pairs.a[pair]], pairs.images[pairs.b[pair]]) for pair in rejected.tolist()]
    faceless = sum(not without.isdisjoint(images) for images in shown)
    return {"pairs_without_face": faceless, "pairs_refused": len(shown) - faceless}


def _bounded(name: str, figure: Figure, in_genuine: int, in_impostors: int) -> Figure:
    """A figure without any error has nothing that resampling could vary: the rule of three bounds it.

    It goes by the people whose pairs might have shown an error.
    """
    if name == "far":
        return intervals.widened(figure, in_impostors)
    if name in ("frr", "recall") or name.startswith("tar@"):
        return intervals.widened(figure, in_genuine)
    return intervals.widened(figure, min(in_genuine, in_impostors))


def _noted(figure: Figure, rate: float, impostors: int) -> Figure:
    """True accepts at a rate, and how far the impostors reach."""
    if not verification.measurable(rate, impostors):
        return intervals.none(f"too few impostors: {impostors} pairs of two people, {1 / rate:.0f} needed")
    if figure.value is not None and impostors * rate < RULE_OF_30:
        allowed = int(impostors * rate + 1e-9)
        pairs = "pair is" if allowed == 1 else "pairs are"
        return replace(figure, note=f"{allowed} {pairs} allowed at this rate; {RULE_OF_30} would make it firm")
    return figure


def _threshold(value: float) -> float | None:
    """A similarity; ``None`` where nothing is accepted."""
    return float(f"{value:.7g}") if np.isfinite(value) else None


def _told(pairs: Pairs, run: VerificationRun, pair: int) -> Report:
    a, b = int(pairs.a[pair]), int(pairs.b[pair])
    similarity = run.similarity[pair]
    failure = run.failures.get(pairs.images[a]) or run.failures.get(pairs.images[b]) or ""
    return {
        "image_a": pairs.images[a],
        "image_b": pairs.images[b],
        "similarity": None if failure else similarity,
        "failure": failure,
    }
