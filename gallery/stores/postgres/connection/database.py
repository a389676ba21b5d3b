"""Connections to PostgreSQL: every transaction has time-outs, and failures become storage errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, LiteralString

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout

from gallery.errors import StorageBusy, StorageUnavailable
from gallery.stores.postgres.connection.failures import Failures
from gallery.stores.postgres.connection.limited_connection import LimitedConnection
from gallery.stores.postgres.connection.opening import prepare

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]

_RECONNECT_SECONDS = 2.0
_WAIT_SECONDS = 2.0
"""The longest time that a transaction waits for a connection."""
_LOCK_SHARE = 0.8
"""How long a statement waits for a lock, as a share of the time that it may take."""
_ANSWER_SHARE = 1.5
"""How long a connection waits for an answer, likewise: the database has ended the statement before, if it runs."""
_CHECK_SECONDS = 2.0
"""The same, for the check that a connection works."""
_TRUSTED_SECONDS = 1.0
"""How long a connection that has answered is used without this check."""
_AWAY_SECONDS = 0.2
"""The same, if the one before it waited in vain."""
_SHARE = "SELECT pg_advisory_xact_lock_shared(hashtext(%s), hashtext(%s))"
_NO_CONNECTION_STRING = (
    "gallery.postgres_url is not a connection string such as postgresql://user@host:5432/facet; in it, write special "
    "characters of a password as %40 for @, %3A for :, %2F for / and %25 for %"
)
_CONNECTION: Mapping[str, Any] = {
    "application_name": "facet",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

# Every statement has an index that fits it. The planner must not do without after a look at statistics that are made
# minutes later, or at the values of the first calls: reading and sorting all templates for every page takes hours.
_PLANNING: Mapping[str, Any] = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": 0,
    "plan_cache_mode": "force_generic_plan",
    # Its compilations take longer than the statements.
    "jit": "off",
}


class PostgresDatabase:
    """A database of PostgreSQL, for any number of threads. It recovers by itself after the database was unavailable.

    All tables are in one schema.

    Args:
        url: a connection string, as libpq takes it.
        schema: the schema; created if it does not exist.
        timeout: of connecting, and of a statement, seconds.
        connections: the most connections.

    Attributes:
        name: the database for people: host, port and database, without user and password.
        schema: the schema.
        failures: turns failures of PostgreSQL into storage errors.

    Raises:
        SchemaTooNew: a newer version of this program made its tables.
        StorageUnavailable: it cannot be reached or used, or is not a database of galleries.
    """

    def __init__(self, url: str, *, schema: str = "facet", timeout: float = 10.0, connections: int = 8) -> None:
        parts = _parsed(url)
        self.name = _name_of(parts)
        self.schema = schema
        self._timeout = timeout
        self._held = _Held()
        self._in_use = _Counter()
        self._broken_at = 0.0
        self._is_away = False
        self._refusal: psycopg.Error | None = None
        """Why the pool could not make its last connection."""
        self.failures = Failures(self.name, str(parts.get("password") or ""))
        self._info = info = make_conninfo(
            "",
            **{
                **_CONNECTION,
                "connect_timeout": max(2, round(timeout)),
                "tcp_user_timeout": round(timeout * 1000),
                **parts,
            },
        )
        with self.failures.translated():
            with self._first_connection() as connection:
                prepare(connection, self.name, schema)
            self._pool = ConnectionPool(
                info,
                min_size=1,
                max_size=connections,
                # It waits longer between its tries the longer it tries: after this time it begins anew.
                reconnect_timeout=_RECONNECT_SECONDS,
                connection_class=LimitedConnection,
                kwargs={"told": self._note_refusal},
                configure=self._configure,
                check=self._check,
                open=True,
            )

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read: all statements see the database as it was when the first began.

        Raises:
            StorageError: the database cannot be read.
        """
        with (
            self.failures.translated(),
            self._transaction(IsolationLevel.REPEATABLE_READ, read_only=True) as connection,
        ):
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run a transaction, which is on disk when this returns; nothing was changed if it raises.

        If the connection breaks while the database commits, it raises, although the change may have been made.

        Raises:
            StorageError: the database cannot be written.
        """
        with self.failures.translated(), self._transaction(IsolationLevel.READ_COMMITTED) as connection:
            yield connection

    @contextmanager
    def exclusive(self, name: str) -> Iterator[Connection]:
        """Keep others from this block, on whichever server, as long as they use the same name.

        The transactions of this thread run on the connection that holds the lock: if the lock is lost because that
        breaks, they fail. What is yielded is this connection, for statements without a transaction after the block's
        transactions.

        Raises:
            StorageBusy: others hold it for too long.
            StorageUnavailable: the database cannot be used.
        """
        with self.failures.translated(), self._connection() as connection:
            connection.autocommit = True
            try:
                connection.execute("SELECT pg_advisory_lock(hashtext(%s), hashtext(%s))", (self.schema, name))
                self._held.connection = connection
                yield connection
            finally:
                self._held.connection = None
                _unlock(connection)

    @contextmanager
    def one_transaction(self, name: str, lock: LiteralString, *values: object) -> Iterator[Connection]:
        """Run a transaction, to which everything belongs that this thread reads and writes in the meantime.

        It begins with the statement ``lock``, and commits when the block ends, unless the block has done so itself.
        No :meth:`exclusive` block of the same name runs meanwhile; other transactions of this kind do.

        Raises:
            StorageBusy: others hold it for too long.
            StorageUnavailable: the database cannot be used; nothing was changed, unless the connection broke while the
                database committed.
        """
        with self.failures.translated(), self._connection() as connection:
            _begin_with(connection, IsolationLevel.READ_COMMITTED, read_only=False)
            with connection.pipeline():
                connection.execute(_SHARE, (self.schema, name))
                connection.execute(lock, values)
            self._held.connection, self._held.is_transaction = connection, True
            try:
                yield connection
            finally:
                self._held.connection, self._held.is_transaction = None, False

    @property
    def is_in_one_transaction(self) -> bool:
        """Whether this thread is within :meth:`one_transaction`."""
        return self._held.is_transaction

    @contextmanager
    def importing(self) -> Iterator[Connection]:
        """Give a connection for one long transaction; it is rolled back unless it was committed.

        Its statements, and the time between them, may take as long as they do.

        Raises:
            StorageError: the database cannot be written.
        """
        with self.failures.translated(), self._connection() as connection:
            _begin_with(connection, IsolationLevel.READ_COMMITTED, read_only=False)
            try:
                for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
                    connection.execute(sql.SQL("SET LOCAL {} = 0").format(sql.Identifier(name)))
                with connection.limited(None):
                    yield connection
            finally:
                connection.rollback()

    def listen(self) -> Connection:
        """Return a new connection that is told of changes; the caller closes it.

        Raises:
            StorageUnavailable: the database cannot be reached.
        """
        with self.failures.translated():
            connection = LimitedConnection.connect(self._info, autocommit=True)
            with connection.limited(_CHECK_SECONDS):
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self.schema)))
            return connection

    def check(self) -> None:
        """Check that changes can be stored.

        Raises:
            StorageError: they cannot.
        """
        with self.writing() as connection:
            connection.execute("SELECT version FROM facet")

    def drop(self) -> None:
        """Delete the schema.

        Raises:
            StorageError: it cannot be deleted.
        """
        with self.failures.translated(), psycopg.connect(self._info) as connection:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(self.schema)))

    def close(self) -> None:
        """Close all connections. Later calls raise :class:`gallery.errors.StorageUnavailable`."""
        self._pool.close()

    def _first_connection(self) -> Connection:
        try:
            return psycopg.connect(self._info)
        except psycopg.OperationalError as error:
            raise self.failures.of_connecting(error) from error

    @contextmanager
    def _connection(self) -> Iterator[LimitedConnection]:
        """Take a connection; soon fails while the database is away, because a thread that waits cannot search.

        Raises:
            StorageBusy: all of them are in use for too long.
        """
        with ExitStack() as taken:
            try:
                wait = _AWAY_SECONDS if self._is_away else min(self._timeout, _WAIT_SECONDS)
                connection = taken.enter_context(self._pool.connection(timeout=wait))
            except PoolTimeout as error:
                if self._in_use.count == self._pool.max_size:
                    raise StorageBusy(f"all {self._pool.max_size} connections to {self.name} are in use") from error
                self._is_away = True
                if self._refusal is not None:
                    raise self.failures.of_connecting(self._refusal) from error
                raise
            self._is_away = False
            taken.enter_context(self._in_use)
            try:
                yield connection
            finally:
                if connection.closed:  # others may be broken, too
                    self._broken_at = time.monotonic()

    @contextmanager
    def _transaction(self, level: IsolationLevel, *, read_only: bool = False) -> Iterator[Connection]:
        held = self._held.connection
        if held is None:
            with self._connection() as connection:
                _begin_with(connection, level, read_only=read_only)
                yield connection
            return
        if held.closed or held.info.transaction_status == TransactionStatus.UNKNOWN:
            raise psycopg.OperationalError("the connection is broken")
        if self._held.is_transaction:
            yield held
            return
        if held.info.transaction_status != TransactionStatus.IDLE:
            raise RuntimeError("a transaction was begun within another one")
        _begin_with(held, level, read_only=read_only)
        try:
            yield held
            held.commit()
        except BaseException:
            with suppress(psycopg.Error):  # it is broken, and its transaction gone
                held.rollback()
            raise

    def _check(self, connection: LimitedConnection) -> None:
        """Raise an error unless a connection works, or has worked a moment ago, and since another one broke."""
        if connection.answered_at < max(time.monotonic() - _TRUSTED_SECONDS, self._broken_at):
            with connection.limited(_CHECK_SECONDS):
                ConnectionPool.check_connection(connection)

    def _note_refusal(self, refusal: psycopg.Error | None) -> None:
        self._refusal = refusal

    def _configure(self, connection: LimitedConnection) -> None:
        """Prepare a new connection."""
        connection.limit = _ANSWER_SHARE * self._timeout
        milliseconds = round(self._timeout * 1000)
        # The shorter one, so that a lock which others hold is told from a statement that is slow.
        timeouts = {"statement_timeout": milliseconds, "lock_timeout": round(_LOCK_SHARE * milliseconds)}
        for name, value in {"search_path": self.schema, **timeouts, **_PLANNING}.items():
            connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        # What was acknowledged must be on disk; a server that waits for its replicas goes on doing so.
        (commits,) = connection.execute("SHOW synchronous_commit").fetchone() or ("",)
        if commits == "off":
            connection.execute("SET synchronous_commit = on")
        connection.commit()


class _Held(threading.local):
    """The connection that holds a lock for this thread, or runs its transaction."""

    connection: Connection | None = None
    is_transaction: bool = False


class _Counter:
    """Counts the threads that are within its blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def __enter__(self) -> None:
        with self._lock:
            self.count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.count -= 1


def _unlock(connection: Connection) -> None:
    """Give up all locks of a connection; if that fails they go with the connection. What was done is done."""
    try:
        connection.rollback()
        connection.autocommit = True
        connection.execute("SELECT pg_advisory_unlock_all()")
    except BaseException as error:
        connection.close()
        if not isinstance(error, psycopg.Error):
            raise


def _begin_with(connection: Connection, level: IsolationLevel, *, read_only: bool) -> None:
    """Have the connection's next transaction begin so; costs nothing."""
    connection.autocommit = False
    if connection.isolation_level != level or connection.read_only != read_only:
        connection.isolation_level = level
        connection.read_only = read_only


def _parsed(url: str) -> dict[str, Any]:
    """Return the parts of a connection string.

    Raises:
        StorageUnavailable: it is none. No error quotes it: a password may be where another part is expected.
    """
    try:
        parts = dict(conninfo_to_dict(url))
    except psycopg.ProgrammingError:
        raise StorageUnavailable(_NO_CONNECTION_STRING) from None
    misplaced = any("@" in str(parts.get(name, "")) for name in ("host", "port", "dbname"))
    if misplaced or not all(port.isdecimal() for port in str(parts.get("port") or "0").split(",")):
        raise StorageUnavailable(_NO_CONNECTION_STRING)
    return parts


def _name_of(parts: Mapping[str, Any]) -> str:
    host, port = parts.get("host") or parts.get("hostaddr") or "local socket", parts.get("port") or 5432
    host = f"[{host}]" if ":" in host else host
    return f"PostgreSQL {host}:{port}/{parts.get('dbname') or parts.get('user') or ''}"
