"""The figures of ``facet bench serving``, from made-up measurements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facet.benchmarks.serving.insightface_baseline import nearest
from facet.benchmarks.serving.load import LATE, Call, Load, Point, pooled
from facet.benchmarks.serving.memory import Memory, batches
from facet.benchmarks.serving.results import Serving
from facet.benchmarks.serving.saturation import Saturation
from facet.benchmarks.serving.speed import PictureLatency, Throughput, geometric_mean


def point(goodput: float, p99: float | None = 50.0) -> Point:
    return Point(goodput, goodput, 10, 10, 0, {}, 10.0, 20.0, p99, 0.0)


def latency(baseline: float, ours: float, no_objects: float) -> PictureLatency:
    return PictureLatency(
        picture="p.jpg",
        bytes=1,
        faces=1,
        faces_faceanalysis=1,
        faceanalysis_ms=baseline,
        engine_ms=ours,
        engine_no_objects_ms=no_objects,
        grpc_ms=ours + 1,
        grpc_no_objects_ms=no_objects + 1,
        wire_overhead_ms=1.0,
        speedup=baseline / ours,
        speedup_no_objects=baseline / no_objects,
    )


def saturation(*goodput: float) -> Saturation:
    half, full, double = goodput
    return Saturation({}, full, {0.5: point(half, 80.0), 1.0: point(full), 2.0: point(double)})


def measured() -> Serving:
    return Serving(
        pictures=[latency(40, 20, 10), latency(100, 50, 20), latency(400, 50, 100), latency(1, 1000, 1000)],
        throughput=Throughput(40.0, 50.0, 100.0),
        objects=saturation(20, 40, 30),
        no_objects=saturation(40, 80, 80),
        memory=Memory(2000, 1000, 300.0, 400.0, 420.0, 0.05, {"OK": 2000}),
        ready_s=1.5,
        machine={},
        preset="",
    )


def test_the_geometric_mean_of_inverse_ratios_is_the_inverse_mean() -> None:
    ratios = [2.0, 8.0, 0.5]
    assert geometric_mean(ratios) == pytest.approx(2.0)
    assert geometric_mean([1 / each for each in ratios]) == pytest.approx(0.5)


def test_main_figures_are_geometric_means_over_the_first_three_pictures() -> None:
    figures = measured().figures()
    assert figures["speedup"] == pytest.approx((2 * 2 * 8) ** (1 / 3), abs=1e-3)
    assert figures["speedup_no_objects"] == pytest.approx((4 * 5 * 4) ** (1 / 3), abs=1e-3)
    assert figures["faceanalysis_ms"] == pytest.approx((40 * 100 * 400) ** (1 / 3), abs=1e-3)
    assert figures["wire_overhead_ms"] == 1.0


def test_throughput_is_compared_with_the_better_of_threads_and_processes() -> None:
    figures = measured().figures()
    assert (figures["faceanalysis_tuned_per_s"], figures["throughput_ratio_tuned"]) == (50.0, 2.0)


def test_goodput_at_double_load_is_a_share_of_the_highest_goodput() -> None:
    figures = measured().figures()
    assert (figures["max_goodput_per_s"], figures["p99_at_half_load_ms"]) == (40, 80.0)
    assert figures["goodput_at_double_load_ratio"] == 0.75
    assert figures["goodput_at_double_load_ratio_no_objects"] == 1.0
    assert saturation(0, 0, 0).goodput_at_double_load_ratio == 0.0


def test_late_is_what_was_neither_refused_nor_answered_in_time() -> None:
    calls = [Call(0.0, 0.0, 0.5, ""), Call(0.1, 0.1, 0.2, "QUEUE_FULL"), *[Call(0.2, 0.2, 1.3, LATE)] * 3]
    found = pooled([Load(calls, 1.0), Load(calls, 1.0)])
    assert (found.sent, found.answered, found.late, found.late_share) == (10, 2, 6, 0.6)
    late = replace(measured(), objects=Saturation({}, 1.0, {0.5: found, 2.0: found}))
    assert late.figures()["late_share_at_double_load"] == 0.6
    assert late.figures()["late_share_at_double_load_no_objects"] == 0.0


def test_the_goodput_of_several_turns_counts_until_the_last_answer_of_each() -> None:
    turns = [Load([Call(0.0, 0.0, 3.0, "")] * 6, 2.0), Load([Call(0.0, 0.0, 1.0, "")] * 4, 2.0, 0.5)]
    found = pooled(turns)
    assert found.goodput_per_s == 10 / (3 + 2)
    assert found.generator_cores == 0.5 / (3 + 2)


def test_batches_cover_all_requests_and_one_ends_where_memory_is_read() -> None:
    for requests, first in ((2000, 1000), (60, 30), (2, 1), (501, 250)):
        covered = list(batches(requests, first))
        assert [start for start, _ in covered] == [0, *(end for _, end in covered[:-1])]
        assert covered[-1][1] == requests
        assert first in [end for _, end in covered]
        assert all(start < end for start, end in covered)


def test_the_baseline_finds_the_most_similar_template() -> None:
    templates = np.eye(4, dtype=np.float32)
    probes = np.array([[0, 0, 1, 0], [0.6, 0.8, 0, 0]], np.float32)
    best, cosine = nearest(templates, probes)
    assert best.tolist() == [2, 1]
    assert cosine.tolist() == pytest.approx([1.0, 0.8])
