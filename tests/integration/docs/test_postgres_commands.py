"""The commands of docs/scale.md for PostgreSQL, as written: a role, a database, a server, a backup."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client
from facet.benchmarks.galleries.postgres.postgres_server import PostgresServer
from facet.v1.gallery_service_pb2 import DeleteGalleryRequest

if TYPE_CHECKING:
    from tests.conftest import Serve

SCALE = Path(__file__).resolve().parents[3] / "docs" / "scale.md"
PATIENCE = 120
URL, PLACE = "FACET_GALLERY__POSTGRES_URL", "db.example.org:5432"


@pytest.fixture
def administrator(postgres_server: PostgresServer) -> Iterator[dict[str, str]]:
    """The environment of somebody who administers the server; what the document creates there is dropped."""
    import psycopg

    settings = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres_server.port), "PGUSER": "facet"}
    yield {**os.environ, **settings, "PGPASSWORD": postgres_server.password}
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS facet")
        connection.execute("DROP ROLE IF EXISTS facet_server")


def test_commands_for_postgres_set_up_a_server_and_bring_back_a_backup(
    administrator: dict[str, str], postgres_server: PostgresServer, serve: Serve, tmp_path: Path
) -> None:
    def run(program: str) -> None:
        for line in lines(program):
            subprocess.run(shlex.split(line), cwd=tmp_path, env=administrator, check=True, timeout=PATIENCE)

    (exported,) = lines(f"export {URL}=")
    url = exported.partition("=")[2].replace(PLACE, f"127.0.0.1:{postgres_server.port}")
    run("psql ")
    run("createdb ")
    first = serve("--models.objects", "none", environment={URL: url})
    with Client(first.address) as client:
        client.create_gallery("team")
        run("pg_dump ")
        client.galleries.DeleteGallery(DeleteGalleryRequest(gallery_id="team"))
        assert not client.list_galleries().galleries
    first.stop()
    run("pg_restore ")
    second = serve("--models.objects", "none", environment={URL: url})
    with Client(second.address) as client:
        assert [each.gallery_id for each in client.list_galleries().galleries] == ["team"]


def lines(beginning: str) -> list[str]:
    """The lines of the document's shell blocks that begin so; there is at least one."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", SCALE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found = [line for block in blocks for line in block.splitlines() if line.startswith(beginning)]
    assert found, beginning
    return found
