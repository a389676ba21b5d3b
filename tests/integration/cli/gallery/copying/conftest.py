"""Run facet gallery copy, and a second server to copy to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.copies import finished, start_copy

if TYPE_CHECKING:
    from tests.conftest import Serving, Start

FLAGS = ("--models.objects", "none")

Copy = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Run the command in an empty folder; keywords are variables of its environment."""
    folder = tmp_path / "here"
    folder.mkdir()

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        done = finished(start_copy(folder, *arguments, **variables))
        assert not list(folder.iterdir()), "the command leaves files"
        return done

    return run


@pytest.fixture(scope="module")
def other(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A second server."""
    serving = start(tmp_path_factory.mktemp("other"), *FLAGS)
    yield serving
    serving.stop()
