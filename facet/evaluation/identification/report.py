"""The identification report: figures by name, curves, tables, mistakes and the outcome of each probe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from facet.evaluation.datasets.protocol import Protocol
from facet.evaluation.groups.attributes import Attribute
from facet.evaluation.groups.report import GroupReport, group_report
from facet.evaluation.groups.trials import of_searches
from facet.evaluation.identification.figures import Outcomes, det_curve, f1_statistic
from facet.evaluation.identification.run import NO_FACE, TOO_POOR, IdentificationRun
from facet.evaluation.identification.searches import (
    Search,
    worst_false_positives,
    worst_misses,
    worst_wrong_subjects,
)
from facet.evaluation.identification.subgalleries import TARGET_FPIR, by_gallery_size, by_templates
from facet.evaluation.intervals import Figure, Identities, Weights, bootstrapped, none, share, unless_alone, widened
from facet.evaluation.report.document import Report

FPIRS = (0.1, 0.01, 0.003)
"""The false-positive identification rates at which FNIR is reported."""

_FACE_REASONS = (
    NO_FACE,
    TOO_POOR,
    "FACE_TOO_SMALL",
    "FACE_TOO_BLURRED",
    "FACE_TOO_TURNED",
    "FACE_TOO_NOISY",
    "FACE_TOO_DARK",
    "FACE_OVEREXPOSED",
    "FACE_NEGATIVE",
    "FACE_OCCLUDED",
    "LOOKS_LIKE_ANOTHER_SUBJECT",
)
_NO_MATED = "no mated probes"
_DET_POINTS = 200
_BIN_WIDTH = 0.02


class IdentificationReport:
    """The parts of the report.

    Args:
        protocol: the labelled set.
        run: the answers of the service.
        seed: seed of the intervals and of the smaller galleries.
    """

    def __init__(self, protocol: Protocol, run: IdentificationRun, *, seed: int) -> None:
        self._protocol = protocol
        self._run = run
        self._seed = seed
        self._outcomes = Outcomes.from_searches(run.searches)
        self._identities = Identities(self._outcomes.subjects, seed=seed)

    def figures(self) -> Report:
        """The figures of open-set identification, and counts."""
        run, protocol = self._run, self._protocol
        shares = {name: self._share(name) for name in self._outcomes.shares()}
        figures: Report = {name: figure for name, figure in shares.items() if name.startswith("rank_")}
        figures |= {f"fnir@fpir={fpir}": self._fnir_at(fpir) for fpir in FPIRS}
        figures |= {f"threshold@fpir={fpir}": self._threshold_at(fpir) for fpir in FPIRS}
        figures["deployed_threshold"] = np.float32(run.threshold)
        figures |= {name: figure for name, figure in shares.items() if not name.startswith("rank_")}
        figures["f1"] = self._f1()
        figures |= self._failures()
        return figures | {
            "gallery": len(protocol.gallery),
            "subjects": len({entry.subject for entry in protocol.gallery}),
            "templates": sum(len(images) for images in run.templates.values()),
            "mated": sum(search.mated for search in run.searches),
            "nonmated": sum(not search.mated for search in run.searches),
            "probes_also_enrolled": self._also_enrolled(),
            "not_enrolled": [
                {"image": each.image, "subject": each.subject, "reason": each.failure}
                for each in run.pictures
                if each.failure
            ],
        }

    def curves(self) -> dict[str, Any]:
        """The detection error trade-off, and histograms of the best candidates' similarities."""
        outcomes = self._outcomes
        det = det_curve(outcomes, _DET_POINTS)
        curves: dict[str, Any] = {}
        if det["x"]:
            curves["det"] = det | {"threshold": np.array(det["threshold"], np.float32)}
        known = outcomes.similarity[np.isfinite(outcomes.similarity)]
        if len(known):
            first, last = math.floor(known.min() / _BIN_WIDTH), math.floor(known.max() / _BIN_WIDTH) + 1
            edges = np.round(np.arange(first, last + 1) * _BIN_WIDTH, 2)
            for name, kind in (("scores_mated", outcomes.mated), ("scores_nonmated", ~outcomes.mated)):
                counts, _ = np.histogram(outcomes.similarity[kind], edges)
                curves[name] = {"edges": edges, "counts": counts}
        return curves

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Error against gallery size, and against templates per subject."""
        run = self._run
        templates = {subject: len(images) for subject, images in run.templates.items()}
        return {
            "by_gallery_size": by_gallery_size(
                run.searches, sorted(run.templates), run.threshold, identities=self._identities, seed=self._seed
            ),
            "by_templates": by_templates(
                self._outcomes, templates, self._threshold_at(TARGET_FPIR).value, identities=self._identities
            ),
        }

    def groups(self, attributes: Sequence[Attribute]) -> GroupReport:
        """FNIR and FPIR of the server's decisions by group of the probe's subject."""
        return group_report(attributes, of_searches(self._outcomes), self._identities, seed=self._seed)

    def mistakes(self, count: int) -> dict[str, list[Report]]:
        """The worst mistakes, at most ``count`` of each kind, with pictures of probe, best candidate and mate."""
        searches = self._run.searches
        return {
            "false_positives": [self._mistake(each) for each in worst_false_positives(searches, count)],
            "wrong_subjects": [self._mistake(each) for each in worst_wrong_subjects(searches, count)],
            "misses": [self._mistake(each) for each in worst_misses(searches, count)],
        }

    def refused(self) -> list[dict[str, str]]:
        """Pictures that failed for a reason unrelated to the face: the set or the server is broken."""
        failures = [(each.image, each.failure) for each in self._run.pictures if each.failure]
        failures += [(each.image, each.failure) for each in self._run.searches if each.failure]
        return [{"image": image, "reason": reason} for image, reason in failures if reason not in _FACE_REASONS]

    def items(self) -> list[Report]:
        """The outcome of every probe, see :meth:`facet.evaluation.identification.figures.Outcomes.from_items`."""
        return [
            {
                "image": search.image,
                "subject": search.subject,
                "mated": search.mated,
                "candidate": search.best and search.best.subject,
                "similarity": search.best and np.float32(search.best.similarity),
                "matched": search.matched,
                "rank": search.mate_rank,
                "mate_similarity": search.mate and np.float32(search.mate.similarity),
                "failure": search.failure,
            }
            for search in self._run.searches
        ]

    def _share(self, name: str) -> Figure:
        hits, among = self._outcomes.shares()[name]
        if not among.any():
            return none({"fpir": "no nonmated probes", "precision": "no matches"}.get(name, _NO_MATED))
        return share(hits[among], self._outcomes.select(among).subjects, self._identities)

    def _f1(self) -> Figure:
        outcomes = self._outcomes
        if not outcomes.mated.any():
            return none(_NO_MATED)
        people = len(set(outcomes.select(outcomes.mated | outcomes.matched).subjects))
        rounds = self._identities.weights(outcomes.subjects)
        return widened(bootstrapped(f1_statistic(outcomes), len(outcomes.subjects), rounds), people)

    def _fnir_at(self, fpir: float) -> Figure:
        outcomes = self._outcomes
        if shortage := self._nonmated_shortage(fpir):
            return none(shortage)
        if not outcomes.mated.any():
            return none(_NO_MATED)
        people = len(set(outcomes.select(outcomes.mated).subjects))
        rounds = self._identities.weights(outcomes.subjects)
        return widened(bootstrapped(outcomes.at_fpir(fpir).fnir, len(outcomes.subjects), rounds), people)

    def _threshold_at(self, fpir: float) -> Figure:
        if shortage := self._nonmated_shortage(fpir):
            return none(shortage)
        outcomes = self._outcomes
        point = outcomes.at_fpir(fpir)

        def threshold(weights: Weights) -> float | None:
            value = point.threshold(weights)
            return None if value is None else float(str(np.float32(value)))

        figure = bootstrapped(threshold, len(outcomes.subjects), self._identities.weights(outcomes.subjects))
        return unless_alone(figure, len(set(outcomes.select(~outcomes.mated).subjects)))

    def _nonmated_shortage(self, fpir: float) -> str:
        """A note if the rate allows none of the nonmated probes; otherwise empty."""
        count, needed = int((~self._outcomes.mated).sum()), math.ceil(1 / fpir - 1e-9)
        return f"too few nonmated probes: {count}, at least {needed} needed" if count < needed else ""

    def _failures(self) -> Report:
        run, identities = self._run, Identities([each.subject for each in self._run.pictures], seed=self._seed)
        not_searched = np.array([bool(search.failure) for search in run.searches], np.bool_)
        not_enrolled = np.array([bool(each.failure) for each in run.pictures], np.bool_)
        return {
            "failed_to_detect": sum(search.failure == NO_FACE for search in run.searches),
            "failed_to_search": int(not_searched.sum()),
            "failed_to_enroll": int(not_enrolled.sum()),
            "subjects_not_enrolled": len({each.subject for each in run.pictures} - set(run.templates)),
            "failure_to_acquire": share(not_searched, self._outcomes.subjects, self._identities),
            "failure_to_enroll": share(not_enrolled, [each.subject for each in run.pictures], identities),
        }

    def _also_enrolled(self) -> int:
        enrolled = {image for images in self._run.templates.values() for image in images}
        return sum(search.image in enrolled for search in self._run.searches)

    def _mistake(self, search: Search) -> Report:
        best, mate = search.best, search.mate
        enrolled = self._run.templates.get(search.subject, ()) if search.mated else ()
        return {
            "image": search.image,
            "subject": search.subject,
            "mated": search.mated,
            "candidate": best and best.subject,
            "candidate_image": best and best.image,
            "similarity": best and np.float32(best.similarity),
            "mate_image": mate.image if mate else next(iter(enrolled), None),
            "mate_rank": search.mate_rank,
            "mate_similarity": mate and np.float32(mate.similarity),
            "failure": search.failure,
        }
