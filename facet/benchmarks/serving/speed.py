"""Latency of single requests and highest throughput: FaceAnalysis, Facet in process and Facet's server, interleaved."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from facet import Client
from facet.benchmarks.serving.in_process import GALLERY
from facet.benchmarks.serving.load import LoadProcess
from facet.benchmarks.serving.pictures import Sample
from facet.benchmarks.serving.systems import System, SystemProcess, TimedCall, second_call
from facet.runtime.cores import usable_cores
from facet.terminal import console

CLIENTS = 4
"""Clients of the server when its throughput is compared with the tuned baseline."""


@dataclass(frozen=True, slots=True)
class Systems:
    """The systems whose latency is compared.

    Attributes:
        baseline: FaceAnalysis with its defaults.
        pipeline: Facet in process.
        pipeline_no_objects: the same without an object detector.
        client: of a server with the defaults.
        client_no_objects: of a server without an object detector.
    """

    baseline: SystemProcess
    pipeline: SystemProcess
    pipeline_no_objects: SystemProcess
    client: Client
    client_no_objects: Client


@dataclass(frozen=True, slots=True)
class PictureLatency:
    """Latency on one picture, medians in milliseconds.

    Attributes:
        picture: its name.
        bytes: its length.
        faces: number of faces that Facet finds.
        faces_faceanalysis: number of faces that FaceAnalysis finds.
        faceanalysis_ms: decoding, ``FaceAnalysis.get`` and a NumPy search.
        engine_ms: Identify in process.
        engine_no_objects_ms: the same without an object detector.
        grpc_ms: Identify as a call over loopback.
        grpc_no_objects_ms: the same without an object detector.
        wire_overhead_ms: additional time of the call over the function call of the same round, with and without
            objects together.
        speedup: ``faceanalysis_ms / engine_ms``.
        speedup_no_objects: ``faceanalysis_ms / engine_no_objects_ms``.
    """

    picture: str
    bytes: int
    faces: int
    faces_faceanalysis: int
    faceanalysis_ms: float
    engine_ms: float
    engine_no_objects_ms: float
    grpc_ms: float
    grpc_no_objects_ms: float
    wire_overhead_ms: float
    speedup: float
    speedup_no_objects: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """One-face pictures per second without an object detector, medians of interleaved rounds.

    Attributes:
        faceanalysis_threads_per_s: tuned FaceAnalysis, one process with a thread per core.
        faceanalysis_processes_per_s: tuned FaceAnalysis, a process per core.
        grpc_per_s: the server with :data:`CLIENTS` clients, which share its cores.
    """

    faceanalysis_threads_per_s: float
    faceanalysis_processes_per_s: float
    grpc_per_s: float

    @property
    def faceanalysis_per_s(self) -> float:
        """The better of the two figures of FaceAnalysis."""
        return max(self.faceanalysis_threads_per_s, self.faceanalysis_processes_per_s)


def compare_latency(systems: Systems, pictures: Sequence[Sample], rounds: int) -> list[PictureLatency]:
    """Time every system on every picture.

    Each round times all systems one after the other, so that changes in the machine's speed affect all of them.
    """
    times: list[list[dict[str, TimedCall]]] = [[] for _ in pictures]
    with console.progress("Comparing latency", rounds * len(pictures)) as bar:
        for _ in range(rounds):
            for sample, of_sample in zip(pictures, times, strict=True):
                of_sample.append(_round(systems, sample.data))
                bar.advance(bar.task_ids[0])
    return [_latency(sample, of_sample) for sample, of_sample in zip(pictures, times, strict=True)]


def compare_throughput(tuned: System, portrait: Sample, load: LoadProcess, seconds: float, rounds: int) -> Throughput:
    """Measure the highest throughput of the tuned baseline and of the server, interleaved.

    Args:
        tuned: the baseline.
        portrait: picture of one face.
        load: on the server.
        seconds: duration of each measurement.
        rounds: number of measurements of each.
    """
    cores = usable_cores()
    rates: dict[str, list[float]] = {"threads": [], "processes": [], "grpc": []}
    with ExitStack() as stack, console.progress("Comparing throughput", 3 * rounds) as bar:
        processes = [stack.enter_context(SystemProcess(tuned)) for _ in range(cores)]
        for loading in [process.start_loop(portrait.data, 0) for process in processes]:
            loading.result()
        for _ in range(rounds):
            rates["threads"].append(processes[0].start_loop(portrait.data, seconds, threads=cores).result())
            bar.advance(bar.task_ids[0])
            running = [process.start_loop(portrait.data, seconds) for process in processes]
            rates["processes"].append(sum(each.result() for each in running))
            bar.advance(bar.task_ids[0])
            rates["grpc"].append(load.closed(portrait.data, CLIENTS, seconds).goodput_per_s)
            bar.advance(bar.task_ids[0])
    return Throughput(*(round(statistics.median(each), 2) for each in rates.values()))


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean of positive values. A mean of ratios is then the inverse of the mean of the inverse ratios."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def _round(systems: Systems, data: bytes) -> dict[str, TimedCall]:
    return {
        "faceanalysis": systems.baseline.time(data),
        "engine": systems.pipeline.time(data),
        "grpc": _over_grpc(systems.client, data),
        "engine_no_objects": systems.pipeline_no_objects.time(data),
        "grpc_no_objects": _over_grpc(systems.client_no_objects, data),
    }


def _over_grpc(client: Client, data: bytes) -> TimedCall:
    return second_call(lambda each: len(client.identify(GALLERY, each).faces), data)


def _latency(sample: Sample, rounds: Sequence[Mapping[str, TimedCall]]) -> PictureLatency:
    times = {name: [each[name].milliseconds for each in rounds] for name in rounds[0]}
    median = {name: statistics.median(each) for name, each in times.items()}
    overheads = [
        call - work
        for mode in ("", "_no_objects")
        for call, work in zip(times[f"grpc{mode}"], times[f"engine{mode}"], strict=True)
    ]
    return PictureLatency(
        picture=sample.name,
        bytes=len(sample.data),
        faces=rounds[0]["engine"].faces,
        faces_faceanalysis=rounds[0]["faceanalysis"].faces,
        **{f"{name}_ms": round(milliseconds, 2) for name, milliseconds in median.items()},
        wire_overhead_ms=round(statistics.median(overheads), 2),
        speedup=round(median["faceanalysis"] / median["engine"], 3),
        speedup_no_objects=round(median["faceanalysis"] / median["engine_no_objects"], 3),
    )
