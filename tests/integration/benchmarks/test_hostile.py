"""``bench.py hostile`` as programs run it. No times are checked: ``bench.py`` measures."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

Run = Callable[..., "subprocess.CompletedProcess[str]"]

ATTACKS = ("slow-messages", "png-length")
"""One that never ends its calls, and one whose pictures claim gigabytes."""
MISSED_BY_TIME = {"latency", "recovery"}
TOO_SLOW = {"QUEUE_FULL", "DEADLINE_TOO_SHORT"}
"""Why victims are refused on a machine that is too busy even for them."""


def test_victims_are_served_and_nothing_breaks_while_others_attack(bench: Run) -> None:
    done = bench(
        "hostile",
        "--seconds",
        "1",
        "--patience",
        "60",
        "--json",
        *(word for name in ATTACKS for word in ("--attack", name)),
    )
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert {attack["name"] for attack in report["attacks"]} == set(ATTACKS)
    for attack in report["attacks"]:
        assert not set(attack["missed"]) - MISSED_BY_TIME - {"failures"}, attack
        assert not {failure.partition(": ")[2] for failure in attack["failures"]} - TOO_SLOW, attack["failures"]
        assert attack["did"]["connections"] > 0
        assert attack["victim_calls"] > 0
        assert attack["stray_log_lines"] == 0
    for name in report["bars"]:
        assert report[name] == max(attack[name] for attack in report["attacks"])
    assert done.returncode == (0 if report["within_bars"] else 1)


def test_attackers_are_listed_and_an_unknown_one_is_refused(bench: Run) -> None:
    listed = bench("hostile", "--list")
    assert listed.returncode == 0, listed.stderr
    assert all(name in listed.stdout for name in ATTACKS)
    refused = bench("hostile", "--attack", "nothing")
    assert refused.returncode == 2
    assert "there is no attacker 'nothing'" in refused.stderr
