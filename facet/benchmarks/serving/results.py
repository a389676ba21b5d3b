"""The results of ``facet bench serving``."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from facet.benchmarks.serving.memory import Memory
from facet.benchmarks.serving.saturation import Saturation
from facet.benchmarks.serving.speed import PictureLatency, Throughput, geometric_mean


@dataclass(frozen=True, slots=True)
class Serving:
    """All results.

    Attributes:
        pictures: the three that the main figures are computed from, then the frame, then those of the folder.
        throughput: compared with tuned FaceAnalysis.
        objects: load on a server with the defaults.
        no_objects: load on a server without an object detector.
        memory: of a server with the defaults.
        ready_s: seconds from the start of a server until its health is SERVING, median of the servers started.
        machine: processor, cores, versions and date.
        preset: of the servers; empty for the default.
    """

    pictures: list[PictureLatency]
    throughput: Throughput
    objects: Saturation
    no_objects: Saturation
    memory: Memory
    ready_s: float
    machine: dict[str, Any]
    preset: str

    def figures(self) -> dict[str, Any]:
        """The main figures. Milliseconds and speedups are geometric means over the first three pictures."""
        three = self.pictures[:3]
        names = ("faceanalysis_ms", "engine_ms", "engine_no_objects_ms", "grpc_ms", "speedup", "speedup_no_objects")
        means = {name: round(geometric_mean([getattr(each, name) for each in three]), 3) for name in names}
        rate = self.throughput.faceanalysis_per_s
        return {
            **means,
            "wire_overhead_ms": round(statistics.median(each.wire_overhead_ms for each in three), 2),
            "faceanalysis_tuned_per_s": rate,
            "throughput_ratio_tuned": round(self.throughput.grpc_per_s / rate, 3),
            "max_goodput_per_s": self.objects.max_goodput_per_s,
            "p99_at_half_load_ms": self.objects.p99_at_half_load_ms,
            "goodput_at_double_load_ratio": self.objects.goodput_at_double_load_ratio,
            "goodput_at_double_load_ratio_no_objects": self.no_objects.goodput_at_double_load_ratio,
            "late_share_at_double_load": self.objects.late_share_at_double_load,
            "late_share_at_double_load_no_objects": self.no_objects.late_share_at_double_load,
            "rss_mb_ready": self.memory.rss_mb_ready,
            "rss_mb_start": self.memory.rss_mb_start,
            "rss_mb_after": self.memory.rss_mb_after,
            "ready_s": self.ready_s,
        }

    def document(self) -> dict[str, Any]:
        """The main figures and all results they are computed from."""
        under_load = {"objects": self.objects.document(), "no_objects": self.no_objects.document()}
        return {**self.figures(), **asdict(self), **under_load}
