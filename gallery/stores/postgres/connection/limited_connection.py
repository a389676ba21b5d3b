"""Connections that do not wait for ever: a database that is frozen keeps its connections open, and does not answer."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import psycopg

T = TypeVar("T")


class LimitedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that breaks if the database does not answer for too long.

    The database's own ``statement_timeout`` ends statements that take long, unless the database is stopped itself, or
    waits for a standby to confirm a commit.

    Attributes:
        limit: the longest time to wait for an answer, seconds; ``None`` for any time.
        answered_at: when the database has answered last, on the monotonic clock.
    """

    limit: float | None = None
    answered_at: float = 0.0

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """See :meth:`psycopg.Connection.connect`.

        Args:
            conninfo: a connection string.
            options: those of psycopg, and ``told``, a function that is given the error, or ``None`` if there was none.
        """
        told = options.pop("told", lambda _: None)
        try:
            connection = super().connect(conninfo, **options)
        except psycopg.Error as error:
            told(error)
            raise
        told(None)
        return connection

    @contextmanager
    def limited(self, limit: float | None) -> Iterator[None]:
        """Have another limit for a while."""
        before, self.limit = self.limit, limit
        try:
            yield
        finally:
            self.limit = before

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """See :meth:`psycopg.Connection.wait`.

        Raises:
            OperationalError: the limit is over; the connection is closed.
        """
        limited = gen if self.limit is None else self._within(gen, self.limit)
        answer = super().wait(limited, *args, **kwargs)
        self.answered_at = time.monotonic()
        return answer

    def _within(self, gen: Generator[Any, Any, T], limit: float) -> Generator[Any, Any, T]:
        """Go through the steps of an operation; a step without news comes every tenth of a second."""
        give_up = time.monotonic() + limit
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if time.monotonic() > give_up:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"it did not answer within {limit:.3g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
