"""facet people access-report: everything about one person, and nothing of anybody else."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np
from PIL import Image

from facet import LARGEST, Client

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serve

ROOT = Path(__file__).resolve().parents[4]


def report(address: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "enroll.py"), "access-report", *map(str, arguments)]
    return subprocess.run([*command, "--address", address], capture_output=True, text=True, timeout=120, check=False)


def test_the_archive_holds_a_person_with_every_template_and_nobody_else(
    serve: Serve, pictures: Pictures, tmp_path: Path
) -> None:
    address = serve("--enrollment.keep-crops").address
    with Client(address) as client:
        client.create_gallery("team")
        client.enroll("team", "yao", pictures.yaoming, display_name="Yao Ming", request_id="request-of-yao")
        client.enroll("team", "yao", pictures.yaoming + b"\0", request_id="another-of-yao")
        client.enroll("team", "zed", pictures.players, face=LARGEST, display_name="Zed Zedson", request_id="of-zed")
        answer = client.identify("team", pictures.yaoming).faces[0].identification
        client.report_outcome("team", answer.answer_id, False, true_subject_id="zed")
        face = client.analyze_faces(pictures.yaoming, include_embeddings=True, embed_as_templates=True).faces[0]
    path = tmp_path / "yao.zip"
    made = report(address, "yao", "--gallery", "team", "--output", path, "--json")
    assert made.returncode == 0, made.stderr
    assert (json.loads(made.stdout)["templates"], json.loads(made.stdout)["crops"]) == (2, 2)
    assert path.stat().st_mode & 0o777 == 0o600
    with ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    person = json.loads(files["person.json"])
    assert person["subject"]["display_name"] == "Yao Ming"
    first, second = person["templates"]
    assert (first["request_ids"], second["request_ids"]) == (["request-of-yao"], ["another-of-yao"])
    assert np.allclose(first["embedding"]["values"], face.embedding.values, atol=1e-6)
    assert {"create_time", "picture_sha256", "box", "quality", "embedding_model"} <= first.keys()
    (said,) = person["outcomes"]
    assert (said["decision"], said["was_most_similar"], said["truly_was_the_person"]) == ("match", True, False)
    assert (said["verdict"], said["similarity"]) == ("wrong", answer.candidates[0].similarity)
    assert said["model"] == "w600k_mbf"
    assert files.keys() == {"README.txt", "person.json", first["crop"], second["crop"]}
    assert Image.open(io.BytesIO(files[first["crop"]])).size == (112, 112)
    assert not [name for name, data in files.items() if b"zed" in data.lower()]

    again = report(address, "yao", "--gallery", "team", "--output", path)
    assert again.returncode == 2
    assert "--replace" in again.stderr
    nobody = report(address, "Yao Ming", "--gallery", "team", "--output", tmp_path / "none.zip")
    assert nobody.returncode == 1
    assert "is the name of 'yao'" in nobody.stderr
    assert not (tmp_path / "none.zip").exists()
