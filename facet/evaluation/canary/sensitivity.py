"""The smallest loss that a canary notices."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from facet.evaluation.report.document import Report

_MISSED = 0.025
"""A difference is beyond chance if fewer resamples than this share lack everybody who makes it."""
_ROLES: Mapping[str, bool] = {"fnir": True, "rank_1": True, "fpir": False}
"""Whether the probes that a figure counts are mated."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The smallest loss of a figure that is beyond chance.

    Attributes:
        figure: its name.
        people: how many people must get a worse answer than in the baseline.
        of: the people whose probes the figure counts.
    """

    figure: str
    people: int
    of: int

    def as_json(self) -> dict[str, Any]:
        """As JSON values; ``share`` is the loss, if each person has as many probes."""
        return {"figure": self.figure, "people": self.people, "of": self.of, "share": round(self.people / self.of, 4)}

    def __str__(self) -> str:
        """In words."""
        if self.people > self.of:
            return f"{self.figure}: this set notices no loss, take more people"
        share = f"{100 * self.people / self.of:.3g} %"
        return f"{self.figure}: this set notices a loss from {self.people} of {self.of} people on ({share})"


def sensitivities(report: Report, figures: Collection[str]) -> tuple[Sensitivity, ...]:
    """Tell the smallest loss of these figures that a set would notice, those of FNIR, FPIR and rank 1.

    The interval of a difference is over resamples of all people. It excludes 0 if almost all resamples have one of the
    people who make it: of n people, all of k are missing in a share (1 - k / n) ** n.

    Args:
        report: of a run with the set.
        figures: names; others are left out.
    """
    people = len({item["subject"] for item in report["items"]})
    least = next((k for k in range(1, people) if (1 - k / people) ** people < _MISSED), people)
    found = []
    for figure in figures:
        if figure in _ROLES:
            of = len({item["subject"] for item in report["items"] if item["mated"] == _ROLES[figure]})
            if of:
                found.append(Sensitivity(figure, least, of))
    return tuple(found)
