"""Galleries of random people, as ExportGallery writes them."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pyarrow as pa

from gallery.transfer.parquet.schema import schema

DIMENSION = 512
"""Of the embedded model's embeddings."""


def lines(
    count: int, *, seed: int = 7, name: str = "s", display_name: str = "", twice: int = 0, pictures: int = 1
) -> pa.Table:
    """Make the lines of ``count`` people, about 2 KB for each template; the first ``twice`` have a second id.

    Each person has ``pictures`` templates, whose similarity is about 0.6. The second id has a template that is nearly
    the person's first.
    """
    rng = np.random.default_rng(seed)
    people = rng.standard_normal((count, DIMENSION)).astype(np.float32)
    own = np.repeat(people, pictures, axis=0)
    if pictures > 1:
        own += np.float32(0.8) * rng.standard_normal(own.shape).astype(np.float32)
    values = np.concatenate([own, own[: twice * pictures : pictures] + np.float32(0.01)])
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    ids = [f"{name}{number // pictures:06}" for number in range(count * pictures)]
    ids += [f"z{number:0{len(str(twice - 1))}}" for number in range(twice)]  # sorted, as a file must be
    count = len(ids)
    times = pa.array([1_700_000_000_000_000] * count, pa.timestamp("us", tz="UTC"))
    columns: dict[str, Any] = {
        "subject_id": ids,
        "display_name": [display_name] * count,
        "subject_create_time": times,
        "subject_update_time": times,
        "template_id": [str(uuid.UUID(int=number)) for number in range(count)],
        "picture_sha256": ["0" * 64] * count,
        **{corner: [0.0] * count for corner in ("x1", "y1")},
        **{corner: [9.0] * count for corner in ("x2", "y2")},
        "quality": [1.0] * count,
        "create_time": times,
        "face_model": [""] * count,
        "embedding_model": [""] * count,
        "embedding": pa.FixedSizeListArray.from_arrays(
            pa.array(values.ravel()), type=schema(DIMENSION).field("embedding").type
        ),
        "crop": [None] * count,
    }
    return pa.table(columns, schema(DIMENSION))
