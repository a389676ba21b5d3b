"""scripts/calibrate.py: what it prints, what it changes, and its exit codes."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from facet import Client
from facet.v1 import gallery_service_pb2 as pb

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

ROOT = Path(__file__).resolve().parents[3]
PEOPLE = 300


@pytest.fixture
def calibrate(server: Serving) -> Callable[..., Any]:
    def run(*arguments: object, code: int = 0, script: str = "calibrate.py") -> Any:
        command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments), "--address", server.address]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stdout + result.stderr
        return json.loads(result.stdout) if "--json" in arguments and not code else result.stdout + result.stderr

    return run


@pytest.fixture
def team(client: Client, gallery: str, crowd: Callable[..., bytes]) -> str:
    return client.import_gallery(iter([crowd(PEOPLE, twice=2)]), f"{gallery}-team").gallery_id


def get(client: Client, gallery: str) -> pb.Gallery:
    return client.galleries.GetGallery(pb.GetGalleryRequest(gallery_id=gallery)).gallery


def plain(said: str) -> str:
    """What a command says, without the breaks of its lines."""
    return " ".join(said.split())


def test_a_gallery_is_calibrated_against_itself_and_the_effect_is_explained(
    client: Client, team: str, calibrate: Callable[..., Any]
) -> None:
    tried = calibrate(team, "--fpir", "0.05", "--dry-run")
    assert "would be set" in tried
    assert "Nothing was changed" in tried
    assert not get(client, team).HasField("calibration")
    assert "not calibrated" in calibrate("list", "--gallery", team, script="enroll.py")
    said = calibrate(team, "--fpir", "0.05")
    now = get(client, team)
    assert f"{now.threshold:.4f} now" in said
    assert "Of 1000 unknown people about 50 (" in said
    assert "Of 1000 unknown people about 100 (" in calibrate(team, "--fpir", "0.1", "--dry-run")
    assert "How many pictures of enrolled people match nobody is not known" in said
    assert f"for {PEOPLE - 2} pictures of {PEOPLE - 2} people" in plain(said)
    assert f"4 of the gallery's {PEOPLE + 2} pictures show them and are left out" in plain(said)
    assert "count as different people" in plain(said)
    assert "tail model" not in said
    assert "z0" in said
    assert "z1" in said
    assert "calibrated" in calibrate("list", "--gallery", team, script="enroll.py")
    as_json = calibrate(team, "--fpir", "0.05", "--for-templates", "1000", "--json")
    chosen = as_json["gallery"]["calibration"]
    assert (chosen["target_fpir"], chosen["for_template_count"], as_json["suspect_count"]) == (0.05, "1000", "2")
    assert as_json["gallery"]["threshold"] > now.threshold


def test_an_unreliable_threshold_is_refused_with_what_helps_unless_insisted_upon(
    client: Client, team: str, crowd: Callable[..., bytes], calibrate: Callable[..., Any], tmp_path: Path
) -> None:
    poisoned = client.import_gallery(iter([crowd(120, pictures=2, twice=110)]), f"{team}-poisoned").gallery_id
    before = get(client, poisoned)
    page = tmp_path / "refused.html"
    told = calibrate(poisoned, "--page", page, code=1)
    assert "Are they one person?" in page.read_text()
    assert f"CALIBRATION_UNRELIABLE: the threshold of {poisoned} stays {before.threshold:.4f}" in told
    assert f"calibrate.py {poisoned} --fpir 0.01 --strangers FOLDER" in told
    assert "the same with --insist   # sets this threshold anyway" in told
    assert get(client, poisoned) == before
    refused = json.loads(calibrate(poisoned, "--json", code=1).partition("\n")[0])["refused"]
    page = tmp_path / "suspects.html"
    tried = calibrate(poisoned, "--dry-run", "--json", "--page", page)
    assert tried["forecast"]["unreliable_reasons"] == refused["forecast"]["unreliable_reasons"] != []
    assert tried["forecast"]["own_search_count"] == refused["forecast"]["own_search_count"] == "240"
    assert page.stat().st_mode & 0o777 == 0o600
    assert "no picture stored" in page.read_text() or tried["suspect_count"] == "0"
    assert "This threshold is unreliable:" in calibrate(poisoned, "--dry-run")
    assert get(client, poisoned) == before
    assert "This threshold is unreliable:" in calibrate(poisoned, "--insist")
    assert get(client, poisoned).threshold == pytest.approx(refused["threshold"], abs=1e-4)


def test_pictures_of_strangers_are_probes_and_failures_are_reported(
    client: Client, team: str, squad: Path, calibrate: Callable[..., Any]
) -> None:
    said = calibrate(team, "--fpir", "0.1", "--strangers", squad, "--dry-run", "--json")
    assert said["gallery"]["calibration"]["search_count"] == "110"
    assert said["gallery"]["calibration"]["data_set"] == squad.name
    broken = squad / "player-00" / "broken.jpg"
    try:
        broken.write_bytes(b"no picture")
        told = calibrate(team, "--fpir", "0.1", "--strangers", squad, code=1)
    finally:
        broken.unlink()
    assert "1 INVALID_PICTURE" in told
    assert f"{broken}: not a readable picture" in told
    chosen = get(client, team).calibration
    assert (chosen.search_count, chosen.failure_count) == (110, 1)
    assert chosen.threshold == pytest.approx(said["gallery"]["threshold"])


def test_unreadable_files_change_nothing_unless_they_are_skipped(
    client: Client, team: str, squad: Path, calibrate: Callable[..., Any]
) -> None:
    before, gone = get(client, team), squad / "player-00" / "gone.png"
    try:
        gone.symlink_to(squad / "nowhere.png")
        told = calibrate(team, "--fpir", "0.1", "--strangers", squad, code=1)
        assert f"{gone}: CANNOT_READ" in told
        assert "--skip-unreadable" in told
        assert get(client, team) == before
        told = calibrate(team, "--fpir", "0.1", "--strangers", squad, "--skip-unreadable", code=1)
    finally:
        gone.unlink()
    assert "1 CANNOT_READ" in told
    chosen = get(client, team).calibration
    assert (chosen.search_count, chosen.failure_count) == (110, 0)


def test_a_picture_that_does_not_say_whom_it_shows_changes_nothing_unless_it_is_skipped(
    client: Client, team: str, squad: Path, calibrate: Callable[..., Any]
) -> None:
    before, nameless = get(client, team), squad / "44.png"
    try:
        nameless.write_bytes((squad / "player-00" / "0.png").read_bytes())
        told = calibrate(team, "--fpir", "0.1", "--strangers", squad, code=2)
        assert f"{nameless} does not say whom it shows" in told
        assert "the person in 1 picture is not clear: nothing was changed" in told
        assert get(client, team) == before
        told = calibrate(team, "--fpir", "0.1", "--strangers", squad, "--skip-unreadable", code=1)
    finally:
        nameless.unlink()
    assert "1 NO_NAME" in told
    assert get(client, team).calibration.search_count == 110


def test_the_probes_of_a_protocol_are_its_nonmated_lines_and_one_who_is_enrolled_is_shown(
    client: Client, team: str, squad: Path, pictures: Pictures, tmp_path: Path, calibrate: Callable[..., Any]
) -> None:
    protocol = tmp_path / "set.csv"
    images = sorted(path.relative_to(squad) for path in squad.rglob("*.png"))
    with protocol.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["role", "subject", "image"])
        for image in images:
            name = image.parent.name
            rows.writerow(["gallery" if image.name == "0.png" and name == "player-00" else "nonmated", name, image])
    mixed = calibrate(team, "--protocol", protocol, "--images", squad, code=2)
    assert "set.csv, line 3" in mixed
    protocol.write_text(protocol.read_text().replace("nonmated,player-00", "mated,player-00"))
    flags = ("--protocol", protocol, "--images", squad)
    too_few = calibrate(team, "--fpir", "0.001", *flags, code=1)
    assert "TOO_FEW_SEARCHES" in too_few
    assert "Use --strangers FOLDER with at least 500 pictures of at least 50 people" in too_few
    client.enroll(team, "yao", pictures.yaoming)
    stranger, page = squad / "stranger.jpg", tmp_path / "suspects.html"
    with protocol.open("a") as file:
        file.write("nonmated,stranger,stranger.jpg\r\n")
    try:
        stranger.write_bytes(pictures.yaoming)
        said = calibrate(team, "--fpir", "0.1", *flags, "--also-mated", "--dry-run", "--json", "--page", page)
    finally:
        stranger.unlink()
    chosen = said["gallery"]["calibration"]
    assert (chosen["search_count"], chosen["identity_count"], chosen["data_set"]) == ("110", "56", "set.csv")
    assert said["suspects"][0]["subject_id"] == "stranger"
    shown = page.read_text()
    assert shown.count("data:image/jpeg;base64,") == shown.count("no picture stored") == len(said["suspects"])
    assert "stranger.jpg" in shown
    assert hashlib.sha256(pictures.yaoming).hexdigest() in shown


@pytest.mark.parametrize(
    "flags",
    [
        ("--fpir", "0"),
        ("--fpir", "0.6"),
        ("--protocol", "no.csv"),
        ("--strangers", "no-such-folder"),
        ("--cohort", "x", "--strangers", "."),
        ("--face", "the left one"),
    ],
)
def test_bad_usage_has_its_own_exit_code(team: str, flags: tuple[str, ...], calibrate: Callable[..., Any]) -> None:
    calibrate(team, *flags, code=2)


def test_a_missing_gallery_is_a_failure(calibrate: Callable[..., Any]) -> None:
    assert "GALLERY_NOT_FOUND" in calibrate("nobody", code=1)
