"""The server that commands start for themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from facet import Client
from facet.terminal.local_server import local_server


def test_modules_of_the_current_folder_do_not_take_the_place_of_facets_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("detector", "gallery"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the current folder was imported')")
    monkeypatch.chdir(tmp_path)
    with local_server() as address, Client(address) as client:
        assert client.get_server_info().version
