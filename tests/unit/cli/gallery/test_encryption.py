"""Commands on the file of an encrypted database: they say what they need, and never show a key."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from facet.cli.app import app
from gallery.encryption.master_keys import KeyFile
from tests.unit.gallery.stores.sqlite.sealing.samples import fill, opened, wait_until_sealed


def run(*arguments: str | Path) -> Result:
    """Run facet gallery."""
    return CliRunner().invoke(app, ["gallery", *map(str, arguments)])


def test_commands_on_an_encrypted_database(tmp_path: Path) -> None:
    key, database = tmp_path / "master.key", tmp_path / "facet.sqlite3"
    made = run("encryption", "new-key", key)
    assert made.exit_code == 0
    assert run("encryption", "new-key", key).exit_code == 1
    assert key.read_text().strip() not in made.output
    galleries = opened(database, KeyFile(key))
    fill(galleries, "team", range(3))
    galleries.close()

    assert json.loads(run("encryption", "status", database, "--json").output)["complete"]
    assert json.loads(run("verify", database, "--json").output)["unchecked"] == ["team"]
    with_key = ("--encryption-key-file", key)
    assert json.loads(run("verify", database, *with_key, "--json").output)["unchecked"] == []
    refused = run("compact", database)
    assert refused.exit_code == 1
    assert run("compact", database, *with_key).exit_code == 0
    assert run("compact", database, *with_key, "--encryption-key-command", "cat").exit_code == 2

    assert run("encryption", "renew", database).exit_code == 2
    assert run("encryption", "renew", database, *with_key).exit_code == 0
    pending = run("encryption", "status", database, "--json")
    assert pending.exit_code == 1
    assert [each["pending"] for each in json.loads(pending.output)["galleries"]] == [3]
    assert run("encryption", "new-key", key, "--rotate").exit_code == 0
    wait_until_sealed(database, KeyFile(key))
    assert run("encryption", "status", database).exit_code == 0
