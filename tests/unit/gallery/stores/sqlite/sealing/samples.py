"""People who are easy to find in files, and what must not be found there."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gallery.encryption.key_file import key_path
from gallery.encryption.keyring import Keyring
from gallery.encryption.master_keys import KeyFile, MasterKeySource
from gallery.galleries import Galleries
from gallery.records.consents import Consent, ConsentBasis
from gallery.records.subjects import SubjectChange
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, Vector, face
from tests.waiting import until

CROP = b"\x89PNG\r\n" + random.Random(7).randbytes(3000)


def opened(path: Path, master_keys: MasterKeySource | None = None) -> Galleries:
    """Open the galleries of a database."""
    store = SqliteStore(path, master_keys=master_keys)
    return Galleries(store, contract=CONTRACT, dimension=DIMENSION, max_templates_per_subject=5)


def vector(number: int) -> Vector:
    """Return the embedding of a person."""
    values = np.random.default_rng(number).normal(size=DIMENSION)
    return (values / np.linalg.norm(values)).astype(np.float32)


def fill(galleries: Galleries, gallery_id: str, people: Iterable[int]) -> None:
    """Create a gallery, and enrol people with everything that is kept about them."""
    galleries.create_gallery(gallery_id, display_name=f"Visitors of {gallery_id}", threshold=0.9)
    for number in people:
        enrollment = face(vector(number), name=f"Name of {number}", request_id=f"r{number}", digest=digest(number))
        galleries.enroll(gallery_id, f"s{number}", replace(enrollment, crop=CROP), validate_only=False)
        consent = Consent(ConsentBasis.CONSENT, f"Form {number}", datetime(2026, 1, 1, tzinfo=UTC))
        change = SubjectChange(frozenset({"consent"}), consent=consent)
        galleries.update_subject(gallery_id, f"s{number}", change, etag="")


def digest(number: int) -> str:
    """Return the digest of a person's enrolment request."""
    return hashlib.sha256(b"request %d" % number).hexdigest()


def secrets(gallery_id: str, people: Iterable[int]) -> list[bytes]:
    """Return bytes that reveal something about the people of a gallery."""
    found = [f"Visitors of {gallery_id}".encode(), CROP[10:200]]
    for number in people:
        picture = hashlib.sha256(vector(number).tobytes())
        found += [vector(number).tobytes()[:32], f"Name of {number}".encode(), f"Form {number}".encode()]
        found += [picture.hexdigest().encode(), picture.digest(), digest(number).encode()]
    return found


def found_in(folder: Path, wanted: Iterable[bytes]) -> set[tuple[str, bytes]]:
    """Return the wanted bytes that are in files of a folder, and in which."""
    contents = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {(name, each) for each in wanted for name, data in contents.items() if each in data}


def people_of(galleries: Galleries, gallery_id: str) -> dict[str, tuple[str, str]]:
    """Return the name and the reference of each subject; checks that each is found by its face."""
    found = {}
    for subject in galleries.list_subjects(gallery_id, page_size=1000).items:
        (answer,) = galleries.search(gallery_id, vector(int(subject.subject_id[1:]))[None], top_k=1)
        assert answer.candidates[0].subject_id == subject.subject_id
        assert answer.candidates[0].display_name == subject.display_name
        found[subject.subject_id] = subject.display_name, subject.consent.reference if subject.consent else ""
    return found


def expected(people: Iterable[int]) -> dict[str, tuple[str, str]]:
    """Return what :func:`people_of` returns for people."""
    return {f"s{number}": (f"Name of {number}", f"Form {number}") for number in people}


def wait_until_sealed(path: Path, master_keys: MasterKeySource) -> None:
    """Open a database until everything in it is sealed, and nothing is left of what was plain."""
    log = Recorded()
    store = SqliteStore(path, master_keys=master_keys, log=log)
    until(lambda: any(event == "encrypted" for event, _ in log.events))
    store.close()


class Recorded:
    """A log that keeps its events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **facts: object) -> None:
        """Keep an event."""
        self.events.append((event, facts))

    def error(self, event: str, **facts: object) -> None:
        """Keep a failure."""
        self.events.append((event, facts))


def cut_off(database: Path, key_file: KeyFile) -> tuple[Keyring, str]:
    """Leave a plain database as if encryption had been cut off when it had made the keys, before any value.

    Returns:
        the keys, and the key of the only gallery.
    """
    keyring = Keyring.create(key_path(database), key_file.read())
    (uid,) = keyring.add(1)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO encryption VALUES (1, ?)", (keyring.database,))
        connection.execute("UPDATE galleries SET data_keys = ?", (uid,))
        connection.commit()
    return keyring, uid
