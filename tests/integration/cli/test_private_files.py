"""What the commands write names people: only its owner can read it, with the usual umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from facet import Client
from facet.v1.gallery_service_pb2 import DeleteGalleryRequest
from tests.integration.cli.conftest import Run

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def inputs(tmp_path: Path, server: Serving, pictures: Pictures, new_gallery: str) -> Iterator[dict[str, str]]:
    """A gallery with one man, a folder with his pictures, pairs of them, and a film of him."""
    portrait = cv2.imdecode(np.frombuffer(pictures.yaoming, np.uint8), cv2.IMREAD_COLOR)
    assert portrait is not None
    photos = tmp_path / "photos"
    photos.mkdir()
    names = [f"{number}.png" for number in range(3)]
    for number, name in enumerate(names):
        cv2.imwrite(str(photos / name), cv2.convertScaleAbs(portrait, alpha=1 - number / 10))
    pairs = [f"{names[0]},{names[1]},1", f"{names[0]},{names[2]},0"]
    (tmp_path / "pairs.csv").write_text("\n".join(["image_a,image_b,same", *pairs]), "utf-8")
    height, width = portrait.shape[:2]
    writer = cv2.VideoWriter(str(tmp_path / "film.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (width, height))
    for _ in range(5):
        writer.write(portrait)
    writer.release()
    with Client(server.address) as client:
        client.create_gallery(new_gallery)
        client.enroll(new_gallery, "yao", pictures.yaoming)
        yield {"gallery": new_gallery}
        client.galleries.DeleteGallery(DeleteGalleryRequest(gallery_id=new_gallery, force=True))


@pytest.mark.parametrize(
    ("command", "files"),
    [
        ("identify.py photos --gallery {gallery} --out out/named", 3),
        ("batch.py photos --gallery {gallery} --out out.jsonl", 1),
        ("batch.py photos --gallery {gallery} --out out.parquet", 1),
        ("camera.py film.mp4 --gallery {gallery} --lossless --events out.jsonl --out out.mp4", 2),
        ("evaluate.py verification --pairs pairs.csv --images photos --report out/report", 2),
        ("evaluate.py pan out --fps 1", 3),
        ("gallery.py export {gallery} out.parquet", 1),
    ],
)
def test_only_the_owner_can_read_what_a_command_writes(
    run: Run, inputs: dict[str, str], tmp_path: Path, command: str, files: int
) -> None:
    script, *arguments = command.format(**inputs).split()
    done = run(script, *arguments)
    written = [path for start in tmp_path.glob("out*") for path in (start, *start.rglob("*"))]
    assert len([path for path in written if path.is_file()]) == files, done.stderr
    modes = {path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in written}
    assert modes == {name: 0o700 if (tmp_path / name).is_dir() else 0o600 for name in modes}
