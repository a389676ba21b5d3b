"""gallery.py list and delete, and what each command says about a gallery that does not exist."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import Client, NotFound

if TYPE_CHECKING:
    from tests.conftest import Serve

SCRIPTS = Path(__file__).resolve().parents[4] / "scripts"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def wide_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide enough for a row in one line; it comes before ``run``, which takes the environment as it is."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("wide_output")
def test_galleries_are_listed_with_counts_threshold_and_calibration(
    run: Run, client: Client, team: str, crowd: Callable[..., bytes]
) -> None:
    calibrated = client.import_gallery(iter([crowd(200)]), f"{team}-calibrated").gallery_id
    client.calibrate(calibrated, 0.05)
    by_hand = client.import_gallery(iter([crowd(200)]), f"{team}-by-hand").gallery_id
    client.calibrate(by_hand, 0.05)
    client.update_gallery(by_hand, threshold=0.5)
    listed = run("gallery.py", "list")
    assert listed.returncode == 0, listed.stderr
    words = " ".join(listed.stdout.split())
    assert "default or set by hand" in words
    assert "FPIR 5 %" in words
    assert "set by hand stale: the threshold was set by hand since" in words
    galleries = {
        each["gallery_id"]: each for each in json.loads(run("gallery.py", "list", "--json").stdout)["galleries"]
    }
    assert galleries[team]["subject_count"] == "1"
    assert galleries[team]["calibration_state"] == "CALIBRATION_STATE_NOT_CALIBRATED"
    assert galleries[calibrated]["calibration_state"] == "CALIBRATION_STATE_CURRENT"
    assert galleries[by_hand]["stale_reasons"] == ["STALE_REASON_THRESHOLD_CHANGED"]


def test_a_gallery_with_people_is_deleted_only_with_force_and_confirmation(run: Run, client: Client, team: str) -> None:
    refused = run("gallery.py", "delete", team, "--yes")
    assert refused.returncode == 1
    assert refused.stderr == f"GALLERY_NOT_EMPTY: {team} holds 1 person with 1 template: --force deletes them, too\n"
    unconfirmed = run("gallery.py", "delete", team, "--force")
    assert unconfirmed.returncode == 2
    assert "--yes" in unconfirmed.stderr
    assert client.get_gallery(team).subject_count == 1
    deleted = run("gallery.py", "delete", team, "--force", "--yes")
    assert (deleted.returncode, deleted.stdout) == (0, f"deleted {team}, and forgot 1 person with 1 template\n")
    with pytest.raises(NotFound):
        client.get_gallery(team)


def test_an_empty_gallery_is_deleted_without_force(run: Run, gallery: str) -> None:
    deleted = run("gallery.py", "delete", gallery, "--yes", "--json")
    assert json.loads(deleted.stdout) == {"gallery": gallery, "subjects_deleted": 0, "templates_deleted": 0}
    again = run("gallery.py", "delete", gallery, "--yes")
    assert again.returncode == 1
    assert again.stderr.startswith("GALLERY_NOT_FOUND")


def test_a_missing_gallery_is_answered_with_those_that_exist(run_script: Run, serve: Serve) -> None:
    serving = serve("--models.objects", "none")
    command = ("enroll.py", "list", "--address", serving.address)
    assert f"there are no galleries yet: {SCRIPTS}/enroll.py creates one" in run_script(*command).stderr
    assert "no galleries" in run_script("gallery.py", "list", "--address", serving.address).stdout
    with Client(serving.address) as client:
        for number in range(6):
            client.create_gallery(f"team-{number}")
    line = run_script(*command).stderr
    assert line.startswith("GALLERY_NOT_FOUND: ")
    assert f"'team-0', 'team-1', 'team-2', 'team-3', 'team-4', ...: {SCRIPTS}/gallery.py list shows them" in line
