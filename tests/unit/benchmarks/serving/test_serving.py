"""The arithmetic of the benchmark of serving, on made-up figures, and the pictures it is run with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facet.benchmarks.roofline.flops import Arithmetic
from facet.benchmarks.roofline.machine import Roof
from facet.benchmarks.roofline.roofline import Timed, stage_of
from facet.benchmarks.serving.insightface_baseline import nearest
from facet.benchmarks.serving.load import Point
from facet.benchmarks.serving.memory import Memory, parts
from facet.benchmarks.serving.pictures import FRAME_SIZE, mixed, samples, thinned
from facet.benchmarks.serving.saturation import Saturation
from facet.benchmarks.serving.serving import Serving
from facet.benchmarks.serving.speed import Compared, Throughput, geometric_mean


def point(goodput: float, p99: float | None = 50.0) -> Point:
    return Point(goodput, goodput, 10, 10, 0, {}, 10.0, 20.0, p99, 0.0)


def compared(theirs: float, ours: float, lean: float) -> Compared:
    return Compared("p.jpg", 1, 1, 1, theirs, ours, lean, ours + 1, lean + 1, 1.0, theirs / ours, theirs / lean)


def saturation(*goodput: float) -> Saturation:
    half, full, double = goodput
    return Saturation({}, full, {0.5: point(half, 80.0), 1.0: point(full), 2.0: point(double)})


def measured() -> Serving:
    return Serving(
        pictures=[compared(40, 20, 10), compared(100, 50, 20), compared(400, 50, 100), compared(1, 1000, 1000)],
        throughput=Throughput(40.0, 50.0, 100.0),
        objects=saturation(20, 40, 30),
        no_objects=saturation(40, 80, 80),
        memory=Memory(2000, 1000, 300.0, 400.0, 420.0, 0.05, {"OK": 2000}),
        ready_s=1.5,
        machine={},
        preset="",
    )


def test_a_geometric_mean_of_ratios_does_not_depend_on_the_unit() -> None:
    ratios = [2.0, 8.0, 0.5]
    assert geometric_mean(ratios) == pytest.approx(2.0)
    assert geometric_mean([1 / each for each in ratios]) == pytest.approx(0.5)


def test_speed_is_judged_on_the_first_three_pictures() -> None:
    figures = measured().figures()
    assert figures["speedup"] == pytest.approx((2 * 2 * 8) ** (1 / 3), abs=1e-3)
    assert figures["speedup_no_objects"] == pytest.approx((4 * 5 * 4) ** (1 / 3), abs=1e-3)
    assert figures["faceanalysis_ms"] == pytest.approx((40 * 100 * 400) ** (1 / 3), abs=1e-3)
    assert figures["wire_overhead_ms"] == 1.0


def test_throughput_is_judged_against_the_better_of_threads_and_processes() -> None:
    figures = measured().figures()
    assert (figures["faceanalysis_tuned_per_s"], figures["throughput_ratio_tuned"]) == (50.0, 2.0)


def test_goodput_under_too_much_load_is_told_as_a_share_of_the_most() -> None:
    figures = measured().figures()
    assert (figures["max_goodput_per_s"], figures["p99_at_half_load_ms"]) == (40, 80.0)
    assert figures["goodput_at_double_load_ratio"] == 0.75
    assert saturation(0, 0, 0).goodput_at_double_load_ratio == 0.0


def test_the_parts_of_mixed_requests_cover_all_and_one_ends_where_memory_is_read() -> None:
    for requests, first in ((2000, 1000), (60, 30), (2, 1), (501, 250)):
        covered = list(parts(requests, first))
        assert [start for start, _ in covered] == [0, *(end for _, end in covered[:-1])]
        assert covered[-1][1] == requests
        assert first in [end for _, end in covered]
        assert all(start < end for start, end in covered)


def test_a_numpy_search_names_the_most_similar_template() -> None:
    templates = np.eye(4, dtype=np.float32)
    probes = np.array([[0, 0, 1, 0], [0.6, 0.8, 0, 0]], np.float32)
    best, cosine = nearest(templates, probes)
    assert best.tolist() == [2, 1]
    assert cosine.tolist() == pytest.approx([1.0, 0.8])


def test_a_stage_is_held_against_the_roof_of_its_precision() -> None:
    roof = Roof(numpy_fp32=100.0, openvino_fp32=200.0, openvino_bf16=400.0, copy_gb_per_s=10.0)
    counted = Arithmetic(gflop=4.0, depthwise_gflop=1.0, values=10_000_000, layers=3)
    exact = stage_of(Timed("faces", "m", (1,), "openvino fp32", counted, 40.0, 30.0), roof, serves=True)
    assert (exact.arithmetic_ms, exact.alone_share, exact.side_by_side_share) == (20.0, 0.5, 0.6)
    assert (exact.traffic_ms, exact.depthwise_share) == (4.0, 0.25)
    brief = stage_of(Timed("faces", "m", (1,), "openvino bf16", counted, 40.0, 30.0), roof, serves=True)
    assert (brief.arithmetic_ms, brief.traffic_ms, brief.alone_share) == (10.0, 2.0, 0.25)


def test_of_two_measurements_of_a_roof_the_higher_counts() -> None:
    low, high = Roof(100.0, None, None, 12.0), Roof(90.0, 200.0, None, 10.0)
    assert low.higher(high) == Roof(100.0, 200.0, None, 12.0)


def test_a_folder_is_thinned_evenly() -> None:
    paths = [Path(f"{at:03d}") for at in range(100)]
    assert thinned(paths, 100) == paths
    assert [path.name for path in thinned(paths, 4)] == ["000", "033", "066", "099"]


def test_the_frame_is_a_cameras_and_the_mix_holds_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((40, 60, 3), 90, np.uint8))
    pictures = samples(tmp_path)
    frame = cv2.imdecode(np.frombuffer(pictures.frame.data, np.uint8), cv2.IMREAD_COLOR)
    assert frame is not None
    assert frame.shape == (*FRAME_SIZE[::-1], 3)
    assert [sample.name for sample in pictures.others] == ["wall.png"]
    sent = [sample.data for sample in mixed(pictures)]
    readable = [
        bool(data) and cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None for data in sent
    ]
    assert sum(readable) > 20
    assert readable.count(False) >= 3
