"""``bench.py ceiling`` as programs run it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_ceiling_reports_the_rates_and_the_processor_time_of_a_server_whose_models_sleep(bench: Run) -> None:
    done = bench("ceiling", "--seconds", "0.3", "--rounds", "1", "--clients", "2", "--processes", "1", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for name in ("search", "identify", "identify_typical"):
        rate = report["rates"][name]
        assert rate["per_s"] > 0
        assert rate["refused"] == 0
        assert 0 < rate["python_ms"] < 1000
    assert report["ceiling_search_per_s"] == report["rates"]["search"]["per_s"]
    assert report["ceiling_identify_per_s"] == report["rates"]["identify"]["per_s"]
    assert report["ceiling_identify_typical_per_s"] == report["rates"]["identify_typical"]["per_s"]
    assert report["python_ms_per_request"] > 0
