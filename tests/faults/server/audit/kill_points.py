"""Kills a process at each of its writes to an audit log: ``python -m tests.faults.server.audit.kill_points FOLDER``.

The process runs with the library of tests/faults/injection. For each point it forks a process that opens the log,
writes entries through new files and removed ones, and dies right before one of its writes, syncs, truncations,
renamings or deletions. Then it opens the log as a server does, and verifies it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from facet.server.audit.chain.entry import Draft
from facet.server.audit.chain.files import default_head, default_key
from facet.server.audit.chain.head import read_head
from facet.server.audit.chain.keys import load_key
from facet.server.audit.chain.log import AuditLog, LogSettings
from facet.server.audit.verification import verify
from tests.faults.injection.faults import Faults

_TIME = "2026-11-26T19:15:40.123456Z"
_ENTRIES = 8


def settings_of(folder: Path) -> LogSettings:
    head, key = default_head(folder), default_key(folder)
    return LogSettings(folder, head, key, fsync="always", max_file_bytes=1500, keep_files=2)


def write(folder: Path, count: int, acknowledge: int) -> None:
    """Write entries, and acknowledge each with a byte once it is on disk."""
    log = AuditLog(settings_of(folder))
    for number in range(count):
        log.append([Draft(_TIME, "enrolled", caller="key:k1", gallery="team", subject=f"s{number}")])
        log.sync()
        if number % 4 == 3:
            log.trim()
        os.write(acknowledge, b"!")
    log.close()


def run(folder: Path, faults: Faults, point: int) -> tuple[bool, int]:
    """Write in a process that dies at a point; returns whether it died, and how many entries it acknowledged."""
    ours, theirs = os.pipe()
    process = os.fork()
    if not process:
        faults.kill_at(point)
        write(folder, _ENTRIES, theirs)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as reported:
        acknowledged = len(reported.read())
    _, status = os.waitpid(process, 0)
    faults.kill_at(0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, acknowledged


def check(folder: Path, acknowledged: int, context: str) -> None:
    """Open the log as the next server does: it is sound, and has what was acknowledged."""
    null = os.open(os.devnull, os.O_WRONLY)
    write(folder, 1, null)
    os.close(null)
    found = verify(folder, {"the head": read_head(default_head(folder))}, load_key(default_key(folder)))
    if found.problems:
        raise SystemExit(f"{context}: {found.problems[0]}")
    if found.head is None or found.head.seq <= acknowledged:
        raise SystemExit(f"{context}: only {found.head} of {acknowledged} entries are there")


def main(folder: Path) -> None:
    faults, kills, point = Faults.of_this_process(), 0, 0
    while True:
        point += 1
        work = folder / "audit"
        was_killed, acknowledged = run(work, faults, point)
        check(work, acknowledged, f"killed before write {point}, {acknowledged} acknowledged")
        shutil.rmtree(work)
        default_key(work).unlink()
        if not was_killed:
            break
        kills += 1
    sys.stdout.write(json.dumps({"kills": kills}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
