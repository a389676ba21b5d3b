"""Calibration, export, import and access reports of a gallery in the middle of a migration, over gRPC."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pytest

from facet import Client, FailedPrecondition, InvalidArgument, picture
from facet.v1 import gallery_service_pb2 as pb
from facet.v1 import server_service_pb2 as server_pb
from facet.v1 import types_pb2
from gallery.records.migration_json import to_plain
from gallery.records.migrations import Migration, ModelVersion, ThresholdSettings
from gallery.records.thresholds import ThresholdSource
from gallery.transfer.parquet.schema import schema
from tests.integration.crowds import DIMENSION, lines
from tests.second_model import DIMENSION as OTHER_DIMENSION

if TYPE_CHECKING:
    from tests.conftest import Exported, Pictures, Serving, Start

ROOT = Path(__file__).resolve().parents[4]
PEOPLE = 300


@pytest.fixture(scope="module")
def both(start: Start, second_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with both models."""
    flags = ("--models.objects", "none", "--models.embedding-next", str(second_model))
    serving = start(tmp_path_factory.mktemp("both"), *flags)
    try:
        yield serving
    finally:
        serving.stop()


@pytest.fixture(scope="module")
def mover(both: Serving) -> Iterator[Client]:
    """A client of the server with both models."""
    with Client(both.address) as connected:
        yield connected


@pytest.fixture(scope="module")
def models(mover: Client) -> list[ModelVersion]:
    """Both models."""
    found = mover.server.GetServerInfo(server_pb.GetServerInfoRequest()).embedding_models
    return [ModelVersion(each.contract, each.name, each.sha256, each.dimension) for each in found]


@pytest.fixture(scope="module")
def moving_crowd(exported: Exported, models: list[ModelVersion]) -> Callable[[int], bytes]:
    """Make the file of a gallery of random people that is being migrated; some have only the new model's embedding."""
    source, target = models
    other = ThresholdSettings(0.25, ThresholdSource.CALLER)
    migration = Migration("m", source, target, other, datetime(2026, 1, 1, tzinfo=UTC))

    def make(without_old: int) -> bytes:
        people = lines(PEOPLE)
        values = np.random.default_rng(9).standard_normal((PEOPLE, OTHER_DIMENSION)).astype(np.float32)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        columns = schema(DIMENSION, has_terms=True, other_dimension=OTHER_DIMENSION)
        has_none = pa.array(np.arange(PEOPLE) < without_old)
        old = people["embedding"].combine_chunks()
        embeddings = {
            "embedding": pa.FixedSizeListArray.from_arrays(old.flatten(), type=old.type, mask=has_none),
            "other_embedding": pa.FixedSizeListArray.from_arrays(
                pa.array(values.ravel()), type=columns.field("other_embedding").type
            ),
        }
        plain = {name: people[name] for name in people.column_names} | embeddings
        table = pa.table([plain.get(each.name, pa.nulls(PEOPLE, each.type)) for each in columns], columns)
        return exported(
            table,
            version=4,
            contract=source.contract,
            policy={"require_consent": False},
            distinct_pairs=[],
            migration=to_plain(migration),
        )

    return make


@pytest.fixture(scope="module")
def team(mover: Client, moving_crowd: Callable[[int], bytes]) -> str:
    """The id of a gallery of 300 people with embeddings of both models, but for ten without the old one."""
    return mover.import_gallery(iter([moving_crowd(10)]), "team").gallery_id


def facet(both: Serving, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "facet.cli", *map(str, arguments), "--address", both.address],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(folder)},
        timeout=120,
        check=False,
    )


def test_either_model_is_calibrated(mover: Client, team: str, models: list[ModelVersion], pictures: Pictures) -> None:
    old, new = models
    before = mover.get_gallery(team)
    assert before.migration.to_model.contract == new.contract
    assert before.other_calibration_state == types_pb2.CALIBRATION_STATE_NOT_CALIBRATED
    planned = mover.calibrate(team, 0.05, contract=new.contract, validate_only=True)
    assert mover.get_gallery(team).migration.threshold == before.migration.threshold == planned.threshold_before
    assert planned.gallery.migration.is_calibrated
    assert planned.gallery.other_calibration == planned.calibration

    made = mover.calibrate(team, 0.05, contract=new.contract)
    found = mover.get_gallery(team)
    assert found.other_calibration == made.calibration
    assert (made.calibration.contract, made.calibration.template_count) == (new.contract, PEOPLE)
    assert found.other_calibration_state == types_pb2.CALIBRATION_STATE_CURRENT
    assert found.migration.threshold == made.calibration.threshold
    assert (found.threshold, found.HasField("calibration")) == (before.threshold, False)

    own = mover.calibrate(team, 0.05, validate_only=True)
    assert own.calibration == own.gallery.calibration
    assert (own.calibration.contract, own.calibration.template_count) == (old.contract, PEOPLE - 10)
    assert own.calibration.threshold < made.calibration.threshold  # random people are further apart in 512 dimensions


def test_probes_are_embedded_with_the_model(
    mover: Client, team: str, models: list[ModelVersion], pictures: Pictures
) -> None:
    mover.enroll(team, "yao", pictures.yaoming, accept_lookalike=True)
    probes = [pb.CalibrationProbe(subject_id=f"x{number}", picture=picture(pictures.yaoming)) for number in range(100)]
    for each in models:
        response = mover.calibrate(team, 0.2, probes, contract=each.contract, validate_only=True)
        assert response.calibration.contract == each.contract
        assert response.calibration.threshold > 0.9, "every probe is the enrolled man"


def test_what_cannot_be_calibrated_is_refused(
    mover: Client, client: Client, team: str, models: list[ModelVersion], moving_crowd: Callable[[int], bytes]
) -> None:
    old, new = models
    with pytest.raises(InvalidArgument) as refused:
        mover.calibrate(team, 0.05, contract="third")
    assert list(refused.value.fields) == ["settings.contract"]
    assert old.contract in refused.value.fields["settings.contract"]
    mover.create_gallery("visitors")
    with pytest.raises(InvalidArgument) as refused:
        mover.calibrate(team, 0.05, cohort_gallery_id="visitors")
    assert list(refused.value.fields) == ["settings.cohort_gallery_id"]
    with pytest.raises(FailedPrecondition) as mismatch:
        mover.calibrate(team, 0.05, contract=new.contract, cohort_gallery_id="visitors")
    assert mismatch.value.reason == "CONTRACT_MISMATCH"
    # A server without the new model keeps its embeddings, and says why it cannot calibrate it.
    kept = client.import_gallery(iter([moving_crowd(0)]), "kept-without-model")
    assert (kept.migration.to_model.contract, kept.migration.to_model.is_loaded) == (new.contract, False)
    with pytest.raises(FailedPrecondition) as missing:
        client.calibrate(kept.gallery_id, 0.05, contract=new.contract)
    assert missing.value.reason == "MODEL_NOT_LOADED"
    assert client.calibrate(kept.gallery_id, 0.05, contract=old.contract).calibration.template_count == PEOPLE


def test_an_export_goes_on_elsewhere_and_a_report_has_both_embeddings(
    mover: Client, both: Serving, team: str, models: list[ModelVersion], tmp_path: Path
) -> None:
    contracts = [each.contract for each in models]
    exported = facet(both, tmp_path, "gallery", "export", team, "team.parquet")
    assert exported.returncode == 0, exported.stderr
    imported = facet(both, tmp_path, "gallery", "import", "team.parquet", "--gallery", "copy")
    assert imported.returncode == 0, imported.stderr
    assert "in the middle of a migration to second" in imported.stdout
    assert "facet gallery migrate status copy" in " ".join(imported.stdout.split())
    copy, original = mover.get_gallery("copy"), mover.get_gallery(team)
    assert (copy.template_count, copy.other_calibration) == (original.template_count, original.other_calibration)

    _, only = mover.export_subject("copy", "s000299")
    assert [only.template.embedding.contract, only.template.other_embedding.contract] == contracts
    _, only = mover.export_subject("copy", "s000000")
    assert [only.template.embedding.contract, only.template.HasField("other_embedding")] == [contracts[1], False]
    report = ("people", "access-report", "s000299", "--gallery", "copy", "--output", "s.zip")
    assert (made := facet(both, tmp_path, *report)).returncode == 0, made.stderr
    with ZipFile(tmp_path / "s.zip") as archive:
        (template,) = json.loads(archive.read("person.json"))["templates"]
    assert len(template["embedding"]["values"]) == DIMENSION
    assert len(template["other_embedding"]["values"]) == OTHER_DIMENSION


def test_a_switch_exchanges_the_calibrations(mover: Client, team: str, models: list[ModelVersion]) -> None:
    before = mover.calibrate(team, 0.05, contract=models[1].contract).gallery
    mover.switch_migration(team)
    switched = mover.get_gallery(team)
    assert (switched.threshold, switched.calibration) == (before.migration.threshold, before.other_calibration)
    assert switched.calibration_state == types_pb2.CALIBRATION_STATE_CURRENT
    assert not switched.HasField("other_calibration")
    assert switched.other_calibration_state == types_pb2.CALIBRATION_STATE_NOT_CALIBRATED
