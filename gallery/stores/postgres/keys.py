"""The keys of rows by the ids that people know."""

from __future__ import annotations

from gallery.errors import GalleryNotFound
from gallery.stores.postgres.connection.database import Connection

LOCK = "SELECT FROM galleries WHERE gallery_id = %s AND NOT is_hidden FOR NO KEY UPDATE"
"""Has other writers of a gallery wait until the transaction ends. What is read after it is as the last one left it."""
NO_KEY = -1
"""The key that no row has."""


def gallery_key_of(connection: Connection, gallery_id: str) -> int:
    """Return the key of a gallery.

    Raises:
        GalleryNotFound: it does not exist.
    """
    return _gallery_key(connection, gallery_id, "")


def locked_gallery_key(connection: Connection, gallery_id: str) -> int:
    """Return the key of a gallery, whose other writers wait until the transaction ends.

    Every transaction that writes to a gallery begins with this, so the writers of a gallery follow one another, and no
    two can wait for each other.

    Raises:
        GalleryNotFound: it does not exist.
    """
    return _gallery_key(connection, gallery_id, "FOR NO KEY UPDATE")


def contract_key_of(connection: Connection, contract: str, *, create: bool = False) -> int:
    """Return the key of an embedding contract.

    Args:
        connection: in a transaction that writes if ``create`` is set.
        contract: the contract.
        create: make a key if the contract has none; otherwise it is one that no row has.
    """
    return _key(connection, "contracts", "contract", contract, create=create)


def searching_contract_key(connection: Connection, gallery_key: int) -> int:
    """Return the key of the contract that searches a gallery."""
    row = connection.execute("SELECT contract_key FROM galleries WHERE key = %s", (gallery_key,)).fetchone()
    return NO_KEY if row is None else int(row[0])


def model_key_of(connection: Connection, sha256: str, *, create: bool = False) -> int | None:
    """Return the key of a model's digest; ``None`` for an empty one. See :func:`contract_key_of`."""
    return _key(connection, "models", "sha256", sha256, create=create) if sha256 else None


def _gallery_key(connection: Connection, gallery_id: str, lock: str) -> int:
    query = f"SELECT key FROM galleries WHERE gallery_id = %s AND NOT is_hidden {lock}"  # noqa: S608 - a constant
    row = connection.execute(query.encode(), (gallery_id,)).fetchone()
    if row is None:
        raise GalleryNotFound(gallery_id)
    return int(row[0])


def _key(connection: Connection, table: str, column: str, value: str, *, create: bool) -> int:
    query = f"SELECT key FROM {table} WHERE {column} = %s".encode()  # noqa: S608 - constants
    row = connection.execute(query, (value,)).fetchone()
    if row is None and create:
        insertion = f"INSERT INTO {table} ({column}) VALUES (%s) ON CONFLICT DO NOTHING"  # noqa: S608
        connection.execute(insertion.encode(), (value,))
        row = connection.execute(query, (value,)).fetchone()
    return NO_KEY if row is None else int(row[0])
