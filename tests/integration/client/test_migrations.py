"""The methods of both clients for a migration, against a server with two models."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from facet import CENTRAL, FailedPrecondition, InvalidArgument
from facet.v1 import migrations_pb2 as pb
from tests.conftest import start_server

if TYPE_CHECKING:
    from tests.conftest import Pictures, Serving
    from tests.integration.client.conftest import Call


@pytest.fixture(scope="module")
def server(second_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with two models, which keeps no crops."""
    serving = start_server(tmp_path_factory.mktemp("two-models"), "--models.embedding-next", str(second_model))
    yield serving
    serving.stop()


@pytest.fixture
async def team(call: Call, pictures: Pictures) -> str:
    """A gallery of one man."""
    gallery_id = f"g{uuid.uuid4().hex}"
    await call("create_gallery", gallery_id)
    await call("enroll", gallery_id, "yao", pictures.yaoming, face=CENTRAL)
    return gallery_id


async def test_a_gallery_goes_to_another_model_and_back(call: Call, team: str, pictures: Pictures) -> None:
    plan = await call("start_migration", team, "second", validate_only=True)
    assert (plan.templates_with_crop, plan.templates_without_crop) == (0, 1)
    assert not (await call("get_gallery", team)).HasField("migration")
    started = await call("start_migration", team, "second")
    assert started.migration.to_model.name == "second"
    changed = await call("update_migration", team, threshold=-0.5)
    assert (changed.threshold, changed.threshold_is_chosen, changed.shadow_share) == (-0.5, True, 0)
    changed = await call("update_migration", team, shadow_share=1)
    assert (changed.threshold, changed.shadow_share) == (-0.5, 1)
    with pytest.raises(InvalidArgument):
        await call("update_migration", team)
    assert (await call("get_shadow_report", team)).faces == 0
    with pytest.raises(FailedPrecondition) as refused:
        await call("switch_migration", team)
    assert refused.value.reason == "MIGRATION_INCOMPLETE"
    (gap,) = await call("iter_migration_gaps", team, page_size=1)
    assert (gap.subject_id, gap.reason) == ("yao", pb.MIGRATION_GAP_REASON_NO_CROP)
    assert list((await call("list_migration_gaps", team)).gaps) == [gap]
    filled = await call("fill_migration_gap", team, pictures.yaoming)
    assert [each.template_id for each in filled.templates] == [gap.template_id]
    assert not (await call("fill_migration_gap", team, pictures.yaoming, subject_ids=["yao"])).templates
    old = (await call("get_gallery", team)).contract
    assert (await call("switch_migration", team, validate_only=True)).state != pb.MIGRATION_STATE_SWITCHED
    assert (await call("switch_migration", team)).state == pb.MIGRATION_STATE_SWITCHED
    assert (await call("get_gallery", team)).contract == started.migration.to_model.contract
    assert (await call("finish_migration", team, validate_only=True)).templates_deleted == 0
    await call("roll_back_migration", team)
    assert (await call("get_gallery", team)).contract == old
    assert (await call("cancel_migration", team)).templates_deleted == 0


async def test_a_finished_migration_deletes_templates_that_miss_an_embedding_if_that_is_wanted(
    call: Call, team: str
) -> None:
    await call("start_migration", team, "second")
    await call("switch_migration", team, allow_missing=True, allow_default_threshold=True)
    assert (await call("finish_migration", team, delete_missing=True)).templates_deleted == 1
