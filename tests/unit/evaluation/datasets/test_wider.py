from __future__ import annotations

from pathlib import Path

import pytest

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.wider import read_wider

SHARED = Path(__file__).resolve().parents[4].parent / "shared"
OFFICIAL = SHARED / "data" / "wider" / "wider_face_val_bbx_gt.txt"

NOTHING = "0 0 0 0 0 0 0 0 0 0"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_boxes_become_corners_and_invalid_faces_are_ignored(tmp_path: Path) -> None:
    path = written(tmp_path, "a/b c.jpg", "2", "10 20 30 40 0 0 0 0 0 0 ", "1 2 3 4 2 1 1 1 2 1")
    (labelled,) = read_wider(path)
    assert labelled.image == "a/b c.jpg"
    assert labelled.boxes.tolist() == [[10, 20, 40, 60], [1, 2, 4, 6]]
    assert labelled.ignored.tolist() == [False, True]


@pytest.mark.parametrize("zeros", [[NOTHING], []])
def test_a_picture_without_faces_is_followed_by_a_line_of_zeros_or_by_none(tmp_path: Path, zeros: list[str]) -> None:
    path = written(tmp_path, "empty.jpg", "0", *zeros, "next.jpg", "1", "1 2 3 4 0 0 0 0 0 0", "last.jpg", "0", *zeros)
    assert [(each.image, len(each.boxes)) for each in read_wider(path)] == [
        ("empty.jpg", 0),
        ("next.jpg", 1),
        ("last.jpg", 0),
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["a.jpg", "2", "1 2 3 4 0 0 0 0 0 0", "b.jpg", "0"], "line 4: expected a face"),
        (["a.jpg", "1", "1 2 3 4"], "line 3: expected a face"),
        (["a.jpg", "1", "1 2 -3 4 0 0 0 0 0 0"], "line 3: expected a face"),
        (["a.jpg", "1", f"{10**400} 2 3 4 0 0 0 0 0 0"], "line 3: expected a face"),
        (["a.jpg", "1"], "line 3: expected a face, x y w h blur expression illumination invalid occlusion pose, "),
        (["a.jpg"], "line 2: expected the number of faces in a.jpg"),
        (["a.jpg", "many"], "line 2: expected the number of faces in a.jpg"),
        (["a.jpg", "-1"], "line 2: expected the number of faces in a.jpg"),
        (["1 2 3 4 0 0 0 0 0 0"], "line 1: expected the path of a picture"),
        (["a.jpg", "0", NOTHING, "a.jpg", "0", NOTHING], "line 4: a.jpg is listed a second time"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path: Path, lines: list[str], problem: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(LabelError) as raised:
        read_wider(path)
    assert f"{path}, {problem}" in str(raised.value)


def test_an_empty_file_lists_no_pictures(tmp_path: Path) -> None:
    assert read_wider(written(tmp_path, "", " ")) == []


@pytest.mark.skipif(not OFFICIAL.is_file(), reason=f"needs the labels {OFFICIAL}")
def test_the_official_labels_are_read_completely() -> None:
    counts = sum(int(line) for line in OFFICIAL.read_text("utf-8").splitlines() if line.strip().isdigit())
    assert sum(len(labelled.boxes) for labelled in read_wider(OFFICIAL)) == counts
