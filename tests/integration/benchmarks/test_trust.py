"""``bench.py trust`` as programs run it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from facet.benchmarks.trust.figures import BARS

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_trust_reports_every_figure_its_bar_and_what_missed_it(bench: Run) -> None:
    done = bench("trust", "--templates", "200", "--starts", "1", "--rounds", "40", "--json")
    report = json.loads(done.stdout)
    figures = {"audit_change_ms", "audit_always_ms", "start_plain_s", "start_encrypted_s", "search_ratio_range"}
    assert report.keys() >= BARS.keys() | figures
    assert report["bars"] == dict(BARS)
    assert report["missed"] == [name for name, bar in BARS.items() if report[name] > bar]
    assert done.returncode == bool(report["missed"]), done.stderr
    assert report["revoke_s"] > 0
    assert report["machine"]["templates"] == 200
