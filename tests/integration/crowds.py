"""Galleries of random people, as ExportGallery writes them."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pyarrow as pa

from gallery.transfer.parquet.schema import schema

DIMENSION = 512
"""Of the embedded model's embeddings."""


def lines(count: int, *, seed: int = 7, name: str = "s", display_name: str = "", twice: int = 0) -> pa.Table:
    """Make the lines of ``count`` people with a template each, about 2 KB; the first ``twice`` have a second one."""
    values = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    values = np.concatenate([values, values[:twice] + np.float32(0.01)])
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    count += twice
    times = pa.array([1_700_000_000_000_000] * count, pa.timestamp("us", tz="UTC"))
    ids = [f"{name}{number:06}" for number in range(count - twice)] + [f"z{number}" for number in range(twice)]
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
