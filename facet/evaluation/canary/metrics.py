"""The metrics of a canary, a file for the textfile collector of Prometheus's node exporter."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from facet.evaluation.canary.result import CanaryResult

SUFFIX = ".prom"
"""The collector reads no other files."""


def write_metrics(
    path: Path, result: CanaryResult, *, canary: str, watched: Collection[str], last_done: float | None
) -> None:
    """Replace the file at once. It holds no names of people, and others may read it, as the collector must.

    A run that failed has no figures, so that old ones do not pass for new.

    Args:
        path: the file; its name ends with :data:`SUFFIX`.
        result: the run.
        canary: the label that tells canaries apart.
        watched: the figures to write.
        last_done: when the last run began that could run, in seconds since 1970.

    Raises:
        OSError: it cannot be written.
    """
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"facet_canary_{name}", text, ("canary", *labels), registry=registry)

    failed = result.outcome == "failed"
    gauge("up", "1 if the last run could run, else 0").labels(canary).set(not failed)
    gauge("last_run_timestamp_seconds", "When the last run began, seconds since 1970").labels(canary).set(
        datetime.fromisoformat(result.date).timestamp()
    )
    gauge("seconds", "Duration of the last run").labels(canary).set(result.seconds)
    if last_done is not None:
        done = gauge("last_done_timestamp_seconds", "When the last run began that could run, seconds since 1970")
        done.labels(canary).set(last_done)
    if failed:
        reasons = gauge("failure", "1 for the reason of a run that could not run", "reason")
        reasons.labels(canary, result.reason).set(1)
    else:
        gauge("worse", "1 if a figure is worse than its baseline beyond chance, else 0").labels(canary).set(
            bool(result.worse)
        )
        changed = gauge("changed", "1 if models, settings or software are not those of the baseline, else 0")
        changed.labels(canary).set(bool(result.changed))
        values = gauge("figure", "A figure of the last run", "figure")
        worse = gauge("figure_worse", "1 if the figure is worse than its baseline beyond chance, else 0", "figure")
        differences = gauge("difference", "A figure minus that of the baseline", "figure")
        for each in result.figures:
            if each["name"] not in watched or each["b"] is None:
                continue
            values.labels(canary, each["name"]).set(each["b"])
            worse.labels(canary, each["name"]).set(each["name"] in result.worse)
            if "difference" in each and each["difference"]["value"] is not None:
                differences.labels(canary, each["name"]).set(each["difference"]["value"])
    write_to_textfile(str(path), registry)
