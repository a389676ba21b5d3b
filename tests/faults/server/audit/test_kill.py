"""Processes that are killed at each of their writes to an audit log."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.faults.injection.faults import Faults
from tests.faults.promises import Seen, promises

ROOT = Path(__file__).resolve().parents[4]


@promises(
    "kill -9",
    "while the audit log is written, continued in a new file and trimmed",
    "every entry that was on disk is there; the next start goes on; verify finds nothing wrong",
)
def test_log_of_a_killed_server_is_sound(tmp_path: Path, faults: Callable[[str], Faults], seen: Seen) -> None:
    work = tmp_path / "files"
    work.mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "tests.faults.server.audit.kill_points", str(work)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **faults(str(work)).environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    kills = json.loads(result.stdout)["kills"]
    assert kills > 30
    seen(f"killed at {kills} of {kills} writes: all sound")
