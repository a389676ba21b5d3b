"""``facet bench roof``: how close the models come to the hardware's limit (roofline)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from detector import yolo
from facet.benchmarks.roofline.flops import Arithmetic, Shape, count
from facet.benchmarks.roofline.machine import BF16, FP32, Roofline, measure
from facet.benchmarks.timing import median_ms, per_second
from facet.evaluation.report.provenance import processor
from facet.runtime.cores import usable_cores
from facet.runtime.extras import install_command
from facet.runtime.inference.session import Normalization, Session
from facet.runtime.inference.sessions import open_session
from facet.runtime.inference.slots import InferenceSlots
from facet.runtime.models import ModelError, find_model
from facet.server.config import ModelsConfig
from facet.terminal import console
from facet.terminal.console import AsJson
from facet.terminal.tables import listing, number, table, whole
from recognizer import alignment, embedding
from recognizer.detection import scrfd

_ARCFACE = Normalization(mean=127.5, scale=127.5)
_VALUE_BYTES = {FP32: 4, BF16: 2}


@dataclass(frozen=True, slots=True)
class ModelRun:
    """Measured speed of a model at one input size on one runtime.

    Attributes:
        role: ``objects``, ``faces`` or ``embedding``.
        model: file name.
        input: shape of the input.
        runtime: runtime and precision, such as ``openvino bf16``.
        counted: arithmetic of one run.
        alone_ms: median of one run at a time on all cores.
        parallel_per_s: runs per second with one at a time on every core.
    """

    role: str
    model: str
    input: Shape
    runtime: str
    counted: Arithmetic
    alone_ms: float
    parallel_per_s: float


@dataclass(frozen=True, slots=True)
class Stage:
    """A model at one input size on one runtime, compared with the roofline.

    Attributes:
        role: ``objects``, ``faces`` or ``embedding``.
        model: file name.
        input: shape of the input.
        runtime: runtime and precision, such as ``openvino bf16``.
        serves: whether the server uses this runtime here by default.
        gflop: arithmetic of one run.
        depthwise_share: part of it in depthwise convolutions, [0, 1].
        arithmetic_ms: time of that arithmetic at the roofline's rate for the precision.
        traffic_ms: time to copy all that the layers read and write, if nothing stayed in caches.
        alone_ms: median of one run at a time on all cores.
        alone_share: ``arithmetic_ms / alone_ms``.
        side_by_side_per_s: runs per second with one at a time on every core.
        side_by_side_share: their arithmetic rate as a share of the roofline's.
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
    seconds: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to measure each figure.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Measure how close the models come to the hardware's limit.

    Counts the multiply-adds of each model at the input sizes that a frame of 1280x720 leads to, and compares its speed
    on every installed runtime with a product of 2048x2048 matrices, the roofline. Takes about a minute per second of
    [b]--seconds[/b].

    Columns: "compute", the time of the arithmetic at the roofline's rate; "memory", the time to read and write all
    values if nothing stayed in caches; "run", one inference at a time on all cores (the preset latency); "runs per s",
    with one inference on every core (the preset throughput); "of roof", the share of the roofline that the column
    before it reaches. An asterisk marks the runtime that the server uses here.

    [b]Examples[/b]

      facet bench roof
      facet bench roof --seconds 10 --json
    """
    if importlib.util.find_spec("onnx") is None:
        console.fail(f"counting arithmetic needs onnx: {install_command('benchmarks')}")
    try:
        cores = usable_cores()
        before = measure(seconds, cores)
        runs = list(_runs(seconds, cores))
        machine = before.higher(measure(seconds, cores))
        serving = _serving_runtime()
        stages = [compared(each, machine, serves=each.runtime == serving) for each in runs]
    except (ModelError, OSError) as error:
        console.fail(str(error))
    if as_json:
        limits = {"processor": processor(), "cores": cores, "roof": asdict(machine)}
        console.print_json(limits | {"stages": [asdict(stage) for stage in stages]})
    else:
        _print_machine(machine, cores)
        _print_stages(stages)


def compared(run: ModelRun, machine: Roofline, *, serves: bool) -> Stage:
    """Compare a model with the roofline of its precision, which is the last word of its runtime."""
    precision = run.runtime.split()[-1]
    limit = machine.gflop_per_s(precision)
    gflop = run.counted.gflop
    traffic_gb = run.counted.values * _VALUE_BYTES.get(precision, _VALUE_BYTES[FP32]) / 1e9
    arithmetic_ms = gflop / limit * 1e3
    return Stage(
        role=run.role,
        model=run.model,
        input=run.input,
        runtime=run.runtime,
        serves=serves,
        gflop=round(gflop, 3),
        depthwise_share=round(run.counted.depthwise_gflop / gflop, 4),
        arithmetic_ms=round(arithmetic_ms, 3),
        traffic_ms=round(traffic_gb / machine.copy_gb_per_s * 1e3, 3),
        alone_ms=round(run.alone_ms, 3),
        alone_share=round(arithmetic_ms / run.alone_ms, 3),
        side_by_side_per_s=round(run.parallel_per_s, 2),
        side_by_side_share=round(run.parallel_per_s * gflop / limit, 3),
    )


def _models() -> Iterator[tuple[str, str, Shape, Normalization]]:
    """Role, name, input shape and normalization of the default models: at the largest size, and for 1280x720."""
    models = ModelsConfig()
    crop = alignment.CROP_SIZE
    yield "objects", models.objects, (1, 3, 640, 640), yolo.PIXELS
    yield "objects", models.objects, (1, 3, 384, 640), yolo.PIXELS
    yield "faces", models.faces, (1, 3, 448, 800), scrfd.PIXELS
    yield "faces", models.faces, (1, 3, 256, 256), scrfd.PIXELS
    yield "embedding", models.embedding, (1, 3, crop, crop), _ARCFACE
    yield "embedding", models.embedding, (embedding.BATCHES[0], 3, crop, crop), _ARCFACE


def _runs(seconds: float, cores: int) -> Iterator[ModelRun]:
    """Measure every model on every runtime."""
    models, openers = list(_models()), list(_openers())
    with console.progress("Running models", len(models) * len(openers)) as bar:
        for role, name, shape, normalization in models:
            path = find_model(name).path
            counted = count(path, shape)
            pixels = np.random.default_rng(0).integers(0, 256, (shape[0], *shape[2:], 3), np.uint8)
            for open_model in openers:
                alone = open_model(path, slots=InferenceSlots.of("latency", cores)).normalizing(normalization)
                alone_ms = median_ms(partial(alone.run, pixels), seconds)
                parallel = open_model(path, slots=InferenceSlots.of("throughput", cores)).normalizing(normalization)
                parallel.run(pixels)
                parallel_per_s = per_second([partial(parallel.run, pixels)] * cores, seconds)
                yield ModelRun(role, path.name, shape, alone.runtime, counted, alone_ms, parallel_per_s)
                bar.advance(bar.task_ids[0])


def _serving_runtime() -> str:
    """The runtime that the server uses here by default."""
    models = ModelsConfig()
    path = find_model(models.embedding).path
    return open_session(
        path, slots=InferenceSlots(1, 1), runtime=models.runtime, precision="bf16", providers=models.providers
    ).runtime


def _openers() -> Iterator[Callable[..., Session]]:
    """A function for every runtime and precision available here, which opens a model file."""
    yield partial(open_session, runtime="onnxruntime")
    if importlib.util.find_spec("openvino") is None:
        return
    from facet.runtime.inference.openvino_session import computes_bf16

    yield partial(open_session, runtime="openvino", precision="fp32")
    if computes_bf16():
        yield partial(open_session, runtime="openvino", precision="bf16")


def _print_machine(machine: Roofline, cores: int) -> None:
    shown = listing(f"{processor()}, {cores} cores")
    shown.add_row("matrix product, NumPy fp32", f"{machine.numpy_fp32:,.0f} GFLOP/s")
    for name, value in (("fp32", machine.openvino_fp32), ("bf16", machine.openvino_bf16)):
        shown.add_row(f"matrix product, OpenVINO {name}", f"{value:,.0f} GFLOP/s" if value else "-")
    shown.add_row("copying memory", f"{machine.copy_gb_per_s:.1f} GB/s")
    console.out.print(shown)


def _print_stages(stages: list[Stage]) -> None:
    """Print a table with a group of rows for each model and input: GFLOP in the first row, then one per runtime."""
    figures = ("GFLOP", "compute\nms", "memory\nms", "run\nms", "of\nroof", "runs\nper s", "of\nroof")
    shown = table(whole("model, input\n  runtime"), *map(number, figures))
    for (model, shape), runs in groupby(stages, key=lambda stage: (stage.model, stage.input)):
        group = list(runs)
        shown.add_row(f"{Path(model).stem} {'x'.join(map(str, shape))}", f"{group[0].gflop:.2f}")
        for stage in group:
            shown.add_row(
                *(f"  {stage.runtime}{' *' if stage.serves else ''}", ""),
                *(f"{stage.arithmetic_ms:.2f}", f"{stage.traffic_ms:.2f}"),
                *(f"{stage.alone_ms:.2f}", f"{stage.alone_share:.0%}"),
                *(f"{stage.side_by_side_per_s:.1f}", f"{stage.side_by_side_share:.0%}"),
            )
    console.out.print(shown)
