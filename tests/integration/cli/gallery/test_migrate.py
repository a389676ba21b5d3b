"""facet gallery migrate: the whole way of a gallery to another model, against a server with two models."""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from facet import CENTRAL, LARGEST, Client
from facet.cli.app import app
from facet.cli.gallery.migrate.gaps.originals import fill
from facet.v1 import migrations_pb2 as pb
from facet.v1 import recognition_service_pb2 as recognition_pb
from tests.conftest import start_server
from tests.waiting import until

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def server(second_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with two models, which keeps no crops: every template of a migration misses an embedding."""
    serving = start_server(tmp_path_factory.mktemp("two-models"), "--models.embedding-next", str(second_model))
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def client(server: Serving) -> Iterator[Client]:
    with Client(server.address) as connected:
        yield connected


@pytest.fixture
def team(client: Client, pictures: Pictures, new_gallery: str) -> str:
    """A gallery of two people, each with a picture."""
    client.create_gallery(new_gallery)
    client.enroll(new_gallery, "yao", pictures.yaoming, display_name="Yao Ming", face=CENTRAL)
    client.enroll(new_gallery, "six", pictures.six, face=LARGEST, accept_low_quality=True)
    return new_gallery


@pytest.fixture
def originals(pictures: Pictures, tmp_path: Path) -> Path:
    """A folder of the pictures of both people under other names, and of what nobody needs."""
    folder = tmp_path / "originals"
    files = {
        "2019/scan 7": pictures.yaoming,
        "again.jpg": pictures.yaoming,
        "2019/deep/IMG_1.dat": pictures.six,
        "squad.jpg": pictures.players,
        "altered.jpg": pictures.yaoming + b"\0",
        "@eaDir/yao.jpg": pictures.yaoming,
        "notes.txt": b"nothing to see",
    }
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def migrate(server: Serving, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run facet gallery migrate; gives what it says, or its JSON."""
    monkeypatch.setenv("FACET_ADDRESS", server.address)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object, code: int = 0) -> Any:
        ran = CliRunner().invoke(app, ["gallery", "migrate", *map(str, words)])
        assert ran.exit_code == code, ran.output
        return json.loads(ran.stdout) if "--json" in words and not code else ran.output

    return run


def next_of(migrate: Command, gallery: str) -> list[str]:
    """The words of the next step after ``facet gallery migrate``."""
    return shlex.split(migrate("status", gallery, "--json")["next"][0]["command"])[3:]


def test_a_gallery_goes_to_another_model_by_the_steps_that_are_named(
    client: Client, migrate: Command, team: str, originals: Path, pictures: Pictures
) -> None:
    old = client.get_gallery(team)
    assert next_of(migrate, team) == [team, "--to", "second"]
    assert "Nothing was changed" in migrate(team, "--to", "second", "--dry-run")
    assert not client.get_gallery(team).HasField("migration")
    assert "2 templates: the original pictures are needed" in migrate(team, "--to", "second")
    assert next_of(migrate, team) == ["fill", team, "FOLDER"]
    migrate("fill", team, originals)
    assert next_of(migrate, team) == ["calibrate", team]
    migrate("threshold", team, "0.3")
    assert next_of(migrate, team) == ["switch", team]
    assert "would search" in migrate("switch", team, "--dry-run")
    assert client.get_gallery(team).contract == old.contract
    assert "second searches now, with a threshold of 0.3000" in migrate("switch", team)
    assert client.get_gallery(team).contract != old.contract
    (found,) = client.identify(team, pictures.yaoming).faces
    assert found.identification.candidates[0].subject_id == "yao"
    assert found.identification.decision == recognition_pb.DECISION_MATCH
    assert "w600k_mbf searches now" in migrate("rollback", team)
    now = client.get_gallery(team)
    assert (now.contract, now.threshold) == (old.contract, old.threshold)
    migrate("switch", team)
    assert next_of(migrate, team) == ["finish", team]
    assert "would be dropped" in migrate("finish", team, "--dry-run")
    assert "confirm it with --yes" in migrate("finish", team, code=2)
    assert client.get_gallery(team).HasField("migration")
    assert "the embeddings of w600k_mbf are dropped" in migrate("finish", team, "--yes")
    now = client.get_gallery(team)
    assert not now.HasField("migration")
    assert round(now.threshold, 4) == 0.3
    assert client.identify(team, pictures.yaoming).faces[0].identification.candidates[0].subject_id == "yao"


def test_a_migration_that_is_under_way_is_followed_and_another_one_is_refused(
    client: Client, migrate: Command, team: str
) -> None:
    assert migrate(team, "--to", "second", "--json")["started"]
    again = migrate(team, "--to", "second", "--json")
    assert not again["started"]
    assert again["migration"]["state"] == "MIGRATION_STATE_READY"
    assert "is under way" in migrate("start", team, "--to", client.get_gallery(team).migration.to_model.sha256[:8])
    refused = migrate(team, "--to", "w600k_mbf", code=1)
    assert "MIGRATION_UNDER_WAY" in refused
    assert f"facet gallery migrate status {team}" in refused
    ran = CliRunner().invoke(app, ["gallery", "list"])
    assert f"{team} migrates to second: ready" in ran.output


def test_gaps_are_listed_with_the_pictures_that_fill_them(client: Client, migrate: Command, team: str) -> None:
    migrate(team, "--to", "second", "--no-wait")
    until(lambda: client.get_gallery(team).migration.state == pb.MIGRATION_STATE_READY)
    gaps = migrate("gaps", team, "--json")["gaps"]
    assert {each["subject_id"] for each in gaps} == {"yao", "six"}
    assert {each["reason"] for each in gaps} == {"MIGRATION_GAP_REASON_NO_CROP"}
    said = migrate("gaps", team)
    assert "2 templates of 2 people without an embedding of second (no crop was kept: 2)" in said
    assert "Yao Ming" in said
    assert all(each["picture_sha256"][:16] in said for each in gaps)
    assert max(map(len, said.splitlines()[1:5])) <= 80


def test_pictures_that_a_template_misses_are_found_by_their_digests_and_everything_is_accounted_for(
    migrate: Command, team: str, originals: Path
) -> None:
    migrate(team, "--to", "second")
    (originals / "2019" / "deep" / "IMG_1.dat").rename(originals.parent / "kept")
    said = migrate("fill", team, originals, code=1)
    assert "1 template of 1 person" in said
    assert "still missing: 1 template of 1 person" in said
    assert "hidden and system files" in said
    (originals.parent / "kept").rename(originals / "found.jpg")
    told = migrate("fill", team, originals, "--json")
    (filled,) = told["pictures"]
    assert (filled["path"], told["filled"], told["missing"]) == (str(originals / "found.jpg"), 1, [])
    assert [each["subject_id"] for each in filled["filled"]] == ["six"]
    assert told["not_needed"] == 5  # both of Yao, who has his embedding, and three that nobody was enrolled from
    assert [Path(each["path"]).name for each in told["left_out"]] == ["@eaDir"]
    assert "no embedding is missing" in migrate("fill", team, originals)


def test_a_picture_of_two_people_fills_both(
    client: Client, migrate: Command, team: str, originals: Path, pictures: Pictures
) -> None:
    client.enroll(team, "yao-2", pictures.yaoming, face=CENTRAL, accept_lookalike=True)
    migrate(team, "--to", "second")
    told = migrate("fill", team, originals, "--json")
    filled = [{each["subject_id"] for each in picture["filled"]} for picture in told["pictures"]]
    assert sorted(map(sorted, filled)) == [["six"], ["yao", "yao-2"]]


class RecordingClient(Client):
    """Notes for whom pictures are sent."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.sent_for: list[list[str]] = []

    def fill_migration_gap(self, *args: Any, **options: Any) -> pb.FillMigrationGapResponse:
        self.sent_for.append(options["subject_ids"])
        return super().fill_migration_gap(*args, **options)


def test_a_picture_of_two_people_is_sent_once_for_both(
    server: Serving, client: Client, migrate: Command, team: str, originals: Path, pictures: Pictures
) -> None:
    client.enroll(team, "yao-2", pictures.yaoming, face=CENTRAL, accept_lookalike=True)
    migrate(team, "--to", "second")
    gaps = list(client.iter_migration_gaps(team))
    with RecordingClient(server.address) as recording:
        (done,) = fill(recording, team, [originals / "again.jpg"], gaps, 1 << 22)
    assert recording.sent_for == [["yao", "yao-2"]]
    assert done.answer is not None
    assert [each.subject_id for each in done.answer.templates] == ["yao", "yao-2"]


def test_gaps_of_the_model_that_searches_are_listed_and_filled_too(
    client: Client, migrate: Command, team: str, pictures: Pictures
) -> None:
    migrate(team, "--to", "second")
    migrate("switch", team, "--allow-missing", "--allow-default-threshold")
    said = migrate("gaps", team)
    assert "2 templates of 2 people without an embedding" in said
    (filled,) = client.fill_migration_gap(team, pictures.yaoming).templates
    assert filled.subject_id == "yao"
    assert "1 template of 1 person without an embedding" in migrate("gaps", team)


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_filled(
    client: Client, migrate: Command, team: str, originals: Path
) -> None:
    migrate(team, "--to", "second")
    with (originals / "film.mp4").open("wb") as file:  # of any size, because nobody needs it
        file.truncate(client.get_server_info().limits.max_message_bytes + 1)
    os.mkfifo(originals / "pipe.jpg")
    said = migrate("fill", team, originals, code=1)
    assert "2 templates of 2 people" in said
    assert "pipe.jpg: not a regular file" in " ".join(said.split())
    assert "film.mp4" not in said


def test_a_switch_that_is_not_ready_names_what_helps(client: Client, migrate: Command, team: str) -> None:
    migrate(team, "--to", "second")
    refused = migrate("switch", team, code=1)
    assert "MIGRATION_INCOMPLETE" in refused
    assert f"facet gallery migrate fill {team} FOLDER" in refused
    assert f"facet gallery migrate switch {team} --allow-missing" in refused
    refused = migrate("switch", team, "--allow-missing", code=1)
    assert "THRESHOLD_NOT_CHOSEN" in refused
    assert f"facet gallery migrate calibrate {team}" in refused
    migrate("switch", team, "--allow-missing", "--allow-default-threshold")
    refused = migrate("finish", team, "--yes", code=1)
    assert f"facet gallery migrate finish {team} --delete-missing" in refused
    assert "and 2 templates would be dropped" in migrate("finish", team, "--delete-missing", "--dry-run")
    told = migrate("finish", team, "--delete-missing", "--yes", "--json")
    assert (told["templates_deleted"], told["is_over"]) == (2, True)
    assert client.get_gallery(team).template_count == 0


def test_a_migration_is_cancelled_and_the_gallery_is_as_it_was(client: Client, migrate: Command, team: str) -> None:
    before = client.get_gallery(team)
    migrate(team, "--to", "second")
    assert "w600k_mbf stays" in migrate("cancel", team, "--yes")
    now = client.get_gallery(team)
    assert (now.contract, now.template_count, now.HasField("migration")) == (before.contract, 2, False)


@pytest.mark.parametrize("step", ["gaps", "shadow", "switch", "rollback", "finish --yes", "cancel --yes", "calibrate"])
def test_a_step_without_a_migration_names_the_command_that_starts_one(migrate: Command, team: str, step: str) -> None:
    name, *options = step.split()
    refused = migrate(name, team, *options, code=1)
    assert "NO_MIGRATION" in refused
    assert f"facet gallery migrate {team} --to MODEL" in refused


def test_without_a_model_the_command_says_that_it_needs_one(migrate: Command) -> None:
    refused = " ".join(migrate("team", code=2).replace("│", " ").split())
    assert "name the new model" in refused
    assert "facet gallery migrate status team" in refused


def test_a_model_that_is_not_loaded_is_refused_with_what_helps(migrate: Command, team: str) -> None:
    refused = migrate(team, "--to", "another", code=1)
    assert "MODEL_NOT_LOADED" in refused
    assert "facet serve --models.embedding-next MODEL" in refused
    assert "ALREADY_MIGRATED" in migrate(team, "--to", "w600k_mbf", code=1)


def test_a_share_of_live_identifications_is_compared_and_reported(
    client: Client, migrate: Command, team: str, originals: Path, pictures: Pictures, tmp_path: Path
) -> None:
    migrate(team, "--to", "second")
    migrate("fill", team, originals)
    assert "0 faces" in migrate("shadow", team)
    assert "100 % of live identifications" in migrate("shadow", team, "--share", "1")

    def is_compared() -> bool:
        client.identify(team, pictures.yaoming)
        return client.get_shadow_report(team).faces >= 2

    until(is_compared)
    told = migrate("shadow", team, "--json")
    assert int(told["same_subject"]) == int(told["faces"])
    said = migrate("shadow", team)
    assert "same decision" in said
    assert max(map(len, said.splitlines()[:4])) <= 80
    page = tmp_path / "shadow.html"
    migrate("shadow", team, "--page", page, "--reset")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "Distributions" in page.read_text("utf-8")
    assert "0 faces" in migrate("shadow", team)
    assert "none is compared" in migrate("shadow", team, "--share", "0")


def test_the_other_models_threshold_is_calibrated_beside_the_one_that_searches(
    client: Client, migrate: Command, team: str, originals: Path, squad: Path
) -> None:
    migrate(team, "--to", "second")
    migrate("fill", team, originals)
    before = client.get_gallery(team)
    tried = migrate("calibrate", team, "--fpir", "0.05", "--strangers", squad, "--dry-run")
    assert "each model at its own threshold" in tried
    assert not client.get_gallery(team).migration.is_calibrated
    told = migrate("calibrate", team, "--fpir", "0.05", "--strangers", squad, "--insist", "--json")
    now = client.get_gallery(team)
    assert now.migration.is_calibrated
    assert now.migration.threshold == pytest.approx(told["calibration"]["threshold"])
    assert now.threshold == before.threshold
    assert not now.HasField("calibration")
    assert told["searching_model"]["calibration"]["contract"] == before.contract
    assert told["calibration"]["contract"] == before.migration.to_model.contract


def test_embeddings_are_made_from_crops_while_the_command_follows(
    second_model: Path, pictures: Pictures, serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = serve("--models.embedding-next", str(second_model), "--enrollment.keep-crops")
    monkeypatch.setenv("FACET_ADDRESS", serving.address)
    with Client(serving.address) as client:
        client.create_gallery("status")
        client.enroll("status", "yao", pictures.yaoming, face=CENTRAL)
        ran = CliRunner().invoke(app, ["gallery", "migrate", "start", "status", "--to", "second"])
        assert ran.exit_code == 0, ran.output
        assert "1 template: the server makes the new embeddings from it" in ran.output
        assert "next: facet gallery migrate calibrate status" in ran.output
        migration = client.get_gallery("status").migration
        assert (migration.templates_done, migration.templates_waiting, migration.templates_missing) == (1, 0, 0)
