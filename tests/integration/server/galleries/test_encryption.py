"""A server with a master key: its files reveal nobody, and it does not start without the right key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import CENTRAL, Client
from gallery.encryption.master_keys import new_key
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Refused, Serve

NAME = "Yao of Shanghai"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with a master key."""
    path = tmp_path / "master.key"
    path.touch(0o600)
    path.write_text(new_key())
    return path


def test_a_server_encrypts_its_database_rotates_its_key_and_does_not_start_without(
    serve: Serve, refused: Refused, pictures: Pictures, key_file: Path, tmp_path: Path
) -> None:
    with_key = ("--gallery.encryption-key-file", str(key_file), "--enrollment.keep-crops")
    first = serve("--enrollment.keep-crops")
    with Client(first.address) as client:
        client.create_gallery("team")
        client.enroll("team", "s1", pictures.yaoming, face=CENTRAL, display_name=NAME)
    first.stop()
    database = tmp_path / "facet.sqlite3"
    assert NAME.encode() in database.read_bytes()

    second = serve(*with_key)
    until(lambda: any(line["event"] == "encrypted" for line in second.log_lines()))
    old = key_file.read_text()
    key_file.write_text(f"{new_key()}\n{old}\n")
    until(lambda: any(line["event"] == "master keys" for line in second.log_lines()))
    with Client(second.address) as client:
        assert [each.display_name for each in client.subjects("team")] == [NAME]
    second.stop()
    for path in tmp_path.glob("facet.sqlite3*"):
        assert NAME.encode() not in path.read_bytes()
        assert b"\x89PNG" not in path.read_bytes()
    for line in second.log.read_text(), str(second.said):
        assert old.strip() not in line
        assert NAME not in line

    key_file.write_text(key_file.read_text().splitlines()[0])
    database_flags = ("--server.port", "0", "--gallery.database", str(database))
    without = refused(*database_flags)
    assert without.returncode == 1
    assert "is encrypted: set gallery.encryption_key_file" in without.stderr
    environment = {"FACET_MASTER_KEY": key_file.read_text()}
    third = serve("--gallery.encryption-key-env", "FACET_MASTER_KEY", environment=environment)
    with Client(third.address) as client:
        assert [each.display_name for each in client.subjects("team")] == [NAME]


def test_a_master_key_for_milvus_or_from_two_places_is_refused(refused: Refused, key_file: Path) -> None:
    flags = ("--gallery.encryption-key-file", str(key_file))
    milvus = refused(*flags, "--gallery.milvus-uri", "http://127.0.0.1:1")
    assert milvus.returncode == 2
    assert "encrypts the SQLite database only" in milvus.stderr
    twice = refused(*flags, "--gallery.encryption-key-command", "cat key")
    assert twice.returncode == 2
    assert "exclude each other" in twice.stderr
