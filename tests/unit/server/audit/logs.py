"""Logs for tests: written by the log itself, then changed as an attacker without the key would."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from facet.server.audit.chain.entry import Draft, seal
from facet.server.audit.chain.files import default_head, default_key, log_files
from facet.server.audit.chain.head import Head, read_head
from facet.server.audit.chain.keys import AuditKey, load_key
from facet.server.audit.chain.log import AuditLog, LogSettings
from facet.server.audit.verification import Verification, verify

TIME = "2026-11-26T19:15:40.123456Z"


def settings_of(folder: Path, **changes: Any) -> LogSettings:
    return replace(LogSettings(folder, default_head(folder), default_key(folder)), **changes)


def written(folder: Path, count: int, **changes: Any) -> LogSettings:
    """A closed log with so many entries of enrolments, all in its head."""
    settings = settings_of(folder, **changes)
    log = AuditLog(settings)
    for number in range(count):
        log.append([Draft(TIME, "enrolled", caller="key:k1", gallery="team", subject=f"s{number}")])
    log.sync()
    log.trim()
    log.close()
    return settings


def verified(folder: Path, *, with_key: bool = True) -> Verification:
    key = load_key(default_key(folder)) if with_key else None
    return verify(folder, {"the head": read_head(default_head(folder))}, key)


def change_lines(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of the log's only file."""
    (file,) = log_files(folder)
    file.path.write_bytes(b"".join(change(file.path.read_bytes().splitlines(keepends=True))))


def forged(line: bytes, **changes: Any) -> bytes:
    """A line with other content, whose hash fits again; only its code cannot, without the key."""
    found = json.loads(line)
    seq, prev, _, _ = (found.pop(name) for name in ("seq", "prev", "hash", "mac"))
    return seal(Draft(**{**found, **changes}), seq, prev, AuditKey(b"another key of thirty-two bytes!"))[0]


def last_of(folder: Path) -> Head:
    return read_head(default_head(folder))
