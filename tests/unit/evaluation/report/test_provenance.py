"""The digest of a labelled set, and the provenance of figures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.report.provenance import data_set, provenance
from facet.v1.server_service_pb2 import GetServerInfoResponse, ModelInfo


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "b.jpg").write_bytes(b"b")
    (tmp_path / "labels.csv").write_text("labels")
    return folder


def files(images: Path, *names: str) -> dict[str, Path]:
    return {name: images / name for name in names}


def test_the_digest_of_a_set_depends_only_on_labels_and_pictures(images: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    first = data_set(labels, files(images, "a.jpg", "b.jpg"))
    assert (first["labels"], first["pictures"], len(first["sha256"])) == ("labels.csv", 2, 64)
    assert data_set(labels, files(images, "b.jpg", "a.jpg")) == first
    assert data_set(labels, files(images, "a.jpg"))["sha256"] != first["sha256"]
    (images / "b.jpg").write_bytes(b"c")
    assert data_set(labels, files(images, "a.jpg", "b.jpg"))["sha256"] != first["sha256"]
    labels.write_text("others")
    assert data_set(labels, files(images, "a.jpg"))["sha256"] != data_set(None, files(images, "a.jpg"))["sha256"]


def test_labels_may_be_a_folder(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "a.txt").write_text("0 0.5 0.5 1 1")
    first = data_set(folder, files(images, "a.jpg"))
    (folder / "b.txt").write_text("0 0.5 0.5 1 1")
    assert data_set(folder, files(images, "a.jpg"))["sha256"] != first["sha256"]


def test_an_unreadable_picture_is_named(images: Path) -> None:
    with pytest.raises(LabelError, match=r"c\.jpg: cannot be read: No such file"):
        data_set(None, files(images, "c.jpg"))


def test_a_name_that_is_not_utf_8_is_refused(images: Path) -> None:
    name = os.fsdecode(b"a\xff.jpg")
    (images / name).write_bytes(b"a")
    with pytest.raises(LabelError, match=r"a\\udcff\.jpg: has a name that is not UTF-8"):
        data_set(None, files(images, name))
    labels = images / os.fsdecode(b"\xff.csv")
    labels.write_text("labels")
    with pytest.raises(LabelError, match="has a name that is not UTF-8"):
        data_set(labels, files(images, "a.jpg"))


def test_provenance_names_models_settings_software_and_processor() -> None:
    info = GetServerInfoResponse(
        version="1.2",
        contract="abc",
        models=[ModelInfo(role="embedding", sha256="def")],
        settings={"detection.second_look": "true"},
    )
    found = provenance(info, data={"sha256": "x"}, configuration={"iou": 0.5}, seed=7)
    assert (found["models"]["embedding"]["sha256"], found["contract"], found["seed"]) == ("def", "abc", 7)
    assert found["configuration"]["iou"] == 0.5
    assert found["configuration"]["server"] == {"detection.second_look": True}
    assert found["software"]["facet"] == "1.2"
    assert found["processor"]
