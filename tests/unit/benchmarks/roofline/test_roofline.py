"""The comparison of models with the roofline, on made-up figures."""

from __future__ import annotations

import pytest

from facet.benchmarks.roofline.flops import Arithmetic
from facet.benchmarks.roofline.machine import Roofline
from facet.benchmarks.roofline.roofline import ModelRun, compared

COUNTED = Arithmetic(gflop=4.0, depthwise_gflop=1.0, values=10_000_000, layers=3)
MACHINE = Roofline(numpy_fp32=100.0, openvino_fp32=200.0, openvino_bf16=400.0, copy_gb_per_s=10.0)


def run(runtime: str) -> ModelRun:
    return ModelRun("faces", "m", (1,), runtime, COUNTED, alone_ms=40.0, parallel_per_s=30.0)


@pytest.mark.parametrize(
    ("runtime", "arithmetic_ms", "traffic_ms", "alone_share", "parallel_share"),
    [("openvino fp32", 20.0, 4.0, 0.5, 0.6), ("openvino bf16", 10.0, 2.0, 0.25, 0.3)],
)
def test_a_model_is_compared_with_the_roofline_of_its_precision(
    runtime: str, arithmetic_ms: float, traffic_ms: float, alone_share: float, parallel_share: float
) -> None:
    stage = compared(run(runtime), MACHINE, serves=True)
    assert (stage.arithmetic_ms, stage.traffic_ms) == (arithmetic_ms, traffic_ms)
    assert (stage.alone_share, stage.side_by_side_share) == (alone_share, parallel_share)
    assert stage.depthwise_share == 0.25


def test_the_higher_of_two_measurements_of_the_roofline_counts() -> None:
    low, high = Roofline(100.0, None, None, 12.0), Roofline(90.0, 200.0, None, 10.0)
    assert low.higher(high) == Roofline(100.0, 200.0, None, 12.0)
