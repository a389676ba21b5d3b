"""Faults of the machine that tests bring about."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.injection.faults import Faults, compiled


@pytest.fixture(scope="session")
def rounds() -> int:
    """How many times as many faults as usual: ``python -m tests.faults.matrix --rounds``."""
    return int(os.environ.get("FAULT_ROUNDS", "1"))


@pytest.fixture(scope="session")
def fault_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that brings faults into a process; without a C compiler a test is skipped."""
    library = compiled(tmp_path_factory.mktemp("faults"))
    if library is None:
        pytest.skip("needs a C compiler: cc")
    return library


@pytest.fixture
def faults(fault_library: Path, tmp_path: Path) -> Callable[[str], Faults]:
    """Make a control of the faults of the files whose paths contain a text."""
    return lambda files: Faults(fault_library, tmp_path / "faults.control", files=files)
