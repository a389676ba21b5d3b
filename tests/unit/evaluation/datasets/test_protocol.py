from __future__ import annotations

from pathlib import Path

import pytest

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.protocol import read_protocol


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    return tmp_path


def written(folder: Path, *lines: str) -> Path:
    path = folder / "protocol.csv"
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_a_protocol_keeps_the_order_of_its_lines(images: Path) -> None:
    path = written(
        images,
        "\ufeffimage,role,note,subject",
        "a.jpg,gallery,,Ann",
        "b.jpg,mated,blurred,Ann",
        '"c.jpg",nonmated,,"Bo, Jr."',
    )
    protocol = read_protocol(path, images)
    assert [(entry.subject, entry.path) for entry in protocol.gallery] == [("Ann", images / "a.jpg")]
    assert [(entry.role, entry.subject) for entry in protocol.probes] == [("mated", "Ann"), ("nonmated", "Bo, Jr.")]


def test_subjects_are_normalised_as_by_the_server(images: Path) -> None:
    path = written(images, "role,subject,image", "gallery,Jose\u0301,a.jpg", "mated,Jos\u00e9,b.jpg")
    protocol = read_protocol(path, images)
    assert protocol.gallery[0].subject == protocol.probes[0].subject == "Jos\u00e9"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["role,image", "gallery,a.jpg"], "line 1: has no column subject"),
        ([], "line 1: has no column role, subject, image"),
        (["role,subject,image", "gallery,Ann,a.jpg", "probe,Ann,b.jpg"], "line 3: role is 'probe'"),
        (["role,subject,image", "gallery,Ann"], "line 2: image is empty"),
        (["role,subject,image", "gallery, ,a.jpg"], "line 2: subject is empty"),
        (["role,subject,image", "gallery,Ann,d.jpg"], "line 2: there is no picture"),
        (["role,subject,image", "gallery,Ann,."], "line 2: cannot read the picture"),
        (["role,subject,image", f"gallery,Ann,{'d' * 300}.jpg"], "line 2: cannot read the picture"),
        (["role,subject,image", "gallery,Ann,a.jpg", "mated,Bo,b.jpg"], "line 3: 'Bo' is a mated probe"),
        (["role,subject,image", "gallery,Ann,a.jpg", "nonmated,Ann,b.jpg"], "line 3: 'Ann' is a nonmated probe"),
        (["role,subject,image", "gallery,Ann,a.jpg"], "needs at least one line"),
        (["role,subject,image", "nonmated,Ann,a.jpg"], "needs at least one line"),
    ],
)
def test_errors_name_the_file_and_the_line(images: Path, lines: list[str], problem: str) -> None:
    path = written(images, *lines)
    with pytest.raises(LabelError) as raised:
        read_protocol(path, images)
    assert str(raised.value).startswith(str(path))
    assert problem in str(raised.value)


def test_a_file_that_is_not_text_is_refused(images: Path) -> None:
    path = images / "protocol.csv"
    path.write_bytes(b"role,subject,image\n\xff\xfe")
    with pytest.raises(LabelError, match="is not UTF-8 text"):
        read_protocol(path, images)


def test_a_limit_keeps_the_first_pictures_of_each_subject(images: Path) -> None:
    path = written(
        images,
        "role,subject,image",
        *("gallery,Ann,a.jpg", "gallery,Bo,c.jpg", "gallery,Ann,b.jpg", "gallery,Ann,c.jpg", "mated,Ann,a.jpg"),
    )
    protocol = read_protocol(path, images)
    assert protocol.at_most(None) is protocol
    limited = protocol.at_most(2)
    assert [(entry.subject, entry.image) for entry in limited.gallery] == [
        ("Ann", "a.jpg"),
        ("Bo", "c.jpg"),
        ("Ann", "b.jpg"),
    ]
    assert limited.probes == protocol.probes
