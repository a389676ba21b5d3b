"""Which store the configuration asks for."""

from __future__ import annotations

from facet.server.config import GalleryConfig
from gallery.stores.base import Store
from gallery.stores.sqlite.store import SqliteStore


def open_store(config: GalleryConfig) -> Store:
    """Open the store of galleries: SQLite, or a Milvus where one is named.

    Raises:
        StorageError: it cannot be opened, or pymilvus is missing.
    """
    if not config.milvus_uri:
        return SqliteStore(config.database, check=config.check_at_start)
    # Servers without a Milvus do not load what only one with it needs.
    from gallery.stores.milvus.store import MilvusStore

    return MilvusStore(
        config.milvus_uri,
        token=config.milvus_token.get_secret_value() if config.milvus_token else "",
        prefix=config.milvus_prefix,
        index=config.milvus_index,
        strong=config.milvus_consistency == "strong",
        timeout=config.milvus_timeout_seconds,
    )
