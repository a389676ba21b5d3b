"""The verification report: figures by name, curves, mistakes and the similarity of each pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facet.evaluation import intervals
from facet.evaluation.datasets.pairs import Pairs
from facet.evaluation.groups.attributes import Attribute
from facet.evaluation.groups.report import GroupReport, group_report
from facet.evaluation.groups.trials import of_pairs
from facet.evaluation.intervals import Figure, Identities, Weights
from facet.evaluation.report.document import Report
from facet.evaluation.verification.figures import (
    FARS,
    NO_FACE,
    LfwFolds,
    RocCurve,
    Values,
    decision_values,
    far_name,
    is_measurable,
    thin_curve,
)
from facet.evaluation.verification.run import FACE_NOT_FOUND, VerificationRun

RULE_OF_30 = 30
"""Errors that a rate must rest on to be within 30 % of the truth at 90 % confidence (Doddington 1998)."""

_MAX_WEIGHTS = 100_000_000
"""Weights that a bootstrap draws at most; larger sets get fewer rounds."""
_MIN_ROUNDS = 200
_BINS = np.linspace(-1, 1, 101)


class ScoredPairs:
    """Pairs with similarities, and the figures that follow from them.

    Args:
        same: whether each pair is mated, shape ``(n,)``.
        similarity: cosine similarity, float32.
        accepted: whether the deployed threshold accepts the pair.
        folds: fold of the pair, from 0.
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
        self.curve = RocCurve(similarity, same)
        self.folds = LfwFolds(similarity, same, folds)

    @classmethod
    def from_items(cls, columns: Mapping[str, Any], threshold: float) -> ScoredPairs:
        """Restore the pairs from the items of a report, see :meth:`VerificationReport.items`."""
        similarity = np.array(columns["similarity"], np.float32)
        same = np.array(columns["same"], np.bool_)
        return cls(same, similarity, similarity >= np.float32(threshold), np.array(columns["fold"], np.intp))

    def values(self, weights: Weights) -> Values:
        """All figures by name, from weighted pairs."""
        points = self.curve.points(weights)
        no_curve: Values = {"auc": None, "eer": None, **{f"tar@{far_name(rate)}": None for rate in FARS}}
        accuracies = self.folds.accuracies(weights)[0] if points else ()
        return {
            "accuracy": float(np.mean(accuracies)) if len(accuracies) else None,
            **(points.values() if points else no_curve),
            **decision_values(self._accepted, self._same, weights),
        }


def bootstrap_rounds(pairs: int) -> int:
    """The number of bootstrap rounds for a number of pairs."""
    return int(np.clip(_MAX_WEIGHTS // max(pairs, 1), _MIN_ROUNDS, intervals.ROUNDS))


class VerificationReport:
    """The parts of the report, over the pairs that the run reached.

    Args:
        pairs: the labelled set.
        run: the answers of the service.
        threshold: the service's threshold.
        seed: seed of the bootstrap over identities.
    """

    def __init__(self, pairs: Pairs, run: VerificationRun, *, threshold: np.float32, seed: int) -> None:
        self._pairs = pairs
        self._run = run
        self._threshold = threshold
        self._seed = seed
        self._same = pairs.same[run.reached]
        self._similarity = run.similarity[run.reached]
        self._a, self._b = pairs.a[run.reached], pairs.b[run.reached]
        accepted = self._similarity >= threshold
        self._scored = ScoredPairs(self._same, self._similarity, accepted, pairs.folds[run.reached])
        self._all_once = np.ones(len(self._same), np.int64)

    def figures(self) -> Report:
        """The figures by name."""
        pairs, run = self._pairs, self._run
        people = Identities(pairs.subjects, seed=self._seed, rounds=bootstrap_rounds(len(self._same)))
        found = self._with_intervals(people)
        points = self._scored.curve.points(self._all_once)
        accuracies, thresholds = self._scored.folds.accuracies(self._all_once)
        finite = thresholds[np.isfinite(thresholds)]
        nonmated = int((~self._same).sum())
        return {
            "accuracy": found.pop("accuracy"),
            "accuracy_std": float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None,
            "accuracy_threshold": float(finite.mean()) if len(finite) else None,
            "auc": found.pop("auc"),
            "eer": found.pop("eer"),
            "eer_threshold": _threshold(points.eer()[1]) if points else None,
            **{name: found.pop(name) for name in [f"tar@{far_name(rate)}" for rate in FARS]},
            **{
                f"threshold@{far_name(rate)}": _threshold(points.at_far(rate)[1])
                for rate in FARS
                if points and is_measurable(rate, nonmated)
            },
            "deployed_threshold": self._threshold,
            **found,
            "pairs": len(self._same),
            "genuine": int(self._same.sum()),
            "impostors": nonmated,
            "images": len(pairs.images),
            "subjects": len(people),
            "identified_by": pairs.identified_by,
            "failed_to_detect": sum(reason == FACE_NOT_FOUND for reason in run.failures.values()),
            **self._rejected_unseen(),
            "verify_checked": run.checked,
            "verify_max_difference": float(f"{run.max_difference:.2g}"),
        }

    def curves(self) -> Report:
        """ROC, DET and histograms of the similarities."""
        histograms = {
            name: {
                "edges": [round(float(edge), 2) for edge in _BINS],
                "counts": np.histogram(self._similarity[kind], _BINS)[0],
            }
            for name, kind in (("scores_genuine", self._same), ("scores_impostor", ~self._same))
        }
        points = self._scored.curve.points(self._all_once)
        if points is None:
            return histograms
        corners = thin_curve(points)
        far, tar = corners["far"], corners["tar"]
        return {"roc": {"x": far, "y": tar}, "det": {"x": far, "y": 1 - tar}, **histograms}

    def tables(self) -> dict[str, list[Report]]:
        """Accuracy of each fold at the threshold chosen on the others."""
        accuracies, thresholds = self._scored.folds.accuracies(self._all_once)
        folds = [
            {"fold": number, "accuracy": accuracy, "threshold": _threshold(threshold)}
            for number, (accuracy, threshold) in enumerate(zip(accuracies, thresholds, strict=True), 1)
        ]
        return {"folds": folds}

    def groups(self, attributes: Sequence[Attribute]) -> GroupReport:
        """FNMR by group, and FMR within and across groups, at the deployed threshold."""
        people = Identities(self._pairs.subjects, seed=self._seed, rounds=bootstrap_rounds(len(self._same)))
        accepted = self._similarity >= self._threshold
        trials = of_pairs(self._pairs.subjects, self._a, self._b, self._same, accepted)
        return group_report(attributes, trials, people, seed=self._seed)

    def mistakes(self, count: int) -> dict[str, list[Report]]:
        """The worst wrong decisions at the deployed threshold, at most ``count`` of each kind.

        False matches start with the most similar pair, misses with the pairs without a face and then the least similar.
        """
        pairs, run = self._pairs, self._run
        accepted = run.similarity >= self._threshold
        false_matches = np.flatnonzero(run.reached & accepted & ~pairs.same)
        misses = np.flatnonzero(run.reached & ~accepted & pairs.same)
        false_matches = false_matches[np.argsort(-run.similarity[false_matches], kind="stable")][:count]
        misses = misses[np.argsort(run.similarity[misses], kind="stable")][:count]
        return {
            "false_matches": [self._mistake(pair) for pair in false_matches.tolist()],
            "misses": [self._mistake(pair) for pair in misses.tolist()],
        }

    def refused(self) -> list[dict[str, str]]:
        """Pictures that failed for any reason other than showing no face."""
        failures = self._run.failures
        return [{"image": image, "reason": reason} for image, reason in failures.items() if reason != FACE_NOT_FOUND]

    def items(self) -> Report:
        """Pictures with their subjects, and the pairs with their similarities, in columns."""
        return {
            "images": self._pairs.images,
            "subjects": self._pairs.subjects,
            "a": self._a,
            "b": self._b,
            "same": self._same.astype(int),
            "fold": self._pairs.folds[self._run.reached],
            "similarity": self._similarity,
        }

    def _with_intervals(self, people: Identities) -> dict[str, Figure]:
        """The bootstrapped figures by name."""
        subjects = np.array(self._pairs.subjects)
        rounds = people.weights(subjects[self._a].tolist(), subjects[self._b].tolist())
        found = intervals.bootstrapped_together(self._scored.values, len(self._same), rounds)
        in_mated = len(np.unique(subjects[self._a[self._same]]))
        in_nonmated = len(np.unique(subjects[np.append(self._a[~self._same], self._b[~self._same])]))
        found = {name: _widened(name, figure, in_mated, in_nonmated) for name, figure in found.items()}
        nonmated = int((~self._same).sum())
        for rate in FARS:
            name = f"tar@{far_name(rate)}"
            found[name] = _with_note(found[name], rate, nonmated)
        return found

    def _rejected_unseen(self) -> dict[str, int]:
        """Numbers of pairs that count as rejected because a picture shows no face, or because one was refused."""
        pairs, run = self._pairs, self._run
        faceless = {image for image, reason in run.failures.items() if reason == FACE_NOT_FOUND}
        rejected = np.flatnonzero(run.reached & (run.similarity == NO_FACE))
        images = [(pairs.images[pairs.a[pair]], pairs.images[pairs.b[pair]]) for pair in rejected.tolist()]
        without_face = sum(not faceless.isdisjoint(each) for each in images)
        return {"pairs_without_face": without_face, "pairs_refused": len(images) - without_face}

    def _mistake(self, pair: int) -> Report:
        pairs, run = self._pairs, self._run
        image_a, image_b = pairs.images[pairs.a[pair]], pairs.images[pairs.b[pair]]
        failure = run.failures.get(image_a) or run.failures.get(image_b) or ""
        return {
            "image_a": image_a,
            "image_b": image_b,
            "similarity": None if failure else run.similarity[pair],
            "failure": failure,
        }


def _widened(name: str, figure: Figure, in_mated: int, in_nonmated: int) -> Figure:
    """Apply the rule of three to a figure without errors, over the people whose pairs could have shown one."""
    if name == "far":
        return intervals.widened(figure, in_nonmated)
    if name in ("frr", "recall") or name.startswith("tar@"):
        return intervals.widened(figure, in_mated)
    return intervals.widened(figure, min(in_mated, in_nonmated))


def _with_note(figure: Figure, rate: float, nonmated: int) -> Figure:
    """A true accept rate, with a note if it rests on few nonmated pairs; undefined if there are too few."""
    if not is_measurable(rate, nonmated):
        return intervals.none(f"too few impostors: {nonmated} nonmated pairs, {1 / rate:.0f} needed")
    if figure.value is not None and nonmated * rate < RULE_OF_30:
        allowed = int(nonmated * rate + 1e-9)
        pairs = "pair" if allowed == 1 else "pairs"
        note = f"this rate allows {allowed} nonmated {pairs}; a reliable figure needs {RULE_OF_30}"
        return replace(figure, note=note)
    return figure


def _threshold(value: float) -> float | None:
    """A threshold with the digits of a float32; ``None`` if it accepts nothing."""
    return float(f"{value:.7g}") if np.isfinite(value) else None
