"""``facet bench roof``: how close the models come to what the machine can compute."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import numpy as np
import typer

from detector import yolo
from facet.benchmarks.roofline.flops import Arithmetic, Shape, count
from facet.benchmarks.roofline.machine import BF16, FP32, Roof, measure, median_ms, per_second
from facet.evaluation.report.provenance import processor
from facet.runtime.cores import usable_cores
from facet.runtime.extras import install_command
from facet.runtime.inference_slots import InferenceSlots
from facet.runtime.models import ModelError, find_model
from facet.runtime.session import Normalization, Session
from facet.runtime.sessions import open_session
from facet.server.config import ModelsConfig
from facet.terminal import console, tables
from facet.terminal.console import AsJson
from recognizer import alignment, embedding
from recognizer.detection import scrfd

_ARCFACE = Normalization(mean=127.5, scale=127.5)
_WIDTH = {FP32: 4, BF16: 2}
"""Bytes of a value."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A model at a size and behind a session.

    Attributes:
        role: what it is there for.
        model: its name.
        input: the shape of its input.
        runtime: what ran it, and in which precision.
        serves: whether it is what the server runs models with here.
        gflop: of one run.
        depthwise_share: of these, in depthwise convolutions.
        arithmetic_ms: the run, were it as fast as a product of matrices.
        traffic_ms: reading and writing what its layers read and write, came all of it from memory and none from caches.
        alone_ms: one run with all cores, median.
        alone_share: arithmetic_ms / alone_ms.
        side_by_side_per_s: runs a second with one at a time on every core.
        side_by_side_share: what they compute, of the roof.
    """

    role: str
    model: str
    input: Shape
    runtime: str
    serves: bool
    gflop: float
    depthwise_share: float
    arithmetic_ms: float
    traffic_ms: float
    alone_ms: float
    alone_share: float
    side_by_side_per_s: float
    side_by_side_share: float


def roof(
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="Duration of each measurement.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """The arithmetic of each model against what the machine can compute.

    The roof is a large matrix product. Multiply-adds of convolutions and matrix products are counted in the graph, at
    the input sizes of a 1280x720 frame. Every installed runtime runs each model in both ways that the server does: one
    run on all cores (preset latency), and one run per core (preset throughput).
    """
    if importlib.util.find_spec("onnx") is None:
        console.fail(f"counting arithmetic needs onnx: {install_command('benchmarks')}")
    try:
        cores = usable_cores()
        before = measure(seconds, cores)
        timed = list(_timed(seconds, cores))
        machine = before.higher(measure(seconds, cores))
        serving = _serving_runtime()
        stages = [stage_of(each, machine, serves=each.runtime == serving) for each in timed]
    except (ModelError, OSError) as error:
        console.fail(str(error))
    if as_json:
        told = {"processor": processor(), "cores": cores, "roof": asdict(machine)}
        console.print_json(told | {"stages": [asdict(stage) for stage in stages]})
    else:
        _print(machine, stages, cores)


@dataclass(frozen=True, slots=True)
class Timed:
    """A model at a size and behind a session, before it is judged; see :class:`Stage`."""

    role: str
    model: str
    input: Shape
    runtime: str
    counted: Arithmetic
    alone_ms: float
    per_s: float


def stage_of(timed: Timed, machine: Roof, *, serves: bool) -> Stage:
    """Put a model beside the roof of its precision, the last word of its runtime."""
    precision = timed.runtime.split()[-1]
    top = machine.gflop_per_s(precision)
    gflop = timed.counted.gflop
    traffic_gb = timed.counted.values * _WIDTH.get(precision, _WIDTH[FP32]) / 1e9
    arithmetic_ms = gflop / top * 1e3
    return Stage(
        role=timed.role,
        model=timed.model,
        input=timed.input,
        runtime=timed.runtime,
        serves=serves,
        gflop=round(gflop, 3),
        depthwise_share=round(timed.counted.depthwise_gflop / gflop, 4),
        arithmetic_ms=round(arithmetic_ms, 3),
        traffic_ms=round(traffic_gb / machine.copy_gb_per_s * 1e3, 3),
        alone_ms=round(timed.alone_ms, 3),
        alone_share=round(arithmetic_ms / timed.alone_ms, 3),
        side_by_side_per_s=round(timed.per_s, 2),
        side_by_side_share=round(timed.per_s * gflop / top, 3),
    )


def _models() -> Iterator[tuple[str, str, Shape, Normalization]]:
    """What is loaded by default, at the sizes of its input that a frame of 1280x720 comes to, and the largest."""
    models = ModelsConfig()
    side = alignment.CROP_SIZE
    yield "objects", models.objects, (1, 3, 640, 640), yolo.PIXELS
    yield "objects", models.objects, (1, 3, 384, 640), yolo.PIXELS
    yield "faces", models.faces, (1, 3, 448, 800), scrfd.PIXELS
    yield "faces", models.faces, (1, 3, 256, 256), scrfd.PIXELS
    yield "embedding", models.embedding, (1, 3, side, side), _ARCFACE
    yield "embedding", models.embedding, (embedding.BATCHES[0], 3, side, side), _ARCFACE


def _timed(seconds: float, cores: int) -> Iterator[Timed]:
    """Run every model on every runtime, both ways."""
    wanted, openers = list(_models()), list(_openers())
    with console.progress("Running models", len(wanted) * len(openers)) as bar:
        for role, name, shape, normalization in wanted:
            file = find_model(name)
            counted = count(file.path, shape)
            pixels = np.random.default_rng(0).integers(0, 256, (shape[0], *shape[2:], 3), np.uint8)
            for opened in openers:
                alone = opened(file.path, slots=InferenceSlots.of("latency", cores)).normalizing(normalization)
                alone_ms = median_ms(partial(alone.run, pixels), seconds)
                beside = opened(file.path, slots=InferenceSlots.of("throughput", cores)).normalizing(normalization)
                beside.run(pixels)
                per_s = per_second([partial(beside.run, pixels)] * cores, seconds)
                yield Timed(role, file.path.name, shape, alone.runtime, counted, alone_ms, per_s)
                bar.advance(bar.task_ids[0])


def _serving_runtime() -> str:
    """What the server runs models with here, unless it is told otherwise."""
    models = ModelsConfig()
    path = find_model(models.embedding).path
    return open_session(
        path, slots=InferenceSlots(1, 1), runtime=models.runtime, precision="bf16", providers=models.providers
    ).runtime


def _openers() -> Iterator[Callable[..., Session]]:
    """Every way to run a model here."""
    yield partial(open_session, runtime="onnxruntime")
    if importlib.util.find_spec("openvino") is None:
        return
    from facet.runtime.openvino_session import computes_bf16

    yield partial(open_session, runtime="openvino", precision="fp32")
    if computes_bf16():
        yield partial(open_session, runtime="openvino", precision="bf16")


def _print(machine: Roof, stages: list[Stage], cores: int) -> None:
    table = tables.listing(f"{processor()}, {cores} cores")
    table.add_row("matrix product, NumPy fp32", f"{machine.numpy_fp32:,.0f} GFLOP/s")
    for name, value in (("fp32", machine.openvino_fp32), ("bf16", machine.openvino_bf16)):
        table.add_row(f"matrix product, OpenVINO {name}", f"{value:,.0f} GFLOP/s" if value else "-")
    table.add_row("copying memory", f"{machine.copy_gb_per_s:.1f} GB/s")
    console.out.print(table)
    table = tables.table(
        *("model", "input", "runtime, * serves", "GFLOP", "at the roof, ms", "from memory, ms"),
        *("alone, ms", "of the roof", "side by side, per s", "of the roof"),
        title="Models",
    )
    for stage in stages:
        table.add_row(
            *(stage.model, "x".join(map(str, stage.input)), stage.runtime + " *" * stage.serves, f"{stage.gflop:.2f}"),
            *(f"{stage.arithmetic_ms:.2f}", f"{stage.traffic_ms:.2f}"),
            *(f"{stage.alone_ms:.2f}", f"{stage.alone_share:.0%}"),
            *(f"{stage.side_by_side_per_s:.1f}", f"{stage.side_by_side_share:.0%}"),
        )
    console.out.print(table)
