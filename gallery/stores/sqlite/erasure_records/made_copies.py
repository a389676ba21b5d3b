"""When backups and exports were made: copies of people's data that an erasure does not reach.

They are noted in a file beside the database, because a backup is made by another process than the one that has the
database open: ``<name>.copies``, one line of JSON for each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from gallery.records.erasures import MadeCopy
from gallery.times import now

MOST_COPIES = 1000
"""The newest copies that are read."""
_MOST_BYTES = 1 << 18
_SUFFIX = ".copies"


def note_copy(database: Path, kind: str, gallery_id: str = "") -> None:
    """Note that a copy was made now; the copy is good even if that cannot be noted."""
    line = json.dumps({"time": now().isoformat(), "kind": kind, "gallery": gallery_id}) + "\n"
    with suppress(OSError):
        path = _path(database)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, line.encode())
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size > _MOST_BYTES:
            _shorten(path)


def read_copies(database: Path) -> Sequence[MadeCopy]:
    """List the copies that were noted, the newest first; lines that are damaged are left out."""
    try:
        lines = _path(database).read_bytes().splitlines()
    except OSError:
        return ()
    found = []
    for line in reversed(lines[-MOST_COPIES:]):
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(line)
            found.append(MadeCopy(str(said["kind"]), str(said["gallery"]), datetime.fromisoformat(said["time"])))
    return found


def _shorten(path: Path) -> None:
    kept = path.read_bytes().splitlines(keepends=True)[-MOST_COPIES:]
    shorter = path.with_name(f"{path.name}.part")
    descriptor = os.open(shorter, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(kept)
    shorter.replace(path)


def _path(database: Path) -> Path:
    return database.with_name(database.name + _SUFFIX)
