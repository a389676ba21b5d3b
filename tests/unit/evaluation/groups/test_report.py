"""Error rates by group in a report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facet.evaluation.groups.attributes import NOT_STATED, Attribute
from facet.evaluation.groups.rates import GroupedRate
from facet.evaluation.groups.report import figure_names, group_report
from facet.evaluation.groups.trials import Trials, of_pairs, of_searches
from facet.evaluation.identification.figures import Outcomes
from facet.evaluation.intervals import Identities
from facet.evaluation.report.compare import compare
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.gate import parse_requirement
from facet.evaluation.report.group_section import describe_counts, describe_not_stated, describe_rates

GROUPS = {"a": 40, "b": 30, "small": 4}


def attribute(*, blank: int = 0) -> Attribute:
    """Groups a, b and small of 40, 30 and 4 people, the first of whom are not stated."""
    named = {f"{group}{number}": group for group, count in GROUPS.items() for number in range(count)}
    return Attribute(
        "kind", {name: NOT_STATED if place < blank else group for place, (name, group) in enumerate(named.items())}
    )


def searched(missed: dict[str, int], *, blank: int = 0) -> Report:
    """A report of a mated and a nonmated search of everybody; the first of a group are missed."""
    groups = attribute(blank=blank)
    items = []
    for name in attribute().of:
        group = name.rstrip("0123456789")
        hit = int(name.removeprefix(group)) >= missed.get(group, 0)
        items.append(
            {"image": f"{name}.jpg", "subject": name, "mated": True, "similarity": 0.5, "matched": hit, "rank": 1}
        )
        items.append(
            {"image": f"{name}x.jpg", "subject": name, "mated": False, "similarity": 0.1, "matched": False, "rank": 0}
        )
    outcomes = Outcomes.from_items(items)
    found = group_report([groups], of_searches(outcomes), Identities(outcomes.subjects, seed=0), seed=0)
    provenance = {"data_set": {"sha256": "x"}, "seed": 0, "models": {}, "configuration": {}}
    return document(
        "identification", found.figures, provenance=provenance, times={}, items=items, groups=found.sections
    )


def row(report: Report, group: str) -> dict[str, Any]:
    (found,) = [each for each in report["groups"]["kind"]["rows"] if each["group"] == group]
    return dict(found)


def test_rates_of_groups_count_the_probes_of_their_subjects() -> None:
    report = searched({"a": 8})
    assert report["fnir[kind=a]"]["value"] == pytest.approx(0.2)
    assert report["fnir[kind=a]"]["low"] < 0.2 < report["fnir[kind=a]"]["high"] < 0.4
    assert report["fnir[kind=b]"] == {"value": 0.0, "low": 0.0, "high": pytest.approx(0.1)}
    assert (row(report, "a")["fnir_errors"], row(report, "a")["fnir_trials"], row(report, "a")["subjects"]) == (
        8,
        40,
        40,
    )
    assert report["fpir[kind=a]"]["value"] == 0.0


def test_each_rate_of_a_group_counts_its_own_people() -> None:
    of = {f"{group}{number}": group for group in "ab" for number in range(30)}
    items = [
        {"image": name, "subject": name, "mated": mated, "similarity": 0.5, "matched": mated, "rank": int(mated)}
        for name in of
        for mated in [int(name[1:]) < 20]
    ]
    outcomes = Outcomes.from_items(items)
    found = group_report([Attribute("kind", of)], of_searches(outcomes), Identities(outcomes.subjects, seed=0), seed=0)
    (first, _) = found.sections["kind"]["rows"]
    assert (first["subjects"], first["fnir_people"], first["fpir_people"]) == (30, 20, 10)
    assert describe_counts(first, "fpir") == ("0 of 10", "10 people")


def test_a_small_group_has_no_figure_but_its_counts() -> None:
    report = searched({"small": 4})
    assert report["fnir[kind=small]"]["value"] is None
    assert report["fnir[kind=small]"]["note"] == "too few people: 4, at least 10 needed"
    assert (row(report, "small")["fnir_errors"], row(report, "small")["fnir_verdict"]) == (4, None)


def test_a_large_difference_is_beyond_chance_and_a_small_one_is_not() -> None:
    large, small = searched({"a": 20}), searched({"a": 9, "b": 4})
    assert large["groups"]["kind"]["rates"]["fnir"]["beyond_chance"] is True
    assert (row(large, "a")["fnir_verdict"], row(large, "b")["fnir_verdict"]) == ("higher", "lower")
    assert large["fnir_ratio[kind]"]["value"] > 5
    assert large["fnir_to_mean[kind]"]["value"] == pytest.approx(large["fnir_ratio[kind]"]["value"] ** 0.5)
    assert small["groups"]["kind"]["rates"]["fnir"]["beyond_chance"] is False
    assert small["fnir_p[kind]"] > 0.05


def test_two_people_with_errors_are_too_few_to_tell_whether_their_group_differs() -> None:
    report = searched({"a": 2})
    assert report["fnir_p[kind]"] is None
    assert (row(report, "a")["fnir_verdict"], row(report, "small")["fnir_verdict"]) == ("too few people", None)
    said, _ = describe_rates(report["groups"]["kind"])
    assert said == "fnir: too few people to tell: 2 with errors"
    assert report["fnir_ratio[kind]"]["value"] is report["fnir_to_mean[kind]"]["value"] is None
    unmet = parse_requirement("fnir_ratio[kind]<=2").failure(report)
    assert unmet == "fnir_ratio[kind]<=2: fnir_ratio[kind] has no value (too few people to tell: 2 with errors)"


def test_a_single_group_of_enough_people_is_compared_with_none() -> None:
    report = searched({"a": 20}, blank=40)
    said, _ = describe_rates(report["groups"]["kind"])
    assert said == "fnir: too few people to tell: fewer than two groups with at least 10 people"


def test_without_errors_the_ratio_is_one_and_says_why() -> None:
    report = searched({})
    assert report["fnir_ratio[kind]"] == {"value": 1.0, "low": None, "high": None, "note": "no errors in any group"}
    assert list(describe_rates(report["groups"]["kind"])) == [
        "fnir: no errors in any group",
        "fpir: no errors in any group",
    ]


def test_subjects_without_a_group_are_a_row_of_their_own_that_is_not_compared() -> None:
    report = searched({"a": 12}, blank=12)
    assert row(report, NOT_STATED)["fnir_errors"] == 12
    assert row(report, NOT_STATED)["fnir"]["value"] == 1.0
    assert row(report, NOT_STATED)["fnir_verdict"] is None
    assert report["fnir[kind=a]"]["value"] == 0.0
    assert report["fnir_ratio[kind]"]["value"] == 1.0
    (said,) = describe_not_stated(report["groups"]["kind"])
    assert said == "not stated: 12 of 74 subjects: a0, a1, a10, a11, a2, and 7 more"


def test_requirements_can_name_every_figure_by_group() -> None:
    report = searched({"a": 8})
    names = figure_names("identification", [attribute()])
    assert {name for name in report if name.endswith("]")} == set(names)
    assert parse_requirement("fnir[kind=a] <= 0.2").failure(report) is None
    assert parse_requirement("fnir_ratio[kind]<=2").failure(report) is not None
    assert parse_requirement("fnir[age=<18 or > 80]<=0.2").name == "fnir[age=<18 or > 80]"


def test_figures_by_group_are_compared_with_paired_intervals() -> None:
    found = {each["name"]: each for each in compare(searched({}), searched({"a": 10}))["figures"]}
    assert found["fnir[kind=a]"]["verdict"] == "worse"
    assert found["fnir[kind=b]"]["verdict"] == "same"
    assert found["fnir_ratio[kind]"]["verdict"] == "worse"


def test_figures_of_other_groups_are_not_compared() -> None:
    found = compare(searched({}), searched({}, blank=3))
    assert not [each for each in found["figures"] if each["name"].endswith("]")]


def test_pairs_count_within_a_group_if_both_people_are_in_it_and_across_if_one_is() -> None:
    groups = attribute()
    people = [name for name in groups.of if not name.startswith("small")]
    same = np.zeros(len(people), np.bool_)
    a = np.arange(len(people))
    b = (a + 1) % len(people)
    accepted = np.array([name == "a5" for name in people])
    trials = of_pairs(people, a, b, same, accepted)
    found = group_report([groups], trials, Identities(people, seed=0), seed=0)
    assert found.figures["fmr[kind=a]"].value == pytest.approx(1 / 39)
    assert found.figures["fmr[kind=b]"].value == 0.0
    assert found.figures["fmr[kind=b]"].high == pytest.approx(3 / 29)
    assert found.figures["fmr_across[kind=a]"].note == "too few people: 4, at least 10 needed"
    assert found.figures["fnmr[kind=a]"].note == "no mated pairs"
    assert set(found.figures) == set(figure_names("verification", [groups]))


def test_the_ratio_of_groups_too_small_for_an_error_tends_to_one() -> None:
    """Ten people without an error beside a thousand at 1 % are no evidence of a large ratio."""
    of = {f"a{number}": "a" for number in range(10)} | {f"b{number:04}": "b" for number in range(1000)}
    subjects = tuple(sorted(of))
    errors = np.array([name < "b0010" and name.startswith("b") for name in subjects])
    trials = Trials("fnir", "mated probes", errors, np.ones(1010, np.bool_), subjects, np.arange(1010))
    rate = GroupedRate(Attribute("kind", of), trials)
    ratio = rate.values(np.ones(1010, np.int64))["fnir_ratio[kind]"]
    assert ratio is not None
    assert 1 < ratio < 1.5
