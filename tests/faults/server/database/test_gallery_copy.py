"""facet gallery copy to a server whose disk is full, and to one that dies while it stores what has arrived."""

from __future__ import annotations

import errno
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client
from facet.v1.server_service_pb2 import GetServerInfoRequest
from tests.conftest import PATIENCE
from tests.copies import finished, start_copy
from tests.faults.injection.faults import Faults
from tests.integration.crowds import lines

if TYPE_CHECKING:
    from tests.conftest import Exported, Serve, Serving

FLAGS = ("--models.objects", "none")
DATABASE = "target.sqlite3"
MANY = 1000


@pytest.fixture
def crowd(client: Client, exported: Exported) -> str:
    """The id of a gallery of a server that lives."""
    contract = client.server.GetServerInfo(GetServerInfoRequest()).contract
    file = exported(lines(MANY), contract=contract)
    return client.import_gallery(iter([file]), f"g{uuid.uuid4().hex}").gallery_id


def galleries(serving: Serving) -> list[str]:
    with Client(serving.address) as client:
        return [each.gallery_id for each in client.iter_galleries()]


def test_a_copy_is_whole_or_is_not_there_when_the_disk_is_full_or_the_server_dies_while_it_stores(
    server: Serving, crowd: str, serve: Serve, faults: Callable[[str], Faults], tmp_path: Path
) -> None:
    disk = faults(DATABASE)
    flags = (*FLAGS, "--gallery.database", str(tmp_path / DATABASE))
    target = serve(*flags, environment=disk.environment)

    def copy(*arguments: str) -> tuple[int, str, str]:
        words = (crowd, "--from", server.address, "--to", target.address, "--json", *arguments)
        done = finished(start_copy(tmp_path, *words))
        return done.returncode, done.stdout and json.loads(done.stdout)["galleries"][0]["status"], done.stderr

    disk.fail_writes(errno.ENOSPC)
    code, status, error = copy()
    assert (code, status) == (1, "failed")
    assert error.startswith(f"{crowd}: not copied: {target.address}: STORAGE_FULL: ")
    assert galleries(target) == []
    disk.fail_writes(0)
    disk.kill_at(0)
    assert copy("--as", "first")[:2] == (0, "copied")
    disk.kill_at(disk.operations // 2)
    code, status, error = copy()
    assert (code, status) == (1, "failed")
    assert error.startswith(f"{crowd}: not copied: no server answers at {target.address}")
    target.process.wait(PATIENCE)
    disk.kill_at(0)
    target = serve(*flags, environment=disk.environment)
    assert galleries(target) == ["first"]
    assert copy()[:2] == (0, "copied")
    assert copy()[:2] == (0, "unchanged")
