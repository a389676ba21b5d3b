"""Precision, recall, FPIR and FNIR of production, from what clients said about answers.

Two samples give them. What people report by themselves is biased: they report mistakes rather than right answers. The
sample that the server drew at random and marked for review is not, as far as all of it is reported; its shares are
weighted by the inverse of the share that was drawn (Horvitz & Thompson 1952).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facet.evaluation.intervals import Figure, Identities, Weights, bootstrapped, none, share, widened
from facet.v1 import recognition_service_pb2 as pb
from facet.v1.gallery_service_pb2 import TRUTH_NOBODY, TRUTH_SUBJECT, Outcome

RATES = ("precision", "recall", "fpir", "fnir")
COUNTS = (
    *("reported", "right_matches", "wrong_matches", "right_unknowns", "wrong_unknowns"),
    *("wrong_matches_without_truth", "reported_of_review"),
)
_DIGITS = 8
"""Digits of the contract of a model without a name that are shown."""
_SHOWN = ("reported", "precision", "recall", "reviewed_precision", "reviewed_recall")
_UNTOLD = "{} wrong matches have no truth: the interval covers that none or all of these people are enrolled"
TOO_FEW = "too few reports: any share from 0 to 1 is possible"
"""The note of a rate whose interval says nothing."""
_NONE_REVIEWED = "no answer was reported that was marked for review: see the setting outcomes.review_share"


@dataclass(frozen=True, slots=True)
class Trial:
    """An answer that counts for a rate.

    Attributes:
        is_hit: whether it counts for the rate's numerator.
        person: whom it is about, as far as it is known; answers about one person are not independent.
        weight: the inverse of the share of answers that were drawn; 1 for what was reported anyhow.
    """

    is_hit: bool
    person: Hashable
    weight: float


def figures(outcomes: Sequence[Outcome], *, seed: int) -> dict[str, Any]:
    """The figures of outcomes by name: counts, :data:`RATES` of all, and the same of the review as ``reviewed_...``.

    Args:
        outcomes: what was said.
        seed: of the resampling of people.
    """
    reviewed = [each for each in outcomes if each.HasField("review_share")]
    found: dict[str, Any] = dict(_rates(outcomes, "no such answers were reported", seed, is_sample=False))
    of_review = _rates(reviewed, _NONE_REVIEWED, seed, is_sample=True)
    found |= {f"reviewed_{name}": figure for name, figure in of_review.items()}
    return found | counts(outcomes)


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """The numbers of outcomes by name, see :data:`COUNTS`."""
    kinds = [(_is_match(each), _is_right(each)) for each in outcomes]
    return {
        "reported": len(outcomes),
        "right_matches": kinds.count((True, True)),
        "wrong_matches": kinds.count((True, False)),
        "right_unknowns": kinds.count((False, True)),
        "wrong_unknowns": kinds.count((False, False)),
        "wrong_matches_without_truth": sum(map(_is_untold, outcomes)),
        "reported_of_review": sum(each.HasField("review_share") for each in outcomes),
    }


def by_source_and_month(outcomes: Iterable[Outcome], *, seed: int) -> list[dict[str, Any]]:
    """A row for each source and month, by source: counts and rates of what was reported."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault((each.source, each.answer_time.ToDatetime().strftime("%Y-%m")), []).append(each)
    return [
        {"source": source, "month": month} | _main_figures(group, seed)
        for (source, month), group in sorted(groups.items())
    ]


def by_model(outcomes: Iterable[Outcome], searching: str, *, seed: int) -> list[dict[str, Any]]:
    """A row for each model: its name and contract, whether it searches, counts and rates; the one that searches first.

    Args:
        outcomes: what was said.
        searching: the contract of the model that searches the gallery.
        seed: of the resampling of people.
    """
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault(each.contract, []).append(each)
    return [
        {"model": model_of(group[0]), "contract": contract, "searches": contract == searching}
        | _main_figures(group, seed)
        for contract, group in sorted(groups.items(), key=lambda each: (each[0] != searching, each[0]))
    ]


def model_of(outcome: Outcome) -> str:
    """How the model of an answer is called."""
    return outcome.model or outcome.contract[:_DIGITS] or "not known"


def _main_figures(outcomes: Sequence[Outcome], seed: int) -> dict[str, Any]:
    found = figures(outcomes, seed=seed)
    return {name: found[name] for name in _SHOWN}


def worst(outcomes: Iterable[Outcome], most: int) -> dict[str, list[dict[str, Any]]]:
    """The worst mistakes: wrong matches by falling similarity, and people who were missed by rising similarity.

    Those that name nobody any more are left out. The pictures are names of subjects, see
    :func:`facet.evaluation.outcomes.run.fetch`.
    """
    wrong = [each for each in outcomes if not _is_right(each) and not each.names_nobody]
    matches = sorted((each for each in wrong if _is_match(each)), key=lambda each: -each.similarity)
    misses = sorted((each for each in wrong if not _is_match(each)), key=lambda each: each.similarity)
    found = {"wrong_matches": matches[:most], "misses": misses[:most]}
    return {kind: [_mistake(each) for each in some] for kind, some in found.items() if some}


def _mistake(outcome: Outcome) -> dict[str, Any]:
    truth = {TRUTH_SUBJECT: outcome.true_subject_id, TRUTH_NOBODY: "nobody enrolled"}.get(outcome.truth, "not known")
    return {
        "candidate_image": outcome.subject_id,
        "mate_image": outcome.true_subject_id,
        "candidate": outcome.subject_id,
        "truth": truth,
        "similarity": np.float32(outcome.similarity) if outcome.HasField("similarity") else None,
        "threshold": np.float32(outcome.threshold),
        "margin": np.float32(outcome.margin) if outcome.HasField("margin") else None,
        "source": outcome.source,
        "answered": outcome.answer_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def _rates(outcomes: Sequence[Outcome], why_none: str, seed: int, *, is_sample: bool) -> dict[str, Figure]:
    """The rates of outcomes.

    A wrong match without a truth is a miss if the person is enrolled, and a false match if not. It is unknown which, so
    that the rates about enrolled people and about others lie between those of both extremes (Manski 2003, Partial
    Identification of Probability Distributions).
    """
    mated, nonmated = (
        {name: _rate(trials, why_none, seed) for name, trials in found.items()}
        for found in (_trials(outcomes, is_sample=is_sample, are_mated=are_mated) for are_mated in (True, False))
    )
    note = _UNTOLD.format(sum(map(_is_untold, outcomes)))
    return {
        name: mated[name] if mated[name] == nonmated[name] else _covering(mated[name], nonmated[name], note)
        for name in RATES
    }


def _covering(one: Figure, other: Figure, note: str) -> Figure:
    """The middle of two figures, with both of their intervals."""
    if one.value is None or other.value is None:
        return none(note)
    ends = [end for each in (one, other) for end in (each.value, each.low, each.high) if end is not None]
    return Figure((one.value + other.value) / 2, min(ends), max(ends), note)


def _trials(outcomes: Sequence[Outcome], *, is_sample: bool, are_mated: bool) -> Mapping[str, list[Trial]]:
    """The trials of each rate.

    Args:
        outcomes: what was said.
        is_sample: they are weighted.
        are_mated: whether people of wrong matches without a truth are taken for enrolled.
    """
    found: dict[str, list[Trial]] = {name: [] for name in RATES}
    for number, each in enumerate(outcomes):
        is_match, is_right = _is_match(each), _is_right(each)
        person: Hashable = each.true_subject_id or (each.subject_id if is_match and is_right else "") or number
        weight = 1 / each.review_share if is_sample else 1.0
        if is_match:
            found["precision"].append(Trial(is_right, person, weight))
        is_mated = are_mated if _is_untold(each) else is_right == is_match or (is_match and each.truth == TRUTH_SUBJECT)
        if is_mated:
            is_found = is_match and is_right
            found["recall"].append(Trial(is_found, person, weight))
            found["fnir"].append(Trial(not is_found, person, weight))
        else:
            found["fpir"].append(Trial(is_match, person, weight))
    return found


def _rate(trials: Sequence[Trial], why_none: str, seed: int) -> Figure:
    """The weighted share of hits; its interval resamples people. It has no value if that says nothing."""
    if not trials:
        return none(why_none)
    figure = _share(trials, seed)
    tells_nothing = figure.low is None or figure.high is None or figure.high - figure.low >= 1
    return none(TOO_FEW) if tells_nothing else figure


def _share(trials: Sequence[Trial], seed: int) -> Figure:
    hits = np.array([each.is_hit for each in trials])
    weights = np.array([each.weight for each in trials])
    people = [each.person for each in trials]
    identities = Identities(people, seed=seed)
    if (weights == weights[0]).all():
        return share(hits, people, identities)

    def weighted(drawn: Weights) -> float | None:
        total = float(weights @ drawn)
        return float(weights[hits] @ drawn[hits]) / total if total else None

    return widened(bootstrapped(weighted, len(trials), identities.weights(people)), len(identities))


def _is_match(outcome: Outcome) -> bool:
    return outcome.decision == pb.DECISION_MATCH


def _is_untold(outcome: Outcome) -> bool:
    """Whether it is a wrong match of whom nobody said who it was."""
    told = outcome.truth in (TRUTH_SUBJECT, TRUTH_NOBODY)
    return _is_match(outcome) and not _is_right(outcome) and not told


def _is_right(outcome: Outcome) -> bool:
    return outcome.verdict == pb.VERDICT_RIGHT
