"""The names of the figures of each report, so that a requirement can be checked before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from facet.evaluation.enrollment.trials import TEMPLATES
from facet.evaluation.groups.report import RATES
from facet.evaluation.report.document import Kind

_FARS = ("1e-2", "1e-3", "1e-4", "1e-5", "1e-6")
_FPIRS = ("0.1", "0.01", "0.003")

FIGURES: Mapping[Kind, tuple[str, ...]] = {
    "detection": (
        *("precision", "recall", "f1", "ap50", "ap50_95"),
        *("recall_20_40", "recall_40_80", "recall_80", "faces", "faces_20_40", "faces_40_80", "faces_80"),
        *("recall_small", "recall_medium", "recall_large"),
        *("objects", "objects_small", "objects_medium", "objects_large"),
        *("true_positives", "false_positives", "ignored", "false_positives_per_image"),
        *("images", "images_missing", "images_unlabelled", "deployed_score", "iou"),
        *("beside_score", "beside_precision"),
        *(f"{whose}_recall{band}" for whose in ("beside", "gain") for band in ("", "_20_40", "_40_80", "_80")),
    ),
    "verification": (
        *("accuracy", "accuracy_std", "accuracy_threshold", "auc", "eer", "eer_threshold"),
        *(f"tar@far={far}" for far in _FARS),
        *(f"threshold@far={far}" for far in _FARS),
        *("deployed_threshold", "far", "frr", "deployed_accuracy", "precision", "recall", "f1"),
        *("pairs", "genuine", "impostors", "images", "subjects"),
        *("failed_to_detect", "pairs_without_face", "pairs_refused", "verify_checked", "verify_max_difference"),
    ),
    "identification": (
        *("rank_1", "rank_5", "rank_10"),
        *(f"fnir@fpir={fpir}" for fpir in _FPIRS),
        *(f"threshold@fpir={fpir}" for fpir in _FPIRS),
        *("deployed_threshold", "fpir", "fnir", "precision", "recall", "f1"),
        *("failed_to_detect", "failed_to_search", "failed_to_enroll", "subjects_not_enrolled"),
        *("failure_to_acquire", "failure_to_enroll"),
        *("gallery", "subjects", "templates", "mated", "nonmated", "probes_also_enrolled"),
    ),
    "enrollment": (
        *(f"{kind}_unlike_{templates}" for templates in TEMPLATES for kind in ("right", "wrong")),
        *(f"trials_{templates}" for templates in TEMPLATES),
        *("min_subject_similarity", "images", "subjects"),
    ),
    "outcomes": (
        *(f"{sample}{rate}" for sample in ("", "reviewed_") for rate in ("precision", "recall", "fpir", "fnir")),
        *("reported", "right_matches", "wrong_matches", "right_unknowns", "wrong_unknowns"),
        *("wrong_matches_without_truth", "reported_of_review", "reported_of_other_models"),
    ),
    "online": (
        *("unknown_share", "fpir", "fnir", "sources", "compared_sources", "changed_sources"),
        *("faces", "matches", "refused_faces", "deployed_threshold"),
    ),
    "latency": ("p50_ms", "p95_ms", "p99_ms", "mean_ms", "calls_per_second", "calls", "images"),
    "tracks": (
        *("identified", "identified_within_1s", "median_seconds_to_identify", "worst_seconds_to_identify"),
        *("named_share", "seen_share", "false_names", "false_names_per_minute", "false_name_seconds"),
        *("strangers_named", "strangers", "id_switches", "presences", "subjects", "subjects_not_enrolled"),
        *("presence_seconds", "clip_seconds", "frames", "failed_frames", "embeddings_per_frame"),
    ),
}
"""Detection has both the figures of faces and those of objects: a report has the ones of its task."""


def no_such(name: str, kind: Kind, by_group: Sequence[str] = ()) -> str:
    """Say that a report has no figure of a name, and which one is nearest; empty if it has it.

    Args:
        name: the name.
        kind: the kind of report.
        by_group: further names, see :func:`facet.evaluation.groups.report.figure_names`.
    """
    names = (*FIGURES[kind], *by_group)
    if name in names:
        return ""
    if name.endswith("]") and not by_group and kind in RATES:
        return f"{name} is a figure by group: name the groups with --groups"
    (nearest, *_) = [*get_close_matches(name, names, n=1), ""]
    hint = f"did you mean {nearest}?" if nearest else f"it has {', '.join(names)}"
    return f"{kind} has no figure {name}; {hint}"
