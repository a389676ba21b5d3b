"""gallery.py export and import, as a person or a program runs them."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from facet import Client

ROOT = Path(__file__).resolve().parents[4]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(run: Run) -> Run:
    """Run gallery.py."""
    return partial(run, "gallery.py")


def test_a_gallery_goes_into_a_file_and_out_of_it(run: Run, client: Client, team: str, tmp_path: Path) -> None:
    file = tmp_path / "team.parquet"
    exported = run("export", team, file, "--json")
    assert exported.returncode == 0, exported.stderr
    data = file.read_bytes()
    assert json.loads(exported.stdout) == {
        "gallery": team,
        "file": str(file),
        "templates": 1,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "encrypted": False,
        "distinct_pairs": 0,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["team.parquet"]

    copy = f"{team}-copy"
    tried = run("import", file, "--gallery", copy, "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout == f"{copy}: 1 template of 1 person would be imported\n"
    imported = run("import", file, "--gallery", copy, "--json")
    assert imported.returncode == 0, imported.stderr
    said = json.loads(imported.stdout)
    assert (said["gallery_id"], said["template_count"], said["dry_run"]) == (copy, "1", False)
    assert [each.display_name for each in client.subjects(copy)] == ["Yao Ming"]


def test_an_export_and_an_import_say_how_many_pairs_of_people_are_told_apart(
    run: Run, client: Client, gallery: str, crowd: Callable[..., bytes]
) -> None:
    three = client.import_gallery(iter([crowd(3)]), f"{gallery}-three").gallery_id
    client.set_distinct(three, "s000000", "s000001")
    exported = run("export", three, "three.parquet")
    assert exported.stdout.startswith(f"{three}: 3 templates and 1 pair told apart in three.parquet"), exported.stderr
    imported = run("import", "three.parquet", "--gallery", f"{three}-2")
    assert imported.stdout == f"{three}-2: 3 templates of 3 people and 1 pair told apart imported\n", imported.stderr


def test_a_file_that_is_there_is_replaced_only_on_request(run: Run, team: str, tmp_path: Path) -> None:
    file = tmp_path / "team.parquet"
    file.write_text("something dear")
    refused = run("export", team, file)
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    assert file.read_text() == "something dear"
    assert run("export", team, file, "--replace").returncode == 0
    assert file.read_bytes().startswith(b"PAR1")


def test_an_export_that_fails_leaves_no_file(run: Run, tmp_path: Path) -> None:
    failed = run("export", "nobody", "team.parquet")
    assert failed.returncode == 1
    assert "GALLERY_NOT_FOUND" in failed.stderr
    assert not list(tmp_path.iterdir())
    assert run("export", "nobody", "no such folder/team.parquet").returncode == 1


def test_what_cannot_be_imported_is_said_in_a_line(run: Run, team: str, tmp_path: Path) -> None:
    file = tmp_path / "team.parquet"
    assert run("export", team, file).returncode == 0
    there = run("import", file)
    assert (there.returncode, there.stdout) == (1, "")
    assert there.stderr.startswith("GALLERY_EXISTS")
    assert "--gallery NAME" in there.stderr
    file.write_bytes(file.read_bytes()[:-100])
    cut = run("import", file, "--gallery", f"{team}-2")
    assert cut.returncode == 1
    assert cut.stderr.startswith("INVALID_IMPORT")
    assert run("import", "no such file").returncode == 2
    assert run("import").returncode == 2


def test_an_encrypted_export_is_read_with_its_identity_only(
    run: Run, client: Client, team: str, tmp_path: Path
) -> None:
    made = json.loads(run("encryption", "new-identity", "identity.txt", "--json").stdout)
    other = run("encryption", "new-identity", "other.txt")
    assert other.returncode == 0, other.stderr
    assert stat.S_IMODE((tmp_path / "identity.txt").stat().st_mode) == 0o600
    exported = run("export", team, "team.age", "--encrypt-to", made["public_key"], "--json")
    assert exported.returncode == 0, exported.stderr
    data = (tmp_path / "team.age").read_bytes()
    assert data.startswith(b"age-encryption.org/v1")
    assert b"Yao Ming" not in data
    assert b"PAR1" not in data

    copy = f"{team}-decrypted"
    without = run("import", "team.age", "--gallery", copy)
    assert without.returncode == 2
    assert "--identity" in without.stderr
    foreign = run("import", "team.age", "--gallery", copy, "--identity", "other.txt")
    assert foreign.returncode == 1
    assert "none of the identities" in foreign.stderr
    (tmp_path / "cut.age").write_bytes(data[:-100])
    cut = run("import", "cut.age", "--gallery", copy, "--identity", "identity.txt")
    assert cut.returncode == 1
    assert "changed or cut off" in cut.stderr
    imported = run("import", "team.age", "--gallery", copy, "--identity", "identity.txt")
    assert imported.returncode == 0, imported.stderr
    assert [each.display_name for each in client.subjects(copy)] == ["Yao Ming"]
    secret = (tmp_path / "identity.txt").read_text().splitlines()[-1]
    refused = run("export", team, "again.age", "--encrypt-to", secret)
    assert refused.returncode == 2
    assert secret not in refused.stderr
    assert not (tmp_path / "again.age").exists()
