"""Failures of PostgreSQL as storage errors, without passwords."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from gallery.errors import StorageAway, StorageBusy, StorageError, StorageFull, StorageUnavailable
from gallery.stores.columns import BadRow
from gallery.stores.postgres.connection.refusals import remedy

_AROUND = re.compile(
    r"connection (failed|is bad): |connection to server (at|on socket) [^\n]*? failed: |FATAL: |^\s*Is the server .*$"
    r"|^DETAIL: .*$|^HINT: .*$|^\s*This probably means .*\n.*while processing the request\.$",
    re.MULTILINE,
)
"""What libpq says about a failed connection besides its cause."""
_FULL = (errors.DiskFull,)
_BUSY = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
_EXPLAINED: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.QueryCanceled, "it took longer than gallery.postgres_timeout_seconds"),
    (
        errors.ReadOnlySqlTransaction,
        "it is read-only, as a replica is, or by its setting default_transaction_read_only: name the primary",
    ),
    (errors.InsufficientPrivilege, "its user lacks a right; docs/scale.md lists those that it needs"),
    (
        errors.TooManyConnections,
        "it has no connection left: lower gallery.postgres_connections, or raise its own limit",
    ),
)


class Failures:
    """Turns failures of one database into storage errors.

    Args:
        name: what errors call the database.
        password: never appears in an error; empty for none.
    """

    def __init__(self, name: str, password: str) -> None:
        self._name = name
        self._password = password

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise failures of PostgreSQL, and rows that are not as they were written, as storage errors.

        Raises:
            StorageFull: a disk of the database is full.
            StorageBusy: others held a lock for too long, or had to win over this transaction.
            StorageAway: the database does not answer.
            StorageUnavailable: anything else.
        """
        try:
            yield
        except PoolTimeout as error:
            raise StorageAway(f"{self._name} does not answer") from error
        except PoolClosed as error:
            raise StorageUnavailable(f"{self._name} was closed") from error
        except BadRow as error:
            raise StorageUnavailable(f"{self._name} has a row that is not as it was written: {error}") from error
        except psycopg.Error as error:
            raise self.of(error) from error

    def of(self, error: psycopg.Error) -> StorageError:
        """Return the storage error of a failure."""
        found = self.text_of(error)
        if isinstance(error, _FULL):
            return StorageFull(f"{self._name}: a disk of the database is full: {found}")
        if isinstance(error, _BUSY):
            return StorageBusy(f"{self._name} is busy: {found}")
        for kind, explanation in _EXPLAINED:
            if isinstance(error, kind):
                return StorageUnavailable(f"{self._name} cannot be used: {explanation} ({found})")
        is_away = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        return (StorageAway if is_away else StorageUnavailable)(f"{self._name} cannot be used: {found}")

    def of_connecting(self, error: psycopg.Error) -> StorageAway:
        """Return the storage error of a connection that could not be made, with what helps."""
        return StorageAway(f"{self.of(error)}; {remedy(self.text_of(error))}")

    def text_of(self, error: psycopg.Error) -> str:
        """Return what PostgreSQL says about a failure, in one line, without its address and its questions."""
        # Only the primary message: the details of a failure quote values of rows.
        message = error.diag.message_primary or str(error) or type(error).__name__
        line = " ".join(_AROUND.sub("", message).split())
        return line.replace(self._password, "***") if self._password else line
