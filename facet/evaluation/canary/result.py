"""What a run of a canary says: as good as its baseline, worse beyond chance, or that it could not run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from facet.evaluation.canary.sensitivity import Sensitivity, sensitivities
from facet.evaluation.report.compare import Incomparable, compare
from facet.evaluation.report.document import Report, describe_stop, value_of

Outcome = Literal["good", "worse", "baseline", "failed"]

NO_BASELINE = "NO_BASELINE"
BASELINE_UNUSABLE = "BASELINE_UNUSABLE"
OTHER_SET = "OTHER_SET"
PICTURES_GONE = "PICTURES_GONE"
SET_UNUSABLE = "SET_UNUSABLE"
RUN_PARTIAL = "RUN_PARTIAL"
PICTURES_REFUSED = "PICTURES_REFUSED"
ALREADY_RUNNING = "ALREADY_RUNNING"
FILE_NOT_WRITTEN = "FILE_NOT_WRITTEN"

WATCHED = ("fnir", "fpir", "rank_1")
"""The figures that decide by default."""

_FAILING = ("worse", "lost")


class CanaryFailed(Exception):
    """A canary could not run.

    Attributes:
        reason: a stable word, such as :data:`PICTURES_GONE`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """The result of a run.

    Attributes:
        outcome: "good" if no watched figure is worse beyond chance, "worse" if one is, "baseline" if the run became the
            baseline, "failed" if it could not run.
        date: when it began, ISO 8601.
        seconds: its duration.
        reason: why it failed, a stable word; otherwise empty.
        message: the same for people.
        figures: the differences from the baseline, see :func:`facet.evaluation.report.compare.compare`; without one,
            names and values.
        worse: watched figures that are worse beyond chance, or have no value any more.
        changed: what differs in the provenance of the run and its baseline, such as models and settings.
        notices: the smallest losses that the set would notice.
    """

    outcome: Outcome
    date: str
    seconds: float
    reason: str = ""
    message: str = ""
    figures: tuple[Mapping[str, Any], ...] = ()
    worse: tuple[str, ...] = ()
    changed: tuple[Mapping[str, Any], ...] = field(default=())
    notices: tuple[Sensitivity, ...] = ()

    def as_json(self) -> Report:
        """The result as JSON values."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "message": self.message,
            "worse": list(self.worse),
            "figures": list(self.figures),
            "changed": list(self.changed),
            "notices": [each.as_json() for each in self.notices],
            "times": {"date": self.date, "seconds": self.seconds},
        }


def need_complete(report: Report, *, as_baseline: bool) -> None:
    """Check that the run reached every picture.

    Args:
        report: of the run.
        as_baseline: also refuse a run in which a picture was refused: as a baseline it would hide that.

    Raises:
        CanaryFailed: the server went away, a picture could not be read, or one was refused.
    """
    if report["partial"]:
        raise CanaryFailed(RUN_PARTIAL, describe_stop(report))
    unreadable = [each["image"] for each in report["refused"] if each["reason"] == "UNREADABLE"]
    if unreadable:
        raise CanaryFailed(PICTURES_GONE, f"{_count(unreadable)} could not be read during the run: {_some(unreadable)}")
    if as_baseline and report["refused"]:
        refused = [f"{each['image']} ({each['reason']})" for each in report["refused"]]
        raise CanaryFailed(
            PICTURES_REFUSED, f"{_count(refused)} refused, so this run is no baseline; remove them: {_some(refused)}"
        )


def judged(baseline: Report, report: Report, watched: Collection[str]) -> CanaryResult:
    """Compare a run with its baseline.

    Raises:
        CanaryFailed: they cannot be compared, or the baseline cannot say whether a watched figure is worse.
    """
    try:
        found = compare(baseline, report)
        changed = tuple(each for each in found["changed"] if _is_known(each["name"], baseline))
    except Incomparable as error:
        raise CanaryFailed(OTHER_SET, f"the run and its baseline cannot be compared: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise CanaryFailed(BASELINE_UNUSABLE, "the baseline is not a report of this version") from error
    verdicts = {each["name"]: each["verdict"] for each in found["figures"]}
    for name in watched:
        if verdicts.get(name, "not told") == "not told":
            found_there = baseline.get(name)
            note = found_there.get("note") if isinstance(found_there, dict) else ""
            why = note or "the set has too few people for an interval"
            raise CanaryFailed(
                BASELINE_UNUSABLE, f"the baseline cannot judge {name} ({why}); watch others with --figure"
            )
    worse = tuple(name for name in watched if verdicts[name] in _FAILING)
    return CanaryResult(
        "worse" if worse else "good",
        report["times"]["date"],
        report["times"]["seconds"],
        figures=tuple(found["figures"]),
        worse=worse,
        changed=changed,
        notices=sensitivities(report, watched),
    )


def first(report: Report, watched: Collection[str]) -> CanaryResult:
    """The result of a run that becomes the baseline.

    Raises:
        CanaryFailed: it could not judge a watched figure of later runs.
    """
    notices = judged(report, report, watched).notices
    figures = tuple({"name": name, "b": value_of(report, name)} for name in watched)
    return CanaryResult(
        "baseline", report["times"]["date"], report["times"]["seconds"], figures=figures, notices=notices
    )


def _is_known(name: str, baseline: Report) -> bool:
    """Whether the baseline could tell a value of its provenance: those of earlier versions lack some settings."""
    section, _, setting = name.partition(".")
    return section != "configuration" or setting in baseline["provenance"].get("configuration", {})


def _count(images: Collection[str]) -> str:
    return f"{len(images)} picture" if len(images) == 1 else f"{len(images)} pictures"


def _some(images: Collection[str], most: int = 5) -> str:
    names = list(images)
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
