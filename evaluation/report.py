"""The figures of a run by the names that they are known by, ready for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation import detection, identification
from evaluation.detection_run import AnalyzedPicture
from evaluation.identification import Search
from evaluation.identification_run import NO_FACE, TOO_POOR, IdentificationRun
from evaluation.protocol import Protocol

Report = dict[str, Any]

FPIRS = (0.1, 0.01)
"""The false-positive identification rates at which misses are told."""
BANDS = ("recall_20_40", "recall_40_80", "recall_80")
"""The names of recall in the bands of :data:`evaluation.detection.BANDS`."""

_OF_THE_FACE = (
    NO_FACE,
    TOO_POOR,
    "FACE_TOO_SMALL",
    "FACE_TOO_BLURRED",
    "FACE_TOO_TURNED",
    "LOOKS_LIKE_ANOTHER_SUBJECT",
)


def identification_report(labelled: Protocol, run: IdentificationRun) -> Report:
    """The figures of open-set identification; ``None`` where there is nothing to take a share of."""
    searches = run.searches
    points = {fpir: identification.at_fpir(searches, fpir) for fpir in FPIRS}
    deployed = identification.decisions(searches)
    return {
        "rank_1": identification.rank_1(searches),
        **{f"fnir@fpir={fpir}": point.fnir for fpir, point in points.items()},
        **{f"threshold@fpir={fpir}": _float32(point.threshold) for fpir, point in points.items()},
        "deployed_threshold": _float32(run.threshold),
        "fpir": deployed.fpir,
        "fnir": deployed.fnir,
        "precision": deployed.precision,
        "recall": deployed.recall,
        "failed_to_detect": sum(search.failure == NO_FACE for search in searches),
        "failed_to_enroll": len(run.not_enrolled),
        "gallery": len(labelled.gallery),
        "subjects": len({entry.subject for entry in labelled.gallery}),
        "mated": sum(search.mated for search in searches),
        "nonmated": sum(not search.mated for search in searches),
        "not_enrolled": [
            {"image": each.image, "subject": each.subject, "reason": each.reason} for each in run.not_enrolled
        ],
        "refused": _refused(run),
    }


def detection_report(analyzed: Sequence[AnalyzedPicture]) -> Report:
    """The figures of face detection; ``None`` where there is nothing to take a share of."""
    figures = detection.summarise([each.judged for each in analyzed])
    bands = dict(zip(BANDS, figures.by_height, strict=True))
    return {
        **{name: band.value for name, band in bands.items()},
        "precision": figures.precision,
        "recall": figures.recall.value,
        "faces": figures.recall.faces,
        **{name.replace("recall", "faces"): band.faces for name, band in bands.items()},
        "true_positives": figures.true_positives,
        "false_positives": figures.false_positives,
        "ignored": figures.ignored,
        "false_positives_per_image": figures.false_positives / figures.pictures,
        "images": figures.pictures,
        "refused": [{"image": each.image, "reason": each.failure} for each in analyzed if each.failure],
    }


def mistakes(run: IdentificationRun, count: int) -> Report:
    """The worst ``count`` false positives and misses."""
    return {
        "false_positives": [_told(each) for each in identification.worst_false_positives(run.searches, count)],
        "misses": [_told(each) for each in identification.worst_misses(run.searches, count)],
    }


def _refused(run: IdentificationRun) -> list[Report]:
    """Pictures that failed for another reason than the face in them: the set, or the server, is broken."""
    failures = [(each.image, each.reason) for each in run.not_enrolled]
    failures += [(each.image, each.failure) for each in run.searches if each.failure]
    return [{"image": image, "reason": reason} for image, reason in failures if reason not in _OF_THE_FACE]


def _told(search: Search) -> Report:
    return {
        "image": search.image,
        "subject": search.subject,
        "mated": search.mated,
        "candidate": search.candidate,
        "similarity": _float32(search.similarity) if search.candidate is not None else None,
        "failure": search.failure,
    }


def _float32(value: float | None) -> float | None:
    """A float32 with as many digits as it has."""
    return None if value is None else float(str(np.float32(value)))
