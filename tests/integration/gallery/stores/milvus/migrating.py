"""Galleries in Milvus on their way to another embedding model, and processes that die."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, TypeVar

import numpy as np
import pytest

from gallery.errors import StorageUnavailable
from gallery.galleries import Galleries
from gallery.records.migrations import ModelVersion
from gallery.stores.milvus.milvus_store import MilvusStore
from tests.integration.gallery.stores.milvus.samples import CONTRACT, DIMENSION, Vectors

OLD = ModelVersion(CONTRACT, "old", "0" * 64, DIMENSION)
NEW = ModelVersion("new contract", "new", "1" * 64, DIMENSION)

T = TypeVar("T")


def second(embeddings: Vectors) -> Vectors:
    """The embeddings of the same faces by the new model."""
    return np.ascontiguousarray(embeddings[..., ::-1])


def server(store: MilvusStore) -> Galleries:
    """The galleries of a server that has just started, with both models."""
    made = Galleries(
        store,
        contract=OLD.contract,
        dimension=DIMENSION,
        max_templates_per_subject=10,
        further={NEW.contract: DIMENSION},
    )
    made.migrations.models = (OLD, NEW)
    return made


def add_missing(store: MilvusStore, here: str, *, contract: str = NEW.contract, limit: int = 100) -> int:
    """Give templates without an embedding of one model theirs, made from that of the other; return how many got one."""
    faces = store.second_embeddings.missing(here, contract, after=("", ""), limit=limit)
    source = OLD if contract == NEW.contract else NEW
    known = store.embedded_templates(here, after="", limit=1000, contract=source.contract)
    embeddings = dict(zip(known.template_ids, second(known.embeddings), strict=True))
    ids = [face.key[1] for face in faces]
    ids = [each for each in ids if each in embeddings]
    made = np.array([embeddings[each] for each in ids], np.float32).reshape(-1, DIMENSION)
    return len(store.second_embeddings.add(here, contract, ids, made))


def check_rows(store: MilvusStore, here: str) -> None:
    """Check that no row is there twice, that none is left over, and that templates are counted as they are listed."""
    faces = [each for each in store.faces(here, after=("", ""), limit=1000) if each.template]
    location = store.locator.find(here)
    own = [each for each in faces if each.embedding is not None]
    others = [each for each in faces if each.other_embedding is not None]
    for collection, embedded in ((location.templates, own), (location.others, others)):
        rows = 0 if collection is None else store.milvus.count(collection, location.filter, strong=True)
        assert rows == len(embedded)
    assert store.gallery(here).template_count == len(faces)


def unless_it_dies(store: MilvusStore, call: Callable[[], T], *, before: int) -> T | None:
    """The answer of a process that dies before one of its writes; ``None`` if it does."""
    writes, client = count(), store.milvus.client

    def dying(write: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if next(writes) >= before:
            raise ConnectionError
        return write(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("insert", "upsert", "delete"):
            patch.setattr(client, name, partial(dying, getattr(client, name)))
        try:
            return call()
        except StorageUnavailable:
            return None
