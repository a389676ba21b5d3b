"""Files that are read as pictures, and those that no program should open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from google.rpc.status_pb2 import Status

from facet.client.batches import identify_batch
from facet.client.errors import FacetError
from facet.terminal.pictures.files import Unsendable, check, read
from facet.v1 import recognition_service_pb2 as pb

MOST = 1000


@pytest.fixture(params=["device", "pipe"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A picture's name for a device that never ends, or for a pipe that nobody writes to."""
    path = tmp_path / "a.jpg"
    if request.param == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    return path


def in_batch(path: Path) -> tuple[bytes, str]:
    """What a batch sends for a file, and the reason if it cannot be sent."""
    batch = identify_batch([("key", path)], pb.IdentifyRequest(), MOST)
    (request,) = batch
    _, answer = batch.take(request.item_id, Status(), pb.IdentifyResponse())
    return request.identification.picture.encoded, answer.reason if isinstance(answer, FacetError) else ""


def test_devices_and_pipes_are_not_read(special: Path) -> None:
    for attempt in (read, check):
        with pytest.raises(Unsendable, match="not a regular file") as raised:
            attempt(special, MOST)
        assert raised.value.reason == "CANNOT_READ"


def test_a_batch_does_not_read_devices_and_pipes(special: Path) -> None:
    assert in_batch(special) == (b"", "CANNOT_READ")


def test_a_file_that_is_longer_than_it_says_is_read_to_the_limit_only() -> None:
    longer = Path("/proc/self/smaps")
    if not longer.exists():
        pytest.skip("needs a file of /proc, whose size is always 0")
    with pytest.raises(Unsendable) as raised:
        read(longer, MOST)
    assert raised.value.reason == "FILE_TOO_LARGE"
    assert in_batch(longer) == (b"", "FILE_TOO_LARGE")


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(MOST))
    assert read(path, MOST) == bytes(MOST)
    path.write_bytes(bytes(MOST + 1))
    with pytest.raises(Unsendable, match="1001 bytes, the server accepts 1000"):
        read(path, MOST)


def test_what_is_not_there_and_folders_cannot_be_read(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "gone.jpg", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(Unsendable, match=problem):
            read(path, MOST)
        assert in_batch(path) == (b"", "CANNOT_READ")
