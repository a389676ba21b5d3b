"""The history, the metrics and the schedule of a canary."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from facet.evaluation.canary import history
from facet.evaluation.canary.metrics import write_metrics
from facet.evaluation.canary.result import CanaryResult
from facet.evaluation.canary.schedule import seconds_until_next, told_if_longer
from tests.alert_rules import read_alert_rules

RULES = Path(__file__).resolve().parents[4] / "deploy" / "prometheus" / "canary.rules.yml"
DIFFERENCE = {"value": 0.1, "low": 0.05, "high": 0.2}
FIGURES = (
    {"name": "fnir", "a": 0.0, "b": 0.1, "difference": DIFFERENCE, "verdict": "worse"},
    {"name": "rank_5", "a": 1.0, "b": 1.0, "difference": DIFFERENCE, "verdict": "same"},
)
WORSE = CanaryResult("worse", "2026-01-02T00:00:00+00:00", 3.5, figures=FIGURES, worse=("fnir",))
FAILED = CanaryResult("failed", "2026-01-03T00:00:00+00:00", 0.5, reason="UNAVAILABLE", message="Ann's server")


def samples(path: Path) -> dict[str, float]:
    """The samples of a file by name and labels other than that of the canary."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            assert sample.labels["canary"] == "door"
            labels = [value for name, value in sample.labels.items() if name != "canary"]
            found[" ".join((sample.name, *labels))] = sample.value
    return found


def test_the_history_is_bounded_and_skips_what_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_RUNS", 3)
    path = tmp_path / "history.jsonl"
    path.write_text('{"date": "2026-01-01T00:00:00+00:00", "outcome": "good"}\n[1]\n{"date": "2026\n{}\n')
    with path.open("a") as file:
        file.write('{"date": "0001-01-01T00:00:00", "outcome": "good"}\n')  # before what a clock can tell
        file.write("[" * 100_000 + "\n")
    for _ in range(3):
        runs = history.append(path, FAILED, ["fnir"])
    assert [run["outcome"] for run in runs] == ["failed"] * 3
    assert history.read(path) == runs
    assert history.last_done(runs) is None


def test_the_history_has_watched_figures_and_no_message(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history.append(path, WORSE, ["fnir"])
    (first, second) = history.append(path, FAILED, ["fnir"])
    assert (first["figures"], first["worse"], second["reason"]) == ({"fnir": 0.1}, ["fnir"], "UNAVAILABLE")
    assert "Ann" not in path.read_text()
    assert history.last_done([first, second]) == 1767312000.0


def test_metrics_tell_what_is_worse(tmp_path: Path) -> None:
    path = tmp_path / "canary.prom"
    write_metrics(path, WORSE, canary="door", watched=["fnir"], last_done=1767312000.0)
    found = samples(path)
    assert (found["facet_canary_up"], found["facet_canary_worse"], found["facet_canary_changed"]) == (1, 1, 0)
    assert (found["facet_canary_figure fnir"], found["facet_canary_figure_worse fnir"]) == (0.1, 1)
    assert found["facet_canary_last_run_timestamp_seconds"] == 1767312000
    assert not any("rank_5" in name for name in found)


def test_metrics_of_a_run_that_failed_have_no_old_figures(tmp_path: Path) -> None:
    path = tmp_path / "canary.prom"
    write_metrics(path, WORSE, canary="door", watched=["fnir"], last_done=1767312000.0)
    write_metrics(path, FAILED, canary="door", watched=["fnir"], last_done=1767312000.0)
    found = samples(path)
    assert (found["facet_canary_up"], found["facet_canary_failure UNAVAILABLE"]) == (0, 1)
    assert found["facet_canary_last_done_timestamp_seconds"] == 1767312000
    assert not any("worse" in name or "figure" in name for name in found)
    assert [each.name for each in tmp_path.iterdir()] == ["canary.prom"]


def test_alert_rules_are_promql_over_metrics_that_runs_write(tmp_path: Path) -> None:
    path = tmp_path / "canary.prom"
    written: dict[str, set[str]] = {}
    for result in (WORSE, FAILED):
        write_metrics(path, result, canary="door", watched=["fnir"], last_done=1767312000.0)
        for family in text_string_to_metric_families(path.read_text()):
            written[family.name] = {label for sample in family.samples for label in sample.labels}
    rules = read_alert_rules(RULES)
    assert len(rules) == 3
    for rule in rules:
        rule.must_hold(written)


def test_runs_keep_to_the_interval_and_skip_starts_that_they_missed() -> None:
    assert seconds_until_next(100.0, 60.0, 110.0) == 50.0
    assert seconds_until_next(100.0, 60.0, 235.0) == 45.0
    assert seconds_until_next(100.0, 60.0, 160.0) == 60.0


def test_a_run_that_takes_longer_than_the_time_between_runs_is_told() -> None:
    assert told_if_longer(60.0, 60.0) == ""
    assert told_if_longer(75.25, 60.0).startswith("this run took 75.2 s, longer than --every 60s")
