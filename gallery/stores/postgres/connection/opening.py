"""Preparing the tables when a server starts: created, or brought to this version's schema."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from gallery.errors import SchemaTooNew, StorageUnavailable
from gallery.stores.postgres.connection.schema import MIGRATIONS

OLDEST_SERVER = 130000
"""The oldest version of PostgreSQL, as ``server_version`` of libpq has it."""

_LOCK = 0x46414345
"""The advisory lock under which tables are changed: "FACE"."""


def prepare(connection: psycopg.Connection[tuple[Any, ...]], name: str, schema: str) -> None:
    """Create the tables in a schema, or bring them to this version's schema, in one transaction.

    Args:
        connection: begins no transaction before.
        name: what errors call the database.
        schema: the schema; created if it does not exist.

    Raises:
        SchemaTooNew: a newer version of this program made them.
        StorageUnavailable: the database or the schema is of another kind.
    """
    _check(connection, name)
    connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_LOCK, schema))
    if _one(connection, "SELECT to_regnamespace(quote_ident(%s)) IS NULL", schema):
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(schema)))
    version = _version(connection, name, schema)
    if version > len(MIGRATIONS):
        raise SchemaTooNew(name, version, len(MIGRATIONS))
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement.encode())
    if version < len(MIGRATIONS):
        connection.execute("UPDATE facet SET version = %s", (len(MIGRATIONS),))
    connection.commit()


def _check(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> None:
    if connection.info.server_version < OLDEST_SERVER:
        raise StorageUnavailable(f"{name} is older than PostgreSQL {OLDEST_SERVER // 10_000}")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StorageUnavailable(f"{name} has the encoding {encoding}; create a database with ENCODING 'UTF8'")
    if _one(connection, "SELECT pg_is_in_recovery()"):
        raise StorageUnavailable(
            f"{name} is a read-only replica; name the primary, or add target_session_attrs=read-write"
        )


def _version(connection: psycopg.Connection[tuple[Any, ...]], name: str, schema: str) -> int:
    """Return the version of the tables; 0 if there are none.

    Raises:
        StorageUnavailable: the schema has tables of something else, or none of a version.
    """
    tables = _one(connection, "SELECT count(*) FROM pg_tables WHERE schemaname = %s", schema)
    if not tables:
        return 0
    column = """SELECT EXISTS (
        SELECT FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = to_regnamespace(quote_ident(%s)) AND relname = 'facet' AND attname = 'version'
    )"""
    if not _one(connection, column, schema):
        raise StorageUnavailable(
            f"the schema {schema!r} of {name} has tables of something else; name another one in gallery.postgres_schema"
        )
    # FOR UPDATE needs the right to change it, without which a server would fail at its first change.
    row = connection.execute(
        sql.SQL("SELECT version FROM {} FOR UPDATE").format(sql.Identifier(schema, "facet"))
    ).fetchone()
    if row is None:
        raise StorageUnavailable(f"the schema {schema!r} of {name} is incomplete; restore a backup of it")
    return int(row[0])


def _one(connection: psycopg.Connection[tuple[Any, ...]], query: str, *values: object) -> Any:
    row = connection.execute(query.encode(), values).fetchone()
    return None if row is None else row[0]
