"""A random token that a process writes into the database that it opens: another file in its place has another one."""

from __future__ import annotations

import os
import secrets
import sqlite3
from dataclasses import dataclass

_BYTES = 16


@dataclass(frozen=True, slots=True)
class OpeningToken:
    """The token, and where it lies in the file. Nothing moves it while the database is open.

    Attributes:
        token: random bytes.
        offset: of its first byte in the file.
    """

    token: bytes
    offset: int

    def is_in(self, descriptor: int) -> bool:
        """Whether a file has the token."""
        return os.pread(descriptor, len(self.token), self.offset) == self.token


def write_token(connection: sqlite3.Connection, descriptor: int) -> OpeningToken | None:
    """Write a new token into a database, and move the log into its file.

    Returns:
        the token; ``None`` if it cannot be written, because the disk is full or another process reads the log.

    Raises:
        OSError: the file cannot be read.
    """
    token = secrets.token_bytes(_BYTES)
    try:
        connection.execute("INSERT OR REPLACE INTO opening (key, token) VALUES (1, ?)", (token,))
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'opening'").fetchone()
    except sqlite3.Error:
        return None
    start = (page - 1) * page_size
    within = os.pread(descriptor, page_size, start).find(token)
    return None if busy or within < 0 else OpeningToken(token, start + within)
