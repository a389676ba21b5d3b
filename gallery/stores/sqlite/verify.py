"""Verification of the SQLite store's file: all of it is read."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from gallery.encryption.keyring import Keyring
from gallery.encryption.values import CannotOpen
from gallery.errors import DatabaseDamaged, SchemaTooNew, StorageError
from gallery.records.consents import ConsentBasis
from gallery.records.policies import MAX_RETENTION
from gallery.stores.columns import BadRow, calibration_of, threshold_source_of
from gallery.stores.sqlite.file.files import connect_to_read, integrity_problems
from gallery.stores.sqlite.migration.embedding_checks import StoredEmbeddings, check_embeddings
from gallery.stores.sqlite.schema import FIRST_ENCRYPTED, schema_version
from gallery.stores.sqlite.sealing.sealed_values import CALIBRATION, SUBJECT_NAME, Opener
from gallery.times import EARLIEST, LATEST, microseconds_of, to_microseconds

_OLDEST, _NEWEST = to_microseconds(EARLIEST), to_microseconds(LATEST)

# Reading these as text shows whether they are valid text.
_TEXTS_OF_SUBJECTS = "SELECT subject_id, display_name, etag FROM subjects WHERE gallery_key = ?"
_TIMES = """
    WITH times AS (
        SELECT create_time AS one, update_time AS other FROM galleries WHERE key = :key
        UNION ALL SELECT create_time, update_time FROM subjects WHERE gallery_key = :key
        UNION ALL SELECT create_time, create_time FROM templates WHERE gallery_key = :key
    )
    SELECT MIN(one), MAX(one), MIN(other), MAX(other) FROM times
"""
_BAD_TERMS = """
    SELECT EXISTS (
        SELECT 1 FROM subjects WHERE gallery_key = :key AND (
            expire_time NOT BETWEEN :oldest AND :newest
            OR consent_basis NOT IN ('', {known})
            OR (consent_basis != '' AND COALESCE(consent_time NOT BETWEEN :oldest AND :newest, 1)))
    ) OR EXISTS (
        SELECT 1 FROM templates WHERE gallery_key = :key AND expire_time NOT BETWEEN :oldest AND :newest
    ) OR EXISTS (
        SELECT 1 FROM galleries WHERE key = :key AND (
            subject_retention NOT BETWEEN 1 AND :longest OR template_retention NOT BETWEEN 1 AND :longest)
    )
"""


@dataclass(frozen=True, slots=True)
class StoredGallery:
    """A gallery as it is in the database.

    Attributes:
        gallery_id: the gallery.
        contract: the embedding contract of its templates.
        dimension: values of an embedding; 0 if there are none.
        subjects: the number of subjects.
        templates: the number of templates.
        other_embeddings: those of the other model of a migration, and those of a model that is being dropped.
    """

    gallery_id: str
    contract: str
    dimension: int
    subjects: int
    templates: int
    other_embeddings: tuple[StoredEmbeddings, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a verification.

    Attributes:
        schema_version: the database's; 0 if it could not be read.
        size: of the file, in bytes.
        galleries: those that could be read, by id.
        unfinished: the number of galleries that an import has not finished or a deletion has not removed yet.
        problems: one line each; empty if there are none.
        encrypted: the number of galleries that are encrypted.
        unchecked: the ids of galleries whose encrypted values were not checked, because there is no key for them.
    """

    schema_version: int
    size: int
    galleries: tuple[StoredGallery, ...]
    unfinished: int
    problems: tuple[str, ...]
    encrypted: int = 0
    unchecked: tuple[str, ...] = ()


def verify(path: Path, keyring: Keyring | None = None) -> Verification:
    """Read a whole database and report its problems; a server may have it open.

    SQLite checks the structure (``PRAGMA integrity_check``) and the references. Embeddings must have unit length, and
    the same dimension in all galleries of a contract; in a migration a template may have one of each of its two
    contracts. The counts of every gallery must be right, and its calibration, its migration and its threshold's source
    readable. Of what is encrypted and has no key, only the structure is checked.

    Args:
        path: the database.
        keyring: the data keys of an encrypted database.

    Raises:
        StorageUnavailable: the file does not exist.
        StorageBusy: another process holds SQLite's own lock.
        SchemaTooNew: a newer version of this program wrote it, so this one does not know what is right.
    """
    found: list[StoredGallery] = []
    unchecked: list[str] = []
    problems: list[str] = []
    version = unfinished = encrypted = 0
    size = path.stat().st_size if path.is_file() else 0
    try:
        with connect_to_read(path) as connection:
            version = schema_version(connection, path)
            problems += integrity_problems(connection)
            unfinished, keys = _gallery_keys(connection, version)
            for key in keys:
                uid = _uid_of(connection, key, version)
                opener = Opener(keyring) if not uid or (keyring is not None and keyring.has(uid)) else None
                gallery, gallery_problems = _verify_gallery(connection, key, version, opener)
                encrypted += bool(uid)
                unchecked += [gallery.gallery_id] if opener is None else []
                found.append(gallery)
                problems += gallery_problems
            problems += _dimension_problems(found)
    except SchemaTooNew:
        raise
    except DatabaseDamaged as error:
        problems.append(error.problem)
    except StorageError as error:
        if not size:
            raise
        problems.append(str(error))
    return Verification(version, size, tuple(found), unfinished, tuple(problems), encrypted, tuple(unchecked))


def _gallery_keys(connection: sqlite3.Connection, version: int) -> tuple[int, list[int]]:
    """Return the number of hidden galleries, and the keys of the others."""
    hidden = "hidden" if version > 1 else "0"
    rows = connection.execute(f"SELECT key, {hidden} FROM galleries ORDER BY gallery_id").fetchall()  # noqa: S608
    return sum(is_hidden for _, is_hidden in rows), [key for key, is_hidden in rows if not is_hidden]


def _uid_of(connection: sqlite3.Connection, key: int, version: int) -> str:
    """Return the id of a gallery in the key file; empty if it is not encrypted."""
    if version < FIRST_ENCRYPTED:
        return ""
    (uid,) = connection.execute("SELECT data_keys FROM galleries WHERE key = ?", (key,)).fetchone()
    return str(uid)


def _verify_gallery(
    connection: sqlite3.Connection, key: int, version: int, opener: Opener | None
) -> tuple[StoredGallery, list[str]]:
    """Verify a gallery; without an opener its encrypted values are not opened."""
    problems: list[str] = []
    gallery_id, contract = connection.execute(
        "SELECT gallery_id, contract FROM galleries WHERE key = ?", (key,)
    ).fetchone()
    problems += _time_problems(connection, key, gallery_id)
    if version > 2:
        problems += _setting_problems(connection, key, gallery_id, version, opener)
    if version > 5:
        problems += _term_problems(connection, key, gallery_id)
    subjects, name_problems = _verify_names(connection, key, gallery_id, opener)
    problems += name_problems
    checked = check_embeddings(connection, key, version, opener)
    problems += [f"gallery {gallery_id!r}: {problem}" for problem in checked.problems]
    if checked.is_complete and version > 1:
        problems += _count_problems(connection, key, subjects, checked.templates)
    own, *others = checked.by_contract
    return StoredGallery(gallery_id, contract, own.dimension, subjects, checked.templates, tuple(others)), problems


def _verify_names(
    connection: sqlite3.Connection, key: int, gallery_id: str, opener: Opener | None
) -> tuple[int, list[str]]:
    """Read the names of subjects; return how many there are, and the first problem."""
    subjects = 0
    problems: list[str] = []
    for subject_id, name, _ in connection.execute(_TEXTS_OF_SUBJECTS, (key,)):
        subjects += 1
        try:
            if opener is not None and not problems:
                opener.text(name, SUBJECT_NAME, subject_id)
        except CannotOpen as error:
            problems = [f"gallery {gallery_id!r}: {error}"]
    return subjects, problems


def _time_problems(connection: sqlite3.Connection, key: int, gallery_id: str) -> list[str]:
    times = connection.execute(_TIMES, {"key": key}).fetchone()
    return (
        [] if all(_OLDEST <= time <= _NEWEST for time in times) else [f"gallery {gallery_id!r}: a time is out of range"]
    )


def _term_problems(connection: sqlite3.Connection, key: int, gallery_id: str) -> list[str]:
    """Check consents, expiries and retentions."""
    known = ", ".join(f"'{basis.value}'" for basis in ConsentBasis)
    values = {"key": key, "oldest": _OLDEST, "newest": _NEWEST, "longest": microseconds_of(MAX_RETENTION)}
    (found,) = connection.execute(_BAD_TERMS.format(known=known), values).fetchone()
    return [f"gallery {gallery_id!r}: a consent, an expiry or a retention is out of range"] if found else []


def _setting_problems(
    connection: sqlite3.Connection, key: int, gallery_id: str, version: int, opener: Opener | None
) -> list[str]:
    source = "threshold_source" if version > 3 else "''"
    calibration, threshold_source = connection.execute(
        f"SELECT calibration, {source} FROM galleries WHERE key = ?",  # noqa: S608 - one of the two above
        (key,),
    ).fetchone()
    try:
        if opener is not None:
            calibration_of(opener.text(calibration, CALIBRATION))
        threshold_source_of(threshold_source)
    except (BadRow, CannotOpen) as error:
        return [f"gallery {gallery_id!r}: {error}"]
    return []


def _count_problems(connection: sqlite3.Connection, key: int, subjects: int, templates: int) -> list[str]:
    gallery_id, *said = connection.execute(
        "SELECT gallery_id, subject_count, template_count FROM galleries WHERE key = ?", (key,)
    ).fetchone()
    if said == [subjects, templates]:
        return []
    return [
        f"gallery {gallery_id!r} claims {said[0]} subjects and {said[1]} templates, but has {subjects} and {templates}"
    ]


def _dimension_problems(galleries: list[StoredGallery]) -> list[str]:
    found: dict[str, set[int]] = {}
    for gallery in galleries:
        of_gallery = {gallery.contract: gallery.dimension} | {
            each.contract: each.dimension for each in gallery.other_embeddings
        }
        for contract, dimension in of_gallery.items():
            found.setdefault(contract, set()).update({dimension} - {0})
    return [
        f"galleries of contract {contract!r} differ in dimension: {sorted(dimensions)}"
        for contract, dimensions in sorted(found.items())
        if len(dimensions) > 1
    ]
