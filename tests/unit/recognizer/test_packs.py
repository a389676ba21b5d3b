"""Download of InsightFace's packs, from a web server on loopback."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from recognizer.models import packs


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files are the release that packs are downloaded from."""
    folder = tmp_path / "release"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever).start()
    monkeypatch.setattr(packs, "RELEASE", f"http://127.0.0.1:{server.server_port}")
    yield folder
    server.shutdown()
    server.server_close()


def test_a_pack_is_unpacked_to_its_model_files(release: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(release / "buffalo_s.zip", "w") as pack:
        for name in ("det_500m.onnx", "deeper/w600k_mbf.onnx", "readme.txt", "../outside.onnx"):
            pack.writestr(name, name)
    target = tmp_path / "target"
    target.mkdir()
    files = packs.download_pack("buffalo_s", target)
    assert {file.name for file in files} == {"det_500m.onnx", "w600k_mbf.onnx", "outside.onnx"}
    assert all(file.is_relative_to(target) for file in files)


def test_a_pack_that_is_not_there_is_an_http_error(release: Path, tmp_path: Path) -> None:
    with pytest.raises(requests.HTTPError, match="404"):
        packs.download_pack("buffalo_s", tmp_path)


def test_a_download_that_is_no_archive_is_refused(release: Path, tmp_path: Path) -> None:
    (release / "buffalo_s.zip").write_text("<html>")
    with pytest.raises(zipfile.BadZipFile):
        packs.download_pack("buffalo_s", tmp_path)
