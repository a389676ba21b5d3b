"""How reduced decoding changes similarities, measured on one photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet.benchmarks.photos.similarity import changes
from facet.evaluation.datasets.labels import LabelError

if TYPE_CHECKING:
    from tests.conftest import Pictures


def test_the_embeddings_of_a_photo_decoded_both_ways_differ_little(pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "yao").mkdir()
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "yao" / name).write_bytes(pictures.yaoming)
    (change,) = changes(tmp_path, 1, 0)
    assert 0 < change.embedding < 0.01
    assert 0 <= change.similarity < 0.02


def test_a_folder_without_two_pictures_of_a_person_is_refused(pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "yao").mkdir()
    (tmp_path / "yao" / "1.jpg").write_bytes(pictures.yaoming)
    with pytest.raises(LabelError, match="two pictures"):
        list(changes(tmp_path, 1, 0))
