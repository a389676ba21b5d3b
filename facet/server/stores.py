"""The store that the configuration names."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec

import structlog

from facet.runtime.extras import install_command
from facet.server.config import GalleryConfig
from gallery.encryption.master_keys import master_key_source
from gallery.errors import StorageUnavailable
from gallery.stores.base import Store
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import Clock, now

_log = structlog.get_logger("facet.gallery")


def open_store(config: GalleryConfig, clock: Clock = now) -> Store:
    """Open the store of galleries that the configuration names; the clock tells what has expired.

    Raises:
        StorageError: the store cannot be opened, or its client is not installed.
    """
    if config.postgres_url is not None:
        return _postgres(config, config.postgres_url.get_secret_value(), clock)
    if config.milvus_uri:
        return _milvus(config, clock)
    return SqliteStore(
        config.database,
        check=config.check_at_start,
        default_threshold=config.default_threshold,
        clock=clock,
        keep_erasures=timedelta(days=config.keep_erasures_days),
        master_keys=master_key_source(
            config.encryption_key_file, config.encryption_key_env, config.encryption_key_command
        ),
        log=_log,
    )


# Only servers with another store than SQLite load its client.


def _postgres(config: GalleryConfig, url: str, clock: Clock) -> Store:
    _need("psycopg", "PostgreSQL", "postgres")
    from gallery.stores.postgres.postgres_store import PostgresStore

    store = PostgresStore(
        url,
        schema=config.postgres_schema,
        timeout=config.postgres_timeout_seconds,
        connections=config.postgres_connections,
        clock=clock,
    )
    _log.info("galleries in PostgreSQL", database=store.database.name, schema=config.postgres_schema)
    return store


def _milvus(config: GalleryConfig, clock: Clock) -> Store:
    _need("pymilvus", "Milvus", "milvus")
    from gallery.stores.milvus.milvus_store import MilvusStore

    return MilvusStore(
        config.milvus_uri,
        token=config.milvus_token.get_secret_value() if config.milvus_token else "",
        prefix=config.milvus_prefix,
        index=config.milvus_index,
        strong=config.milvus_consistency == "strong",
        timeout=config.milvus_timeout_seconds,
        default_threshold=config.default_threshold,
        clock=clock,
    )


def _need(package: str, store: str, extra: str) -> None:
    if find_spec(package) is None:
        raise StorageUnavailable(f"galleries in {store} need {package}: {install_command(extra)}")
