"""How fast one request is, and how many a second: FaceAnalysis, Facet's engine, and Facet's server, by turns."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from facet import Client
from facet.benchmarks.serving.contenders import Contender, Recipe, Timed
from facet.benchmarks.serving.in_process import GALLERY
from facet.benchmarks.serving.load import LoadProcess
from facet.benchmarks.serving.pictures import Sample
from facet.runtime.cores import usable_cores
from facet.terminal import console

CLIENTS = 4
"""Of the server, where it is compared with the tuned neighbour."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Who takes turns: each in a process of its own.

    Attributes:
        neighbour: FaceAnalysis with its defaults.
        engine: Facet in process.
        engine_no_objects: the same without an object detector.
        client: of a server with the defaults.
        client_no_objects: of one without an object detector.
    """

    neighbour: Contender
    engine: Contender
    engine_no_objects: Contender
    client: Client
    client_no_objects: Client


@dataclass(frozen=True, slots=True)
class Compared:
    """One picture, medians in milliseconds.

    Attributes:
        picture: its name.
        bytes: its length.
        faces: that Facet answers.
        faces_faceanalysis: that FaceAnalysis finds.
        faceanalysis_ms: decoding, ``get``, and a search by NumPy.
        engine_ms: Identify in process.
        engine_no_objects_ms: the same without the object detector.
        grpc_ms: Identify as a call over loopback.
        grpc_no_objects_ms: the same without the object detector.
        wire_overhead_ms: how much longer the call took than the work in process of the same round, over both modes.
        speedup: faceanalysis_ms / engine_ms.
        speedup_no_objects: faceanalysis_ms / engine_no_objects_ms.
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
    """One-face pictures a second without an object detector, medians of rounds by turns.

    Attributes:
        faceanalysis_threads_per_s: tuned, one process with a thread a core.
        faceanalysis_processes_per_s: tuned, a process a core.
        grpc_per_s: the server with four clients, which share the cores with it.
    """

    faceanalysis_threads_per_s: float
    faceanalysis_processes_per_s: float
    grpc_per_s: float

    @property
    def faceanalysis_per_s(self) -> float:
        """The better of the two."""
        return max(self.faceanalysis_threads_per_s, self.faceanalysis_processes_per_s)


def compare(sides: Sides, pictures: Sequence[Sample], rounds: int) -> list[Compared]:
    """Time every side on every picture, so that a change of the machine's pace meets all of them.

    A turn is a call that wakes the side up, and one that is timed.
    """
    turns: list[list[dict[str, Timed]]] = [[] for _ in pictures]
    with console.progress("Comparing by turns", rounds * len(pictures)) as bar:
        for _ in range(rounds):
            for sample, of_sample in zip(pictures, turns, strict=True):
                of_sample.append(_turn(sides, sample.data))
                bar.advance(bar.task_ids[0])
    return [_compared(sample, of_sample) for sample, of_sample in zip(pictures, turns, strict=True)]


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive values: what it says of ratios does not depend on which side is the unit."""
    return math.exp(statistics.fmean(math.log(value) for value in values))


def throughput(recipe: Recipe, portrait: Sample, load: LoadProcess, seconds: float, rounds: int) -> Throughput:
    """Let the tuned neighbour and the server work as hard as they can, by turns."""
    cores = usable_cores()
    rates: dict[str, list[float]] = {"threads": [], "processes": [], "grpc": []}
    with ExitStack() as stack, console.progress("Tuned FaceAnalysis against the server", 3 * rounds) as bar:
        tuned = [stack.enter_context(Contender(recipe)) for _ in range(cores)]
        for loaded in [contender.loop(portrait.data, 0) for contender in tuned]:
            loaded.result()
        for _ in range(rounds):
            rates["threads"].append(tuned[0].loop(portrait.data, seconds, threads=cores).result())
            bar.advance(bar.task_ids[0])
            running = [contender.loop(portrait.data, seconds) for contender in tuned]
            rates["processes"].append(sum(each.result() for each in running))
            bar.advance(bar.task_ids[0])
            rates["grpc"].append(load.closed(portrait.data, CLIENTS, seconds).goodput_per_s)
            bar.advance(bar.task_ids[0])
    return Throughput(*(round(statistics.median(each), 2) for each in rates.values()))


def _turn(sides: Sides, data: bytes) -> dict[str, Timed]:
    return {
        "faceanalysis": sides.neighbour.time(data),
        "engine": sides.engine.time(data),
        "grpc": _called(sides.client, data),
        "engine_no_objects": sides.engine_no_objects.time(data),
        "grpc_no_objects": _called(sides.client_no_objects, data),
    }


def _called(client: Client, data: bytes) -> Timed:
    client.identify(GALLERY, data)
    begun = time.perf_counter()
    faces = client.identify(GALLERY, data).faces
    return Timed((time.perf_counter() - begun) * 1e3, len(faces))


def _compared(sample: Sample, turns: Sequence[Mapping[str, Timed]]) -> Compared:
    spent = {name: [turn[name].milliseconds for turn in turns] for name in turns[0]}
    median = {name: statistics.median(times) for name, times in spent.items()}
    over = [
        call - work
        for mode in ("", "_no_objects")
        for call, work in zip(spent[f"grpc{mode}"], spent[f"engine{mode}"], strict=True)
    ]
    return Compared(
        picture=sample.name,
        bytes=len(sample.data),
        faces=turns[0]["engine"].faces,
        faces_faceanalysis=turns[0]["faceanalysis"].faces,
        **{f"{name}_ms": round(milliseconds, 2) for name, milliseconds in median.items()},
        wire_overhead_ms=round(statistics.median(over), 2),
        speedup=round(median["faceanalysis"] / median["engine"], 3),
        speedup_no_objects=round(median["faceanalysis"] / median["engine_no_objects"], 3),
    )
