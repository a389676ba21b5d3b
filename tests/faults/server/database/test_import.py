"""Imports on a full disk, and on a server that is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from facet import Client, FacetError, NotFound
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from gallery.galleries import Galleries
from gallery.records.galleries import Gallery
from gallery.records.subjects import Subject
from gallery.records.templates import StoredFace, Template
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.faults.promises import Seen, promises

if TYPE_CHECKING:
    from tests.conftest import Serve

ROOT = Path(__file__).resolve().parents[4]
DIMENSION = 512
MANY = 5000

ON_A_SMALL_DISK = """
import hashlib, shutil, subprocess, sys
from contextlib import closing
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from gallery.errors import InvalidImport, StorageFull, StorageUnavailable
from facet.server.services.transfer.upload_file import RESERVED_BYTES, UploadFile
disk, piece = Path(sys.argv[1]), bytes(1 << 20)
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={RESERVED_BYTES + (8 << 20)}", "none", disk], check=True)
try:
    with closing(UploadFile(disk, 1 << 40)) as upload:
        assert list(disk.iterdir()) == []
        try:
            for count in range(100):
                upload.append(piece)
            raise AssertionError("there was room")
        except StorageFull as error:
            assert count == 8 and shutil.disk_usage(disk).free >= RESERVED_BYTES
    assert shutil.disk_usage(disk).used < 1 << 20
    with closing(UploadFile(disk, 1 << 40)) as upload:
        for _ in range(5):
            upload.append(piece)
        try:
            upload.finish(hashlib.sha256(5 * piece).hexdigest(), 5 << 20)
            raise AssertionError("there was room for the database")
        except StorageFull:
            pass
    with closing(UploadFile(disk, 1 << 40)) as upload:
        upload.append(piece)
        upload.finish(hashlib.sha256(piece).hexdigest(), 1 << 20)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        UploadFile(disk, 1 << 40)
        raise AssertionError("it could be written")
    except StorageUnavailable:
        print("done")
finally:
    subprocess.run(["umount", disk], check=True)
"""


@promises(
    "disk",
    "an upload that does not fit",
    "it is refused while 64 MB are still free, so that enrolments go on; nothing of it stays",
)
def test_an_upload_leaves_room_on_the_disk_for_enrolments(tmp_path: Path, seen: Seen) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "none", str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk of its own can be mounted here")
    command = [*alone, sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "done\n", result.stderr
    seen("refused as full with 64 MB free; the upload is gone")


@promises(
    "kill -9",
    "while a server imports a gallery of 5,000 people",
    "the whole gallery or nothing of it; the import can be repeated",
)
def test_a_server_killed_during_an_import_has_the_whole_gallery_or_none_of_it(
    serve: Serve, tmp_path: Path, seen: Seen
) -> None:
    chosen = random.Random(5)
    serving = serve()
    with Client(serving.address) as client:
        contract = client.server.GetServerInfo(server_pb.GetServerInfoRequest()).contract
        client.create_gallery("before")
    file = tmp_path / "crowd.parquet"
    file.write_bytes(exported_crowd(tmp_path / "other.sqlite3", contract))
    whole = 0
    for _ in range(3):
        with Client(serving.address) as client:
            importing = threading.Thread(target=import_until_killed, args=(client, file))
            importing.start()
            # An import takes about 1.5 seconds.
            importing.join(chosen.uniform(0.1, 1.5))
            serving.process.kill()
            serving.process.wait()
            importing.join()
        serving = serve()
        with Client(serving.address) as client:
            listed = {each.gallery_id for each in client.galleries.ListGalleries(pb.ListGalleriesRequest()).galleries}
            assert "before" in listed <= {"before", "crowd"}
            if "crowd" in listed:
                gallery = client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id="crowd")).gallery
                assert (gallery.subject_count, gallery.template_count) == (MANY, MANY)
                whole += 1
                client.galleries.DeleteGallery(pb.DeleteGalleryRequest(gallery_id="crowd", force=True))
    with Client(serving.address) as client:
        assert client.import_gallery(file).template_count == MANY
        with pytest.raises(NotFound):
            client.galleries.GetSubject(pb.GetSubjectRequest(gallery_id="crowd", subject_id="nobody"))
    seen(f"3 kills: {whole} times the whole gallery, {3 - whole} times nothing; then imported")


def import_until_killed(client: Client, file: Path) -> None:
    try:
        client.import_gallery(file)
    except FacetError:
        return


def exported_crowd(database: Path, contract: str) -> bytes:
    """An exported gallery of many subjects with one template each."""
    now = datetime.now(UTC)
    values = np.random.default_rng(3).standard_normal((MANY, DIMENSION)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    store = SqliteStore(database)
    galleries = Galleries(store, contract=contract, dimension=DIMENSION, max_templates_per_subject=1)
    importing = store.begin_import(Gallery("crowd", "", 0.5, 1, contract, 0, 0, now, now, "e"))
    importing.add([face(number, values[number], now) for number in range(MANY)])
    importing.commit()
    data = b"".join(piece.data for piece in galleries.transfer.export_gallery("crowd"))
    galleries.close()
    return data


def face(number: int, embedding: NDArray[np.float32], now: datetime) -> StoredFace:
    subject = Subject("crowd", f"s{number:05}", "", 0, now, now, "e")
    template_id = str(uuid.UUID(int=number))
    template = Template(template_id, "crowd", subject.subject_id, "0" * 64, (0.0, 0.0, 9.0, 9.0), 1.0, now)
    return StoredFace(subject, template, embedding, None)
