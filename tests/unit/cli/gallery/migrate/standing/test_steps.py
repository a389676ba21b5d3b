"""The next step of a migration is a command that can be typed, in every state, and a refusal names what helps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from facet.cli.app import app
from facet.cli.gallery.migrate.app import NAMES
from facet.cli.gallery.migrate.refusals import helps
from facet.cli.gallery.migrate.standing.sides import is_target, name_of, sides, typed_name
from facet.cli.gallery.migrate.standing.steps import Step, Steps, next_steps
from facet.client.channel import DEFAULT_ADDRESS
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import migrations_pb2 as pb
from facet.v1.server_service_pb2 import EmbeddingModel

OLD = pb.MigrationModel(contract="a" * 64, name="w600k_mbf", sha256="9cc6e4a7" * 8, dimension=512, is_loaded=True)
NEW = pb.MigrationModel(contract="b" * 64, name="mobile", sha256="7f1e4a99" * 8, dimension=128, is_loaded=True)
REASONS = (
    *("MIGRATION_INCOMPLETE", "THRESHOLD_NOT_CHOSEN", "MODEL_NOT_LOADED", "MIGRATION_UNDER_WAY", "NO_MIGRATION"),
    *("ALREADY_MIGRATED", "ALREADY_SWITCHED", "NOT_SWITCHED", "MIGRATION_ENDING"),
)


STEPS = Steps("team", DEFAULT_ADDRESS)


def migrating(state: pb.MigrationState.ValueType, **fields: object) -> gallery_pb.Gallery:
    migration = pb.Migration(from_model=OLD, to_model=NEW, state=state, threshold=0.25, **fields)  # type: ignore[arg-type]
    return gallery_pb.Gallery(gallery_id="team", threshold=0.5, migration=migration)


def in_all_states() -> Iterator[gallery_pb.Gallery]:
    yield gallery_pb.Gallery(gallery_id="team")
    for state in (number for number in pb.MigrationState.values() if number):
        for missing in (0, 3):
            for is_chosen in (False, True):
                for share in (0.0, 0.1):
                    yield migrating(state, templates_missing=missing, threshold_is_chosen=is_chosen, shadow_share=share)
    yield migrating(pb.MIGRATION_STATE_EMBEDDING, problem="the model is not loaded")


def first(gallery: gallery_pb.Gallery) -> str:
    return next_steps(gallery, STEPS)[0].command.removeprefix("facet gallery migrate ")


def can_be_typed(step: Step) -> bool:
    words = shlex.split(step.command)
    assert words[0] == "facet"
    return CliRunner().invoke(app, [*words[1:], "--help"]).exit_code == 0


def test_every_next_step_is_a_command_that_exists_with_these_options() -> None:
    steps = {step for gallery in in_all_states() for step in next_steps(gallery, STEPS)}
    assert len(steps) >= len(NAMES)
    assert [step for step in steps if not can_be_typed(step)] == []


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("command", ["start", "switch", "rollback", "finish", "cancel"])
def test_a_refusal_names_commands_that_exist(reason: str, command: str) -> None:
    override = {"finish": "--delete-missing", "cancel": "--delete-missing"}.get(command, "")
    override = {"switch": "--allow-missing", "rollback": "--allow-missing"}.get(command, override)
    if reason == "THRESHOLD_NOT_CHOSEN" and command != "switch":
        return
    found = helps(reason, STEPS, command, override=override)
    assert found
    assert [step for step in found if not can_be_typed(step)] == []
    if reason == "MIGRATION_INCOMPLETE" and override:
        assert override in found[-1].command


def test_a_reason_that_nothing_helps_with_is_left_to_others() -> None:
    assert helps("STORAGE_FULL", STEPS, "start") == []


def test_the_next_step_follows_from_the_state() -> None:
    assert first(migrating(pb.MIGRATION_STATE_EMBEDDING)) == "team --to mobile"
    ready = pb.MIGRATION_STATE_READY
    assert first(migrating(ready, templates_missing=1, threshold_is_chosen=True)) == "fill team FOLDER"
    assert first(migrating(ready)) == "calibrate team"
    assert first(migrating(ready, threshold_is_chosen=True)) == "switch team"
    assert first(migrating(pb.MIGRATION_STATE_SWITCHED)) == "finish team"
    assert first(migrating(pb.MIGRATION_STATE_SWITCHED, templates_missing=1)) == "fill team FOLDER"
    assert first(migrating(pb.MIGRATION_STATE_FINISHING)) == "finish team"
    assert first(migrating(pb.MIGRATION_STATE_CANCELLING)) == "cancel team"


def test_without_a_migration_the_next_step_follows_from_the_models_that_the_server_has() -> None:
    def commands(contract: str, *names: str) -> list[str]:
        models = [EmbeddingModel(name=name, contract=name) for name in names]
        found = next_steps(gallery_pb.Gallery(gallery_id="team", contract=contract), STEPS, models)
        assert all(map(can_be_typed, found))
        return [each.command for each in found]

    to_new, to_old = "facet gallery migrate team --to new", "facet gallery migrate team --to old"
    assert commands("old", "old", "new") == [to_new]
    assert commands("new", "old", "new") == ["facet serve --models.embedding new", to_old]
    second = "facet serve --models.embedding-next MODEL"
    assert commands("old", "old") == [second, "facet gallery migrate team --to MODEL"]
    assert commands("old", "new") == [second, to_new]


def test_a_model_that_is_not_loaded_comes_first() -> None:
    found = migrating(pb.MIGRATION_STATE_READY, threshold_is_chosen=True)
    found.migration.to_model.is_loaded = False
    (step, *_) = next_steps(found, STEPS)
    assert step.command == "facet serve --models.embedding w600k_mbf --models.embedding-next mobile"


def test_a_switched_gallery_is_not_to_be_finished_while_its_model_is_not_loaded() -> None:
    found = migrating(pb.MIGRATION_STATE_SWITCHED)
    found.migration.to_model.is_loaded = False
    commands = [step.command for step in next_steps(found, STEPS)]
    assert "facet gallery migrate rollback team" in commands
    assert "facet gallery migrate finish team" not in commands


@pytest.mark.parametrize(
    ("gallery", "command"),
    [
        ("team", "facet gallery migrate team --to mobile"),
        ("the team", "facet gallery migrate 'the team' --to mobile"),
        ("status", "facet gallery migrate start status --to mobile"),
        ("-team", "facet gallery migrate start --to mobile -- -team"),
    ],
)
def test_a_gallery_of_any_name_can_be_typed(gallery: str, command: str) -> None:
    assert Steps(gallery, DEFAULT_ADDRESS).start("mobile") == command


def test_another_server_is_named() -> None:
    assert Steps("team", "other:1").typed("switch") == "facet gallery migrate switch team --address other:1"


def test_the_model_that_searches_comes_first_with_its_threshold() -> None:
    searching, other = sides(migrating(pb.MIGRATION_STATE_READY, threshold_is_chosen=True))
    assert (searching.name, searching.threshold, other.name, other.threshold) == ("w600k_mbf", 0.5, "mobile", 0.25)
    assert other.threshold_from == "set by hand"
    searching, other = sides(migrating(pb.MIGRATION_STATE_SWITCHED))
    assert (searching.name, searching.threshold, other.name, other.threshold) == ("mobile", 0.5, "w600k_mbf", 0.25)
    assert "nobody" in other.threshold_from


def test_models_of_one_name_are_told_apart_by_their_digests() -> None:
    migration = migrating(pb.MIGRATION_STATE_READY).migration
    migration.to_model.name = "w600k_mbf"
    assert name_of(migration.from_model, migration) == "w600k_mbf (9cc6e4a7)"
    assert name_of(migration.to_model, migration) == "w600k_mbf (7f1e4a99)"
    assert typed_name(migration) == "7f1e4a997f1e"
    assert is_target(migration, typed_name(migration))


def test_a_target_is_named_by_its_name_digest_or_contract() -> None:
    migration = migrating(pb.MIGRATION_STATE_READY).migration
    assert all(is_target(migration, typed) for typed in ("mobile", "7F1E4A99", "7f1e4a997f", "b" * 64))
    assert not any(is_target(migration, typed) for typed in ("w600k_mbf", "7f1e", "a" * 64, ""))
