"""The pictures that serving is measured with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facet.benchmarks.serving.pictures import FRAME_SIZE, evenly_chosen, mixed, samples


def is_readable(data: bytes) -> bool:
    return bool(data) and cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None


def test_paths_are_chosen_at_even_distances() -> None:
    paths = [Path(f"{at:03d}") for at in range(100)]
    assert evenly_chosen(paths, 100) == paths
    assert [path.name for path in evenly_chosen(paths, 4)] == ["000", "033", "066", "099"]


def test_the_frame_has_the_size_of_a_cameras() -> None:
    frame = cv2.imdecode(np.frombuffer(samples(None).frame.data, np.uint8), cv2.IMREAD_COLOR)
    assert frame is not None
    assert frame.shape == (*FRAME_SIZE[::-1], 3)


def test_files_of_a_folder_that_are_not_pictures_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((40, 60, 3), 90, np.uint8))
    assert [sample.name for sample in samples(tmp_path).others] == ["wall.png"]


def test_the_mix_contains_readable_and_broken_pictures() -> None:
    readable = [is_readable(sample.data) for sample in mixed(samples(None))]
    assert readable.count(True) > 20
    assert readable.count(False) >= 3
