"""The history of a canary: a JSON line for each run, bounded."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from facet.evaluation.canary.result import CanaryResult
from facet.terminal import private_files

MOST_RUNS = 1000
"""Older runs are dropped."""


def append(path: Path, result: CanaryResult, watched: Collection[str]) -> list[dict[str, Any]]:
    """Append a run; its lines name no people. Lines that are no JSON are dropped.

    Returns:
        All runs, the oldest first.

    Raises:
        OSError: the file cannot be read or written.
    """
    runs = [*read(path), _line(result, watched)][-MOST_RUNS:]
    private_files.write(path, "".join(json.dumps(run) + "\n" for run in runs))
    return runs


def read(path: Path) -> list[dict[str, Any]]:
    """Read the runs, the oldest first; none if there is no file.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    return [run for line in lines if (run := _parsed(line)) is not None]


def last_done(runs: Collection[dict[str, Any]]) -> float | None:
    """When the last run began that could run, in seconds since 1970; ``None`` without one."""
    times = [_timestamp(run) for run in runs if run["outcome"] != "failed"]
    return max(times, default=None)


def _line(result: CanaryResult, watched: Collection[str]) -> dict[str, Any]:
    figures = {each["name"]: each["b"] for each in result.figures if each["name"] in watched}
    return {
        "date": result.date,
        "outcome": result.outcome,
        "reason": result.reason,
        "worse": list(result.worse),
        "figures": figures,
        "seconds": result.seconds,
    }


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        run = json.loads(line)
        _timestamp(run)
        run["outcome"]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return dict(run)


def _timestamp(run: dict[str, Any]) -> float:
    return datetime.fromisoformat(run["date"]).timestamp()
