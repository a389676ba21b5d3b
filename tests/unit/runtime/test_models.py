"""Model files by name: found, verified, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from facet.runtime.models import (
    MANIFEST,
    UNKNOWN,
    DigestMismatch,
    ModelError,
    ModelNotFound,
    ModelOrigin,
    find_model,
    packaged_names,
    packaged_path,
    read_manifest,
    record_models,
    sha256_of,
)


@pytest.mark.parametrize("name", packaged_names())
def test_every_packaged_model_exists_and_has_a_licence(name: str) -> None:
    found = find_model(name)
    assert found.sha256 == sha256_of(found.path)
    assert found.size == found.path.stat().st_size
    assert found.license != UNKNOWN


def test_a_model_is_found_by_path_or_by_name_in_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"model")
    for name, folder in ((str(path), None), ("mine", tmp_path), ("mine.onnx", tmp_path)):
        found = find_model(name, folder)
        assert (found.path, found.license, found.sha256) == (path, UNKNOWN, sha256_of(path))


def test_a_missing_model_is_refused_with_the_available_names(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="yolo11n"):
        find_model("nothing", tmp_path)
    with pytest.raises(ModelNotFound, match="not installed"):
        packaged_path("no-such-package", "x")
    with pytest.raises(ModelNotFound, match="has no no-such-file"):
        packaged_path("numpy", "no-such-file")


def test_the_manifest_gives_licence_source_and_expected_digest(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"model")
    origin = ModelOrigin(sha256_of(path), "MIT", "somewhere")
    record_models(tmp_path, [("mine.onnx", origin)])
    record_models(tmp_path, [("other.onnx", ModelOrigin("0" * 64, "x", "y"))])
    assert read_manifest(tmp_path).keys() == {"mine.onnx", "other.onnx"}
    found = find_model("mine", tmp_path)
    assert (found.license, found.source) == ("MIT", "somewhere")
    path.write_bytes(b"damaged")
    with pytest.raises(DigestMismatch, match=origin.sha256):
        find_model("mine", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"sha256": "x"}}'])
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"model")
    (tmp_path / MANIFEST).write_text(text, "utf-8")
    with pytest.raises(ModelError, match="manifest"):
        find_model("mine", tmp_path)
