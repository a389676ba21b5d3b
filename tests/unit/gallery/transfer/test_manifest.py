"""Manifests with and without what later versions added."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gallery.errors import InvalidImport
from gallery.records.galleries import ThresholdSource
from gallery.transfer.manifest import Manifest, from_json, to_json
from tests.unit.gallery.samples import CALIBRATION

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
