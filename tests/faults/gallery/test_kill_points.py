"""Processes that are killed at their writes, in every kind of change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gallery.encryption.key_file import key_path
from tests.faults.gallery.encrypted_operations import ENCRYPTED
from tests.faults.gallery.operations import DATABASE, OPERATIONS
from tests.faults.injection.faults import Faults
from tests.faults.promises import Seen, promises

ROOT = Path(__file__).resolve().parents[3]
AREA = "kill -9"
MOMENTS = 5
SEED = 12

WHOLE = "complete or absent; there if it was acknowledged"
KINDS = {
    "enrol": (
        "a person is enrolled",
        f"{WHOLE}; no person without a template; the same request id gets the same template",
    ),
    "add a template": ("a template is added to a person", WHOLE),
    "rename": ("a person is renamed", f"{WHOLE}; the old name is in no file"),
    "merge": (
        "two people are merged, and that is undone",
        f"{WHOLE}: all templates and both ids; the same request id gets the same change",
    ),
    "forget": ("a person is forgotten", f"{WHOLE}; name, id and embedding are in no file; a record proves it"),
    "expire": ("people who have expired are erased", f"{WHOLE}; nothing of them is in a file; records prove it"),
    "forget many": ("several people are forgotten", "everybody acknowledged is gone, one more may be, nobody else"),
    "delete a template": ("a template is deleted", WHOLE),
    "create a gallery": ("a gallery is created", WHOLE),
    "delete a gallery": (
        "a gallery of 600 people is deleted",
        f"{WHOLE}; nothing of anybody is left in a file; a record proves it",
    ),
    "set a threshold": ("a threshold is set", WHOLE),
    "calibrate": ("a gallery is calibrated", f"{WHOLE}: threshold and evidence together"),
    "import": ("a gallery of 600 people is imported", f"{WHOLE}; the remains of an unfinished import are removed"),
    "back up": ("a database is backed up", "the old backup or the new one, verified; the database is unchanged"),
    "restore": ("a backup is restored", "the database is completely the old one or completely the backup"),
    "compact": ("a database is compacted", "nothing is lost"),
    ENCRYPTED.name: (
        "a gallery of an encrypted database is created or deleted",
        f"{WHOLE}; a deleted gallery's data key is in no file",
    ),
    "migrate": ("a database of the first version is migrated", "nothing is lost; the next start goes on"),
}
"""Of each operation, what the process does when it is killed, and what is promised."""


def test_every_operation_is_killed() -> None:
    assert KINDS.keys() == {*OPERATIONS, ENCRYPTED.name}


@pytest.mark.parametrize(
    "operation",
    [pytest.param(name, marks=promises(AREA, f"while {fault}", promised)) for name, (fault, promised) in KINDS.items()],
)
def test_a_killed_change_is_complete_or_absent(
    tmp_path: Path, faults: Callable[[str], Faults], operation: str, rounds: int, seen: Seen
) -> None:
    work = tmp_path / "files"
    work.mkdir()
    # Most writes of this one are not those of the key file, which it is about.
    files = key_path(work / DATABASE).name if operation == ENCRYPTED.name else f"{work}/"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "tests.faults.gallery.kill_points"),
            *(operation, str(work), str(MOMENTS * rounds), str(SEED)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "", "OMP_NUM_THREADS": "1", **faults(files).environment},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["kills"] > MOMENTS // 2
    seen(
        f"killed at {found['kills']} of {found['writes']} writes: {found['acknowledged']} after the acknowledgement, "
        f"all there; {found['complete']} complete without it, {found['missing']} as before"
    )
