"""The thread that follows the master keys goes on after failures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from gallery.encryption.key_file import key_path
from gallery.encryption.master_keys import KeyFile, MasterKeys, new_key
from gallery.stores.sqlite.sealing import sealing_thread
from gallery.stores.sqlite.sealing.progress import encryption_status
from gallery.stores.sqlite.sqlite_store import SqliteStore
from tests.unit.gallery.stores.sqlite.sealing.samples import Recorded, fill, opened
from tests.waiting import until


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(sealing_thread, "_RETRY_SECONDS", 0.05)


def filled(database: Path, key_file: KeyFile) -> None:
    galleries = opened(database, key_file)
    fill(galleries, "g", [1])
    galleries.close()


def rotate(key_file: KeyFile) -> None:
    key_file.path.write_text(f"{new_key()}\n{key_file.path.read_text()}")


def wait_for(log: Recorded, event: str) -> None:
    until(lambda: event in [each for each, _ in log.events], event)


def test_a_rotation_that_failed_once_is_tried_again(database: Path, key_file: KeyFile) -> None:
    filled(database, key_file)
    log = Recorded()
    store = SqliteStore(database, master_keys=key_file, log=log)
    right = key_path(database).read_bytes()
    key_path(database).write_bytes(right + b"\n")
    rotate(key_file)
    wait_for(log, "the master keys that were read last stay in use")
    key_path(database).write_bytes(right)
    wait_for(log, "master keys")
    assert list(encryption_status(database).masters) == [key_file.read().current.id]
    store.close()


@dataclass
class Failing:
    """A file of master keys that cannot always be watched."""

    file: KeyFile
    fails: bool = False

    def read(self) -> MasterKeys:
        """Read the keys."""
        return self.file.read()

    def version(self) -> object:
        """Fail in a way that nobody foresaw."""
        if self.fails:
            raise RuntimeError("a secret")
        return self.file.version()


def test_an_unexpected_error_does_not_end_the_thread(database: Path, key_file: KeyFile) -> None:
    filled(database, key_file)
    log, source = Recorded(), Failing(key_file)
    store = SqliteStore(database, master_keys=source, log=log)
    source.fails = True
    wait_for(log, "encryption goes on after an unexpected error")
    source.fails = False
    rotate(key_file)
    wait_for(log, "master keys")
    assert "a secret" not in str(log.events)
    store.close()
