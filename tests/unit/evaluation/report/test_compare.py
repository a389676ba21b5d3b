"""Comparison of two reports."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facet.evaluation.intervals import bootstrapped_together
from facet.evaluation.report.compare import Incomparable, compare
from facet.evaluation.report.document import Report, document
from facet.evaluation.report.items import report_items

PEOPLE = 200


def provenance(**changed: Any) -> Report:
    return {
        "models": {"embedding": {"sha256": "a"}},
        "configuration": {"iou": 0.4},
        "data_set": {"sha256": "set"},
        "seed": 0,
    } | changed


def verified(similarity: np.ndarray[Any, np.dtype[np.float64]], **changed: Any) -> Report:
    """A report of a mated pair per person, and of a nonmated pair of each person and the next."""
    people = [str(number) for number in range(PEOPLE)]
    own, nexts = np.arange(PEOPLE), (np.arange(PEOPLE) + 1) % PEOPLE
    columns = {
        "images": [f"{name}-{picture}" for picture in "ab" for name in people],
        "subjects": people * 2,
        "a": np.append(own, own),
        "b": np.append(own, nexts) + PEOPLE,
        "same": np.repeat([1, 0], PEOPLE),
        "fold": np.tile(np.arange(PEOPLE) % 10, 2),
        "similarity": similarity.astype(np.float32),
    }
    blank = document(
        "verification", {"deployed_threshold": 0.5}, provenance=provenance(**changed), times={}, items=columns
    )
    restored = report_items(blank, seed=0)
    assert restored is not None
    return blank | dict(restored.values(np.ones(2 * PEOPLE, np.int64)))


def scores(shift: float = 0.0) -> np.ndarray[Any, np.dtype[np.float64]]:
    rng = np.random.default_rng(1)
    genuine = rng.normal(0.6, 0.1, PEOPLE) + shift
    return np.append(genuine, rng.normal(0, 0.1, PEOPLE))


def by_name(found: Report) -> dict[str, Any]:
    return {each["name"]: each for each in found["figures"]}


def test_a_small_change_for_everybody_is_beyond_chance_on_the_same_people() -> None:
    """The interval of each report is as wide as people differ; the paired one only as the changes differ."""
    a, b = verified(scores()), verified(scores(0.05))
    found = by_name(compare(a, b))
    frr = found["frr"]
    assert frr["verdict"] == "better"
    assert frr["difference"]["value"] == pytest.approx(b["frr"] - a["frr"])
    assert found["recall"]["verdict"] == "better"
    assert found["far"]["verdict"] == "same"
    assert by_name(compare(b, a))["frr"]["verdict"] == "worse"


def test_identical_reports_have_no_differences() -> None:
    found = compare(verified(scores()), verified(scores()))
    assert {each["verdict"] for each in found["figures"]} <= {"same", "not told"}
    assert found["changed"] == []


def test_the_interval_of_a_difference_comes_from_paired_resamples() -> None:
    a, b = verified(scores()), verified(scores(0.05))
    first, second = report_items(a, seed=0), report_items(b, seed=0)
    assert first is not None
    assert second is not None
    paired = bootstrapped_together(
        lambda weights: {"frr": (second.values(weights)["frr"] or 0) - (first.values(weights)["frr"] or 0)},
        first.count,
        first.rounds(),
    )
    assert by_name(compare(a, b))["frr"]["difference"] == paired["frr"].as_json()


def test_identification_is_compared_probe_by_probe() -> None:
    def identified(missed: int) -> Report:
        items = [
            {
                "image": f"{number}.jpg",
                "subject": str(number),
                "mated": number < 100,
                "similarity": 0.5 if number < 100 else 0.1,
                "matched": missed <= number < 100,
                "rank": 1 if missed <= number < 100 else None,
            }
            for number in range(150)
        ]
        blank = document("identification", {}, provenance=provenance(), times={}, items=items)
        restored = report_items(blank, seed=0)
        assert restored is not None
        return blank | dict(restored.values(np.ones(150, np.int64)))

    found = by_name(compare(identified(20), identified(2)))
    assert found["rank_1"]["difference"]["value"] == pytest.approx(0.18)
    assert found["rank_1"]["verdict"] == "better"
    assert found["fnir"]["verdict"] == "better"
    assert found["fpir"]["verdict"] == "same"


def test_detection_is_compared_picture_by_picture() -> None:
    def detected(found: int) -> Report:
        items = [{"image": f"{number}.jpg", "tp": found, "fp": 1, "faces": 5} for number in range(40)]
        blank = document("detection", {"ap50": 0.5}, provenance=provenance(), times={}, items=items)
        restored = report_items(blank, seed=0)
        assert restored is not None
        return blank | dict(restored.values(np.ones(40, np.int64)))

    found = by_name(compare(detected(3), detected(4)))
    assert (found["recall"]["a"], found["recall"]["b"], found["recall"]["verdict"]) == (0.6, 0.8, "better")
    assert found["ap50"]["verdict"] == "not told"


def test_changes_of_models_and_settings_are_listed() -> None:
    other = verified(scores(), models={"embedding": {"sha256": "b"}}, configuration={"iou": 0.5})
    assert compare(verified(scores()), other)["changed"] == [
        {"name": "models.embedding.sha256", "a": "a", "b": "b"},
        {"name": "configuration.iou", "a": 0.4, "b": 0.5},
    ]


def test_different_sets_are_compared_only_on_request_and_without_intervals() -> None:
    a, b = verified(scores()), verified(scores(0.05), data_set={"sha256": "other"})
    with pytest.raises(Incomparable, match="labels or pictures differ"):
        compare(a, b)
    found = compare(a, b, different_sets=True)
    assert found["paired"] is False
    frr = by_name(found)["frr"]
    assert (frr["difference"]["low"], frr["verdict"]) == (None, "not told")


def test_reports_of_different_kinds_and_partial_reports_are_not_compared() -> None:
    a = verified(scores())
    with pytest.raises(Incomparable, match="one reports verification, the other latency"):
        compare(a, a | {"kind": "latency"})
    with pytest.raises(Incomparable, match="the second is partial"):
        compare(a, a | {"partial": True})


def detection(task: str, classes: list[str], ap50: float | None = 0.5) -> Report:
    configuration = {"classes": classes}
    return document(
        "detection", {"task": task, "ap50": ap50}, provenance=provenance(configuration=configuration), times={}
    )


def test_detection_of_different_tasks_or_classes_is_not_compared() -> None:
    people = detection("objects", ["person"])
    with pytest.raises(Incomparable, match="their tasks differ: objects, and faces"):
        compare(people, detection("faces", ["face"]), different_sets=True)
    with pytest.raises(Incomparable, match="their classes differ: person, and person, dog"):
        compare(people, detection("objects", ["person", "dog"]))


def test_a_figure_with_a_value_only_in_the_first_report_is_lost() -> None:
    some, nothing = detection("faces", ["face"]), detection("faces", ["face"], ap50=None)
    assert by_name(compare(some, nothing))["ap50"]["verdict"] == "lost"
    assert by_name(compare(nothing, some))["ap50"]["verdict"] == "not told"
    del nothing["ap50"]
    assert by_name(compare(some, nothing))["ap50"]["verdict"] == "lost"


def test_with_one_person_nothing_is_beyond_chance() -> None:
    def identified(*, right: bool) -> Report:
        item = {"image": "a.jpg", "subject": "a", "mated": True, "similarity": 0.5, "matched": True}
        items = [item | {"rank": 1 if right else None}]
        return document("identification", {"rank_1": float(right)}, provenance=provenance(), times={}, items=items)

    assert by_name(compare(identified(right=True), identified(right=False)))["rank_1"]["verdict"] == "not told"
