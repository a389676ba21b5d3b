"""Labelled pairs: CSV and LFW's own format, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.pairs import Pairs, read_pairs

PICTURES = ("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Bob/Bob_0001.jpg", "Bob/Bob_0003.jpg")
ANN_1, ANN_2, BOB_1, BOB_3 = PICTURES


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name in PICTURES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"picture")
    return folder


def read(images: Path, *lines: str) -> Pairs:
    path = images.parent / "pairs"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return read_pairs(path, images)


def test_a_csv_file_lists_mated_and_nonmated_pairs(images: Path) -> None:
    found = read(images, "image_a,image_b,same", f"{ANN_1},{ANN_2},1", f"{ANN_1},{BOB_1},0", f"{BOB_3},{BOB_1},true")
    assert found.images == (ANN_1, ANN_2, BOB_1, BOB_3)
    assert found.subjects == ("Ann", "Ann", "Bob", "Bob")
    assert found.identified_by == "folders"
    assert found.a.tolist() == [0, 0, 3]
    assert found.b.tolist() == [1, 2, 2]
    assert found.same.tolist() == [True, False, True]


def test_without_folds_there_are_ten_with_a_run_of_each_kind(images: Path) -> None:
    same, other = f"{ANN_1},{ANN_2},1", f"{ANN_1},{BOB_1},0"
    found = read(images, "image_a,image_b,same", *[same] * 20, *[other] * 30)
    assert found.folds[:20].tolist() == [fold for fold in range(10) for _ in range(2)]
    assert found.folds[20:].tolist() == [fold for fold in range(10) for _ in range(3)]


def test_folds_and_subjects_are_read_from_the_file(images: Path) -> None:
    columns = "image_a,image_b,same,fold,subject_a,subject_b"
    found = read(images, columns, f"{ANN_1},{BOB_1},1,x,Kim,Kim", f"{ANN_1},{BOB_3},0,y,Kim,Lee")
    assert (found.folds.tolist(), found.identified_by) == ([0, 1], "columns")
    assert dict(zip(found.images, found.subjects, strict=True)) == {ANN_1: "Kim", BOB_1: "Kim", BOB_3: "Lee"}


def test_if_folders_contradict_the_pairs_the_pairs_define_the_people(images: Path) -> None:
    lines = (f"{ANN_1},{BOB_1},1", f"{BOB_1},{BOB_3},1", f"{ANN_1},{ANN_2},0")
    found = read(images, "image_a,image_b,same", *lines)
    assert found.identified_by == "pairs"
    assert dict(zip(found.images, found.subjects, strict=True)) == {
        ANN_1: ANN_1,
        BOB_1: ANN_1,
        BOB_3: ANN_1,
        ANN_2: ANN_2,
    }


def test_the_lfw_format_has_folds_with_pairs_of_each_kind(images: Path) -> None:
    found = read(images, "2\t1", "Ann\t1\t2", "Ann\t1\tBob\t3", "Bob\t1\t3", "Ann\t2\tBob\t1")
    assert [found.images[at] for at in found.a] == [ANN_1, ANN_1, BOB_1, ANN_2]
    assert [found.images[at] for at in found.b] == [ANN_2, BOB_3, BOB_3, BOB_1]
    assert found.same.tolist() == [True, False, True, False]
    assert found.folds.tolist() == [0, 0, 1, 1]


def test_the_lfw_development_format_has_one_set(images: Path) -> None:
    found = read(images, "2", "Ann\t1\t2", "Bob\t1\t3", "Ann\t1\tBob\t3", "Ann\t2\tBob\t1")
    assert found.same.tolist() == [True, True, False, False]
    assert found.folds.tolist() == [0, 5, 0, 5]


CSV = "image_a,image_b,same"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["image_a,same", f"{ANN_1},1"], "line 1: has no column image_b"),
        ([], "line 1: has no column image_a, image_b, same"),
        ([CSV, f"{ANN_1},{ANN_2},perhaps"], "line 2: same is 'perhaps'; it must be 1 or 0"),
        ([CSV, f"{ANN_1},{ANN_2},1", f"{ANN_1},,0"], "line 3: image_b is empty"),
        ([CSV, f"{ANN_1},{ANN_2},1", f"{ANN_1},Eve/Eve_0001.jpg,0"], "line 3: there is no picture"),
        ([CSV, f"{ANN_1},{ANN_2},1", f"{ANN_1},Bob,0"], "line 3: cannot read the picture"),
        ([CSV, f"{ANN_1},{ANN_2},1"], "has no pair of two people"),
        ([CSV, f"{ANN_1},{BOB_1},0"], "has no pair of one person"),
        ([f"{CSV},fold", f"{ANN_1},{ANN_2},1,1", f"{ANN_1},{BOB_1},0,1"], "has one fold"),
        ([f"{CSV},subject_a", f"{ANN_1},{ANN_2},1,Ann"], "line 1: has one of the columns subject_a and subject_b"),
        (
            [f"{CSV},subject_a,subject_b", f"{ANN_1},{ANN_2},1,Ann,Bob", f"{ANN_1},{BOB_1},0,Ann,Bob"],
            "line 2: same is 1, but the pictures are of 'Ann' and 'Bob'",
        ),
        (
            [f"{CSV},subject_a,subject_b", f"{ANN_1},{ANN_2},1,Ann,Ann", f"{ANN_1},{BOB_1},0,Eve,Bob"],
            f"line 3: {ANN_1} is of 'Eve' here, and of 'Ann' before",
        ),
        ([CSV, f"{ANN_1},{ANN_2},1", f"{ANN_1},{'b' * 300}.jpg,0"], "line 3: cannot read the picture"),
        (["1\t1", f"{'a' * 300}\t1\t2", "Ann\t1\tBob\t1"], "line 2: there is no picture"),
        (["1\t1", f"Ann\t1\t{'1' * 5000}", "Ann\t1\tBob\t1"], "line 2: expected name n1 n2"),
        (["1000000 1000000", "Ann\t1\t2"], "line 3: expected 2000000000000 pairs, as the first line says; found 1"),
        (["1\t1", "Ann\t1\t2"], "line 3: expected 2 pairs, as the first line says; found 1"),
        (["1\t1", "Ann\t1\t2", "Ann\t1\tBob\t1", "Ann\t1\tBob\t3"], "line 4: expected 2 pairs"),
        (["1\t1", "Ann\t1\tBob\t1", "Ann\t1\tBob\t1"], "line 2: expected name n1 n2"),
        (["1\t1", "Ann\tone\t2", "Ann\t1\tBob\t1"], "line 2: expected name n1 n2"),
        (["1\t1", "Ann\t1\t2", "Ann\t1\tBob\t2"], "line 3: there is no picture"),
    ],
)
def test_errors_name_the_file_and_the_line(images: Path, lines: list[str], problem: str) -> None:
    with pytest.raises(LabelError) as raised:
        read(images, *lines)
    assert str(raised.value).startswith(str(images.parent / "pairs"))
    assert problem in str(raised.value)


def test_a_file_that_is_not_utf_8_is_refused(images: Path) -> None:
    path = images.parent / "pairs.csv"
    path.write_bytes(CSV.encode() + b"\n\xff\xfe,b,1\n")
    with pytest.raises(LabelError, match="is not UTF-8 text"):
        read_pairs(path, images)
