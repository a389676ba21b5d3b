"""What a run of a canary says."""

from __future__ import annotations

import numpy as np
import pytest

from facet.evaluation.calls import Stopped
from facet.evaluation.canary.result import WATCHED, CanaryFailed, first, judged, need_complete
from facet.evaluation.intervals import none
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.items import report_items

PEOPLE = 40


def identified(missed: int, *, people: int = PEOPLE, contract: str = "a", data: str = "set") -> Report:
    """A report of a mated and a nonmated probe of everybody, some of the first missed."""
    items = [
        {
            "image": f"{number}.jpg",
            "subject": str(number),
            "mated": number < people,
            "similarity": 0.5 if number < people else 0.1,
            "matched": missed <= number < people,
            "rank": 1 if missed <= number < people else None,
        }
        for number in range(2 * people)
    ]
    provenance = {"data_set": {"sha256": data}, "seed": 0, "models": {}, "contract": contract}
    times = {"date": "2026-01-01T00:00:00+00:00", "seconds": 1.0}
    blank = document("identification", {}, provenance=provenance, times=times, items=items)
    restored = report_items(blank, seed=0)
    assert restored is not None
    return blank | dict(restored.values(np.ones(2 * people, np.int64)))


def test_the_same_answers_are_as_good() -> None:
    result = judged(identified(2), identified(2), WATCHED)
    assert (result.outcome, result.worse, result.changed) == ("good", (), ())


def test_one_more_miss_is_within_chance_and_six_are_worse() -> None:
    assert judged(identified(2), identified(3), WATCHED).outcome == "good"
    result = judged(identified(2), identified(8), WATCHED)
    assert (result.outcome, result.worse) == ("worse", ("fnir", "rank_1"))


@pytest.mark.parametrize("people", [4, 12])
def test_the_smallest_loss_that_is_noticed_is_told(people: int) -> None:
    baseline = identified(0, people=people)
    (told,) = first(baseline, ["fnir"]).notices
    assert told.of == people
    assert judged(baseline, identified(told.people, people=people), ["fnir"]).outcome == "worse"
    assert judged(baseline, identified(told.people - 1, people=people), ["fnir"]).outcome == "good"


def test_only_watched_figures_decide() -> None:
    assert judged(identified(0), identified(10), ["fpir"]).outcome == "good"


def test_other_models_are_compared_and_named() -> None:
    result = judged(identified(2), identified(2, contract="b"), WATCHED)
    assert result.changed == ({"name": "contract", "a": "a", "b": "b"},)


def test_settings_that_an_older_baseline_does_not_tell_are_not_said_to_have_changed() -> None:
    """Baselines of earlier versions have no threshold."""

    def configured(**settings: float) -> Report:
        report = identified(2)
        return report | {"provenance": report["provenance"] | {"configuration": settings}}

    now = configured(rotate=90, threshold=0.36, mean_of_best=1)
    assert judged(configured(rotate=90), now, WATCHED).changed == ()
    (turned,) = judged(configured(rotate=0), now, WATCHED).changed
    (decided,) = judged(configured(rotate=90, threshold=0.4, mean_of_best=1), now, WATCHED).changed
    assert (turned["name"], decided["name"]) == ("configuration.rotate", "configuration.threshold")


def test_another_set_is_not_compared() -> None:
    with pytest.raises(CanaryFailed, match="labels or pictures differ") as failed:
        judged(identified(0), identified(0, data="other"), WATCHED)
    assert failed.value.reason == "OTHER_SET"


def test_a_figure_without_a_value_says_why() -> None:
    report = identified(0) | {"fnir@fpir=0.003": none("too few nonmated probes: 40, at least 334 needed").as_json()}
    with pytest.raises(CanaryFailed, match="too few nonmated probes: 40") as failed:
        first(report, ["fnir@fpir=0.003"])
    assert failed.value.reason == "BASELINE_UNUSABLE"


def test_a_partial_run_and_a_picture_that_vanished_are_no_verdict() -> None:
    stopped = document("identification", {}, provenance={}, times={}, stopped=Stopped("b.jpg", 5, 9, "UNAVAILABLE"))
    with pytest.raises(CanaryFailed, match="the server went away at b"):
        need_complete(stopped, as_baseline=False)
    unread = document("identification", {}, provenance={}, times={}, refused=[{"image": "a", "reason": "UNREADABLE"}])
    with pytest.raises(CanaryFailed, match="1 picture could not be read during the run: a"):
        need_complete(unread, as_baseline=False)


def test_a_run_with_a_refused_picture_is_judged_but_becomes_no_baseline() -> None:
    refused = [{"image": "a.jpg", "reason": "INVALID_PICTURE"}]
    report = document("identification", {}, provenance={}, times={}, refused=refused)
    need_complete(report, as_baseline=False)
    with pytest.raises(CanaryFailed, match=r"a\.jpg \(INVALID_PICTURE\)"):
        need_complete(report, as_baseline=True)
