"""Servers whose model files are cut off, swapped or removed while they run."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from facet import Client
from facet.runtime.models import find_model
from tests.faults.promises import Seen, promises
from tests.faults.server.writers import GALLERY, enroll

if TYPE_CHECKING:
    from tests.conftest import Pictures, Refused, Serve

NAMES = ("scrfd_500m_bnkps", "w600k_mbf")


def pictures_of_many_sizes(picture: bytes) -> list[bytes]:
    """Return the picture in sizes that the models have not run on yet."""
    made = []
    with Image.open(io.BytesIO(picture)) as opened:
        for width in (900, 300, 500):
            data = io.BytesIO()
            opened.resize((width, 700)).save(data, "JPEG")
            made.append(data.getvalue())
    return made


@promises(
    "model files",
    "the files of the models are cut in half, then swapped with each other, then removed, while the server runs",
    "answers do not change; the next start is refused, by name",
)
def test_models_that_change_on_disk_do_not_change_answers(
    serve: Serve, refused: Refused, tmp_path: Path, pictures: Pictures, seen: Seen
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    faces, embedding = (folder / f"{name}.onnx" for name in NAMES)
    for name, file in zip(NAMES, (faces, embedding), strict=True):
        shutil.copy(find_model(name).path, file)
    flags = ("--models.objects", "none", "--models.faces", str(faces), "--models.embedding", str(embedding))
    originals = {file: file.read_bytes() for file in (faces, embedding)}
    serving = serve(*flags)
    starts = 0
    with Client(serving.address) as client:
        client.create_gallery(GALLERY)
        template = enroll(client, "a", pictures.yaoming)
        probes = pictures_of_many_sizes(pictures.yaoming)

        def similarities() -> list[float]:
            answers = [client.identify(GALLERY, probe).faces[0].identification for probe in probes]
            assert all(answer.candidates[0].subject_id == "a" for answer in answers)
            return [answer.candidates[0].similarity for answer in answers]

        for file, data in originals.items():
            file.write_bytes(data[: len(data) // 2])
        cut = similarities()
        starts += start_is_refused(refused, flags, faces)
        faces.write_bytes(originals[embedding])
        embedding.write_bytes(originals[faces])
        assert similarities() == cut
        starts += start_is_refused(refused, flags, faces)
        faces.unlink()
        embedding.unlink()
        assert similarities() == cut
        starts += start_is_refused(refused, flags, faces)
        assert enroll(client, "a", pictures.yaoming) == template
    assert serving.stop() == 0
    seen(f"{3 * len(cut)} identifications with equal similarities; {starts} starts refused")


def start_is_refused(refused: Refused, flags: tuple[str, ...], file: Path) -> int:
    """Check that a server does not start, and names a file."""
    result = refused("--server.port", "0", "--gallery.database", "other.sqlite3", *flags)
    assert result.returncode == 1
    (line,) = [each for each in result.stderr.splitlines() if each.startswith("serve.py: ")]
    assert str(file) in line or file.stem in line
    return 1
