"""Everything on the disk of a server, read by somebody who has no key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client
from facet.terminal import private_files
from gallery.encryption import age, master_keys
from gallery.stores.sqlite import copies
from tests.integration.server.trust.traces import enrolled, found

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving, Start

GALLERY = "guests"
IN_PLAIN = {"subject's id"}
"""What a database tells without a key, and its backup: lists of subjects are sorted and searched by their ids."""
ENCRYPTED = {"name", "vector", "crop"}


def served(start: Start, folder: Path, *flags: str) -> Serving:
    kept = ("--models.objects", "none", "--enrollment.keep-crops", "--audit.folder", str(folder / "audit"))
    return start(folder, *kept, "--log.level", "debug", *flags)


def copied(folder: Path, address: str) -> list[Path]:
    """A backup, and an export and a backup that are encrypted for somebody else; returns the latter two."""
    _, public = age.new_identity()
    recipients = age.recipients_of([public])
    database, backup, export = folder / "facet.sqlite3", folder / "backup.age", folder / "export.age"
    copies.backup(database, folder / "backup.sqlite3", replace=False)
    copies.backup(database, backup, replace=False, recipients=recipients)
    with Client(address) as client, private_files.appearing(export) as file:
        age.encrypt(client.export_gallery(GALLERY), file, recipients)
    return [backup, export]


def test_files_of_an_encrypted_server_tell_no_name_face_or_vector(
    start: Start, tmp_path_factory: pytest.TempPathFactory, pictures: Pictures
) -> None:
    folder, master = tmp_path_factory.mktemp("encrypted"), tmp_path_factory.mktemp("master") / "master.key"
    master.write_text(f"{master_keys.new_key()}\n", "ascii")
    master.chmod(0o600)
    serving = served(start, folder, "--gallery.encryption-key-file", str(master))
    try:
        with Client(serving.address) as client:
            needles = enrolled(client, GALLERY, pictures.yaoming)
        needles["master key"] = master.read_bytes().strip()
        copied(folder, serving.address)
        while_running = found(folder.rglob("*"), needles)
        limits = Path(f"/proc/{serving.process.pid}/limits").read_text("ascii")
    finally:
        serving.stop()
    left = while_running | found(folder.rglob("*"), needles)
    assert {what for _, what in left} <= IN_PLAIN, left
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M), "its memory could be dumped to the disk"
    others_read = [path.name for path in folder.rglob("*") if path != serving.log and path.stat().st_mode & 0o077]
    assert others_read == []


def test_the_same_bytes_are_found_where_nothing_is_encrypted_but_not_in_encrypted_copies(
    start: Start, tmp_path_factory: pytest.TempPathFactory, pictures: Pictures
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    serving = served(start, folder)
    try:
        with Client(serving.address) as client:
            needles = enrolled(client, GALLERY, pictures.yaoming)
        encrypted = copied(folder, serving.address)
    finally:
        serving.stop()
    left = found(folder.rglob("*"), needles)
    for file in ("facet.sqlite3", "backup.sqlite3"):
        assert {what for name, what in left if name == file} >= ENCRYPTED | IN_PLAIN
    assert not found(encrypted, needles)
    assert "former name" not in {what for _, what in left}, "a name that was changed is still on the disk"
