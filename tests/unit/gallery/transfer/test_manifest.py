"""Manifests with and without what later versions added."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gallery.errors import InvalidImport
from gallery.records.calibrations import Calibration, CalibrationSource
from gallery.records.galleries import ThresholdSource
from gallery.transfer.manifest import Manifest, from_json, to_json

MANIFEST = Manifest(
    contract="c",
    dimension=4,
    gallery_id="g",
    display_name="",
    threshold=0.5,
    mean_of_best=1,
    export_time="2025-01-01T00:00:00+00:00",
    lines=0,
    subjects=0,
    templates=0,
    contents_sha256="0" * 64,
)
CALIBRATION = Calibration(
    target_fpir=0.01,
    threshold=0.5,
    fpir=0.01,
    fpir_low=0.005,
    fpir_high=0.02,
    model="empirical",
    source=CalibrationSource.PROBES,
    data_set="",
    data_set_sha256="a" * 64,
    searches=1000,
    identities=900,
    failures=0,
    templates=500,
    for_templates=500,
    contract="c",
    mean_of_best=1,
    create_time=datetime(2026, 1, 2, tzinfo=UTC),
    curve=((0.1, 0.5),),
)


def test_a_manifest_of_an_older_version_has_neither_calibration_nor_source() -> None:
    text = to_json(MANIFEST)
    assert b"calibration" not in text
    assert b"threshold_source" not in text
    assert from_json(text) == MANIFEST


@pytest.mark.parametrize("source", ThresholdSource)
def test_a_manifest_is_read_as_it_was_written(source: ThresholdSource) -> None:
    manifest = replace(MANIFEST, calibration=CALIBRATION, threshold_source=source)
    assert from_json(to_json(manifest)) == manifest


def test_an_invalid_calibration_is_refused() -> None:
    text = to_json(replace(MANIFEST, calibration=CALIBRATION)).replace(b'"model"', b'"modal"')
    with pytest.raises(InvalidImport) as refused:
        from_json(text)
    assert refused.value.field == "manifest.calibration"
