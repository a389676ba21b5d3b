"""Verification of a gallery's embeddings: of one contract, or of two while it is being migrated."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gallery.encryption.values import SEALED_TEXT, CannotOpen
from gallery.stores.columns import BadRow, embeddings_of, migration_of
from gallery.stores.sqlite.schema import FIRST_WITH_CONTRACTS
from gallery.stores.sqlite.sealing.sealed_values import MIGRATION, Opener

_ROWS_AT_ONCE = 4096

# Reading the texts shows whether they are valid text.
_ROWS = """
    SELECT subject_id, template_id, picture_sha256, {contracts}
    FROM templates LEFT JOIN subjects ON subjects.key = subject_key {second}
    WHERE templates.gallery_key = :gallery"""
_OF_ONE_CONTRACT = _ROWS.format(contracts=":first, templates.embedding, '', NULL", second="")
_WITH_CONTRACTS = _ROWS.format(
    contracts="""COALESCE(own.contract, :first), templates.embedding,
        COALESCE(another.contract, :first), second.embedding""",
    second="""LEFT JOIN contracts AS own ON own.key = templates.contract_key
        LEFT JOIN second_embeddings AS second ON second.template_key = templates.key
        LEFT JOIN contracts AS another ON another.key = second.contract_key""",
)
_MISPLACED = """
    SELECT COUNT(*) FROM second_embeddings AS second JOIN templates ON templates.key = second.template_key
    WHERE templates.gallery_key = ? AND (
        second.gallery_key != templates.gallery_key OR second.contract_key IS templates.contract_key)
"""


@dataclass(frozen=True, slots=True)
class StoredEmbeddings:
    """The embeddings of a gallery under one contract.

    Attributes:
        contract: the contract.
        dimension: values of an embedding; 0 if that is not known.
        count: how many there are.
    """

    contract: str
    dimension: int
    count: int


@dataclass(frozen=True, slots=True)
class CheckedEmbeddings:
    """The embeddings of a gallery.

    Attributes:
        templates: the number of templates that were read.
        by_contract: their embeddings, those of the contract that searches first, also if there are none.
        problems: one line each, without the gallery.
        is_complete: whether all templates were read.
    """

    templates: int
    by_contract: tuple[StoredEmbeddings, ...]
    problems: tuple[str, ...]
    is_complete: bool


def check_embeddings(
    connection: sqlite3.Connection, key: int, version: int, opener: Opener | None
) -> CheckedEmbeddings:
    """Read a gallery's migration, and all its embeddings.

    Args:
        connection: the database.
        key: the gallery's key.
        version: the database's schema version.
        opener: opens sealed values; ``None`` if they cannot be opened.
    """
    (contract,) = connection.execute("SELECT contract FROM galleries WHERE key = ?", (key,)).fetchone()
    problems: list[str] = []
    dimensions: dict[str, set[int]] = {contract: set()}
    counts: Counter[str] = Counter()
    templates, is_complete = 0, False
    try:
        for rows in _rows(connection, key, version, contract):
            templates += len(rows)
            for under, blobs in _by_contract(rows, opener).items():
                counts[under] += len(blobs)
                opened = [blob for blob in blobs if blob is not None]
                if opened:
                    dimensions.setdefault(under, set()).add(embeddings_of(opened).shape[1])
        is_complete = True
        if version >= FIRST_WITH_CONTRACTS:
            problems += _contract_problems(connection, key, contract, dimensions, opener)
    except (BadRow, CannotOpen) as error:
        problems.append(str(error))
    if any(len(each) > 1 for each in dimensions.values()):
        problems.append("embeddings differ in length")
    found = tuple(StoredEmbeddings(each, max(dimensions[each], default=0), counts[each]) for each in dimensions)
    return CheckedEmbeddings(templates, found, tuple(problems), is_complete)


def _rows(connection: sqlite3.Connection, key: int, version: int, contract: str) -> Iterator[list[tuple[Any, ...]]]:
    """Read the templates of a gallery, some at a time: ids, digest, and each embedding with its contract."""
    query, first = _OF_ONE_CONTRACT, contract
    if version >= FIRST_WITH_CONTRACTS:
        query = _WITH_CONTRACTS
        (first,) = connection.execute("SELECT first_contract FROM galleries WHERE key = ?", (key,)).fetchone()
    rows = connection.execute(query, {"gallery": key, "first": first})
    while found := rows.fetchmany(_ROWS_AT_ONCE):
        yield found


def _by_contract(rows: Sequence[tuple[Any, ...]], opener: Opener | None) -> dict[str, list[Any]]:
    """Return the embeddings of rows by contract; ``None`` for those that cannot be opened."""
    found: dict[str, list[Any]] = {}
    for *ids, picture, contract, stored, other_contract, other in rows:
        opened, second = stored, other
        if picture == SEALED_TEXT:
            opened = opener and opener.template(stored, picture, *ids)[0]
            second = opener and other and opener.second_embedding(other, *ids)
        found.setdefault(contract, []).append(opened)
        if other is not None:
            found.setdefault(other_contract, []).append(second)
    return found


def _contract_problems(
    connection: sqlite3.Connection, key: int, contract: str, dimensions: dict[str, set[int]], opener: Opener | None
) -> list[str]:
    """Compare the contracts of embeddings with those that the gallery says it has."""
    problems = []
    if connection.execute(_MISPLACED, (key,)).fetchone() != (0,):
        problems.append("a template has two embeddings of one contract, or one of another gallery")
    (text,) = connection.execute("SELECT migration FROM galleries WHERE key = ?", (key,)).fetchone()
    if text and opener is None:
        return problems
    migration = None if opener is None else migration_of(opener.text(text, MIGRATION))
    models = {} if migration is None else {each.contract: each for each in (migration.source, migration.target)}
    if models and contract not in models:
        problems.append("its contract is none of its migration")
    for each in dimensions:
        if each != contract and each not in models:
            problems.append(f"embeddings have the contract {each!r}, which is none of the gallery")
        elif each in models and dimensions[each] - {models[each].dimension}:
            problems.append(f"embeddings of {models[each].called} do not have {models[each].dimension} values")
    return problems
