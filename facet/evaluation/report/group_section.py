"""The section of a report's page on groups: for each attribute sentences, a table and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from facet.evaluation.groups.attributes import NOT_STATED
from facet.evaluation.groups.report import ACROSS
from facet.evaluation.report.document import Report
from facet.evaluation.report.plots import COLOURS, DEPLOYED, Plot, svg
from facet.terminal.counts import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = 5
"""Subjects without a group in a message."""
_MAX_GROUPS = 40
"""Groups on a page or in a plot, those with most people."""
BEYOND = ("higher", "lower")
"""The verdicts on a group that differs beyond chance."""
EXPLAINED = (
    "max/min and max/geometric mean add half an error at the overall rate to every group, so that a group without "
    "errors has a ratio: they are nearer to 1 than the quotients of the rates in the table.",
    "Within chance means that these people show no difference. It is no proof that the groups are equal.",
)
"""What a reader of ratios and verdicts must know."""
_NAMES = {
    "fnir": "FNIR: enrolled people missed",
    "fpir": "FPIR: unknown people taken for somebody",
    "fnmr": "FNMR: mated pairs rejected",
    "fmr": "FMR: nonmated pairs within the group accepted",
}


@dataclass(frozen=True, slots=True)
class GroupSection:
    """What the page says about an attribute.

    Attributes:
        attribute: its name.
        sentences: the worst ratios, and who has no group.
        columns: headings of the table.
        rows: its rows; cells are figures or texts.
        left_out: number of groups that are not on the page.
        plots: one for each rate with a value.
    """

    attribute: str
    sentences: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    left_out: int
    plots: tuple[Plot, ...]


def group_sections(report: Report) -> list[GroupSection]:
    """What the page says about each attribute of a report."""
    return [_section(attribute, section) for attribute, section in report.get("groups", {}).items()]


def describe_rates(section: Mapping[str, Any]) -> Iterator[str]:
    """Say for each rate how unequal the groups are, and whether that is beyond chance."""
    for name, found in section["rates"].items():
        apart = [row["group"] for row in section["rows"] if row.get(f"{name}_verdict") == "not comparable"]
        if apart:
            yield (
                f"{name}: {', '.join(apart)}: not comparable, because their people have more or fewer trials each than "
                "those of the other groups"
            )
        if found["p"] is None:
            yield f"{name}: {found['note']}"
            continue
        if found["ratio"].get("note"):
            yield f"{name}: {found['ratio']['note']}"
            continue
        ratio, mean = (_with_interval(found[key]) for key in ("ratio", "to_mean"))
        chance = "beyond chance" if found["beyond_chance"] else "within chance"
        yield (
            f"{name}: highest in {found['highest']}, lowest in {found['lowest']}: max/min {ratio}, "
            f"max/geometric mean {mean}; {chance} (p = {found['p']:.4f})"
        )


def describe_not_stated(section: Mapping[str, Any]) -> Iterator[str]:
    """Name subjects without a group; nothing if all have one."""
    subjects = section["not_stated"]
    if subjects:
        more = f", and {len(subjects) - _NAMED} more" if len(subjects) > _NAMED else ""
        yield f"not stated: {len(subjects)} of {len(section['of'])} subjects: {', '.join(subjects[:_NAMED])}{more}"


def describe_counts(row: Mapping[str, Any], rate: str) -> tuple[str, str]:
    """The errors of a group among its trials, and the number of people whose trials they are."""
    return f"{row[f'{rate}_errors']} of {row[f'{rate}_trials']}", counted(row[f"{rate}_people"], "person")


def describe_missing(figure: Mapping[str, Any]) -> str:
    """Why a group has no rate, in a few words for a cell."""
    return str(figure["note"]).partition(",")[0]


def _section(attribute: str, section: Mapping[str, Any]) -> GroupSection:
    rates = [*section["rates"]]
    shown = [*rates, *([ACROSS] if section["rows"] and ACROSS in section["rows"][0] else [])]
    most = sorted(section["rows"], key=lambda row: -row["subjects"])[:_MAX_GROUPS]
    rows = [row for row in section["rows"] if row in most]
    columns = ["group"]
    for name in shown:
        columns += [name.replace("_", " "), *(("errors", "verdict") if name in rates else ())]
    return GroupSection(
        attribute,
        (*describe_rates(section), *describe_not_stated(section)),
        tuple(columns),
        tuple(_row(row, shown, rates) for row in rows),
        len(section["rows"]) - len(rows),
        tuple(_plots(attribute, rows, rates)),
    )


def _row(row: Mapping[str, Any], shown: Sequence[str], rates: Sequence[str]) -> tuple[Any, ...]:
    cells: list[Any] = [row["group"]]
    for name in shown:
        cells.append(row[name] if row[name]["value"] is not None else describe_missing(row[name]))
        if name in rates:
            cells += [", ".join(describe_counts(row, name)), row[f"{name}_verdict"]]
    return tuple(cells)


def _plots(attribute: str, rows: Sequence[Mapping[str, Any]], rates: Sequence[str]) -> Iterator[Plot]:
    for name in rates:
        known = [row for row in rows if row[name]["value"] is not None and row["group"] != NOT_STATED]
        if known:
            yield _plot(attribute, name, known)


def _plot(attribute: str, name: str, rows: Sequence[Mapping[str, Any]]) -> Plot:
    def draw(axes: Axes) -> None:
        places = np.arange(len(rows))[::-1]
        for place, row in zip(places, rows, strict=True):
            figure = row[name]
            colour = DEPLOYED if row[f"{name}_verdict"] in BEYOND else COLOURS[0]
            if figure["low"] is not None:
                axes.plot([figure["low"], figure["high"]], [place, place], color=colour, lw=1.8)
            axes.plot([figure["value"]], [place], "o", ms=5, color=colour, clip_on=False)
        errors, trials = (sum(row[f"{name}_{part}"] for row in rows) for part in ("errors", "trials"))
        axes.axvline(errors / trials, color="#888888", lw=1.2, ls="--", label="all of these groups")
        axes.set_yticks(places, [row["group"] for row in rows], parse_math=False)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlim(left=0)
        axes.set_xlabel(_NAMES[name])
        axes.legend(loc="best")
        axes.grid(visible=False, axis="y")

    reading = (
        "The rate of each group with its 95 % interval; red if it differs from all beyond chance. The dashed line is "
        "the rate of all of these groups. A group of few people has a wide interval."
    )
    return Plot(f"{name.upper()} by {attribute}", reading, svg(draw, (5.2, 1.6 + 0.32 * len(rows))))


def _with_interval(figure: Mapping[str, Any]) -> str:
    interval = "" if figure["low"] is None else f" ({figure['low']:.2f} to {figure['high']:.2f})"
    return f"{figure['value']:.2f}{interval}"
