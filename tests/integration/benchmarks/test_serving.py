"""``bench.py serving`` and ``bench.py roof`` as programs run them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Run = Callable[..., "subprocess.CompletedProcess[str]"]

MAIN_FIGURES = {
    "faceanalysis_ms",
    "faceanalysis_tuned_per_s",
    "engine_ms",
    "engine_no_objects_ms",
    "grpc_ms",
    "speedup",
    "speedup_no_objects",
    "throughput_ratio_tuned",
    "wire_overhead_ms",
    "max_goodput_per_s",
    "p99_at_half_load_ms",
    "goodput_at_double_load_ratio",
    "goodput_at_double_load_ratio_no_objects",
    "late_share_at_double_load",
    "late_share_at_double_load_no_objects",
    "rss_mb_start",
    "rss_mb_after",
}


def test_serving_reports_facet_and_faceanalysis_from_one_run(bench: Run) -> None:
    done = bench("serving", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.keys() >= MAIN_FIGURES
    may_be_zero = {name for name in MAIN_FIGURES if name.startswith("late_share")} | {"wire_overhead_ms"}
    assert all(report[name] > 0 for name in MAIN_FIGURES - may_be_zero)
    one, six, squad, frame = report["pictures"]
    assert [each["faces_faceanalysis"] for each in (one, six, squad)] == [1, 6, 22]
    assert [each["faces"] for each in (one, six, frame)] == [1, 6, 2]
    for mode in ("objects", "no_objects"):
        loads = report[mode]
        assert loads["closed"].keys() == {one["picture"], frame["picture"]}
        for point in (*loads["closed"][frame["picture"]].values(), *loads["open"].values()):
            assert point["sent"] == point["answered"] + point["late"] + sum(point["refused"].values())
            assert point["generator_cores"] > 0
    memory = report["memory"]
    assert sum(memory["answers"].values()) == memory["requests"]
    assert "OK" in memory["answers"]


def test_roof_reports_every_model_and_the_limits_of_the_machine(bench: Run) -> None:
    done = bench("roof", "--seconds", "0.1", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["roof"]["numpy_fp32"] > 0
    assert {stage["role"] for stage in report["stages"]} == {"objects", "faces", "embedding"}
    yolo = next(stage for stage in report["stages"] if stage["input"] == [1, 3, 640, 640])
    assert 6.4 < yolo["gflop"] < 6.6, "Ultralytics says 6.5"
    assert len({stage["runtime"] for stage in report["stages"] if stage["serves"]}) == 1
    assert all(stage["gflop"] > 0 and stage["alone_ms"] > 0 for stage in report["stages"])
