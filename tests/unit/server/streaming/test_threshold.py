"""The threshold of a stream that brings none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from facet.server.streaming.threshold import stream_threshold
from gallery.records.galleries import Gallery
from gallery.records.thresholds import ThresholdSource

NOW = datetime(2025, 1, 1, tzinfo=UTC)


GALLERY = Gallery(
    "g", "", float(np.float32(0.34)), 1, "c", 0, 0, NOW, NOW, "e", threshold_source=ThresholdSource.DEFAULT
)


def test_the_default_threshold_of_a_stream_falls_with_the_size_of_the_gallery() -> None:
    thresholds = [
        stream_threshold(replace(GALLERY, subject_count=count)) for count in (0, 1, 10, 100, 1000, 10**4, 10**6)
    ]
    assert thresholds[:4] == pytest.approx([0.225, 0.225, 0.277, 0.329])
    assert thresholds[4:] == pytest.approx([0.38] * 3, abs=0.002)


@pytest.mark.parametrize("source", [ThresholdSource.CALLER, ThresholdSource.CALIBRATION])
@pytest.mark.parametrize("threshold", [0.1, 0.5, GALLERY.threshold])
def test_a_chosen_threshold_is_kept_even_if_it_equals_the_default(source: ThresholdSource, threshold: float) -> None:
    assert stream_threshold(replace(GALLERY, threshold=threshold, threshold_source=source)) == threshold


def test_a_low_default_threshold_is_hardly_raised() -> None:
    assert stream_threshold(replace(GALLERY, threshold=0.1)) == pytest.approx(0.14)
