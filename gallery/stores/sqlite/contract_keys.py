"""Under which embedding contract the embeddings of a gallery's rows are.

Most rows have the contract that their gallery was created with, ``galleries.first_contract``: their key is NULL. Rows
that were written during a migration, or after one, have the key of their own contract.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from gallery.records.migrations import Migration

_NO_ROW = -1
"""No row has this key: nothing was ever stored under the contract."""


@dataclass(frozen=True, slots=True)
class ContractKeys:
    """The keys of a gallery's contracts.

    Attributes:
        own: of the contract that searches.
        other: of the other one of its migration; a key that no row has if it is being dropped.
        is_migrating: whether rows may have embeddings under two contracts, or under either.
    """

    own: int | None = None
    other: int | None = None
    is_migrating: bool = False


NO_MIGRATION = ContractKeys()
"""Of a gallery that has the contract that it was created with, and no migration."""


def contract_key(
    connection: sqlite3.Connection, gallery_key: int, contract: str, *, create: bool = False
) -> int | None:
    """Return the key of a contract in the rows of a gallery.

    Args:
        connection: the database; in a transaction if ``create`` is set.
        gallery_key: the gallery.
        contract: the contract.
        create: make a key if the contract has none; otherwise it is one that no row has.
    """
    (first,) = connection.execute("SELECT first_contract FROM galleries WHERE key = ?", (gallery_key,)).fetchone()
    if contract == first:
        return None
    if create:
        connection.execute("INSERT INTO contracts (contract) VALUES (?) ON CONFLICT DO NOTHING", (contract,))
    row = connection.execute("SELECT key FROM contracts WHERE contract = ?", (contract,)).fetchone()
    return _NO_ROW if row is None else int(row[0])


def contract_keys(
    connection: sqlite3.Connection,
    gallery_key: int,
    contract: str,
    migration: Migration | None,
    *,
    create: bool = False,
) -> ContractKeys:
    """Return the keys of a gallery's contracts.

    Args:
        connection: the database; in a transaction if ``create`` is set.
        gallery_key: the gallery.
        contract: the contract that searches.
        migration: the gallery's migration.
        create: make keys that are new.
    """
    own = contract_key(connection, gallery_key, contract, create=create)
    if migration is None:
        return ContractKeys(own)
    if migration.is_ending:
        return ContractKeys(own, _NO_ROW, is_migrating=True)
    other = migration.other_model(contract).contract
    return ContractKeys(own, contract_key(connection, gallery_key, other, create=create), is_migrating=True)


def is_migrating(connection: sqlite3.Connection, gallery_key: int) -> bool:
    """Tell whether a gallery has a migration."""
    row = connection.execute("SELECT migration != '' FROM galleries WHERE key = ?", (gallery_key,)).fetchone()
    return bool(row[0])


def own_contract(connection: sqlite3.Connection, gallery_key: int) -> str:
    """Return the contract that searches a gallery."""
    return str(connection.execute("SELECT contract FROM galleries WHERE key = ?", (gallery_key,)).fetchone()[0])
