"""A gallery of people whose embeddings are axes, and an embedder of their crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gallery.galleries import Galleries
from gallery.records.enrollments import Enrollment
from gallery.records.migrations import ModelVersion
from gallery.stores.sqlite.sqlite_store import SqliteStore
from gallery.times import Clock, now

OLD = ModelVersion("old", "old-model", "0" * 64, 64)
NEW = ModelVersion("new", "new-model", "f" * 64, 64)
THIRD = ModelVersion("third", "third-model", "3" * 64, 64)


class Embedder:
    """Embeds the crop of the person with a number as the axis of that number, or as it is told."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.outcomes: dict[int, NDArray[np.float32] | Exception] = {}

    def embed(self, crop: bytes, contract: str) -> NDArray[np.float32]:
        """See :meth:`facet.server.migrations.crop_embedding.CropEmbedder.embed`."""
        assert contract in (OLD.contract, NEW.contract)
        number = int(crop)
        self.asked.append(number)
        outcome = self.outcomes.get(number, axis(number))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Seconds:
    """Seconds that a test sets."""

    seconds = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


def opened(path: Path, *further: ModelVersion, clock: Clock = now) -> Galleries:
    """Open the galleries of a database that waits for no other process; the server has the old model, and others."""
    store = SqliteStore(path, clock=clock)
    store.database.connection.execute("PRAGMA busy_timeout = 0")
    made = Galleries(
        store,
        contract=OLD.contract,
        dimension=OLD.dimension,
        max_templates_per_subject=9,
        clock=clock,
        further={each.contract: each.dimension for each in further},
    )
    made.migrations.models = (OLD, *further)
    return made


def axis(number: int) -> NDArray[np.float32]:
    """Return the embedding of the person with a number."""
    embedding: NDArray[np.float32] = np.eye(1, OLD.dimension, number, dtype=np.float32)[0]
    return embedding


def enroll(galleries: Galleries, number: int, *, keeps_crop: bool = True, both: bool = False) -> None:
    """Enrol the person with a number, whose crop says it."""
    digest = f"{number:064x}"
    crop = b"%d" % number if keeps_crop else None
    further = {NEW.contract: axis(number)} if both else {}
    face = Enrollment(
        axis(number), OLD.contract, digest, (0, 0, 1, 1), 1.0, display_name="", crop=crop, further=further
    )
    galleries.enroll("g", f"p{number:02}", face)
