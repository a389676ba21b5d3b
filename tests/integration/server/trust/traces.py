"""What files tell of a person to somebody who reads their bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from facet import Client

_RUN = 16
"""Bytes in a row that are nowhere by chance."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is enrolled, and whose traces are looked for."""

    subject_id: str = "rumpelstilzchen-4711"
    name: str = "Ännchen von Tharau 0815"
    former_name: str = "Hans im Glück 1234"


def enrolled(client: Client, gallery_id: str, picture: bytes) -> dict[str, bytes]:
    """Enrol the person and change the name; returns bytes that tell of the person, by what they are."""
    person = Person()
    client.create_gallery(gallery_id)
    client.enroll(gallery_id, person.subject_id, picture, display_name=person.former_name)
    client.update_subject(gallery_id, person.subject_id, display_name=person.name)
    exported = pq.read_table(io.BytesIO(b"".join(client.export_gallery(gallery_id))))
    (row,) = exported.select(["embedding", "crop"]).to_pylist()
    vector = np.array(row["embedding"], "<f4")
    return {
        "subject's id": person.subject_id.encode(),
        "name": person.name.encode(),
        "name in UTF-16": person.name.encode("utf-16-le"),
        "former name": person.former_name.encode(),
        "vector": vector.tobytes()[:_RUN],
        "vector in 16 bits": vector.astype("<f2").tobytes()[:_RUN],
        "crop": row["crop"][len(row["crop"]) // 2 :][:_RUN],
    }


def found(files: Iterable[Path], needles: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """What is in which file, by the file's name."""
    return {
        (path.name, what)
        for path in files
        if path.is_file()
        for data in (path.read_bytes(),)
        for what, needle in needles.items()
        if needle in data
    }
