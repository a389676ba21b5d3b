"""The server that commands start for themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from facet import Client
from facet.terminal.local_server import local_server
from tests.waiting import until


def test_modules_of_the_current_folder_do_not_take_the_place_of_facets_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("detector", "gallery"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the current folder was imported')")
    monkeypatch.chdir(tmp_path)
    with local_server() as address, Client(address) as client:
        assert client.get_server_info().version


def test_the_server_ends_when_its_command_is_killed() -> None:
    program = (
        "import signal\n"
        "from facet.terminal.local_server import local_process\n"
        "with local_process('--models.objects', 'none') as server:\n"
        "    print(server.pid, flush=True)\n"
        "    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        server = int(command.stdout.readline())
        assert runs(server)
        command.kill()
    until(lambda: not runs(server), "the server goes on")


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may stay in the table of processes, because nobody waits for it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
