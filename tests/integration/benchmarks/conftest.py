"""Run the benchmarks as a person or a program does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_SECONDS = 600.0
"""Some load nine sets of models, possibly on a busy machine."""


@pytest.fixture
def bench(tmp_path: Path) -> Run:
    """Run bench.py in an empty folder without settings in the environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FACET_")}

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / "bench.py"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=TIMEOUT_SECONDS, check=False
        )

    return start
