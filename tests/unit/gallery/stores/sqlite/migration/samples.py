"""A database with a gallery that is being migrated to another embedding model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gallery.encryption.master_keys import MasterKeySource
from gallery.galleries import Galleries
from gallery.records.migrations import ModelVersion
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.samples import CONTRACT, DIMENSION, Vector
from tests.unit.gallery.stores.sqlite.sealing.samples import vector

OLD = ModelVersion(CONTRACT, "old-model", "0" * 64, DIMENSION)
NEW = ModelVersion("new-contract", "new-model", "f" * 64, 16)


class Moving:
    """The galleries of a database, by both models; the sealing samples fill them."""

    def __init__(self, path: Path, master_keys: MasterKeySource | None = None) -> None:
        self.store = SqliteStore(path, master_keys=master_keys)
        self.galleries = Galleries(
            self.store,
            contract=OLD.contract,
            dimension=OLD.dimension,
            max_templates_per_subject=5,
            further={NEW.contract: NEW.dimension},
        )
        self.migrations = self.galleries.migrations
        self.migrations.models = (OLD, NEW)

    def embed(self, gallery_id: str, most: int = 1000, contract: str = NEW.contract) -> None:
        """Make embeddings of subjects that have none; what identifies them is the number in their id."""
        missing = self.store.second_embeddings.missing(gallery_id, contract, after=("", ""), limit=most)
        make = new_vector if contract == NEW.contract else vector
        values = np.stack([make(int(face.subject.subject_id[1:])) for face in missing])
        self.migrations.add_embeddings(gallery_id, contract, missing, values)

    def drop(self, gallery_id: str) -> None:
        """Drop all embeddings of a migration that ends."""
        while not self.migrations.drop(gallery_id):
            pass

    def found(self, gallery_id: str, people: Iterable[int], contract: str) -> list[str]:
        """Return who is found by the faces of people under a contract."""
        make = new_vector if contract == NEW.contract else vector
        probes = np.stack([make(number) for number in people])
        answers = self.galleries.search(gallery_id, probes, top_k=1, contract=contract)
        return [each.candidates[0].subject_id for each in answers]

    def close(self) -> None:
        """Close the database."""
        self.galleries.close()


def new_vector(number: int) -> Vector:
    """Return the embedding of a person by the new model."""
    values = np.random.default_rng(1000 + number).normal(size=NEW.dimension)
    return (values / np.linalg.norm(values)).astype(np.float32)
