"""Servers whose terminal closes, and servers that cannot write their log."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from facet import Client

SERVE = (sys.executable, "-m", "facet", "serve", "--server.port", "0", "--models.objects", "none")
PATIENCE = 120


def test_a_server_whose_terminal_closes_ends_as_with_sigterm(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """It cannot write to the terminal any more, and closes its database nevertheless."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # if nohup started the tests, the server would ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, before))
    keyboard, terminal = pty.openpty()
    # The first terminal that the leader of a session opens is the one that sends SIGHUP when it closes.
    opening = ["sh", "-c", 'terminal=$1; shift; exec "$@" <>"$terminal" >&0 2>&0', "sh", os.ttyname(terminal)]
    with running([*opening, *SERVE], cwd=tmp_path, start_new_session=True) as process:
        said = b""
        while b"stop it with" not in said:
            assert select.select([keyboard], [], [], PATIENCE)[0], said
            said += os.read(keyboard, 65536)
        os.close(terminal)
        os.close(keyboard)
        assert process.wait(PATIENCE) == 0
    assert (tmp_path / "facet.sqlite3").exists()
    assert not (tmp_path / "facet.sqlite3-wal").exists()


def test_a_server_that_nohup_started_outlives_its_terminal(tmp_path: Path) -> None:
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
    with running([*ignoring, *SERVE, "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        address = read_address(process)
        process.send_signal(signal.SIGHUP)
        with Client(address) as client:
            assert client.create_gallery("served").gallery_id == "served"
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_server_whose_log_cannot_be_written_serves(tmp_path: Path) -> None:
    with (
        Path("/dev/full").open("w") as full,
        running([*SERVE, "--json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=full, text=True) as process,
    ):
        with Client(read_address(process)) as client:
            assert client.create_gallery("served").gallery_id == "served"
        process.terminate()
        assert process.wait(PATIENCE) == 0


@contextmanager
def running(*arguments: Any, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a process, which is killed if a test fails."""
    with subprocess.Popen(*arguments, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def read_address(process: subprocess.Popen[str]) -> str:
    """Where a server serves, as soon as it does."""
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said, "the server did not start"
    return str(json.loads(said)["address"])
