"""Manifests with and without what later versions added."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gallery.errors import InvalidImport
from gallery.records.thresholds import ThresholdSource
from gallery.transfer.manifest import WITH_PAIRS, Manifest, from_json, to_json
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


def test_pairs_of_subjects_that_were_told_apart_are_read_as_they_were_written() -> None:
    manifest = replace(MANIFEST, version=WITH_PAIRS, subjects=4, distinct_pairs=((0, 3), (1, 2)))
    assert from_json(to_json(manifest)) == manifest
    assert b"distinct_pairs" not in to_json(MANIFEST)


@pytest.mark.parametrize(
    "pairs",
    [
        "null",
        "[[0]]",
        "[[0, 1, 2]]",
        "[[0, 4]]",
        "[[-1, 2]]",
        "[[1, 1]]",
        "[[2, 1]]",
        "[[0, true]]",
        "[[0, 1.0]]",
        "[[0, 1], [0, 1]]",
        "[[1, 2], [0, 3]]",
        "[" + ", ".join(["[0, 1]"] * 10_001) + "]",
    ],
)
def test_pairs_that_are_none_of_the_file_are_refused(pairs: str) -> None:
    text = to_json(replace(MANIFEST, version=WITH_PAIRS, subjects=4, distinct_pairs=((0, 3),)))
    with pytest.raises(InvalidImport) as refused:
        from_json(text.replace(b"[[0, 3]]", pairs.encode()))
    assert refused.value.field == "manifest.distinct_pairs"
