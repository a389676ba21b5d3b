"""What this machine can compute at best: products of matrices, and copies of memory, on all cores."""

from __future__ import annotations

import importlib.util
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

FP32, BF16 = "fp32", "bf16"

_SIDE = 2048
_COPIED = 2**26


@dataclass(frozen=True, slots=True)
class Roof:
    """What the machine reaches with all its cores.

    Attributes:
        numpy_fp32: GFLOP/s of a product of 2048x2048 matrices in NumPy.
        openvino_fp32: the same in OpenVINO; ``None`` where it is not installed.
        openvino_bf16: the same in bf16; ``None`` where the processor does not compute in it.
        copy_gb_per_s: gigabytes of memory that are read and written a second in copying a large array.
    """

    numpy_fp32: float
    openvino_fp32: float | None
    openvino_bf16: float | None
    copy_gb_per_s: float

    def higher(self, other: Roof) -> Roof:
        """The higher of each figure: a machine that is shared has moments when it is slower than it can be."""
        return Roof(
            max(self.numpy_fp32, other.numpy_fp32),
            max((self.openvino_fp32, other.openvino_fp32), key=lambda each: each or 0.0),
            max((self.openvino_bf16, other.openvino_bf16), key=lambda each: each or 0.0),
            max(self.copy_gb_per_s, other.copy_gb_per_s),
        )

    def gflop_per_s(self, precision: str) -> float:
        """The best of a precision."""
        if precision == BF16 and self.openvino_bf16:
            return self.openvino_bf16
        return max(self.numpy_fp32, self.openvino_fp32 or 0.0)


def measure(seconds: float, cores: int) -> Roof:
    """Measure each for so long."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((_SIDE, _SIDE)).astype(np.float32) for _ in range(2))
    out = np.empty_like(left)
    gflop = 2 * _SIDE**3 / 1e9
    numpy_ms = median_ms(partial(np.matmul, left, right, out=out), seconds)
    products: dict[str, float | None] = {FP32: None, BF16: None}
    if importlib.util.find_spec("openvino") is not None:
        from facet.runtime.openvino_session import computes_bf16

        for precision in (FP32, BF16) if computes_bf16() else (FP32,):
            product = partial(_openvino_product(right, precision, cores), left)
            products[precision] = round(gflop / median_ms(product, seconds) * 1e3, 1)
    return Roof(round(gflop / numpy_ms * 1e3, 1), products[FP32], products[BF16], _copy_gb_per_s(seconds, cores))


def _openvino_product(right: NDArray[np.float32], precision: str, cores: int) -> Callable[[NDArray[np.float32]], Any]:
    """A graph that multiplies by a constant matrix."""
    import openvino as ov
    from openvino import opset13 as ops

    left = ops.parameter(list(right.shape), np.float32)
    model = ov.Model([ops.matmul(left, ops.constant(right), False, False)], [left])
    hint = "bf16" if precision == BF16 else "f32"
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": cores, "NUM_STREAMS": 1}
    request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
    return lambda blob: request.infer([blob], share_inputs=True, share_outputs=True)


def _copy_gb_per_s(seconds: float, cores: int) -> float:
    """Of memory read and written by all cores, in arrays that no cache holds."""
    copies = [partial(np.copyto, np.empty(_COPIED, np.uint8), np.ones(_COPIED, np.uint8)) for _ in range(cores)]
    return round(2 * _COPIED * per_second(copies, seconds) / 1e9, 1)


def per_second(calls: Sequence[Callable[[], object]], seconds: float) -> float:
    """How often a second these are done, each again and again on a thread of its own."""
    done = [0] * len(calls)
    begun = time.perf_counter()

    def repeat(place: int) -> None:
        while time.perf_counter() < begun + seconds:
            calls[place]()
            done[place] += 1

    threads = [threading.Thread(target=repeat, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - begun)


def median_ms(call: Callable[[], object], seconds: float) -> float:
    """Of calls one after the other, a first one not counted."""
    call()
    spent: list[float] = []
    until = time.perf_counter() + seconds
    while not spent or time.perf_counter() < until:
        begun = time.perf_counter()
        call()
        spent.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(spent)
